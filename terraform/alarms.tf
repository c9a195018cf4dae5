# What a person is told. Each description says what it means, and the section of the same name in RUNBOOK.md what to do.

locals {
  # The instances as the balancer counts them.
  balancer_dimensions = {
    LoadBalancer = data.aws_lb.balancer.arn_suffix
    TargetGroup  = aws_lb_target_group.instances.arn_suffix
  }

  group_dimensions = { AutoScalingGroupName = local.group }
  fleet_dimensions = { Fleet = var.name }

  # What tells of requests that failed, each a Sum of AWS/ApplicationELB. RequestCount has every request that an instance
  # was chosen for, whether that took the connection or not. The balancer's own 5xx have no dimension TargetGroup.
  failure_metrics = {
    requests        = { name = "RequestCount", dimensions = local.balancer_dimensions }
    answered_2xx    = { name = "HTTPCode_Target_2XX_Count", dimensions = local.balancer_dimensions }
    answered_3xx    = { name = "HTTPCode_Target_3XX_Count", dimensions = local.balancer_dimensions }
    answered_4xx    = { name = "HTTPCode_Target_4XX_Count", dimensions = local.balancer_dimensions }
    answered_5xx    = { name = "HTTPCode_Target_5XX_Count", dimensions = local.balancer_dimensions }
    balancer_failed = { name = "HTTPCode_ELB_5XX_Count", dimensions = { LoadBalancer = data.aws_lb.balancer.arn_suffix } }
  }

  # What an instance took and did not answer, as it died, hung or did not take the connection, the balancer answers with a
  # 5xx. What a client did not wait for is not answered either, and is no failure: so it counts as far as there are 5xx of
  # the balancer's. `migrate weights --watch` counts in the same way.
  unanswered  = "(requests - FILL(answered_2xx, 0) - FILL(answered_3xx, 0) - FILL(answered_4xx, 0) - FILL(answered_5xx, 0))"
  by_balancer = "FILL(balancer_failed, 0)"
  failed = join("", [
    "(FILL(answered_5xx, 0) + IF(${local.unanswered} > ${local.by_balancer}, ${local.by_balancer}, ",
    "IF(${local.unanswered} > 0, ${local.unanswered}, 0)))",
  ])
}

resource "aws_cloudwatch_metric_alarm" "cpu_high" {
  alarm_name          = "${var.name}-cpu-high"
  alarm_description   = "The CPU is above ${var.cpu_alarm_percent} % for three minutes: scaling out is too slow, has reached max_size, or finds no capacity. Runbook: cpu-high."
  namespace           = "AWS/EC2"
  metric_name         = "CPUUtilization"
  dimensions          = local.group_dimensions
  statistic           = "Average"
  period              = 60
  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.cpu_alarm_percent
  treat_missing_data  = "missing"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}

