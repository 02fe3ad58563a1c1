#!/bin/sh
# Of the package @PACKAGE@, once its files are gone. Data stays, after a purge too: what an agent has there is what
# this host's HAProxy still runs from, and a coordinator's is the memory of the whole fleet.
set -e

package=@PACKAGE@
data=/var/lib/@UNIT@

case "$1" in
  remove | purge | 0) ;;
  *) exit 0 ;;
esac
[ ! -d /run/systemd/system ] || systemctl daemon-reload
[ "$1" != purge ] || [ ! -e "$data" ] || echo "$package: $data stays; remove it if nothing needs it any more"
[ "$1" != remove ] && [ "$1" != 0 ] || [ $package != serin-agent ] || cat <<'END'
serin-agent is removed. Containers and HAProxy of this host serve on; to end them, if there are any:
  pkill --full /var/lib/serin-agent/haproxy
  docker ps --quiet --filter label=serin.host | xargs --no-run-if-empty docker rm --force
END
