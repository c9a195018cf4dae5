#!/usr/bin/env bash
# Makes this machine an image: removes what must be each instance's own, and what nobody needs. Packer runs it last.
set -euo pipefail

say() { printf '== %s s: %s\n' "$SECONDS" "$*"; }

[ "$(id -u)" -eq 0 ] || {
  echo "clean-up: must run as root" >&2
  exit 1
}

say "what the self-test left"
if [ -d /run/systemd/system ]; then
  systemctl stop compilation-worker.service compilation-worker-agent.service rsyslog.service
  # The builder's own boot has started the agent, for the log group of an example: each instance configures its own.
  if systemctl cat amazon-cloudwatch-agent.service >/dev/null 2>&1; then
    systemctl disable --quiet --now amazon-cloudwatch-agent.service
  fi
fi
agent=/opt/aws/amazon-cloudwatch-agent
rm -rf "$agent"/logs "$agent"/etc/amazon-cloudwatch-agent.d/*
rm -f "$agent"/etc/amazon-cloudwatch-agent.{json,toml,yaml}
rm -rf /var/lib/compilation-worker /var/log/compilation-worker /tmp/compilation-worker
# Written anew by user data: the daemon does not start on a machine that nobody has told what it is.
rm -f /etc/compilation-worker/environment

say "what must be each instance's own"
rm -f /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
rm -f /home/*/.ssh/authorized_keys /root/.ssh/authorized_keys
rm -f /home/*/.bash_history /root/.bash_history
rm -f /var/lib/systemd/random-seed /var/lib/systemd/credential.secret
# Empty, not missing: systemd makes a new one where it finds it empty, and takes no boot for the first one else.
: >/etc/machine-id
rm -f /var/lib/dbus/machine-id
if command -v cloud-init >/dev/null; then
  cloud-init clean --logs --seed
fi

say "what nobody needs"
apt-get clean
find /var/lib/apt/lists -mindepth 1 -delete
find /var/cache/apt -mindepth 1 -name '*.bin' -delete
find /var/log -type f -delete
sync
say "done"
