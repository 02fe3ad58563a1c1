#!/usr/bin/env bash
# Prints the path of a program that tests talk to: the one on PATH, or the one out of Debian's package.
#
#   debian.sh prometheus        a Prometheus server, for gates that ask one
#   debian.sh promtool          its tool, for alerts
#   debian.sh docker-registry   a registry that tells of pushes
#
# The packages are unpacked into .bin/ and not installed: they would bring users, and services that listen on all
# addresses from the next boot on. The programs alone need nothing but libc.
set -euo pipefail

name=${1:-}
case $name in
  prometheus | promtool) package=prometheus ;;
  docker-registry) package=docker-registry ;;
  *) echo "usage: debian.sh prometheus|promtool|docker-registry" >&2; exit 2 ;;
esac
if command -v "$name"; then exit; fi
bin=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.bin

if [ ! -x "$bin/$name" ]; then
  mkdir -p "$bin"
  exec 9>"$bin/$package.lock"
  flock 9 # the tests of several packages may ask at once
  if [ ! -x "$bin/$name" ]; then
    echo "$name is not here: unpacking Debian's package $package into $bin (once)" >&2
    fresh=$(mktemp -d "$bin/$package-XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    cd "$fresh"
    # As root, apt would rather be somebody else, who may not write here.
    apt-get download -q -o APT::Sandbox::User=root "$package" >&2
    dpkg-deb --fsys-tarfile "$package"_*.deb | tar -x ./usr/bin
    for program in usr/bin/*; do
      # What runs already stays as it is.
      [ -x "$bin/${program##*/}" ] || mv "$program" "$bin"
    done
  fi
fi
echo "$bin/$name"
