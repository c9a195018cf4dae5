# The instances as the balancer sees them.

data "aws_lb_listener" "front" {
  arn = var.listener_arn
}

data "aws_lb" "balancer" {
  arn = data.aws_lb_listener.front.load_balancer_arn
}

resource "aws_lb_target_group" "instances" {
  #checkov:skip=CKV_AWS_378:TLS ends at the balancer; behind it only the balancer may speak to the port, inside the VPC
  name                          = local.target_group
  port                          = local.port
  protocol                      = "HTTP"
  target_type                   = "instance"
  vpc_id                        = var.vpc_id
  load_balancing_algorithm_type = "least_outstanding_requests"
  # What an instance may take to finish, so that no held request is cut off.
  deregistration_delay = var.drain_seconds
  tags                 = var.tags

  # Two checks take an instance out: interval times threshold is the time for which one that ends still serves.
  health_check {
    path                = "/healthcheck"
    port                = "traffic-port"
    protocol            = "HTTP"
    matcher             = "200"
    interval            = var.lame_duck_seconds / 2
    timeout             = 4
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }

  # For a fleet that gets another name: the rules turn to the new one before the old one goes. Nothing else replaces it
  # but another VPC, and there a fleet needs another name.
  lifecycle {
    create_before_destroy = true
  }
}
