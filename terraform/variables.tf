# Everything that a fleet can be told, by subject. What has no default must be said; every default is the plan's.

# --- The place: what the site has already -----------------------------------------------------------------------------

variable "name" {
  description = "Name of the fleet: the start of every resource's name, the Fleet dimension of its metrics, and `fleet.name` of the daemon."
  type        = string
  default     = "compilation"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name))
    error_message = "Write 2 to 20 lower-case letters, digits and dashes: a target group's name has 32 characters at most."
  }
}

variable "environment" {
  description = "Environment whose name may begin a path, as in /prod/api/..., and whose rows of the routing table are ours. Without one, no path begins with a name."
  type        = string
  default     = null

  validation {
    condition     = var.environment == null ? true : can(regex("^[a-z][a-z0-9-]*$", var.environment)) && var.environment != "api"
    error_message = "Write a name such as prod."
  }
}

variable "vpc_id" {
  description = "VPC of the balancer and of the instances."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "Write the id of a VPC, vpc-..."
  }
}

variable "subnet_ids" {
  description = "Private subnets of the instances, each in an availability zone of its own."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(distinct(var.subnet_ids)) >= 2 && alltrue([for id in var.subnet_ids : can(regex("^subnet-[0-9a-f]+$", id))])
    error_message = "Write two subnets or more (subnet-...): one zone must be able to fail."
  }
}

variable "listener_arn" {
  description = "Listener of the balancer that gets the rules."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:[^:]+:elasticloadbalancing:[^:]+:[0-9]{12}:listener/app/", var.listener_arn))
    error_message = "Write the ARN of an application load balancer's listener."
  }
}

variable "balancer_security_group_id" {
  description = "Security group of the balancer: the only one that may speak to the instances."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^sg-[0-9a-f]+$", var.balancer_security_group_id))
    error_message = "Write the id of a security group, sg-..."
  }
}

variable "balancer_egress" {
  description = "Let the balancer's security group reach the instances. Switch it off where that group allows everything already and is kept elsewhere."
  type        = bool
  default     = true
  nullable    = false
}

variable "balancer_idle_seconds" {
  description = "Idle timeout of the balancer, in seconds: the daemon's `http.balancer_idle`. The balancer is read, and a different one refused."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.balancer_idle_seconds >= 56 && var.balancer_idle_seconds <= 74
    error_message = "Write 56 to 74 seconds: above the daemon's budget of 55 s for a request, and below the 75 s that it keeps idle connections."
  }
}

variable "create_endpoints" {
  description = "Create the VPC endpoints through which instances without a public address reach the services. They change name resolution for the whole VPC: whoever is in it calls these services through them from then on. Switch it off where the VPC has them, or where `egress` has another way, such as a NAT."
  type        = bool
  default     = true
  nullable    = false

  validation {
    condition     = var.create_endpoints || anytrue([for to in var.egress : to.port == 443])
    error_message = "Without endpoints of the fleet's own, instances need another way to the services: write egress = { services = { cidr = \"0.0.0.0/0\" } } for a NAT, or the network of the endpoints that the VPC has."
  }
}

variable "interface_endpoints" {
  description = "Services that get an interface endpoint. Leave out what the VPC has already, and let `egress` lead there. `execute-api` is not among them: private APIs are REST APIs only, and the events API is a WebSocket API (see `egress`)."
  type        = set(string)
  default     = ["autoscaling", "ec2", "logs", "monitoring", "sqs", "ssm", "ssmmessages"]
  nullable    = false

  validation {
    condition     = alltrue([for service in ["s3", "dynamodb"] : contains(var.interface_endpoints, service) == false])
    error_message = "Leave s3 and dynamodb out: they have gateway endpoints, which cost nothing."
  }
}

variable "gateway_endpoints" {
  description = "Services that get a gateway endpoint in route_table_ids. Leave out what these tables have already: the second one is refused, halfway through the apply."
  type        = set(string)
  default     = ["s3", "dynamodb"]
  nullable    = false

  validation {
    condition     = alltrue([for service in var.gateway_endpoints : contains(["s3", "dynamodb"], service)])
    error_message = "Write s3, dynamodb, both or none: no other service has a gateway endpoint."
  }
}

