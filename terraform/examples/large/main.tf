# The plan's week 4: beside the running system, GCC's requests only, a tenth of them to the instances, mostly on spot.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.25, < 7"
    }
  }
}

provider "aws" {
  region = "us-east-1"
}

variable "instances_weight" {
  description = "Share of GCC's requests that goes to the instances: terraform apply -var instances_weight=50 moves it, =0 takes it back."
  type        = number
  default     = 10
}

module "compilation" {
  source = "../.."

  environment                = "prod"
  vpc_id                     = "vpc-0123456789abcdef0"
  subnet_ids                 = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1", "subnet-0123456789abcdef2"]
  listener_arn               = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/site/0123456789abcdef/0123456789abcdef"
  balancer_security_group_id = "sg-0123456789abcdef0"
  image_id                   = "ami-0123456789abcdef0"

  # The site's events API and what its routing table names are on the internet: the site's NAT is the way, to the services
  # too. Endpoints would take over the services' names for today's machines as well.
  events_url       = "wss://events.example.com/prod"
  egress           = { internet = { cidr = "0.0.0.0/0" } }
  create_endpoints = false

  # The running system's own things. `routes set` names this fleet's queue in the rows of GCC's compilers.
  routing_table         = "CompilerRouting"
  results_bucket        = "storage.example.com"
  create_results_bucket = false
  neighbor_queue_arns   = ["arn:aws:sqs:us-east-1:123456789012:prod-compilation-queue-*.fifo"]
  queue_senders         = ["arn:aws:iam::123456789012:role/CeRouterRole"]

  # GCC first, a share of it, and back by one number. The rule is asked before that of today's tooling, which has 70.
  listener_priorities       = [60, 61]
  compiler_patterns         = ["g1*", "g9*", "cg1*", "cg9*"]
  existing_target_group_arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/compilation-lambda/0123456789abcdef"
  instances_weight          = var.instances_weight
  lambda_function_name      = "compilation"
  latency_p95_seconds       = 3

  min_size             = 4
  desired_size         = 8
  max_size             = 60
  instance_types       = ["m7g.medium", "c7g.medium", "c7gn.medium", "t4g.medium"]
  on_demand_base       = 4
  on_demand_percentage = 25

  alarm_actions = ["arn:aws:sns:us-east-1:123456789012:site-alarms"]

  tags = { Site = "CompilerExplorer", Subsystem = "Compilation" }
}

output "compilation" {
  description = "Everything that the module tells."
  value       = module.compilation
}
