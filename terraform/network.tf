# Who may speak to whom: the balancer to the instances, the instances to the services' endpoints, and nobody else.

data "aws_vpc" "site" {
  id = var.vpc_id
}

data "aws_prefix_list" "gateway" {
  for_each = toset(["s3", "dynamodb"])

  name = "com.amazonaws.${local.region}.${each.key}"
}

resource "aws_security_group" "instances" {
  name        = "${var.name}-instances"
  description = "Compile workers: requests from the balancer only"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-instances" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "from_balancer" {
  security_group_id            = aws_security_group.instances.id
  description                  = "Requests and health checks from the balancer"
  referenced_security_group_id = var.balancer_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "balancer_to_instances" {
  count = var.balancer_egress ? 1 : 0

  security_group_id            = var.balancer_security_group_id
  description                  = "To the compile workers of ${var.name}"
  referenced_security_group_id = aws_security_group.instances.id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "to_gateways" {
  for_each = data.aws_prefix_list.gateway

  security_group_id = aws_security_group.instances.id
  description       = "To ${each.key} through its gateway endpoint"
  prefix_list_id    = each.value.id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = var.tags
}

resource "aws_vpc_security_group_egress_rule" "to_endpoints" {
  count = var.create_endpoints ? 1 : 0

  security_group_id            = aws_security_group.instances.id
  description                  = "To the services through their interface endpoints"
  referenced_security_group_id = aws_security_group.endpoints[0].id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  tags                         = var.tags
}

resource "aws_vpc_security_group_egress_rule" "elsewhere" {
  for_each = var.egress

  security_group_id = aws_security_group.instances.id
  description       = "To ${each.key}"
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  tags              = var.tags
}
