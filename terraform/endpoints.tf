# The services' endpoints in the VPC, instead of NAT: instances have no public address, and their calls stay inside.

resource "aws_security_group" "endpoints" {
  count = var.create_endpoints ? 1 : 0

  name        = "${var.name}-endpoints"
  description = "Endpoints of the services: calls from within the VPC only"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-endpoints" })

  lifecycle {
    create_before_destroy = true
  }
}

# Everybody in the VPC: the services' names lead here for all of them, not for the instances alone.
resource "aws_vpc_security_group_ingress_rule" "endpoints_from_vpc" {
  for_each = toset(var.create_endpoints ? [for association in data.aws_vpc.site.cidr_block_associations : association.cidr_block] : [])

  security_group_id = aws_security_group.endpoints[0].id
  description       = "Calls from the VPC"
  cidr_ipv4         = each.key
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = var.tags
}

resource "aws_vpc_endpoint" "interface" {
  for_each = var.create_endpoints ? toset(concat(tolist(var.interface_endpoints), local.traces ? ["xray"] : [])) : toset([])

  vpc_id              = var.vpc_id
  service_name        = "com.amazonaws.${local.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = var.subnet_ids
  security_group_ids  = [aws_security_group.endpoints[0].id]
  private_dns_enabled = true
  tags                = merge(var.tags, { Name = "${var.name}-${each.key}" })

  lifecycle {
    precondition {
      condition     = data.aws_vpc.site.enable_dns_support && data.aws_vpc.site.enable_dns_hostnames
      error_message = "Endpoints take over the services' names, for which ${var.vpc_id} needs DNS support and DNS host names: set its enable_dns_support and enable_dns_hostnames to true, or set create_endpoints = false."
    }
  }
}

resource "aws_vpc_endpoint" "gateway" {
  for_each = var.create_endpoints ? var.gateway_endpoints : toset([])

  vpc_id            = var.vpc_id
  service_name      = "com.amazonaws.${local.region}.${each.key}"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = var.route_table_ids
  tags              = merge(var.tags, { Name = "${var.name}-${each.key}" })
}
