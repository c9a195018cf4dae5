# Four dashboards. Each widget is written as what it shows; where it stands follows from its place in the list.

locals {
  # One row of a widget: a figure of the fleet, of the balancer, of the group, of the queue.
  of_fleet = ["Fleet", var.name]
  of_hosts = ["TargetGroup", aws_lb_target_group.instances.arn_suffix, "LoadBalancer", data.aws_lb.balancer.arn_suffix]
  of_group = ["AutoScalingGroupName", local.group]
  of_queue = ["QueueName", local.queue]

  # Names for what may not be there, so that an expression can be written; what uses them is left out then.
  lambda = coalesce(var.lambda_function_name, "none")
  prices = var.prices != null ? var.prices : {
    instance_hour              = 0
    lambda_gb_second           = 0
    lambda_million_invocations = 0
    lambda_memory_gb           = 0
  }
  has_lambda = var.lambda_function_name != null

  # What an instance has, and not what it has done: a sum over a minute would count one twice whose tick slips over the
  # edge. So the fleet has the mean times the instances in service, as for scaling.
  in_service = concat(["AWS/AutoScaling", "GroupInServiceInstances"], local.of_group, [{ id = "serving", stat = "Average", visible = false }])

  overview = [
    {
      title = "Instances"
      metrics = [
        concat(["AWS/AutoScaling", "GroupDesiredCapacity"], local.of_group, [{ stat = "Average", label = "wanted" }]),
        concat(["AWS/AutoScaling", "GroupInServiceInstances"], local.of_group, [{ stat = "Average", label = "in service" }]),
        concat(["AWS/AutoScaling", "GroupStandbyInstances"], local.of_group, [{ stat = "Average", label = "isolated" }]),
        concat(["AWS/ApplicationELB", "HealthyHostCount"], local.of_hosts, [{ stat = "Minimum", label = "healthy" }]),
        concat(["AWS/ApplicationELB", "UnHealthyHostCount"], local.of_hosts, [{ stat = "Maximum", label = "unhealthy" }]),
      ]
    },
    {
      title = "CPU (%)"
      metrics = [
        concat(["AWS/EC2", "CPUUtilization"], local.of_group, [{ stat = "Average", label = "mean" }]),
        concat(["AWS/EC2", "CPUUtilization"], local.of_group, [{ stat = "Maximum", label = "busiest" }]),
      ]
    },
    {
      title = "CPU credits of the poorest instance"
      metrics = [
        concat(["AWS/EC2", "CPUCreditBalance"], local.of_group, [{ stat = "Minimum", period = 300, label = "credits" }]),
        concat(["AWS/EC2", "CPUSurplusCreditsCharged"], local.of_group, [{ stat = "Maximum", period = 300, label = "charged" }]),
      ]
    },
    {
      title = "Slots of all instances"
      metrics = [
        [{ expression = "slots * serving", label = "there" }],
        [{ expression = "busy * serving", label = "busy" }],
        [{ expression = "waiting * serving", label = "requests waiting for one" }],
        concat([local.namespace, "slots"], local.of_fleet, [{ id = "slots", stat = "Average", visible = false }]),
        concat([local.namespace, "slots_busy"], local.of_fleet, [{ id = "busy", stat = "Average", visible = false }]),
        concat([local.namespace, "queue_waiting"], local.of_fleet, [{ id = "waiting", stat = "Average", visible = false }]),
        local.in_service,
      ]
    },
    {
      title = "Jobs a minute"
      metrics = [
        concat([local.namespace, "compile_jobs"], local.of_fleet, [{ label = "compiled" }]),
        concat([local.namespace, "infra_errors"], local.of_fleet, [{ label = "failed by our fault" }]),
        concat([local.namespace, "jail_failures"], local.of_fleet, [{ label = "jails that failed" }]),
      ]
    },
    {
      title = "Memory of the daemon (bytes)"
      metrics = [
        concat([local.namespace, "process_resident_memory_bytes"], local.of_fleet, [{ stat = "Average", label = "mean" }]),
        concat([local.namespace, "process_resident_memory_bytes"], local.of_fleet, [{ stat = "Maximum", label = "largest" }]),
      ]
    },
    {
      title = "Connections"
      metrics = [
        [{ expression = "http * serving", label = "HTTP" }],
        [{ expression = "events * serving", label = "to the events hub" }],
        concat([local.namespace, "http_connections"], local.of_fleet, [{ id = "http", stat = "Average", visible = false }]),
        concat([local.namespace, "events_connections"], local.of_fleet, [{ id = "events", stat = "Average", visible = false }]),
        local.in_service,
      ]
    },
    {
      title = "Network (bytes a second; packets refused by the type's allowance)"
      metrics = [
        [{ expression = "received / PERIOD(received)", label = "in" }],
        [{ expression = "sent / PERIOD(sent)", label = "out" }],
        concat(["AWS/EC2", "NetworkIn"], local.of_group, [{ id = "received", stat = "Sum", visible = false }]),
        concat(["AWS/EC2", "NetworkOut"], local.of_group, [{ id = "sent", stat = "Sum", visible = false }]),
        concat([local.namespace, "ena_allowance_exceeded"], local.of_fleet, [{ label = "refused", yAxis = "right" }]),
      ]
    },
    {
      title = "Memory, disk (% in use) and packets dropped"
      metrics = [
        concat(["CWAgent", "mem_used_percent"], local.of_group, [{ stat = "Maximum", label = "memory of the fullest" }]),
        concat(["CWAgent", "disk_used_percent"], local.of_group, [{ stat = "Maximum", label = "disk of the fullest" }]),
        concat(["CWAgent", "net_drop_in"], local.of_group, [{ label = "dropped on the way in", yAxis = "right" }]),
        concat(["CWAgent", "net_drop_out"], local.of_group, [{ label = "dropped on the way out", yAxis = "right" }]),
      ]
    },
    {
      title = "What should be zero"
      metrics = [
        concat([local.namespace, "task_panics"], local.of_fleet, [{ label = "tasks that panicked" }]),
        concat([local.namespace, "log_dropped_lines"], local.of_fleet, [{ label = "log lines dropped" }]),
        concat([local.namespace, "queue_messages_buried"], local.of_fleet, [{ label = "messages to the dead letters" }]),
        concat([local.namespace, "shadow_mismatched"], local.of_fleet, [{ label = "shadowed replies that differ" }]),
      ]
    },
  ]

  requests = [
    {
      title = "Requests a second"
      metrics = [
        [{ expression = "requests / PERIOD(requests)", label = "to the instances" }],
        [{ expression = "balancer / PERIOD(balancer)", label = "as the balancer counts" }],
        concat([local.namespace, "http_requests"], local.of_fleet, [{ id = "requests", visible = false }]),
        concat(["AWS/ApplicationELB", "RequestCount"], local.of_hosts, [{ id = "balancer", stat = "Sum", visible = false }]),
      ]
    },
    {
      title = "Errors (% of the requests)"
      metrics = concat(
        [
          [{ expression = "100 * FILL(errors, 0) / served", label = "5xx of the instances" }],
          [{ expression = "100 * ${local.failed} / requests", label = "as the balancer counts, with what it answered in their place" }],
          [{ expression = "TIME_SERIES(${var.error_rate_percent})", label = "criterion" }],
          concat([local.namespace, "http_errors"], local.of_fleet, [{ id = "errors", visible = false }]),
          concat([local.namespace, "http_requests"], local.of_fleet, [{ id = "served", visible = false }]),
        ],
        [
          for id, metric in local.failure_metrics :
          concat(["AWS/ApplicationELB", metric.name], flatten([for name, value in metric.dimensions : [name, value]]), [{ id = id, stat = "Sum", visible = false }])
        ],
      )
    },
    {
      title = "Response time, p95 (s)"
      metrics = concat(
        [
          concat(["AWS/ApplicationELB", "TargetResponseTime"], local.of_hosts, [{ stat = "p95", label = "instances, seen by the balancer" }]),
          concat([local.namespace, "http_request_duration_seconds"], local.of_fleet, [{ stat = "p95", label = "instances" }]),
          [{ expression = "TIME_SERIES(${var.latency_p95_seconds})", label = "criterion" }],
        ],
        [
          for row in [
            [{ expression = "lambda / 1000", label = "Lambda" }],
            ["AWS/Lambda", "Duration", "FunctionName", local.lambda, { id = "lambda", stat = "p95", visible = false }],
          ] : row if local.has_lambda
        ],
      )
    },
    {
      title = "Response time of the instances (s)"
      metrics = [
        for stat in ["p50", "p90", "p99"] :
        concat([local.namespace, "http_request_duration_seconds"], local.of_fleet, [{ stat = stat, label = stat }])
      ]
    },
    {
      title = "Compiling (s)"
      metrics = [
        for stat in ["p50", "p95", "p99"] :
        concat([local.namespace, "compilation_duration_seconds"], local.of_fleet, [{ stat = stat, label = stat }])
      ]
    },
    {
      title = "Waiting (s, p95)"
      metrics = [
        concat([local.namespace, "compilation_queue_seconds"], local.of_fleet, [{ stat = "p95", label = "for a slot" }]),
        concat([local.namespace, "queue_messages_age_seconds"], local.of_fleet, [{ stat = "p95", label = "in the queue" }]),
      ]
    },
    {
      title = "Jobs from the queue, a minute"
      metrics = [
        concat([local.namespace, "queue_messages"], local.of_fleet, [{ label = "settled" }]),
        concat([local.namespace, "queue_messages_buried"], local.of_fleet, [{ label = "to the dead letters" }]),
      ]
    },
    {
      title = "Answers from memory (%)"
      metrics = [
        [{ expression = "100 * FILL(hits, 0) / (FILL(hits, 0) + misses)", label = "remembered" }],
        concat([local.namespace, "cache_hits"], local.of_fleet, [{ id = "hits", visible = false }]),
        concat([local.namespace, "cache_misses"], local.of_fleet, [{ id = "misses", visible = false }]),
      ]
    },
    {
      title = "Bytes a second"
      metrics = [
        [{ expression = "received / PERIOD(received)", label = "requests" }],
        [{ expression = "sent / PERIOD(sent)", label = "replies" }],
        concat([local.namespace, "bytes_in"], local.of_fleet, [{ id = "received", visible = false }]),
        concat([local.namespace, "bytes_out"], local.of_fleet, [{ id = "sent", visible = false }]),
      ]
    },
    {
      title = "Shadowed requests, a minute"
      metrics = [
        concat([local.namespace, "shadow_compared"], local.of_fleet, [{ label = "compared" }]),
        concat([local.namespace, "shadow_mismatched"], local.of_fleet, [{ label = "different" }]),
      ]
    },
    {
      title = "Availability (% of the minutes with a healthy instance)"
      metrics = [
        [{ expression = "100 * IF(FILL(healthy, 0) > 0, 1, 0)", label = "available" }],
        concat(["AWS/ApplicationELB", "HealthyHostCount"], local.of_hosts, [{ id = "healthy", stat = "Minimum", visible = false }]),
      ]
    },
  ]

  scaling = [
    {
      title = "Instances"
      metrics = [
        concat(["AWS/AutoScaling", "GroupMinSize"], local.of_group, [{ stat = "Average", label = "fewest" }]),
        concat(["AWS/AutoScaling", "GroupDesiredCapacity"], local.of_group, [{ stat = "Average", label = "wanted" }]),
        concat(["AWS/AutoScaling", "GroupInServiceInstances"], local.of_group, [{ stat = "Average", label = "in service" }]),
        concat(["AWS/AutoScaling", "GroupPendingInstances"], local.of_group, [{ stat = "Average", label = "starting" }]),
        concat(["AWS/AutoScaling", "GroupTerminatingInstances"], local.of_group, [{ stat = "Average", label = "draining" }]),
        concat(["AWS/AutoScaling", "GroupMaxSize"], local.of_group, [{ stat = "Average", label = "most" }]),
      ]
    },
    {
      title = "CPU (%): out at ${var.cpu_target_percent}, in at ${var.cpu_scale_in_percent}"
      metrics = [
        concat(["AWS/EC2", "CPUUtilization"], local.of_group, [{ stat = "Average", label = "mean" }]),
        [{ expression = "TIME_SERIES(${var.cpu_target_percent})", label = "out" }],
        [{ expression = "TIME_SERIES(${var.cpu_scale_in_percent})", label = "in" }],
      ]
    },
    {
      title = "Messages waiting for each slot"
      metrics = concat(
        [
          [{ expression = local.backlog_expression, label = "waiting for each slot" }],
          [{ expression = "TIME_SERIES(${var.backlog_per_slot})", label = "tracked" }],
          [{ expression = "TIME_SERIES(${var.backlog_surge_per_slot})", label = "surge" }],
        ],
        [
          for id, metric in local.backlog_metrics : concat(
            [metric.namespace, metric.metric],
            flatten([for name, value in metric.dimensions : [name, value]]),
            [{ id = id, stat = metric.stat, visible = false }],
          )
        ],
      )
    },
    {
      title = "Saturation (% of the slots)"
      metrics = [
        concat([local.namespace, "saturation"], local.of_fleet, [{ stat = "Average", label = "mean" }]),
        concat([local.namespace, "saturation"], local.of_fleet, [{ stat = "Maximum", label = "busiest instance" }]),
        [{ expression = "TIME_SERIES(${var.saturation_percent})", label = "tracked" }],
      ]
    },
    {
      title = "The queue"
      metrics = [
        concat(["AWS/SQS", "ApproximateNumberOfMessagesVisible"], local.of_queue, [{ stat = "Maximum", label = "waiting" }]),
        concat(["AWS/SQS", "ApproximateNumberOfMessagesNotVisible"], local.of_queue, [{ stat = "Maximum", label = "under way" }]),
        concat(["AWS/SQS", "ApproximateAgeOfOldestMessage"], local.of_queue, [{ stat = "Maximum", label = "age of the oldest (s)", yAxis = "right" }]),
      ]
    },
    {
      title = "Time to scale and to heal: instances wanted and not yet in service"
      metrics = [
        [{ expression = "wanted - serving", label = "missing" }],
        concat(["AWS/AutoScaling", "GroupDesiredCapacity"], local.of_group, [{ id = "wanted", stat = "Maximum", visible = false }]),
        concat(["AWS/AutoScaling", "GroupInServiceInstances"], local.of_group, [{ id = "serving", stat = "Minimum", visible = false }]),
      ]
    },
  ]

  cost = concat(
    [
      {
        title = "What is paid for: hours of instances, an hour"
        metrics = [
          concat(["AWS/AutoScaling", "GroupTotalInstances"], local.of_group, [{ stat = "Average", period = 3600, label = "instance hours" }]),
        ]
      },
      {
        title = "Share of the requests that the instances serve (%)"
        metrics = concat(
          [
            concat(["AWS/ApplicationELB", "RequestCount"], local.of_hosts, [{ id = "here", stat = "Sum", period = 3600, label = "to the instances" }]),
          ],
          [
            for row in [
              ["AWS/Lambda", "Invocations", "FunctionName", local.lambda, { id = "there", stat = "Sum", period = 3600, label = "to Lambda" }],
              [{ expression = "100 * FILL(here, 0) / (FILL(here, 0) + FILL(there, 0))", label = "share (%)", yAxis = "right" }],
            ] : row if local.has_lambda
          ],
        )
      },
    ],
    [
      for widget in [{
        title = "Lambda: what is paid for, an hour"
        metrics = [
          ["AWS/Lambda", "Invocations", "FunctionName", local.lambda, { stat = "Sum", period = 3600, label = "invocations" }],
          [{ expression = "ms / 1000 * ${local.prices.lambda_memory_gb}", label = "GB-seconds", yAxis = "right" }],
          ["AWS/Lambda", "Duration", "FunctionName", local.lambda, { id = "ms", stat = "Sum", period = 3600, visible = false }],
        ]
      }] : widget if local.has_lambda && var.prices != null
    ],
    [
      for widget in [{
        title = "Cost an hour, in your currency"
        metrics = concat(
          [
            [{ expression = "machines * ${local.prices.instance_hour}", label = "instances" }],
            concat(["AWS/AutoScaling", "GroupTotalInstances"], local.of_group, [{ id = "machines", stat = "Average", period = 3600, visible = false }]),
          ],
          [
            for row in [
              [{ expression = "FILL(ms, 0) / 1000 * ${local.prices.lambda_memory_gb * local.prices.lambda_gb_second} + FILL(calls, 0) / 1000000 * ${local.prices.lambda_million_invocations}", label = "Lambda" }],
              ["AWS/Lambda", "Duration", "FunctionName", local.lambda, { id = "ms", stat = "Sum", period = 3600, visible = false }],
              ["AWS/Lambda", "Invocations", "FunctionName", local.lambda, { id = "calls", stat = "Sum", period = 3600, visible = false }],
            ] : row if local.has_lambda
          ],
        )
      }] : widget if var.prices != null
    ],
    [
      for widget in [{
        title = "Cost of a thousand requests, in your currency"
        metrics = concat(
          [
            [{ expression = "1000 * machines * ${local.prices.instance_hour} / here", label = "instances" }],
            concat(["AWS/AutoScaling", "GroupTotalInstances"], local.of_group, [{ id = "machines", stat = "Average", period = 3600, visible = false }]),
            concat(["AWS/ApplicationELB", "RequestCount"], local.of_hosts, [{ id = "here", stat = "Sum", period = 3600, visible = false }]),
          ],
          [
            for row in [
              [{ expression = "1000 * (ms / 1000 * ${local.prices.lambda_memory_gb * local.prices.lambda_gb_second} + calls / 1000000 * ${local.prices.lambda_million_invocations}) / calls", label = "Lambda" }],
              ["AWS/Lambda", "Duration", "FunctionName", local.lambda, { id = "ms", stat = "Sum", period = 3600, visible = false }],
              ["AWS/Lambda", "Invocations", "FunctionName", local.lambda, { id = "calls", stat = "Sum", period = 3600, visible = false }],
            ] : row if local.has_lambda
          ],
        )
      }] : widget if var.prices != null
    ],
  )

  # Texts and tables, beneath the plots.
  notes = {
    overview = {
      type = "log"
      properties = {
        title  = "Each instance, at its last word"
        region = local.region
        view   = "table"
        query  = "SOURCE '${local.metrics_log}' | ${local.queries.instances}"
      }
    }
    requests = {
      type = "log"
      properties = {
        title  = "Errors of the last hour"
        region = local.region
        view   = "table"
        query  = "SOURCE '${local.daemon_log}' | ${local.queries.errors}"
      }
    }
    scaling = {
      type       = "text"
      properties = { markdown = "Scaling out follows three figures, each of which can only add: CPU, messages waiting for each slot, saturation. When messages jump to ${var.backlog_surge_per_slot} for each slot, the fleet is doubled after two minutes. Once the CPU has been below ${var.cpu_scale_in_percent} % for ${var.scale_in_minutes} minutes and few messages wait, an instance goes about every minute or two, until one minute is above that or min_size is reached." }
    }
    cost = {
      type       = "text"
      properties = { markdown = var.prices != null ? "Prices are those of the variable `prices`, and counts are measured. Not in it: volumes, endpoints, logs, and what both systems pay for alike (balancer, queues, events API)." : "No price is known here: set the variable `prices` to see what the counts cost." }
    }
  }

  dashboards = { overview = local.overview, requests = local.requests, scaling = local.scaling, cost = local.cost }
}

resource "aws_cloudwatch_dashboard" "fleet" {
  for_each = local.notes

  dashboard_name = "${var.name}-${each.key}"

  dashboard_body = jsonencode({
    widgets = concat(
      [
        for place, widget in local.dashboards[each.key] : {
          type   = "metric"
          x      = place % 3 * 8
          y      = floor(place / 3) * 6
          width  = 8
          height = 6
          properties = {
            title   = widget.title
            metrics = widget.metrics
            region  = local.region
            view    = "timeSeries"
            stat    = "Sum"
            period  = 60
            yAxis   = { left = { min = 0 } }
          }
        }
      ],
      [{
        type       = each.value.type
        x          = 0
        y          = ceil(length(local.dashboards[each.key]) / 3) * 6
        width      = 24
        height     = 6
        properties = each.value.properties
      }],
    )
  })
}