variable "route_table_ids" {
  description = "Route tables of the subnets, for the gateway endpoints."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = var.create_endpoints == false || length(var.gateway_endpoints) == 0 || length(var.route_table_ids) > 0
    error_message = "Name the subnets' route tables, or set gateway_endpoints = [] where they have both endpoints."
  }
}

variable "egress" {
  description = "What else the instances may reach: the events API, environments behind URLs of the routing table. Such networks need a route of the site's own (NAT, proxy, peering)."
  type = map(object({
    cidr = string
    port = optional(number, 443)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for to in var.egress : can(cidrhost(to.cidr, 0)) && to.port > 0 && to.port < 65536])
    error_message = "Write networks such as { events = { cidr = \"10.0.0.0/16\", port = 10242 } }."
  }
}

# --- The machines ------------------------------------------------------------------------------------------------------

variable "image_id" {
  description = "AMI that packer/compilation-node.pkr.hcl built."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^ami-[0-9a-f]+$", var.image_id))
    error_message = "Write the id of an image, ami-..."
  }
}

variable "instance_types" {
  description = "Instance types, the preferred first. The first is the launch template's."
  type        = list(string)
  default     = ["t4g.medium", "t4g.large", "m7g.medium"]
  nullable    = false

  validation {
    condition     = length(var.instance_types) > 0 && alltrue([for type in var.instance_types : can(regex("^(t4g|m7g|c7g|c7gn|m8g|c8g)\\.", type))])
    error_message = "Write AArch64 types of the families t4g, m7g, c7g, c7gn, m8g and c8g: the image is built for those."
  }
}

variable "cpu_credits" {
  description = "Credit mode of burstable instances: standard (slowed down to the baseline without credits, and an alarm says so) or unlimited. Without one, the account's default for t4g, which is unlimited."
  type        = string
  default     = null

  validation {
    condition     = var.cpu_credits == null ? true : contains(["standard", "unlimited"], var.cpu_credits) && alltrue([for type in var.instance_types : startswith(type, "t4g.")])
    error_message = "Write standard or unlimited, and only where all of instance_types are burstable: others cannot start from such a template."
  }
}

variable "root_volume_gib" {
  description = "Size of the root volume in GiB: the image, the compilers and the journal. No less than the image's own, which is packer's volume_size."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.root_volume_gib >= 20 && var.root_volume_gib <= 1024
    error_message = "Write 20 to 1024, and no less than the volume_size that packer built the image with (20 by default): on a smaller volume no instance starts."
  }
}

variable "on_demand_base" {
  description = "Instances that are never spot, whatever the percentage."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.on_demand_base >= 0
    error_message = "Write a number of instances."
  }
}

variable "on_demand_percentage" {
  description = "Of the instances above the base, how many percent are on demand; the rest is spot."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.on_demand_percentage >= 0 && var.on_demand_percentage <= 100
    error_message = "Write 0 to 100."
  }
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the instances' role."
  type        = string
  default     = null
}

variable "session_manager" {
  description = "Let operators open a shell through Session Manager: the only way in, as there is neither SSH nor a public address."
  type        = bool
  default     = true
  nullable    = false
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
  nullable    = false
}

# --- Size and scaling ---------------------------------------------------------------------------------------------------

variable "min_size" {
  description = "Fewest instances. Two is what high availability takes."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.min_size >= 1
    error_message = "Write 1 or more."
  }
}

variable "desired_size" {
  description = "Instances at the first apply. It does not count at later ones: then scaling decides, and `fleet scale`."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.desired_size >= var.min_size && var.desired_size <= var.max_size
    error_message = "Write a number from min_size to max_size."
  }
}

variable "max_size" {
  description = "Most instances."
  type        = number
  default     = 20
  nullable    = false

  validation {
    condition     = var.max_size >= var.min_size && var.max_size <= 500
    error_message = "Write a number from min_size to 500."
  }
}

