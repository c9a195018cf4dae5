# Alone here, so that a packer that does not know this block yet can read the rest (.ci/image does).
packer {
  required_version = ">= 1.9.0"

  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = "~> 1.3"
    }
  }
}
