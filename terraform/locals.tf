# Names and addresses that several files use.

data "aws_partition" "here" {}

data "aws_region" "here" {}

data "aws_caller_identity" "here" {}

locals {
  region    = data.aws_region.here.region
  account   = data.aws_caller_identity.here.account_id
  partition = data.aws_partition.here.partition

  group        = "${var.name}-asg"
  target_group = "${var.name}-instances"
  queue        = "${var.name}-queue.fifo"
  dead_letters = "${var.name}-queue-dlq.fifo"
  hook         = "${var.name}-drain"

  daemon_log  = "/compilation-worker/${var.name}/daemon"
  metrics_log = "/compilation-worker/${var.name}/metrics"

  # Known before the group is, so that nothing has to wait for it.
  group_arn = "arn:${local.partition}:autoscaling:${local.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/${local.group}"

  # Whether the ways of requests are recorded at all.
  traces = var.trace_percent > 0

  # The daemon's own: the port it serves on, where the CloudWatch agent takes its metrics and its spans, and under what name.
  port      = 10240
  emf_port  = 25888
  otlp_port = 4318
  namespace = "CompilationWorker"

  overflow_bucket = var.create_overflow_bucket ? aws_s3_bucket.overflow[0].bucket : var.overflow_bucket
  results_bucket  = var.create_results_bucket ? aws_s3_bucket.results[0].bucket : var.results_bucket
}
