output "group" {
  description = "Name of the Auto Scaling group: `fleet.group`."
  value       = aws_autoscaling_group.workers.name
}

output "target_group_arn" {
  description = "ARN of the instances' target group."
  value       = aws_lb_target_group.instances.arn
}

output "listener_rule_arns" {
  description = "Rules that share the requests: `migrate weights` moves them all."
  value       = [for rule in aws_lb_listener_rule.compile : rule.arn]
}

output "queue_url" {
  description = "URL of the queue of jobs: `queues.own`."
  value       = aws_sqs_queue.jobs.url
}

output "dead_letters_url" {
  description = "URL of the dead-letter queue: `queues.dead_letters`."
  value       = aws_sqs_queue.dead_letters.url
}

output "routing_table" {
  description = "Name of the routing table: `routing.table`."
  value       = var.create_routing_table ? aws_dynamodb_table.routing[0].name : var.routing_table
}

output "overflow_bucket" {
  description = "Bucket for large jobs: `storage.overflow_bucket`."
  value       = local.overflow_bucket
}

output "results_bucket" {
  description = "Bucket for large results: `storage.results_bucket`."
  value       = local.results_bucket
}

output "security_group_id" {
  description = "Security group of the instances: let a hub of your own be reached by it."
  value       = aws_security_group.instances.id
}

output "worker_role_arn" {
  description = "Role of the instances."
  value       = aws_iam_role.worker.arn
}

output "operator_policy_arn" {
  description = "Policy for whoever uses the operator's commands."
  value       = aws_iam_policy.operator.arn
}

output "log_groups" {
  description = "Log groups of the daemon's lines and of the events that carry metrics."
  value       = { daemon = local.daemon_log, metrics = local.metrics_log }
}

output "dashboards" {
  description = "Names of the dashboards."
  value       = [for dashboard in aws_cloudwatch_dashboard.fleet : dashboard.dashboard_name]
}

output "success_criteria" {
  description = "The plan's criteria, each with its target and the query that measures it; where that is metric math, with its expression and metrics."
  value       = local.success_criteria
}

output "environment" {
  description = "What the daemon is told, as the instances find it in /etc/compilation-worker/environment."
  value       = local.environment
}

output "operator_environment" {
  description = "What the operator's commands are told, for the shell that they run in."
  value = merge(
    {
      AWS_REGION                             = local.region
      COMPILATION_WORKER_FLEET_NAME          = var.name
      COMPILATION_WORKER_FLEET_LISTENER      = var.listener_arn
      COMPILATION_WORKER_FLEET_RULE_PRIORITY = tostring(var.listener_priorities[0])
      COMPILATION_WORKER_QUEUES_OWN          = aws_sqs_queue.jobs.url
      COMPILATION_WORKER_QUEUES_DEAD_LETTERS = aws_sqs_queue.dead_letters.url
      COMPILATION_WORKER_ROUTING_TABLE       = var.create_routing_table ? aws_dynamodb_table.routing[0].name : var.routing_table
    },
    # Where rows lead, depends on these too.
    { for name, value in local.environment : name => value if contains(["COMPILATION_WORKER_QUEUES_DEFAULT", "COMPILATION_WORKER_QUEUES_COLOURS"], name) },
  )
}
