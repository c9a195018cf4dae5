#!/bin/bash
# Puts the daemon and what belongs to it in place, on Debian 12, Ubuntu 24.04 and newer: install.sh BINARY
# As often as you like: what is there is replaced, but for the two files of configuration, which are a machine's own.
# Enables the unit and starts nothing. Where no systemd runs (building an image), it leaves out what needs one.
set -euo pipefail
readonly name=compilation-worker
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

[ $# -eq 1 ] || { echo "usage: install.sh BINARY" >&2; exit 64; }
binary=$1
"$binary" version >/dev/null || { echo "$binary does not run here" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || { echo "must run as root" >&2; exit 1; }

# MODE SOURCE DESTINATION: whoever reads the old file meanwhile keeps it whole.
put() {
  mkdir -p "$(dirname "$3")"
  install -m "$1" "$2" "$3.new"
  mv -f "$3.new" "$3"
}
# The same, unless it is there.
put_once() { [ -e "$3" ] || put "$@"; }

put 0755 "$binary" "/usr/local/bin/$name"
put 0644 "$here/$name.service" "/etc/systemd/system/$name.service"
put 0644 "$here/sysusers.d/$name.conf" "/etc/sysusers.d/$name.conf"
put 0644 "$here/sysctl.d/60-$name.conf" "/etc/sysctl.d/60-$name.conf"
put 0644 "$here/journald.conf.d/$name.conf" "/etc/systemd/journald.conf.d/$name.conf"
put 0644 "$here/rsyslog.d/30-$name.conf" "/etc/rsyslog.d/30-$name.conf"
put 0644 "$here/logrotate.d/$name" "/etc/logrotate.d/$name"
put 0644 "$here/logrotate.timer.d/$name.conf" "/etc/systemd/system/logrotate.timer.d/$name.conf"
put_once 0644 "$here/config.toml" "/etc/$name/config.toml"
# Not for everybody: somebody may put a secret into it. systemd reads it as root.
put_once 0600 "$here/environment" "/etc/$name/environment"
systemd-sysusers "/etc/sysusers.d/$name.conf"

# Older kernels and profiles' languages know no right to user namespaces, and need none granted.
if grep -qs userns /etc/apparmor.d/abi/4.0; then
  put 0644 "$here/apparmor/$name" "/etc/apparmor.d/$name"
  if [ -d /run/systemd/system ] && [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ]; then
    apparmor_parser --replace --write-cache "/etc/apparmor.d/$name"
  fi
fi

if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  sysctl --quiet --load="/etc/sysctl.d/60-$name.conf"
  for service in systemd-journald rsyslog; do systemctl try-restart "$service"; done
  systemctl try-restart logrotate.timer
fi
systemctl --quiet enable "$name.service"
echo "$("/usr/local/bin/$name" version) is installed; systemctl restart $name starts it"
