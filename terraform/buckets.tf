# What is too large for a message or a frame. Both buckets are for a day: nobody comes back for anything in them.

resource "aws_s3_bucket" "overflow" {
  #checkov:skip=CKV_AWS_18:objects live for a day: a log of who read them would outlive them
  #checkov:skip=CKV_AWS_21:an object is written once under a name of its own, and gone after a day
  #checkov:skip=CKV_AWS_144:what lives for a minute or two needs no copy elsewhere
  #checkov:skip=CKV_AWS_145:SSE-S3 is what today's routers and workers can read; a key of one's own would need grants to both
  #checkov:skip=CKV2_AWS_62:nobody waits for an object: the message or the frame says that it is there
  count = var.create_overflow_bucket ? 1 : 0

  bucket        = coalesce(var.overflow_bucket, "${var.name}-overflow-${local.account}-${local.region}")
  force_destroy = true
  tags          = var.tags
}

resource "aws_s3_bucket" "results" {
  #checkov:skip=CKV_AWS_18:objects live for a day: a log of who read them would outlive them
  #checkov:skip=CKV_AWS_21:an object is written once under a name of its own, and gone after a day
  #checkov:skip=CKV_AWS_144:what lives for a minute or two needs no copy elsewhere
  #checkov:skip=CKV_AWS_145:SSE-S3 is what today's routers and workers can read; a key of one's own would need grants to both
  #checkov:skip=CKV2_AWS_62:nobody waits for an object: the message or the frame says that it is there
  count = var.create_results_bucket ? 1 : 0

  bucket        = coalesce(var.results_bucket, "${var.name}-results-${local.account}-${local.region}")
  force_destroy = true
  tags          = var.tags
}

locals {
  own_buckets = merge(
    { for bucket in aws_s3_bucket.overflow : "overflow" => { name = bucket.bucket, arn = bucket.arn, prefix = "" } },
    { for bucket in aws_s3_bucket.results : "results" => { name = bucket.bucket, arn = bucket.arn, prefix = var.results_prefix } },
  )
}

resource "aws_s3_bucket_lifecycle_configuration" "own" {
  for_each = local.own_buckets

  bucket = each.value.name

  rule {
    id     = "one-day"
    status = "Enabled"

    filter {
      prefix = each.value.prefix
    }

    expiration {
      days = 1
    }
  }

  rule {
    id     = "unfinished"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "own" {
  for_each = local.own_buckets

  bucket = each.value.name

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "own" {
  for_each = local.own_buckets

  bucket                  = each.value.name
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "own" {
  for_each = local.own_buckets

  bucket = each.value.name

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_policy" "own" {
  for_each = local.own_buckets

  bucket = each.value.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [each.value.arn, "${each.value.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  depends_on = [aws_s3_bucket_public_access_block.own]
}