# Whoever pays for credits works without any all day long, and is told by what is charged.
resource "aws_cloudwatch_metric_alarm" "cpu_credits_low" {
  count = var.cpu_credits == "standard" ? 1 : 0

  alarm_name          = "${var.name}-cpu-credits-low"
  alarm_description   = "A t4g instance has had fewer than ${var.cpu_credits_low} CPU credits for an hour: it works above its baseline, and is slowed down to it. Runbook: cpu-credits-low."
  namespace           = "AWS/EC2"
  metric_name         = "CPUCreditBalance"
  dimensions          = local.group_dimensions
  statistic           = "Minimum"
  period              = 300
  evaluation_periods  = 12
  comparison_operator = "LessThanThreshold"
  threshold           = var.cpu_credits_low
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "cpu_credits_charged" {
  alarm_name          = "${var.name}-cpu-credits-charged"
  alarm_description   = "For an hour a t4g instance was charged more than ${var.cpu_credits_charged} surplus CPU credits every five minutes: it works far above its baseline, and m7g or c7g may be cheaper for this load. Runbook: cpu-credits-charged."
  namespace           = "AWS/EC2"
  metric_name         = "CPUSurplusCreditsCharged"
  dimensions          = local.group_dimensions
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 12
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.cpu_credits_charged
  # Other families have no credits, and say nothing.
  treat_missing_data = "notBreaching"
  alarm_actions      = var.alarm_actions
  ok_actions         = var.alarm_actions
  tags               = var.tags
}

resource "aws_cloudwatch_metric_alarm" "queue_age" {
  alarm_name          = "${var.name}-queue-age"
  alarm_description   = "The oldest message has waited for more than ${var.queue_age_seconds} s, and whoever sent it leaves after 55: the fleet is too small, paused or stuck. Runbook: queue-age."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = local.queue }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.queue_age_seconds
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "unhealthy_hosts" {
  alarm_name          = "${var.name}-unhealthy-hosts"
  alarm_description   = "An instance has failed its health checks for three minutes, and should have been replaced by now. Runbook: unhealthy-hosts."
  namespace           = "AWS/ApplicationELB"
  metric_name         = "UnHealthyHostCount"
  dimensions          = local.balancer_dimensions
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "network_throttled" {
  alarm_name          = "${var.name}-network-throttled"
  alarm_description   = "The network of an instance has dropped or delayed packets, because it went beyond what its type allows (bandwidth, packets, connections or link-local calls). Runbook: network-throttled."
  namespace           = local.namespace
  metric_name         = "ena_allowance_exceeded"
  dimensions          = local.fleet_dimensions
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  alarm_name          = "${var.name}-dead-letters"
  alarm_description   = "A job has failed three times through no fault of its own, and lies in ${local.dead_letters}. Runbook: dead-letters."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = local.dead_letters }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "error_rate" {
  alarm_name          = "${var.name}-error-rate"
  alarm_description   = "More than ${var.error_rate_percent} % of the requests that came to the instances in five minutes failed, twice in a row: they were answered with a 5xx, by the instance, or by the balancer in its place. Runbook: error-rate."
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.error_rate_percent
  evaluation_periods  = 2
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags

  dynamic "metric_query" {
    for_each = local.failure_metrics

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/ApplicationELB"
        metric_name = metric_query.value.name
        stat        = "Sum"
        period      = 300
        dimensions  = metric_query.value.dimensions
      }
    }
  }

  # Of fewer than a hundred requests, one that fails is no rate.
  metric_query {
    id          = "rate"
    label       = "Errors in percent of the requests"
    expression  = "IF(requests >= 100, 100 * ${local.failed} / requests, 0)"
    return_data = true
  }
}

resource "aws_cloudwatch_metric_alarm" "infra_errors" {
  alarm_name          = "${var.name}-infra-errors"
  alarm_description   = "For ten minutes jobs have ended because an instance could not do its part: a jail could not be built, or broke. Clients see a result that says so, not a 5xx. Runbook: infra-errors."
  namespace           = local.namespace
  metric_name         = "infra_errors"
  dimensions          = local.fleet_dimensions
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 2
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "no_healthy_host" {
  alarm_name          = "${var.name}-no-healthy-host"
  alarm_description   = "No instance is healthy: what the rules send here is answered with 503. Take the weight back. Runbook: no-healthy-host."
  namespace           = "AWS/ApplicationELB"
  metric_name         = "HealthyHostCount"
  dimensions          = local.balancer_dimensions
  statistic           = "Minimum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "latency_p95" {
  alarm_name                            = "${var.name}-latency-p95"
  alarm_description                     = "One response in twenty has taken longer than ${var.latency_p95_seconds} s for a quarter of an hour. Runbook: latency-p95."
  namespace                             = "AWS/ApplicationELB"
  metric_name                           = "TargetResponseTime"
  dimensions                            = local.balancer_dimensions
  extended_statistic                    = "p95"
  period                                = 300
  evaluation_periods                    = 3
  evaluate_low_sample_count_percentiles = "ignore"
  comparison_operator                   = "GreaterThanThreshold"
  threshold                             = var.latency_p95_seconds
  treat_missing_data                    = "notBreaching"
  alarm_actions                         = var.alarm_actions
  ok_actions                            = var.alarm_actions
  tags                                  = var.tags
}
