# What goes in.
#
# `regex_replace("=${x}", "^=...$", "") == ""` says that x as a whole fits; `can(regex(...))` would say so in newer packers
# only, and the one that checks this file in CI is an old one.

variable "binary" {
  description = "The release binary for aarch64-unknown-linux-gnu, a file on this machine."
  type        = string
}

variable "binary_sha256" {
  description = "Its SHA-256, as the release's SHA256SUMS has it. Any other binary is refused."
  type        = string

  validation {
    condition     = regex_replace("=${var.binary_sha256}", "^=[0-9a-f]{64}$", "") == ""
    error_message = "The binary_sha256 must be 64 hexadecimal digits in lower case."
  }
}

variable "version" {
  description = "The version that the binary must say it has, such as 0.1.0."
  type        = string

  validation {
    condition     = regex_replace("=${var.version}", "^=[0-9]+\\.[0-9]+\\.[0-9]+(-[0-9A-Za-z.-]+)?$", "") == ""
    error_message = "The version must be one of Cargo's, such as 0.1.0 or 1.2.0-rc.1."
  }
}

variable "commit" {
  description = "The commit that the binary and this folder are from; the image is tagged with it."
  type        = string

  validation {
    condition     = regex_replace("=${var.commit}", "^=[0-9a-f]{40}$", "") == ""
    error_message = "The commit must be a full Git hash, 40 hexadecimal digits in lower case."
  }
}

variable "compilers" {
  description = "Packages of Ubuntu's archive, each of which brings compilers. The self-test fails if one of them is not served."
  type        = list(string)
  default = [
    "gcc-10", "gcc-11", "gcc-12", "gcc-13", "gcc-14",
    "g++-10", "g++-11", "g++-12", "g++-13", "g++-14",
    "clang-14", "clang-15", "clang-16", "clang-17", "clang-18",
    "gcc-x86-64-linux-gnu", "g++-x86-64-linux-gnu",
  ]

  validation {
    condition     = length(var.compilers) > 0 && length([for name in var.compilers : name if regex_replace("=${name}", "^=[a-z0-9][a-z0-9.+-]+$", "") != ""]) == 0
    error_message = "The compilers must be names of Debian packages, at least one."
  }
}

variable "packages" {
  description = "Further packages of Ubuntu's archive."
  type        = list(string)
  default     = ["binutils", "libc6-dev"]

  validation {
    condition     = length([for name in var.packages : name if regex_replace("=${name}", "^=[a-z0-9][a-z0-9.+-]+$", "") != ""]) == 0
    error_message = "The packages must be names of Debian packages."
  }
}

variable "cloudwatch_agent_url" {
  description = "The CloudWatch agent's package for arm64. Its signature is expected beside it, with .sig appended. A file:// URL names a file that is on the builder already."
  type        = string
  default     = "https://amazoncloudwatch-agent.s3.amazonaws.com/ubuntu/arm64/latest/amazon-cloudwatch-agent.deb"

  validation {
    condition     = regex_replace("=${var.cloudwatch_agent_url}", "^=(https|file)://[^ ]+\\.deb$", "") == ""
    error_message = "The cloudwatch_agent_url must be an https:// or file:// URL of a .deb."
  }
}

variable "cloudwatch_agent_sha256" {
  description = "The package's SHA-256, to pin it beyond its signature; empty takes whatever Amazon signed."
  type        = string
  default     = ""

  validation {
    condition     = regex_replace("=${var.cloudwatch_agent_sha256}", "^=([0-9a-f]{64})?$", "") == ""
    error_message = "The cloudwatch_agent_sha256 must be empty, or 64 hexadecimal digits in lower case."
  }
}

variable "cloudwatch_agent_key_url" {
  description = "The public key that the package is signed with."
  type        = string
  default     = "https://amazoncloudwatch-agent.s3.amazonaws.com/assets/amazon-cloudwatch-agent.gpg"

  validation {
    condition     = regex_replace("=${var.cloudwatch_agent_key_url}", "^=(https|file)://[^ ]+$", "") == ""
    error_message = "The cloudwatch_agent_key_url must be an https:// or file:// URL."
  }
}

variable "cloudwatch_agent_key_fingerprint" {
  description = "That key's fingerprint, as Amazon's documentation of the CloudWatch agent has it. Any other key is refused."
  type        = string
  default     = "937616F3450B7D806CBD9725D58167303B789C72"

  validation {
    condition     = regex_replace("=${var.cloudwatch_agent_key_fingerprint}", "^=[0-9A-F]{40}$", "") == ""
    error_message = "The cloudwatch_agent_key_fingerprint must be 40 hexadecimal digits in upper case, without spaces."
  }
}

