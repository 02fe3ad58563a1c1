#!/usr/bin/env bash
# built.sh NAME MODULE/PACKAGE VERSION: prints the path of a Go program in the one version that we use it in.
#
# Built from source into .bin/ where it is not there yet (a minute, once): Debian has no package of it. It is no
# requirement of go.mod, which would have to carry its dozens of modules. The flags are those by which serin
# is built: what both have in them is compiled once.
set -euo pipefail

name=$1 package=$2 version=$3
bin=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.bin
program=$bin/$name-$version

if [ ! -x "$program" ]; then
  mkdir -p "$bin"
  exec 9>"$bin/$name.lock"
  flock 9 # the tests of several packages may ask at once
  if [ ! -x "$program" ]; then
    echo "$name $version is not here: building it into $bin (takes a minute, once)" >&2
    fresh=$(mktemp -d "$bin/$name-XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    (cd / && GOFLAGS='' CGO_ENABLED=0 GOOS='' GOARCH='' GOBIN=$fresh go install -trimpath "$package@v$version") >&2
    mv "$fresh/$name" "$program"
  fi
fi
echo "$program"
