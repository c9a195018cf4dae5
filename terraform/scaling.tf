# How the fleet grows: three figures are tracked, each can only add; a surge adds at once; one policy takes away.
#
# The figures of a minute reach CloudWatch as one sample from each instance. A sum over a minute would count an instance
# twice, or not at all, whenever its tick slips over the edge; so the fleet's slots are the mean of the samples times the
# instances in service.

locals {
  backlog_metrics = {
    waiting = {
      namespace  = "AWS/SQS"
      metric     = "ApproximateNumberOfMessagesVisible"
      stat       = "Maximum"
      dimensions = { QueueName = local.queue }
    }
    slots = {
      namespace  = local.namespace
      metric     = "slots"
      stat       = "Average"
      dimensions = { Fleet = var.name }
    }
    serving = {
      namespace  = "AWS/AutoScaling"
      metric     = "GroupInServiceInstances"
      stat       = "Average"
      dimensions = { AutoScalingGroupName = local.group }
    }
  }

  # Without a slot anywhere, every message counts whole: never a division by zero, never silence.
  backlog_expression = "IF(FILL(slots, 0) * FILL(serving, 0) > 0, waiting / (slots * serving), waiting)"
}

resource "aws_autoscaling_policy" "cpu" {
  name                   = "${var.name}-cpu"
  autoscaling_group_name = aws_autoscaling_group.workers.name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value     = var.cpu_target_percent
    disable_scale_in = true

    predefined_metric_specification {
      predefined_metric_type = "ASGAverageCPUUtilization"
    }
  }
}

resource "aws_autoscaling_policy" "backlog" {
  name                   = "${var.name}-backlog"
  autoscaling_group_name = aws_autoscaling_group.workers.name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value     = var.backlog_per_slot
    disable_scale_in = true

    customized_metric_specification {
      dynamic "metrics" {
        for_each = local.backlog_metrics

        content {
          id          = metrics.key
          return_data = false

          metric_stat {
            stat = metrics.value.stat

            metric {
              namespace   = metrics.value.namespace
              metric_name = metrics.value.metric

              dynamic "dimensions" {
                for_each = metrics.value.dimensions

                content {
                  name  = dimensions.key
                  value = dimensions.value
                }
              }
            }
          }
        }
      }

      metrics {
        id          = "backlog"
        label       = "Messages waiting for each slot"
        expression  = local.backlog_expression
        return_data = true
      }
    }
  }
}

resource "aws_autoscaling_policy" "saturation" {
  name                   = "${var.name}-saturation"
  autoscaling_group_name = aws_autoscaling_group.workers.name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value     = var.saturation_percent
    disable_scale_in = true

    customized_metric_specification {
      namespace   = local.namespace
      metric_name = "saturation"
      statistic   = "Average"
      unit        = "Percent"

      metric_dimension {
        name  = "Fleet"
        value = var.name
      }
    }
  }
}

# Tracking waits for three minutes of figures. Demand that has jumped is met after two: a single one may be a slip.
resource "aws_autoscaling_policy" "surge" {
  name                      = "${var.name}-surge"
  autoscaling_group_name    = aws_autoscaling_group.workers.name
  policy_type               = "StepScaling"
  adjustment_type           = "PercentChangeInCapacity"
  min_adjustment_magnitude  = 2
  metric_aggregation_type   = "Maximum"
  estimated_instance_warmup = var.warmup_seconds

  step_adjustment {
    metric_interval_lower_bound = "0"
    scaling_adjustment          = 100
  }
}

resource "aws_cloudwatch_metric_alarm" "surge" {
  alarm_name          = "${var.name}-scale-out-surge"
  alarm_description   = "Not for people: the queue has grown faster than tracking follows, and the fleet is doubled."
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = var.backlog_surge_per_slot
  evaluation_periods  = 2
  datapoints_to_alarm = 2
  # A queue that was idle for long says nothing; and an alarm that keeps its state blindly would add every minute.
  treat_missing_data = "notBreaching"
  alarm_actions      = [aws_autoscaling_policy.surge.arn]
  tags               = var.tags

  dynamic "metric_query" {
    for_each = local.backlog_metrics

    content {
      id = metric_query.key

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.metric
        stat        = metric_query.value.stat
        period      = 60
        dimensions  = metric_query.value.dimensions
      }
    }
  }

  # No figure at all where one of the three is late: to take its slots for none would double a fleet for eight messages.
  metric_query {
    id          = "backlog"
    label       = "Messages waiting for each slot"
    expression  = "waiting / (slots * serving)"
    return_data = true
  }
}

resource "aws_autoscaling_policy" "scale_in" {
  name                    = "${var.name}-scale-in"
  autoscaling_group_name  = aws_autoscaling_group.workers.name
  policy_type             = "StepScaling"
  adjustment_type         = "ChangeInCapacity"
  metric_aggregation_type = "Average"

  step_adjustment {
    metric_interval_upper_bound = "0"
    scaling_adjustment          = -1
  }
}

# CloudWatch repeats the action every minute while the alarm stands: a quiet fleet shrinks to its least within minutes. A
# fleet that waits for something slow has little CPU and much to do: while messages wait, nothing is taken away.
resource "aws_cloudwatch_metric_alarm" "scale_in" {
  alarm_name          = "${var.name}-scale-in-cpu-low"
  alarm_description   = "Not for people: the CPU has been low and the queue short, and about every minute an instance is taken away, down to min_size."
  comparison_operator = "LessThanThreshold"
  threshold           = var.cpu_scale_in_percent
  evaluation_periods  = var.scale_in_minutes
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_autoscaling_policy.scale_in.arn]
  tags                = var.tags

  metric_query {
    id = "cpu"

    metric {
      namespace   = "AWS/EC2"
      metric_name = "CPUUtilization"
      stat        = "Average"
      period      = 60
      dimensions  = { AutoScalingGroupName = local.group }
    }
  }

  dynamic "metric_query" {
    for_each = local.backlog_metrics

    content {
      id = metric_query.key

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.metric
        stat        = metric_query.value.stat
        period      = 60
        dimensions  = metric_query.value.dimensions
      }
    }
  }

  metric_query {
    id         = "backlog"
    label      = "Messages waiting for each slot"
    expression = local.backlog_expression
  }

  metric_query {
    id          = "idle"
    label       = "CPU, or 100 while messages wait"
    expression  = "IF(FILL(backlog, 0) >= ${var.backlog_per_slot}, 100, cpu)"
    return_data = true
  }
}
