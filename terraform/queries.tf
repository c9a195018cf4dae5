# Questions to the logs that are asked again and again, saved where CloudWatch offers them.

locals {
  # The daemon's lines are JSON with names such as request.id; those with a point in them are quoted.
  queries = {
    instances = "filter Fleet = '${var.name}' | stats latest(version) as running, latest(phase) as now, latest(consuming) as takes_jobs, latest(uptime_seconds) as up_s, latest(slots) as of_slots, latest(slots_busy) as busy, latest(queue_waiting) as waiting, latest(saturation) as saturated by instance | sort instance"
    errors    = "filter level in ['ERROR', 'WARN'] | stats count(*) as times, latest(@timestamp) as last, latest(error) as example by level, message | sort times desc | limit 50"
    request   = "filter `request.id` = 'WRITE THE REQUEST ID HERE' | fields @timestamp, @logStream, level, message, `trace.id`, `compiler.id`, status, `job.status`, waited_ms, duration_ms, error | sort @timestamp"
    trace     = "filter `trace.id` = 'WRITE THE TRACE ID HERE' | fields @timestamp, @logStream, level, message, `request.id`, `compiler.id`, status, outcome, `job.status`, receives, queued_ms, waited_ms, duration_ms, error | sort @timestamp"
    slow      = "filter message = 'answered' and ispresent(duration_ms) | sort duration_ms desc | fields @timestamp, `request.id`, `trace.id`, `compiler.id`, status, `job.status`, waited_ms, duration_ms, @logStream | limit 50"
    compilers = "filter message = 'answered' and ispresent(`compiler.id`) | stats count(*) as requests, pct(duration_ms, 50) as p50_ms, pct(duration_ms, 95) as p95_ms, sum(cached) as remembered by `compiler.id` | sort requests desc | limit 100"
    statuses  = "filter message = 'answered' | stats count(*) as requests, pct(duration_ms, 95) as p95_ms by status, `job.status` | sort requests desc"
    settled   = "filter message = 'message settled' | stats count(*) as messages, pct(queued_ms, 95) as p95_queued_ms, max(receives) as most_receives by outcome, `job.status` | sort messages desc"
    lives     = "filter message in ['serving', 'draining', 'stopped'] | fields @timestamp, @logStream, message, startup_ms, ending | sort @timestamp"
  }

  # Which of them read the events that carry metrics; the others read the daemon's lines.
  of_metrics = ["instances"]

  # The plan's criteria. Two of them are about machines that start and fail, and only a real fleet can show them.
  success_criteria = {
    response_time = {
      target = "p95 no worse than Lambda's (latency_p95_seconds = ${var.latency_p95_seconds})"
      query  = "p95 of AWS/ApplicationELB TargetResponseTime by TargetGroup, against p95 of AWS/Lambda Duration / 1000 in the week before. Dashboard ${var.name}-requests, alarm ${var.name}-latency-p95."
    }
    error_rate = {
      target = "at most ${var.error_rate_percent} %"
      query  = "The expression over the week in periods of five minutes, of metrics in AWS/ApplicationELB by TargetGroup and LoadBalancer, and HTTPCode_ELB_5XX_Count by LoadBalancer alone. Dashboard ${var.name}-requests, alarm ${var.name}-error-rate."
      # Metric math as CloudWatch takes it; what it names stands in metrics.
      expression = "TIME_SERIES(100 * SUM(${local.failed}) / SUM(requests))"
      metrics    = { for id, metric in local.failure_metrics : id => "Sum of ${metric.name}" }
    }
    availability = {
      target = "at least 99.9 %"
      query  = "The expression over the month in periods of five minutes, of the metric in AWS/ApplicationELB by TargetGroup and LoadBalancer. Dashboard ${var.name}-requests, alarm ${var.name}-no-healthy-host."
      # FILL takes a series, and MIN makes a number of one: the lowest of each period is the metric's statistic.
      expression = "TIME_SERIES(AVG(100 * IF(FILL(healthy, 0) > 0, 1, 0)))"
      metrics    = { healthy = "Minimum of HealthyHostCount" }
    }
    time_to_scale = {
      target = "within 2 minutes of a change in demand"
      query  = "From the minute in which backlog or CPU crosses its target to the minute in which GroupDesiredCapacity follows, and until GroupDesiredCapacity - GroupInServiceInstances is 0 again. Dashboard ${var.name}-scaling; aws autoscaling describe-scaling-activities --auto-scaling-group-name ${local.group}"
    }
    time_to_heal = {
      target = "within 5 minutes of an instance's failure"
      query  = "Minutes for which UnHealthyHostCount > 0 or GroupDesiredCapacity - GroupInServiceInstances > 0 after a failure. Dashboard ${var.name}-scaling; aws autoscaling describe-scaling-activities --auto-scaling-group-name ${local.group}"
    }
  }
}

resource "aws_cloudwatch_query_definition" "saved" {
  for_each = local.queries

  name            = "compilation-worker/${var.name}/${each.key}"
  query_string    = each.value
  log_group_names = [contains(local.of_metrics, each.key) ? local.metrics_log : local.daemon_log]
}
