# The queue of jobs, and where those go that no worker can do.

resource "aws_sqs_queue" "jobs" {
  name                        = local.queue
  fifo_queue                  = true
  content_based_deduplication = false
  message_retention_seconds   = var.queue_retention_seconds
  visibility_timeout_seconds  = var.queue_visibility_seconds
  max_message_size            = var.queue_message_bytes
  sqs_managed_sse_enabled     = true
  deduplication_scope         = var.queue_high_throughput ? "messageGroup" : "queue"
  fifo_throughput_limit       = var.queue_high_throughput ? "perMessageGroupId" : "perQueue"
  tags                        = var.tags

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = var.queue_receives
  })
}

resource "aws_sqs_queue" "dead_letters" {
  name                        = local.dead_letters
  fifo_queue                  = true
  content_based_deduplication = false
  message_retention_seconds   = var.dead_letter_days * 24 * 60 * 60
  max_message_size            = var.queue_message_bytes
  sqs_managed_sse_enabled     = true
  tags                        = var.tags
}

resource "aws_sqs_queue_redrive_allow_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.url

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.jobs.arn]
  })
}

resource "aws_sqs_queue_policy" "jobs" {
  queue_url = aws_sqs_queue.jobs.url

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = aws_sqs_queue.jobs.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      }],
      length(var.queue_senders) == 0 ? [] : [{
        Sid       = "OtherRouters"
        Effect    = "Allow"
        Principal = { AWS = var.queue_senders }
        Action    = ["sqs:SendMessage", "sqs:GetQueueAttributes"]
        Resource  = aws_sqs_queue.jobs.arn
      }],
    )
  })
}

resource "aws_sqs_queue_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.url

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = aws_sqs_queue.dead_letters.arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}
