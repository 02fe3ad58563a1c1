#!/usr/bin/env bash
# Prints the path of nfpm, which makes deb and rpm packages, in the one version that ours are made with.
#
# Built from source into .bin/ where it is not there yet (a minute, once). It is no requirement of go.mod, which
# would have to carry its eighty modules.
set -euo pipefail

version=2.45.2
bin=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.bin
program=$bin/nfpm-$version

if [ ! -x "$program" ]; then
  mkdir -p "$bin"
  exec 9>"$bin/nfpm.lock"
  flock 9 # the tests of several packages may ask at once
  if [ ! -x "$program" ]; then
    echo "nfpm $version is not here: building it into $bin (takes a minute, once)" >&2
    fresh=$(mktemp -d "$bin/nfpm-XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    (cd / && GOFLAGS='' CGO_ENABLED=0 GOOS='' GOARCH='' GOBIN=$fresh go install "github.com/goreleaser/nfpm/v2/cmd/nfpm@v$version") >&2
    mv "$fresh/nfpm" "$program"
  fi
fi
echo "$program"
