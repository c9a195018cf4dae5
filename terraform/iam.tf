# What an instance may do: exactly the calls that the daemon makes, on exactly the things that are its own, and what the
# CloudWatch agent needs to write two log groups, the machine's own figures, and traces if there are any.

resource "aws_iam_role" "worker" {
  name                 = "${var.name}-worker"
  description          = "A compile worker of ${var.name}"
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_instance_profile" "worker" {
  name = "${var.name}-worker"
  role = aws_iam_role.worker.name
  tags = var.tags
}

locals {
  routing_table_arn = "arn:${local.partition}:dynamodb:${local.region}:${local.account}:table/${var.routing_table}"

  # Where large things lie: bucket and prefix, for those that there are.
  shelves = [
    for shelf in [
      { sid = "Overflow", bucket = local.overflow_bucket, prefix = var.overflow_prefix },
      { sid = "Results", bucket = local.results_bucket, prefix = var.results_prefix },
    ] : shelf if shelf.bucket != null
  ]

  worker_statements = concat(
    [
      {
        Sid    = "OwnQueue"
        Effect = "Allow"
        Action = [
          "sqs:ChangeMessageVisibility",
          "sqs:DeleteMessage",
          "sqs:ReceiveMessage",
        ]
        Resource = aws_sqs_queue.jobs.arn
      },
      {
        Sid      = "Send"
        Effect   = "Allow"
        Action   = "sqs:SendMessage"
        Resource = concat([aws_sqs_queue.jobs.arn, aws_sqs_queue.dead_letters.arn], var.neighbor_queue_arns)
      },
      {
        Sid      = "Routes"
        Effect   = "Allow"
        Action   = ["dynamodb:GetItem", "dynamodb:Scan"]
        Resource = local.routing_table_arn
      },
      {
        Sid    = "OwnLife"
        Effect = "Allow"
        Action = [
          "autoscaling:CompleteLifecycleAction",
          "autoscaling:RecordLifecycleActionHeartbeat",
          "autoscaling:SetInstanceProtection",
        ]
        Resource = local.group_arn
      },
      {
        Sid    = "Logs"
        Effect = "Allow"
        Action = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
        Resource = [
          for group in [aws_cloudwatch_log_group.daemon, aws_cloudwatch_log_group.metrics] : "${group.arn}:*"
        ]
      },
      {
        Sid       = "AgentMetrics"
        Effect    = "Allow"
        Action    = "cloudwatch:PutMetricData"
        Resource  = "*"
        Condition = { StringEquals = { "cloudwatch:namespace" = "CWAgent" } }
      },
      # The agent reads the group's name from the instance's tags. The call knows no single resource.
      {
        Sid      = "AgentTags"
        Effect   = "Allow"
        Action   = "ec2:DescribeTags"
        Resource = "*"
      },
    ],
    [
      for shelf in local.shelves : {
        Sid      = shelf.sid
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject"]
        Resource = "arn:${local.partition}:s3:::${shelf.bucket}/${shelf.prefix}*"
      }
    ],
    # Without it, S3 calls what is not there forbidden, and a result that has not arrived yet looks like a trouble. To ask
    # for an object names no prefix.
    [
      for shelf in local.shelves : {
        Sid       = "${shelf.sid}Absent"
        Effect    = "Allow"
        Action    = "s3:ListBucket"
        Resource  = "arn:${local.partition}:s3:::${shelf.bucket}"
        Condition = { StringLikeIfExists = { "s3:prefix" = "${shelf.prefix}*" } }
      }
    ],
    [
      for name in [var.color_parameter] : {
        Sid      = "Color"
        Effect   = "Allow"
        Action   = "ssm:GetParameter"
        Resource = "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter${name}"
      } if name != null
    ],
    # The agent's calls with spans know no single resource.
    [
      for traces in [local.traces] : {
        Sid      = "AgentTraces"
        Effect   = "Allow"
        Action   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
        Resource = "*"
      } if traces
    ],
    # What a session takes, and no more: Amazon's own policy for it would let an instance read every parameter.
    [
      for session in [var.session_manager] : {
        Sid    = "Sessions"
        Effect = "Allow"
        Action = [
          "ssm:UpdateInstanceInformation",
          "ssmmessages:CreateControlChannel",
          "ssmmessages:CreateDataChannel",
          "ssmmessages:OpenControlChannel",
          "ssmmessages:OpenDataChannel",
        ]
        Resource = "*"
      } if session
    ],
  )
}

resource "aws_iam_role_policy" "worker" {
  name = "worker"
  role = aws_iam_role.worker.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = local.worker_statements
  })
}
