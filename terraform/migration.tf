# Which requests come to the instances, and what share of them. One variable moves the share, up and back down.

locals {
  prefixes = var.environment == null ? [""] : ["", "/${var.environment}"]
  verbs    = var.project_builds ? ["compile", "cmake"] : ["compile"]

  single_paths = flatten([
    for verb in local.verbs : [
      for prefix in local.prefixes : [
        for pattern in var.compiler_patterns : "${prefix}/api/compiler/${pattern}/${verb}"
      ]
    ]
  ])

  build_paths = flatten([
    for prefix in var.project_builds ? local.prefixes : [] : [
      for pattern in var.compiler_patterns : "${prefix}/api/compiler/${pattern}/build/*"
    ]
  ])

  # A rule has five values and six wildcards at most. Patterns have one wildcard each, paths to /build/* two.
  path_rules = concat(chunklist(local.single_paths, 5), chunklist(local.build_paths, 3))

  # Whoever has no weight gets nothing, but stays in the rule, so that taking back is changing a number.
  shares = [
    for share in [
      { arn = aws_lb_target_group.instances.arn, weight = var.instances_weight },
      { arn = var.existing_target_group_arn, weight = 100 - var.instances_weight },
    ] : share if share.arn != null
  ]
}

resource "aws_lb_listener_rule" "compile" {
  count = length(local.path_rules)

  listener_arn = var.listener_arn
  priority     = var.listener_priorities[count.index]
  tags         = merge(var.tags, { Name = "${var.name}-${count.index}" })

  action {
    type = "forward"

    forward {
      dynamic "target_group" {
        for_each = local.shares

        content {
          arn    = target_group.value.arn
          weight = target_group.value.weight
        }
      }
    }
  }

  condition {
    path_pattern {
      values = local.path_rules[count.index]
    }
  }

  lifecycle {
    precondition {
      condition     = length(local.path_rules) <= length(var.listener_priorities)
      error_message = "These paths need ${length(local.path_rules)} rules: write as many listener_priorities."
    }

    precondition {
      condition     = data.aws_lb.balancer.idle_timeout == var.balancer_idle_seconds
      error_message = "The balancer's idle timeout is not balancer_idle_seconds: the daemon would answer too late, or into closed connections. Set it to ${var.balancer_idle_seconds} s."
    }
  }
}
