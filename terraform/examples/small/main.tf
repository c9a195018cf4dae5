# A fleet for one site without today's system: everything is its own, the events hub too, and all requests come here.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.25, < 7"
    }
  }
}

provider "aws" {
  region = "us-east-1"
}

module "compilation" {
  source = "../.."

  vpc_id                     = "vpc-0123456789abcdef0"
  subnet_ids                 = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
  route_table_ids            = ["rtb-0123456789abcdef0"]
  listener_arn               = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/site/0123456789abcdef/0123456789abcdef"
  balancer_security_group_id = "sg-0123456789abcdef0"
  image_id                   = "ami-0123456789abcdef0"

  # `compilation-worker hub`, on a machine of its own in this VPC.
  events_url = "ws://hub.internal.example:10242"
  egress     = { events = { cidr = "10.0.0.0/16", port = 10242 } }

  create_routing_table = true
  instances_weight     = 100

  desired_size = 2
  max_size     = 4
}

output "compilation" {
  description = "Everything that the module tells."
  value       = module.compilation
}
