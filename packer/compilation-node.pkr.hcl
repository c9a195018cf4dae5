# The image of a compilation node: Ubuntu 24.04 for AArch64, compilers, the daemon and its unit. README.md has the command.

locals {
  name = "${var.ami_name} ${var.version} ${formatdate("YYYY-MM-DD hh.mm.ss", timestamp())}"

  tags = merge(var.tags, {
    Name    = local.name
    Version = var.version
    Commit  = var.commit
  })
  # What an image is cleaned up by, and what it was made from.
  image_tags = merge(local.tags, {
    BaseImage  = "{{ .SourceAMI }} {{ .SourceAMIName }}"
    AmiCleanup = "auto"
  })

  # A pinned image must be Canonical's too.
  base = var.base_ami == "" ? {
    name = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-arm64-server-*"
    } : {
    image-id = var.base_ami
  }

  # Where the files below are laid down on the builder.
  files = "/tmp/compilation-worker"
}

source "amazon-ebs" "compilation-node" {
  region        = var.region
  instance_type = var.instance_type
  subnet_id     = var.subnet_id

  source_ami_filter {
    owners      = ["099720109477"] # Canonical
    most_recent = true
    filters = merge(local.base, {
      architecture        = "arm64"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    })
  }

  ssh_username                          = "ubuntu"
  ssh_interface                         = var.ssh_interface
  temporary_key_pair_type               = "ed25519"
  temporary_security_group_source_cidrs = var.ssh_source_cidrs
  iam_instance_profile                  = var.instance_profile
  shutdown_behavior                     = "terminate"

  # Credentials are given only to who asks with a session's token: while building, and wherever the image runs.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }
  imds_support = "v2.0"

  launch_block_device_mappings {
    device_name           = "/dev/sda1"
    volume_type           = "gp3"
    volume_size           = var.volume_size
    iops                  = 3000 # this and the next are what comes with any gp3
    throughput            = 125
    delete_on_termination = true
    encrypted             = true
    kms_key_id            = var.kms_key_id
  }
  encrypt_boot       = true
  kms_key_id         = var.kms_key_id
  region_kms_key_ids = var.region_kms_key_ids
  ami_regions        = var.ami_regions
  ami_users          = var.ami_users

  ami_name        = local.name
  ami_description = "Compile worker for Compiler Explorer's API, version ${var.version}"
  ena_support     = true
  tags            = local.image_tags
  snapshot_tags   = local.image_tags
  run_tags        = local.tags
  run_volume_tags = local.tags
}

build {
  sources = ["source.amazon-ebs.compilation-node"]

  provisioner "shell" {
    inline = [
      # 2: done, with warnings that are none of ours.
      "cloud-init status --wait >/dev/null || [ $? -eq 2 ]",
      "mkdir -p ${local.files}/packer ${local.files}/init",
    ]
  }
  provisioner "file" {
    source      = var.binary
    destination = "${local.files}/binary"
  }
  provisioner "file" {
    source      = "${path.root}/../init/"
    destination = "${local.files}/init"
  }
  provisioner "file" {
    source      = "${path.root}/"
    destination = "${local.files}/packer"
  }

  provisioner "shell" {
    script          = "${path.root}/setup-compilation-node.sh"
    execute_command = "chmod +x {{ .Path }}; sudo env {{ .Vars }} {{ .Path }}"
    environment_vars = [
      "FILES=${local.files}",
      "VERSION=${var.version}",
      "COMMIT=${var.commit}",
      "BINARY_SHA256=${var.binary_sha256}",
      "COMPILERS=${join(" ", var.compilers)}",
      "PACKAGES=${join(" ", var.packages)}",
      "CLOUDWATCH_AGENT_URL=${var.cloudwatch_agent_url}",
      "CLOUDWATCH_AGENT_SHA256=${var.cloudwatch_agent_sha256}",
      "CLOUDWATCH_AGENT_KEY_URL=${var.cloudwatch_agent_key_url}",
      "CLOUDWATCH_AGENT_KEY_FINGERPRINT=${var.cloudwatch_agent_key_fingerprint}",
    ]
  }

  # The kernel that instances will have, and the unit as a boot finds it.
  provisioner "shell" {
    inline            = ["sudo systemctl reboot"]
    expect_disconnect = true
  }
  provisioner "shell" {
    pause_before    = "20s"
    script          = "${path.root}/self-test.sh"
    execute_command = "chmod +x {{ .Path }}; sudo env {{ .Vars }} {{ .Path }}"
  }

  provisioner "shell" {
    script          = "${path.root}/clean-up.sh"
    execute_command = "chmod +x {{ .Path }}; sudo env {{ .Vars }} {{ .Path }}"
  }
}
