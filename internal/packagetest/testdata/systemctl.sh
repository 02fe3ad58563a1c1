#!/usr/bin/env bash
# Stands for systemctl on a machine where systemd does not run: starts and stops what the unit files say, as the
# user that they say. Enabling and disabling is left to the real one, which needs nothing but files for that.
set -euo pipefail
readonly state=/run/services
mkdir -p $state
printf '%s\n' "$*" >>$state/calls

now='' words=()
for word; do
  case $word in
    --now) now=yes ;;
    --no-reload) ;;
    -*) echo "systemctl: $word is not known here" >&2; exit 2 ;;
    *) words+=("${word%.service}") ;;
  esac
done

setting() { sed -n "s/^$2=//p" "/usr/lib/systemd/system/$1.service"; } # setting UNIT KEY
running() { [ -e "$state/$1.pid" ] && kill -0 "$(<"$state/$1.pid")" 2>/dev/null; }

start() {
  ! running "$1" || return 0
  local user as line
  user=$(setting "$1" User)
  user=${user:-root}
  as=(env -i "PATH=$PATH" setpriv "--reuid=$user" "--regid=$user" --init-groups --)
  install -d -o "$user" -g "$user" -m "$(setting "$1" StateDirectoryMode)" "/var/lib/$(setting "$1" StateDirectory)"
  setting "$1" ExecStartPre | while read -r line; do
    # shellcheck disable=SC2086 # a line of words
    "${as[@]}" $line >>"$state/$1.log" 2>&1
  done
  # shellcheck disable=SC2046
  setsid "${as[@]}" $(setting "$1" ExecStart) >>"$state/$1.log" 2>&1 </dev/null &
  echo $! >"$state/$1.pid"
}

# Only the process itself gets the signal. It has long enough for any machine.
stop() {
  running "$1" || return 0
  local pid i
  pid=$(<"$state/$1.pid")
  kill "$pid"
  for ((i = 0; i < 3000; i++)); do
    if ! kill -0 "$pid" 2>/dev/null; then
      rm "$state/$1.pid"
      return
    fi
    sleep 0.1
  done
  echo "systemctl: $1 did not stop" >&2
  exit 1
}

verb=${words[0]}
[ "$verb" != daemon-reload ] || exit 0
for unit in "${words[@]:1}"; do
  case $verb in
    start | stop) $verb "$unit" ;;
    try-restart) if running "$unit"; then stop "$unit" && start "$unit"; fi ;;
    enable) /run/systemctl --root=/ --quiet enable "$unit"; [ -z "$now" ] || start "$unit" ;;
    disable) [ -z "$now" ] || stop "$unit"; /run/systemctl --root=/ --quiet disable "$unit" ;;
    *) echo "systemctl: $verb is not known here" >&2; exit 2 ;;
  esac
done
