#!/usr/bin/env bash
# Makes this machine a compilation node: compilers, the daemon with its unit, the CloudWatch agent. Packer runs it on a
# fresh Ubuntu 24.04; it may be run again. Starts no service, and what it installs downloads nothing at boot.
set -euo pipefail

# Everything that varies, in the environment. compilation-node.pkr.hcl gives all of it.
required=(
  FILES         # directory with `binary`, and this repository's `init` and `packer`
  VERSION       # what the binary must say it is
  COMMIT        # where it is from
  BINARY_SHA256 # what its bytes must be
  COMPILERS
  CLOUDWATCH_AGENT_URL
  CLOUDWATCH_AGENT_KEY_URL
  CLOUDWATCH_AGENT_KEY_FINGERPRINT # of the key that must have signed it
)
COMPILERS=${COMPILERS:-}                             # packages that bring compilers
PACKAGES=${PACKAGES:-}                               # further packages
CLOUDWATCH_AGENT_SHA256=${CLOUDWATCH_AGENT_SHA256:-} # what the agent's package must be, if it is pinned
PLATFORM=${PLATFORM:-ubuntu 24.04 arm64}             # what this machine must be

readonly share=/usr/local/share/compilation-worker

say() { printf '== %s s: %s\n' "$SECONDS" "$*"; }
fail() {
  printf 'setup-compilation-node: %s\n' "$*" >&2
  exit 1
}
put() { install -D -m "$1" -o root -g root "$2" "$3"; }
apt() {
  apt-get -qq -y -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" \
    </dev/null >/dev/null
}
install_packages() { apt install --no-install-recommends "$@"; }
fetch() { curl --fail --silent --show-error --location --proto '=https,file' --retry 5 --max-time 300 --output "$2" "$1"; }
matches() { printf '%s  %s\n' "$1" "$2" | sha256sum --check --status; }

check_inputs() {
  local name
  for name in "${required[@]}"; do
    [ -n "${!name:-}" ] || fail "$name is not set"
  done
  [ "$(id -u)" -eq 0 ] || fail "must run as root"
  local found
  # shellcheck source=/dev/null
  found=$(. /etc/os-release && echo "$ID $VERSION_ID $(dpkg --print-architecture)")
  [ "$found" = "$PLATFORM" ] || fail "this is $found, not $PLATFORM"
}

# Before anything is installed, so that a wrong one costs no time.
check_binary() {
  matches "$BINARY_SHA256" "$FILES/binary" || fail "$FILES/binary is not the release: its SHA-256 is not $BINARY_SHA256"
  chmod 0755 "$FILES/binary"
  local said
  said=$("$FILES/binary" version) || fail "$FILES/binary does not run here"
  [ "$said" = "compilation-worker $VERSION" ] || fail "$FILES/binary is $said, not $VERSION"
}

# An image is replaced, not upgraded: a compiler that changes under the daemon changes its answers, and all machines
# would take processor time for it, and a changed package, at once. Security updates come with the next image.
forbid_upgrades() {
  # On a fresh machine they may be at work. For dpkg's lock apt waits, for that of the lists it does not.
  if [ -d /run/systemd/system ]; then
    systemctl --quiet stop apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service
  fi
  apt purge unattended-upgrades
  systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer apt-news.service esm-cache.service \
    motd-news.timer fwupd-refresh.timer ua-timer.timer update-notifier-download.timer
  if [ -d /run/systemd/system ] && command -v snap >/dev/null; then
    snap refresh --hold >/dev/null
  fi
}

install_compilers() {
  local package found
  read -ra compilers <<<"$COMPILERS"
  install_packages "${compilers[@]}"
  # What the self-test expects to be served, by the names of the programs.
  mkdir -p "$share"
  for package in "${compilers[@]}"; do
    found=$(dpkg --listfiles "$package" | sed -nE 's:^/usr/bin/(([a-z0-9_]+-linux-gnu[a-z0-9]*-)?(gcc|g\+\+|clang|clang\+\+)(-[0-9]+)?)$:\1:p')
    [ -n "$found" ] || fail "the package $package brings no compiler that the daemon knows"
    printf '%s\n' "$found"
  done >"$share/compilers"
}

install_agent() {
  local work status
  work=$(mktemp --directory)
  fetch "$CLOUDWATCH_AGENT_URL" "$work/agent.deb"
  fetch "$CLOUDWATCH_AGENT_URL.sig" "$work/agent.deb.sig"
  fetch "$CLOUDWATCH_AGENT_KEY_URL" "$work/key"
  gpg --batch --quiet --homedir "$work" --import "$work/key"
  status=$(gpg --batch --quiet --homedir "$work" --status-fd 1 --verify "$work/agent.deb.sig" "$work/agent.deb" 2>&1) ||
    fail "the CloudWatch agent's signature does not hold: $status"
  # The last word of this line is the primary key that signed.
  grep -q "^\[GNUPG:\] VALIDSIG .* $CLOUDWATCH_AGENT_KEY_FINGERPRINT\$" <<<"$status" ||
    fail "the CloudWatch agent is not signed by $CLOUDWATCH_AGENT_KEY_FINGERPRINT: $status"
  if [ -n "$CLOUDWATCH_AGENT_SHA256" ]; then
    matches "$CLOUDWATCH_AGENT_SHA256" "$work/agent.deb" || fail "the CloudWatch agent's SHA-256 is not $CLOUDWATCH_AGENT_SHA256"
  fi
  dpkg --install "$work/agent.deb" >/dev/null
  rm -rf "$work"
  # The daemon's log belongs to this group.
  usermod --append --groups adm cwagent

  put 0644 "$FILES/packer/amazon-cloudwatch-agent.json" "$share/amazon-cloudwatch-agent.json"
  put 0755 "$FILES/packer/configure-agent" /usr/local/lib/compilation-worker/configure-agent
  put 0644 "$FILES/packer/compilation-worker-agent.service" /etc/systemd/system/compilation-worker-agent.service
  systemctl --quiet enable compilation-worker-agent.service
}

# What this image is, for whoever is logged in to it.
describe() {
  {
    printf 'VERSION=%s\nCOMMIT=%s\nBINARY_SHA256=%s\n' "$VERSION" "$COMMIT" "$BINARY_SHA256"
    printf 'BUILT=%s\n' "$(date --utc +%Y-%m-%dT%H:%M:%SZ)"
    printf 'CLOUDWATCH_AGENT=%s\n' "$(dpkg-query --show --showformat '${Version}' amazon-cloudwatch-agent)"
  } >"$share/image"
  dpkg-query --show >"$share/packages"
}

export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
check_inputs
say "checking the binary"
check_binary
say "forbidding upgrades behind our back"
forbid_upgrades
say "upgrading what the base image has"
apt update
apt dist-upgrade
say "installing tools"
read -ra packages <<<"$PACKAGES"
install_packages ca-certificates curl gnupg jq logrotate rsyslog "${packages[@]}"
say "installing compilers: $COMPILERS"
install_compilers
say "installing the CloudWatch agent"
install_agent
say "installing the daemon and its unit"
"$FILES/init/install.sh" "$FILES/binary"
put 0755 "$FILES/packer/self-test.sh" /usr/local/lib/compilation-worker/self-test.sh
/usr/local/bin/compilation-worker check --config /etc/compilation-worker/config.toml >/dev/null ||
  fail "the configuration makes no sense"
describe
say "done: $(wc -l <"$share/compilers") compilers"