# What the image is made of.

variable "region" {
  description = "The region in which the image is built."
  type        = string
  default     = "us-east-1"
}

variable "base_ami" {
  description = "The image to start from, one of Canonical's; empty is the newest Ubuntu 24.04 for arm64."
  type        = string
  default     = ""

  validation {
    condition     = regex_replace("=${var.base_ami}", "^=(ami-[0-9a-f]{8,17})?$", "") == ""
    error_message = "The base_ami must be empty or the id of an image, such as ami-0123456789abcdef0."
  }
}

variable "instance_type" {
  description = "The machine that builds: one with Graviton processors."
  type        = string
  default     = "c7g.medium"

  validation {
    condition     = regex_replace("=${var.instance_type}", "^=([a-z]+[0-9]+g[a-z]*|a1)\\.[0-9a-z]+$", "") == ""
    error_message = "The instance_type must have an AArch64 processor, such as c7g.medium."
  }
}

variable "volume_size" {
  description = "The root volume's size in GiB, below which no instance of the image starts: no more than the fleet's root_volume_gib. The compilers above take about 4."
  type        = number
  default     = 20

  validation {
    condition     = var.volume_size >= 12 && var.volume_size <= 1024
    error_message = "The volume_size must be between 12 and 1024 GiB."
  }
}

# How the builder is reached.

variable "ssh_interface" {
  description = "session_manager needs no open port, but instance_profile and the session manager's plugin on this machine; public_ip and private_ip use SSH with a key made for this build."
  type        = string
  default     = "session_manager"

  validation {
    condition     = contains(["session_manager", "public_ip", "private_ip"], var.ssh_interface)
    error_message = "The ssh_interface must be session_manager, public_ip or private_ip."
  }
}

variable "ssh_source_cidrs" {
  description = "From where the builder's SSH port can be reached while it lives, unless that is by session manager."
  type        = list(string)
  default     = ["127.0.0.1/32"]

  validation {
    condition     = length([for cidr in var.ssh_source_cidrs : cidr if regex_replace("=${cidr}", "^=[0-9.]+/[0-9]+$", "") != "" || regex_replace(cidr, "/0$", "") != cidr]) == 0
    error_message = "The ssh_source_cidrs must be networks such as 203.0.113.7/32, and never the whole Internet."
  }
}

variable "instance_profile" {
  description = "The builder's instance profile. For session manager, its role needs AmazonSSMManagedInstanceCore and nothing else."
  type        = string
  default     = ""
}

variable "subnet_id" {
  description = "The subnet to build in, with a way to Ubuntu's archive; empty is one of the default network."
  type        = string
  default     = ""

  validation {
    condition     = regex_replace("=${var.subnet_id}", "^=(subnet-[0-9a-f]+)?$", "") == ""
    error_message = "The subnet_id must be empty or the id of a subnet."
  }
}

# Who may use the image, and where.

variable "ami_name" {
  description = "What the image's name begins with; its version and the time follow."
  type        = string
  default     = "compilation-worker"

  validation {
    condition     = regex_replace("=${var.ami_name}", "^=[0-9A-Za-z()./_-]{3,80}$", "") == ""
    error_message = "The ami_name must be 3 to 80 letters, digits, or ( ) . / - _."
  }
}

variable "ami_users" {
  description = "Accounts that may start the image, beside this one. They need kms_key_id too: nobody else can use an account's default key."
  type        = list(string)
  default     = []

  validation {
    condition     = length([for account in var.ami_users : account if regex_replace("=${account}", "^=[0-9]{12}$", "") != ""]) == 0
    error_message = "The ami_users must be account numbers of 12 digits."
  }
}

variable "ami_regions" {
  description = "Further regions to copy the image to."
  type        = list(string)
  default     = []
}

variable "kms_key_id" {
  description = "The key that the image is encrypted with; empty is the account's default key. A key of one's own must let AWSServiceRoleForAutoScaling use it, or every launch ends with Client.InternalError: README.md says how."
  type        = string
  default     = ""
}

variable "region_kms_key_ids" {
  description = "The same in each of ami_regions, by region; a copy without one uses that region's default key."
  type        = map(string)
  default     = {}
}

variable "tags" {
  description = "Further tags of the image, its snapshot and the builder."
  type        = map(string)
  default     = {}
}
