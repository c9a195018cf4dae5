# The routing table, where there is none yet: queue or URL by compiler.

resource "aws_dynamodb_table" "routing" {
  #checkov:skip=CKV_AWS_119:which queue serves a compiler is no secret; a key of one's own would need grants to every router
  count = var.create_routing_table ? 1 : 0

  name                        = var.routing_table
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "compilerId"
  deletion_protection_enabled = true
  tags                        = var.tags

  attribute {
    name = "compilerId"
    type = "S"
  }

  ttl {
    attribute_name = "ttl"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = true
  }
}
