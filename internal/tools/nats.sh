#!/usr/bin/env bash
# Prints the path of the nats command-line client, in the one version that the tests run README.md's lines with.
#
# Built from source into .bin/ where it is not there yet (a minute, once): Debian has no package of it. It is no
# requirement of go.mod, which would have to carry its sixty modules. The flags are those by which the tests
# build serin: the NATS server in both is compiled once.
set -euo pipefail

version=0.5.1
bin=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.bin
client=$bin/nats-$version

if [ ! -x "$client" ]; then
  mkdir -p "$bin"
  exec 9>"$bin/nats.lock"
  flock 9 # the tests of several packages may ask at once
  if [ ! -x "$client" ]; then
    echo "nats $version is not here: building it into $bin (takes a minute, once)" >&2
    fresh=$(mktemp -d "$bin/nats-XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    (cd / && GOFLAGS='' CGO_ENABLED=0 GOBIN=$fresh go install "github.com/nats-io/natscli/nats@v$version") >&2
    mv "$fresh/nats" "$client"
  fi
fi
echo "$client"
