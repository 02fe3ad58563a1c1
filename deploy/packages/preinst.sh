#!/bin/sh
# Of the package serin-coordinator, deb and rpm, before its files are unpacked: the user that some of them belong to.
set -e

getent group serin >/dev/null || groupadd --system serin
getent passwd serin >/dev/null ||
  useradd --system --gid serin --home-dir /var/lib/serin-coordinator --no-create-home --shell /usr/sbin/nologin serin
