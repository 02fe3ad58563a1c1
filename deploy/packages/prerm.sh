#!/bin/sh
# Of the package @PACKAGE@, before its files go: a removal stops and disables, an upgrade leaves that to the new
# version, which starts anew what runs.
set -e

case "$1" in
  remove | 0) ;; # deb, rpm
  *) exit 0 ;;
esac
command -v systemctl >/dev/null || exit 0
[ ! -d /run/systemd/system ] || systemctl stop @UNIT@.service
systemctl --no-reload disable @UNIT@.service
