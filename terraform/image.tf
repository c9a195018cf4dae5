# One machine: the image as it was built, and a file that tells the daemon where its fleet is. Nothing is downloaded.

locals {
  # By the daemon's own keys; what is null is not written, and the daemon's default holds.
  settings = merge({
    "http.listen"                 = "0.0.0.0:${local.port}"
    "http.environment"            = var.environment
    "http.balancer_idle"          = "${var.balancer_idle_seconds}s"
    "routing.table"               = var.routing_table
    "queues.default"              = var.default_queue_url
    "queues.own"                  = aws_sqs_queue.jobs.url
    "queues.dead_letters"         = aws_sqs_queue.dead_letters.url
    "queues.colours"              = var.color_parameter == null ? null : "true"
    "events.url"                  = var.events_url
    "storage.overflow_bucket"     = local.overflow_bucket
    "storage.overflow_prefix"     = var.overflow_prefix
    "storage.results_bucket"      = local.results_bucket
    "storage.results_prefix"      = var.results_prefix
    "aws.region"                  = local.region
    "aws.color_parameter"         = var.color_parameter
    "drain.lame_duck"             = "${var.lame_duck_seconds}s"
    "drain.budget"                = "${var.drain_seconds}s"
    "fleet.name"                  = var.name
    "fleet.group"                 = local.group
    "fleet.target_group"          = local.target_group
    "fleet.log_group"             = local.daemon_log
    "fleet.metrics_group"         = local.metrics_log
    "metrics.emf"                 = "tcp://127.0.0.1:${local.emf_port}"
    "trace.url"                   = local.traces ? "http://127.0.0.1:${local.otlp_port}" : null
    "trace.share"                 = local.traces ? "${var.trace_percent}%" : null
    "instance.watch"              = "true"
    "instance.hook_timeout"       = "${var.hook_heartbeat_seconds}s"
    "instance.lifecycle_hook"     = local.hook
    "instance.protect_while_busy" = tostring(var.protect_while_busy)
  }, var.settings)

  environment = {
    for key, value in local.settings :
    "COMPILATION_WORKER_${upper(replace(key, ".", "_"))}" => value if value != null
  }

  # cloud-init reads YAML, and JSON is YAML.
  cloud_config = jsonencode({
    write_files = [{
      path        = "/etc/compilation-worker/environment"
      owner       = "root:root"
      permissions = "0600"
      content     = join("", [for name, value in local.environment : "${name}=${value}\n"])
    }]
    # Not awaited: the unit may be ordered after cloud-init.
    runcmd = [["systemctl", "enable", "--now", "--no-block", "compilation-worker.service"]]
  })
}

resource "aws_launch_template" "worker" {
  name                   = var.name
  description            = "A compile worker of ${var.name}"
  image_id               = var.image_id
  instance_type          = var.instance_types[0]
  update_default_version = true
  user_data              = base64encode("#cloud-config\n${local.cloud_config}\n")
  tags                   = var.tags

  iam_instance_profile {
    arn = aws_iam_instance_profile.worker.arn
  }

  metadata_options {
    http_endpoint = "enabled"
    # Version 2 only, and no further than the machine itself: a jail with a network of its own cannot ask.
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "disabled"
  }

  # Figures of every minute, which scaling within two minutes needs.
  monitoring {
    enabled = true
  }

  network_interfaces {
    associate_public_ip_address = "false"
    delete_on_termination       = "true"
    security_groups             = [aws_security_group.instances.id]
  }

  block_device_mappings {
    device_name = "/dev/sda1"

    ebs {
      volume_type           = "gp3"
      volume_size           = var.root_volume_gib
      encrypted             = "true"
      delete_on_termination = "true"
    }
  }

  dynamic "credit_specification" {
    for_each = var.cpu_credits == null ? [] : [var.cpu_credits]

    content {
      cpu_credits = credit_specification.value
    }
  }

  dynamic "tag_specifications" {
    for_each = ["instance", "volume", "network-interface"]

    content {
      resource_type = tag_specifications.value
      tags          = merge(var.tags, { Name = var.name, Fleet = var.name })
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}
