#!/usr/bin/env bash
# Whether this image works: every compiler that it should have compiles through the daemon, in its jail, and the daemon
# drains. Packer runs it on the finished image, after a reboot, and fails the build with it; so can anybody on a machine
# that serves nobody.
#
#   self-test.sh                                      starts the unit, and stops it at the end
#   self-test.sh --url URL --pid PID --log FILE       a daemon that serves already: where, who, and its JSON log
# and with either:
#   --binary FILE                                     the program, if it is not /usr/local/bin/compilation-worker
#   --expect FILE                                     names of compilers, one a line, that must be among those served
set -euo pipefail

readonly unit=compilation-worker.service environment=/etc/compilation-worker/environment
readonly doctor_unit=/run/systemd/system/compilation-worker-doctor.service
binary=/usr/local/bin/compilation-worker
expected=/usr/local/share/compilation-worker/compilers
url='' pid='' log='' invocation=''

# How long the daemon may take to be ready, which takes less than a second, and to drain while it does nothing: under the
# unit it serves on for 20 s, so that a balancer notices.
readonly patience=60
# The constant that must be found again in every listing, and the function that adds it.
readonly constant=4242 function=self_test
readonly program="int $function(int n) { return n * n + $constant; }"

say() { printf '== %s s: %s\n' "$SECONDS" "$*"; }
fail() {
  printf 'self-test: %s\n' "$*" >&2
  exit 1
}

while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || fail "$1 needs a value"
  case $1 in
    --url) url=$2 ;;
    --pid) pid=$2 ;;
    --log) log=$2 ;;
    --binary) binary=$2 ;;
    --expect) expected=$2 ;;
    *) fail "there is no $1" ;;
  esac
  shift 2
done
[ -z "$url$pid$log" ] || { [ -n "$url" ] && [ -n "$pid" ] && [ -n "$log" ]; } || fail "--url, --pid and --log belong together"

work=$(mktemp --directory)
invented_environment=''
clean_up() {
  rm -rf "$work"
  [ -z "$invented_environment" ] || rm -f "$environment"
}
trap clean_up EXIT

ask() { curl --silent --show-error --max-time 60 --header 'Accept: application/json' "$@"; }

# The daemon's own log, whole: what it does not say there, it does not do.
daemon_log() {
  if [ -n "$log" ]; then
    cat "$log"
  else
    journalctl --quiet --output=cat "_SYSTEMD_INVOCATION_ID=$invocation"
  fi
}

# Prints the last line of the log with these words. Whoever writes the log may be some moments behind.
logged() {
  local line tries=30
  until line=$(daemon_log | grep -F "$1" | tail -n 1) && [ -n "$line" ]; do
    [ $((tries--)) -gt 0 ] || return 1
    sleep 0.1
  done
  printf '%s\n' "$line"
}

start() {
  url=http://127.0.0.1:10240
  # Only a fleet's machine has one; the unit does not start without.
  [ -e "$environment" ] || {
    invented_environment=yes
    install -m 0600 /dev/null "$environment"
  }
  systemctl reset-failed "$unit" 2>/dev/null || true
  systemctl start "$unit" || {
    journalctl --no-pager --lines 50 --unit "$unit" >&2
    fail "the unit does not start"
  }
  invocation=$(systemctl show --property InvocationID --value "$unit")
}

await_ready() {
  ask --fail --output /dev/null --retry "$patience" --retry-delay 1 --retry-max-time "$patience" --retry-all-errors \
    "$url/health/ready" || fail "the daemon was not ready within $patience s"
}

# With ports of its own, as the daemon holds the configured ones.
ask_doctor() {
  local question=("$binary" doctor --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0) status=0
  if [ -n "$log" ]; then
    "${question[@]}" || status=$?
  else
    # As the unit's user, with its settings, and a control group as it has one.
    cat >"$doctor_unit" <<UNIT
[Service]
Type=oneshot
User=compilation-worker
Delegate=cpu memory pids
Environment=COMPILATION_WORKER_CONFIG=/etc/compilation-worker/config.toml
EnvironmentFile=$environment
ExecStart=${question[*]}
UNIT
    systemctl daemon-reload
    systemctl start "${doctor_unit##*/}" || status=$?
    journalctl --quiet --boot --output=cat --unit "${doctor_unit##*/}" --identifier "${binary##*/}"
    rm "$doctor_unit"
    systemctl daemon-reload
  fi
  [ "$status" -eq 0 ] || fail "the doctor found what keeps the daemon from its work"
}