variable "warmup_seconds" {
  description = "How long a new instance is left out of scaling's figures."
  type        = number
  default     = 120
  nullable    = false

  validation {
    condition     = var.warmup_seconds >= 0 && var.warmup_seconds <= 3600
    error_message = "Write 0 to 3600 seconds."
  }
}

variable "boot_grace_seconds" {
  description = "How long a new instance may be unhealthy before it is replaced."
  type        = number
  default     = 120
  nullable    = false

  validation {
    condition     = var.boot_grace_seconds >= 60
    error_message = "Write 60 seconds or more: an image takes half a minute to boot."
  }
}

variable "cpu_target_percent" {
  description = "Average CPU that scaling out aims for."
  type        = number
  default     = 70
  nullable    = false

  validation {
    condition     = var.cpu_target_percent > var.cpu_scale_in_percent && var.cpu_target_percent <= 90
    error_message = "Write a percentage above cpu_scale_in_percent, and at most 90."
  }
}

variable "cpu_scale_in_percent" {
  description = "Average CPU below which instances are taken away, down to min_size."
  type        = number
  default     = 40
  nullable    = false

  validation {
    condition     = var.cpu_scale_in_percent > 0
    error_message = "Write a percentage above 0."
  }
}

variable "scale_in_minutes" {
  description = "How many minutes in a row the CPU must be low before instances are taken away. From then on about one goes every minute or two, until one minute is above the threshold."
  type        = number
  default     = 15
  nullable    = false

  validation {
    condition     = var.scale_in_minutes >= 3 && var.scale_in_minutes <= 180
    error_message = "Write 3 to 180 minutes."
  }
}

variable "backlog_per_slot" {
  description = "Messages waiting in the queue, for each compile slot of the fleet, that scaling out aims for."
  type        = number
  default     = 2
  nullable    = false

  validation {
    condition     = var.backlog_per_slot > 0
    error_message = "Write a number above 0."
  }
}

variable "backlog_surge_per_slot" {
  description = "Messages waiting for each slot at which capacity is doubled after two minutes, instead of being tracked over three."
  type        = number
  default     = 8
  nullable    = false

  validation {
    condition     = var.backlog_surge_per_slot > var.backlog_per_slot
    error_message = "Write a number above backlog_per_slot."
  }
}

variable "saturation_percent" {
  description = "Slots busy and requests waiting, in percent of the slots, that scaling out aims for. Above 100, HTTP requests wait."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.saturation_percent > 0
    error_message = "Write a percentage above 0."
  }
}

# --- Life and death of an instance ---------------------------------------------------------------------------------------

variable "lame_duck_seconds" {
  description = "How long an instance that ends goes on serving what still arrives. The target group's health check takes exactly this long to take it out."
  type        = number
  default     = 20
  nullable    = false

  validation {
    condition     = var.lame_duck_seconds >= 10 && var.lame_duck_seconds <= 39 && var.lame_duck_seconds % 2 == 0
    error_message = "Write an even number of seconds from 10 to 38: two checks, and the drain must leave 20 s for a compile that has just begun."
  }
}

variable "drain_seconds" {
  description = "How long an instance that ends may take to finish its work. The unit kills it 15 s later."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.drain_seconds > var.lame_duck_seconds + 20 && var.drain_seconds <= 60
    error_message = "Write at most 60 seconds, as the unit's TimeoutStopSec is 75 s, and more than lame_duck_seconds and the 20 s of the longest compile."
  }
}

variable "hook_heartbeat_seconds" {
  description = "How long termination waits for the daemon to say that it has drained, or to ask for more."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.hook_heartbeat_seconds >= var.drain_seconds + 15 && var.hook_heartbeat_seconds <= 7200
    error_message = "Write 15 s more than drain_seconds, or more: the unit has 75 s to stop."
  }
}

variable "protect_while_busy" {
  description = "Protect an instance from scale-in while it compiles, and for a minute after. With a job a minute it is protected for good, so a busy fleet is not scaled in at all. Nothing is lost without it: what ends, drains first."
  type        = bool
  default     = false
  nullable    = false
}

