# The group of machines: how many, of what kind, how a new one comes in and an old one goes.

resource "aws_autoscaling_group" "workers" {
  name                      = local.group
  min_size                  = var.min_size
  max_size                  = var.max_size
  desired_capacity          = var.desired_size
  vpc_zone_identifier       = var.subnet_ids
  target_group_arns         = [aws_lb_target_group.instances.arn]
  health_check_type         = "ELB"
  health_check_grace_period = var.boot_grace_seconds
  default_instance_warmup   = var.warmup_seconds
  capacity_rebalance        = true
  termination_policies      = ["OldestLaunchTemplate", "Default"]
  metrics_granularity       = "1Minute"

  enabled_metrics = [
    "GroupDesiredCapacity",
    "GroupInServiceInstances",
    "GroupMaxSize",
    "GroupMinSize",
    "GroupPendingInstances",
    "GroupStandbyInstances",
    "GroupTerminatingInstances",
    "GroupTotalInstances",
  ]

  mixed_instances_policy {
    instances_distribution {
      on_demand_allocation_strategy            = "prioritized"
      on_demand_base_capacity                  = var.on_demand_base
      on_demand_percentage_above_base_capacity = var.on_demand_percentage
      spot_allocation_strategy                 = "price-capacity-optimized"
    }

    launch_template {
      launch_template_specification {
        launch_template_id = aws_launch_template.worker.id
        # A number, not $Latest: only what changes here begins a refresh.
        version = aws_launch_template.worker.latest_version
      }

      dynamic "override" {
        for_each = var.instance_types

        content {
          instance_type = override.value
        }
      }
    }
  }

  # A replacement stands before its predecessor goes.
  instance_maintenance_policy {
    min_healthy_percentage = 100
    max_healthy_percentage = 150
  }

  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 100
      max_healthy_percentage = 150
      instance_warmup        = var.warmup_seconds
      checkpoint_percentages = var.refresh_checkpoint_percentages
      checkpoint_delay       = var.refresh_checkpoint_seconds
      skip_matching          = true
      # The group has the new version before a refresh begins: a rollback would end at the version that failed.
      auto_rollback = false
      # To wait for those that are never idle would take an hour, and fail. They drain before they end, as all do.
      scale_in_protected_instances = "Refresh"
      # A node that an operator has isolated stays as it is.
      standby_instances = "Ignore"

      alarm_specification {
        alarms = [
          aws_cloudwatch_metric_alarm.error_rate.alarm_name,
          aws_cloudwatch_metric_alarm.no_healthy_host.alarm_name,
        ]
      }
    }
  }

  dynamic "tag" {
    for_each = merge(var.tags, { Name = var.name, Fleet = var.name })

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false
    }
  }

  lifecycle {
    # Scaling decides, and `fleet scale`.
    ignore_changes = [desired_capacity]
  }

  # Health checks are made only of a target group that a rule uses, and a daemon must be allowed what it does first.
  depends_on = [
    aws_lb_listener_rule.compile,
    aws_iam_role_policy.worker,
    aws_cloudwatch_log_group.daemon,
    aws_cloudwatch_log_group.metrics,
  ]
}

# The daemon completes the hook when it has drained. One that is dead holds up nobody for longer than the heartbeat.
resource "aws_autoscaling_lifecycle_hook" "drain" {
  name                   = local.hook
  autoscaling_group_name = aws_autoscaling_group.workers.name
  lifecycle_transition   = "autoscaling:EC2_INSTANCE_TERMINATING"
  heartbeat_timeout      = var.hook_heartbeat_seconds
  default_result         = "CONTINUE"
}
