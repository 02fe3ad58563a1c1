#!/usr/bin/env bash
# Prints the path of a Prometheus server, for the tests of gates that ask one, or with "promtool" as argument that of
# its tool, for the tests of alerts: the one on PATH, or the program out of Debian's package.
#
# The package is unpacked into .bin/ and not installed: it would bring a user, and a service that listens on all
# addresses from the next boot on. The programs alone need nothing but libc.
set -euo pipefail

name=${1:-prometheus}
case $name in prometheus | promtool) ;; *) echo "usage: prometheus.sh [prometheus|promtool]" >&2; exit 2 ;; esac
if command -v "$name"; then exit; fi
bin=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.bin

if [ ! -x "$bin/$name" ]; then
  mkdir -p "$bin"
  exec 9>"$bin/prometheus.lock"
  flock 9 # the tests of several packages may ask at once
  if [ ! -x "$bin/$name" ]; then
    echo "$name is not here: unpacking Debian's package into $bin (20 MB, once)" >&2
    fresh=$(mktemp -d "$bin/prometheus-XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    cd "$fresh"
    # As root, apt would rather be somebody else, who may not write here.
    apt-get download -q -o APT::Sandbox::User=root prometheus >&2
    dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/prometheus ./usr/bin/promtool
    mv usr/bin/prometheus usr/bin/promtool "$bin"
  fi
fi
echo "$bin/$name"