variable "refresh_checkpoint_percentages" {
  description = "Shares of the fleet at which an instance refresh pauses, in percent, ending with 100."
  type        = list(number)
  default     = [34, 100]
  nullable    = false

  validation {
    condition     = length(var.refresh_checkpoint_percentages) > 0 && var.refresh_checkpoint_percentages[length(var.refresh_checkpoint_percentages) - 1] == 100
    error_message = "Write ascending percentages, the last of them 100."
  }
}

variable "refresh_checkpoint_seconds" {
  description = "How long an instance refresh pauses at each share. The error-rate alarm, which stops it, needs 11 to 13 minutes."
  type        = number
  default     = 900
  nullable    = false

  validation {
    condition     = var.refresh_checkpoint_seconds >= 0 && var.refresh_checkpoint_seconds <= 172800
    error_message = "Write 0 to 172800 seconds."
  }
}

# --- The queue -------------------------------------------------------------------------------------------------------------

variable "queue_visibility_seconds" {
  description = "How long a message is hidden from others unless whoever receives it says otherwise. The daemon says 10 s at each receive."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.queue_visibility_seconds >= 10 && var.queue_visibility_seconds <= 43200
    error_message = "Write 10 to 43200 seconds."
  }
}

variable "queue_retention_seconds" {
  description = "How long a message may wait. Nobody waits for a result for longer than a minute."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.queue_retention_seconds >= 60 && var.queue_retention_seconds <= 1209600
    error_message = "Write 60 to 1209600 seconds."
  }
}

variable "queue_receives" {
  description = "After how many receives a message goes to the dead letters. The daemon itself does it at the third, with a reason; this is what holds if it dies of the message."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.queue_receives >= 3
    error_message = "Write 3 or more: at the third receive the daemon tries once more, alone and with tighter limits."
  }
}

variable "queue_message_bytes" {
  description = "Largest message. Jobs of up to 256 KiB travel whole, and their attributes beside them."
  type        = number
  default     = 1048576
  nullable    = false

  validation {
    condition     = var.queue_message_bytes >= 266240 && var.queue_message_bytes <= 1048576
    error_message = "Write 266240 (260 KiB) to 1048576 (1 MiB)."
  }
}

variable "queue_high_throughput" {
  description = "Count deduplication and throughput by message group instead of by queue. The daemon gives each job a group of its own, and repeats a deduplication id only within one group, so it loses nothing, and the limit of 300 calls a second falls."
  type        = bool
  default     = true
  nullable    = false
}

variable "queue_senders" {
  description = "Roles of other routers that may send to the queue, besides the fleet itself."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.queue_senders : can(regex("^arn:[^:]+:iam::[0-9]{12}:(role|user)/", arn))])
    error_message = "Write ARNs of roles."
  }
}

variable "dead_letter_days" {
  description = "How many days dead letters are kept."
  type        = number
  default     = 14
  nullable    = false

  validation {
    condition     = var.dead_letter_days >= 1 && var.dead_letter_days <= 14
    error_message = "Write 1 to 14 days."
  }
}

variable "default_queue_url" {
  description = "Queue for compilers without a row that the image lacks, such as today's. Without one, such a request is answered with 404. Its ARN belongs into neighbor_queue_arns."
  type        = string
  default     = null

  validation {
    condition     = var.default_queue_url == null ? true : can(regex("^https://[^/]+/[0-9]{12}/[^/]+$", var.default_queue_url))
    error_message = "Write the URL of a queue, https://sqs.REGION.amazonaws.com/ACCOUNT/NAME."
  }
}

variable "neighbor_queue_arns" {
  description = "Other queues that rows of the routing table name: the fleet may send to them. A * stands for any text, as in arn:aws:sqs:us-east-1:123456789012:prod-compilation-queue-*.fifo."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.neighbor_queue_arns : can(regex("^arn:[^:]+:sqs:[^:]*:[^:]*:[^:]+$", arn))])
    error_message = "Write ARNs of queues."
  }
}

# --- Migration -------------------------------------------------------------------------------------------------------------

