# What an operator may do with the commands of the same binary: a policy to attach to people's roles. Nothing here is
# attached to anybody.

locals {
  operator_statements = concat(
    [
      # `fleet status`, `queue stats`, `migrate weights`, `cost`: these calls know no single resource.
      {
        Sid    = "Look"
        Effect = "Allow"
        Action = [
          "autoscaling:DescribeAutoScalingGroups",
          "autoscaling:DescribeInstanceRefreshes",
          "autoscaling:DescribeScalingActivities",
          "cloudwatch:GetMetricData",
          "elasticloadbalancing:DescribeRules",
          "elasticloadbalancing:DescribeTargetGroups",
          "elasticloadbalancing:DescribeTargetHealth",
        ]
        Resource = "*"
      },
      # `fleet scale`, `fleet isolate`, `fleet rejoin`, `fleet refresh`
      {
        Sid    = "Fleet"
        Effect = "Allow"
        Action = [
          "autoscaling:CancelInstanceRefresh",
          "autoscaling:EnterStandby",
          "autoscaling:ExitStandby",
          "autoscaling:SetInstanceProtection",
          "autoscaling:StartInstanceRefresh",
          "autoscaling:UpdateAutoScalingGroup",
        ]
        Resource = local.group_arn
      },
      # `fleet status`, `fleet logs`
      {
        Sid    = "Logs"
        Effect = "Allow"
        Action = [
          "logs:FilterLogEvents",
          "logs:GetLogEvents",
        ]
        Resource = [
          for group in [aws_cloudwatch_log_group.daemon, aws_cloudwatch_log_group.metrics] : "${group.arn}:*"
        ]
      },
      # `queue stats`, `queue peek`, `queue redrive`, `queue purge`
      {
        Sid    = "Queues"
        Effect = "Allow"
        Action = [
          "sqs:ChangeMessageVisibility",
          "sqs:DeleteMessage",
          "sqs:GetQueueAttributes",
          "sqs:GetQueueUrl",
          "sqs:PurgeQueue",
          "sqs:ReceiveMessage",
          "sqs:SendMessage",
        ]
        Resource = [aws_sqs_queue.jobs.arn, aws_sqs_queue.dead_letters.arn]
      },
      # `routes list`, `routes set`, `routes import`, `routes validate`
      {
        Sid    = "Routes"
        Effect = "Allow"
        Action = [
          "dynamodb:DeleteItem",
          "dynamodb:GetItem",
          "dynamodb:Scan",
          "dynamodb:UpdateItem",
        ]
        Resource = local.routing_table_arn
      },
      # `migrate weights`
      {
        Sid      = "Weights"
        Effect   = "Allow"
        Action   = "elasticloadbalancing:ModifyRule"
        Resource = [for rule in aws_lb_listener_rule.compile : rule.arn]
      },
    ],
    # `routes validate`: whether the queues exist that rows name, and above all those that nobody knows of.
    [
      {
        Sid      = "Neighbors"
        Effect   = "Allow"
        Action   = "sqs:GetQueueUrl"
        Resource = "arn:${local.partition}:sqs:*:${local.account}:*"
      }
    ],
    # `queue peek`: jobs that are too large for a message.
    [
      for shelf in local.shelves : {
        Sid      = "Peek"
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = "arn:${local.partition}:s3:::${shelf.bucket}/${shelf.prefix}*"
      } if shelf.sid == "Overflow"
    ],
    # Without it, S3 calls a job that the bucket no longer keeps forbidden.
    [
      for shelf in local.shelves : {
        Sid       = "PeekAbsent"
        Effect    = "Allow"
        Action    = "s3:ListBucket"
        Resource  = "arn:${local.partition}:s3:::${shelf.bucket}"
        Condition = { StringLikeIfExists = { "s3:prefix" = "${shelf.prefix}*" } }
      } if shelf.sid == "Overflow"
    ],
  )
}

resource "aws_iam_policy" "operator" {
  name        = "${var.name}-operator"
  description = "The operator's commands of compilation-worker, for ${var.name}"
  tags        = var.tags

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = local.operator_statements
  })
}
