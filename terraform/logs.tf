# What the daemon says, and the events in which its metrics travel; one stream of each for an instance.

resource "aws_cloudwatch_log_group" "daemon" {
  #checkov:skip=CKV_AWS_158:the daemon logs no sources, arguments or secrets; CloudWatch's own encryption is enough
  #checkov:skip=CKV_AWS_338:logs are for finding faults: the plan keeps them for a week
  name              = local.daemon_log
  retention_in_days = var.log_retention_days
  tags              = var.tags
}

resource "aws_cloudwatch_log_group" "metrics" {
  #checkov:skip=CKV_AWS_158:the daemon logs no sources, arguments or secrets; CloudWatch's own encryption is enough
  #checkov:skip=CKV_AWS_338:logs are for finding faults: the plan keeps them for a week
  name              = local.metrics_log
  retention_in_days = var.log_retention_days
  tags              = var.tags
}