variable "instances_weight" {
  description = "Share of the requests, in percent, that goes to the instances. The rest goes to existing_target_group_arn. Moving it up migrates, moving it down takes back."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.instances_weight >= 0 && var.instances_weight <= 100 && floor(var.instances_weight) == var.instances_weight
    error_message = "Write a whole number from 0 to 100."
  }

  validation {
    condition     = var.instances_weight == 100 || var.existing_target_group_arn != null
    error_message = "Below 100 somebody else must take the rest: name existing_target_group_arn."
  }
}

variable "existing_target_group_arn" {
  description = "Target group that serves the same paths today: of a Lambda function, or of routers."
  type        = string
  default     = null

  validation {
    condition     = var.existing_target_group_arn == null ? true : can(regex("^arn:[^:]+:elasticloadbalancing:[^:]+:[0-9]{12}:targetgroup/", var.existing_target_group_arn))
    error_message = "Write the ARN of a target group."
  }
}

variable "compiler_patterns" {
  description = "Compilers whose requests come here, as patterns of their ids: g1* and cg1* for newer GCC first, * for all."
  type        = list(string)
  default     = ["*"]
  nullable    = false

  validation {
    condition     = length(var.compiler_patterns) > 0 && alltrue([for pattern in var.compiler_patterns : can(regex("^[A-Za-z0-9_.+-]*[*?]?[A-Za-z0-9_.+-]*$", pattern)) && pattern != ""])
    error_message = "Write ids with at most one * or ? in each: a rule has six wildcards at most."
  }
}

variable "listener_priorities" {
  description = "Priorities of the listener rules. One rule is enough for five paths; what needs more says how many. The deployed tooling uses 70 for prod, 71 for staging and 72 for beta: beside it, write a lower number, which is asked first."
  type        = list(number)
  default     = [70]
  nullable    = false

  validation {
    condition     = length(var.listener_priorities) == length(distinct(var.listener_priorities)) && alltrue([for priority in var.listener_priorities : priority >= 1 && priority <= 50000])
    error_message = "Write different numbers from 1 to 50000."
  }
}

variable "project_builds" {
  description = "Route /cmake and /build/* here too. Leave it off until the daemon says that it can build projects."
  type        = bool
  default     = false
  nullable    = false
}

# --- What the daemon is told -------------------------------------------------------------------------------------------------

variable "events_url" {
  description = "Events hub through which results travel: a stage of the API Gateway, or `compilation-worker hub` in the VPC. The way to it is an `egress`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^wss?://[^/]+", var.events_url))
    error_message = "Write a ws:// or wss:// URL such as wss://events.example.com/prod."
  }
}

variable "routing_table" {
  description = "DynamoDB table of queues and URLs by compiler."
  type        = string
  default     = "CompilerRouting"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]{3,255}$", var.routing_table))
    error_message = "Write the name of a table."
  }
}

variable "create_routing_table" {
  description = "Create the table. Leave it off where the running site has it."
  type        = bool
  default     = false
  nullable    = false
}

variable "overflow_bucket" {
  description = "Bucket for jobs too large for a message. Created if create_overflow_bucket is set; without a name, it gets one."
  type        = string
  default     = null
}

variable "create_overflow_bucket" {
  description = "Create the bucket for large jobs. With neither this nor a name, large jobs are refused."
  type        = bool
  default     = true
  nullable    = false
}

variable "overflow_prefix" {
  description = "What the keys of large jobs start with."
  type        = string
  default     = "sqs-overflow/"
  nullable    = false
}

variable "results_bucket" {
  description = "Bucket for results too large for a frame. Created if create_results_bucket is set; without a name, it gets one."
  type        = string
  default     = null
}

variable "create_results_bucket" {
  description = "Create the bucket for large results. Today's routers read from the site's own, so leave it off while they are in use, and name theirs."
  type        = bool
  default     = true
  nullable    = false
}

variable "results_prefix" {
  description = "What the keys of results start with."
  type        = string
  default     = "cache/"
  nullable    = false
}