# Not what was configured, but what the running daemon says it has.
check_jail() {
  local walls wall
  walls=$(logged '"the sandbox holds"') || fail "the daemon does not say what its jail is made of"
  for wall in 'mode: \\"strict\\"' 'landlock: [1-9]' 'syscalls: Some' 'limits: Cgroup'; do
    grep -q "$wall" <<<"$walls" || fail "the jail is weaker than strict: $walls"
  done
}

# ID SOURCE FILE: compiles, leaves the head and the result in FILE.head and FILE, and prints the job's status.
compile() {
  jq --null-input --arg source "$2" '{source: $source, options: {userArguments: ""}}' |
    ask --header 'Content-Type: application/json' --data-binary @- --dump-header "$3.head" --output "$3" \
      "$url/api/compiler/$(jq --null-input --raw-output --arg id "$1" '$id | @uri')/compile"
  sed -nE 's/^x-job-status: ([a-z_]+)\r?$/\1/Ip' "$3.head"
}

# Its text is read, too: an answer is no proof that anything was compiled.
check_compiler() {
  local id=$1 language=$2 result=$work/result status
  case $language in
    c | c++) ;;
    *) fail "$id compiles $language, for which there is no program here" ;;
  esac
  status=$(compile "$id" "$program" "$result") || fail "$id: no answer"
  [ "$status" = ok ] || fail "$id: ${status:-no status}: $(head -c 2000 "$result")"
  jq --exit-status --arg function "$function" --arg constant "$constant" '
    .code == 0 and ([.asm[].text] | any(contains($function)) and any(contains($constant)))' "$result" >/dev/null ||
    fail "$id: its listing is not that of the program: $(head -c 2000 "$result")"
}

# That a job cannot see this machine is shown by one that tries, with the first compiler.
check_walls() {
  local id=$1 result=$work/result status
  [ -r /etc/hostname ] || fail "this machine has no /etc/hostname to hide"
  status=$(compile "$id" '#include "/etc/hostname"' "$result") || fail "$id: no answer"
  [ "$status" = compile_error ] || fail "$id: a program that includes /etc/hostname gives ${status:-no status}"
  jq --exit-status '[.stderr[].text] | any(test("No such file|not found"))' "$result" >/dev/null ||
    fail "$id: a job can reach /etc/hostname: $(head -c 2000 "$result")"
}

check_compilers() {
  local name count=0 id language first=''
  ask --fail --output "$work/served" "$url/api/compilers?fields=id,alias,lang" || fail "the daemon does not list its compilers"
  while read -r name; do
    jq --exit-status --arg name "$name" 'any(.id == $name or any(.alias[]; . == $name))' "$work/served" >/dev/null ||
      fail "$name is not served: is it broken?"
  done <"$expected"
  while IFS=$'\t' read -r id language; do
    check_compiler "$id" "$language"
    first=${first:-$id} count=$((count + 1))
    say "$id compiles"
  done < <(jq --raw-output '.[] | [.id, .lang] | @tsv' "$work/served")
  [ "$count" -gt 0 ] || fail "no compiler is served"
  check_walls "$first"
  say "$count compilers compile in a jail"
}

stop() {
  if [ -n "$pid" ]; then
    kill -TERM "$pid"
    # A zombie, whom its parent has not asked after, has no program any more.
    local tenths=$((patience * 10))
    while [ -e "/proc/$pid/exe" ]; do
      [ $((tenths--)) -gt 0 ] || fail "the daemon still lives $patience s after it was told to stop"
      sleep 0.1
    done
  else
    systemctl stop "$unit"
    local how
    how=$(systemctl show --property Result,ExecMainCode,ExecMainStatus "$unit" | sort | tr '\n' ' ')
    [ "$how" = "ExecMainCode=1 ExecMainStatus=0 Result=success " ] || fail "the unit ended badly: $how"
  fi
  logged '"ending":"Clean"' >/dev/null || fail "the daemon does not say that it drained: $(daemon_log | tail -n 3)"
}

[ -r "$expected" ] || fail "$expected is missing: there is nothing to expect"
[ -n "$url" ] || { say "starting $unit" && start; }
await_ready
say "ready"
ask_doctor
check_jail
say "the jail is strict"
check_compilers
stop
say "drained; this image works"
