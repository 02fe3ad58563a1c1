#!/usr/bin/env bash
# Prints the path of a Prometheus server, for the tests of gates that ask one: the one on PATH, or the program out
# of Debian's package.
#
# The package is unpacked into .bin/ and not installed: it would bring a user, and a service that listens on all
# addresses from the next boot on. The program alone needs nothing but libc.
set -euo pipefail

if command -v prometheus; then exit; fi
bin=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.bin
server=$bin/prometheus

if [ ! -x "$server" ]; then
  mkdir -p "$bin"
  exec 9>"$bin/prometheus.lock"
  flock 9 # the tests of several packages may ask at once
  if [ ! -x "$server" ]; then
    echo "Prometheus is not here: unpacking Debian's into $bin (20 MB, once)" >&2
    fresh=$(mktemp -d "$bin/prometheus-XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    cd "$fresh"
    # As root, apt would rather be somebody else, who may not write here.
    apt-get download -q -o APT::Sandbox::User=root prometheus >&2
    dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/prometheus
    mv usr/bin/prometheus "$server"
  fi
fi
echo "$server"