variable "color_parameter" {
  description = "Parameter of Systems Manager that names the live color, for as long as today's queues have two. Every queue that a row names takes a color then, so no row may name this fleet's own."
  type        = string
  default     = null

  validation {
    condition     = var.color_parameter == null ? true : startswith(var.color_parameter, "/")
    error_message = "Write the full name of a parameter, such as /compiler-explorer/prod/active-color."
  }
}

variable "trace_percent" {
  description = "Share of the requests, in percent, whose way is recorded in X-Ray, where the balancer's header does not decide. At 0 nothing is recorded, and instances have neither the right nor the endpoint for it."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]+([.][0-9]{1,4})?$", tostring(var.trace_percent))) && var.trace_percent <= 100
    error_message = "Write 0 to 100 with at most four decimals, such as 5 or 0.5."
  }
}

variable "settings" {
  description = "Further settings of the daemon by their key, such as { \"engine.slots\" = \"2\" }. They win over everything above."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for key, value in var.settings : can(regex("^[a-z]+\\.[a-z_]+$", key)) && can(regex("^[^\"'\\\\\\n]*$", value))])
    error_message = "Write keys as section.name, and values without quotes, backslashes and line ends."
  }
}

# --- Watching ------------------------------------------------------------------------------------------------------------------

variable "log_retention_days" {
  description = "How many days logs and the events that carry metrics are kept."
  type        = number
  default     = 7
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365], var.log_retention_days)
    error_message = "Write 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180 or 365."
  }
}

variable "alarm_actions" {
  description = "Topics of SNS that are told when an alarm begins and when it ends."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.alarm_actions : can(regex("^arn:[^:]+:sns:", arn))])
    error_message = "Write ARNs of SNS topics."
  }
}

variable "cpu_alarm_percent" {
  description = "Average CPU above which, for three minutes, there is an alarm."
  type        = number
  default     = 85
  nullable    = false

  validation {
    condition     = var.cpu_alarm_percent > var.cpu_target_percent && var.cpu_alarm_percent <= 100
    error_message = "Write a percentage above cpu_target_percent."
  }
}

variable "cpu_credits_low" {
  description = "CPU credits of the poorest instance below which, for an hour, there is an alarm, where cpu_credits is standard. A t4g.medium earns 24 an hour, and begins with none."
  type        = number
  default     = 20
  nullable    = false

  validation {
    condition     = var.cpu_credits_low > 0
    error_message = "Write a number above 0."
  }
}

variable "cpu_credits_charged" {
  description = "Surplus CPU credits that the dearest instance is charged in five minutes above which, for an hour, there is an alarm. A t4g.medium at 70 %, where the fleet grows, is charged 5: 7 spent, 2 earned."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.cpu_credits_charged >= 0
    error_message = "Write 0 or more; 0 is for whoever wants to know of every charge."
  }
}

variable "queue_age_seconds" {
  description = "Age of the oldest message above which there is an alarm."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.queue_age_seconds > 0 && var.queue_age_seconds < var.queue_retention_seconds
    error_message = "Write a number of seconds below queue_retention_seconds."
  }
}

variable "error_rate_percent" {
  description = "Errors in percent of the requests above which there is an alarm: the plan's criterion."
  type        = number
  default     = 0.1
  nullable    = false

  validation {
    condition     = var.error_rate_percent > 0 && var.error_rate_percent < 100
    error_message = "Write a percentage above 0."
  }
}

variable "latency_p95_seconds" {
  description = "Target of the 95th percentile of response times. The plan's criterion is what the Lambda function has: measure it in the week before, and write it here."
  type        = number
  default     = 4
  nullable    = false

  validation {
    condition     = var.latency_p95_seconds > 0
    error_message = "Write a number of seconds above 0."
  }
}

variable "lambda_function_name" {
  description = "Lambda function that serves the same requests today: the baseline of the dashboards."
  type        = string
  default     = null
}

variable "prices" {
  description = "Prices in your currency and region, for the cost dashboard: of an instance for an hour (the mean of the mix), of a GB-second and of a million requests of Lambda, and the function's memory in GB. Nothing here knows a price."
  type = object({
    instance_hour              = number
    lambda_gb_second           = number
    lambda_million_invocations = number
    lambda_memory_gb           = number
  })
  default = null
}
