#!/bin/sh
# Of the package @PACKAGE@, once its files are there: an upgrade starts anew what runs; an installation starts
# nothing, since nobody has configured it yet.
set -e

package=@PACKAGE@
unit=@UNIT@

case "$1" in
  configure) old=${2:-} ;; # deb: the version that was configured before
  1) old= ;;               # rpm: how many versions are installed now
  [0-9]*) old=yes ;;
  *) exit 0 ;;
esac

if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  # An agent that stops touches no container and no weight, and a leader hands over first.
  if [ -n "$old" ] && ! systemctl try-restart $unit.service; then
    echo "$package: $unit does not start: see journalctl -u $unit" >&2
  fi
fi

[ -z "$old" ] || exit 0
case $package in
  serin-agent) cat <<'END' ;;
serin-agent is installed, and not started. Next:
  edit /etc/serin/agent.yaml
  serin-agent check --config /etc/serin/agent.yaml
  systemctl enable --now serin-agent
END
  serin-coordinator) cat <<'END' ;;
serin-coordinator is installed, and not started. Next:
  edit /etc/serin/coordinator.yaml
  serin-coordinator check --config /etc/serin/coordinator.yaml
  systemctl enable --now serin-coordinator
END
esac
