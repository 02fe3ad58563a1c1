#!/usr/bin/env bash
# Runs golangci-lint in the one version that the tree is checked with; arguments go through.
#
# Taken from .bin/, the PATH or Go's own bin directory where one of that very version stands,
# else built from source into .bin/ (some minutes, once). It is no requirement of go.mod or of a
# tools module: its two hundred modules would then be resolved with ours, which its authors advise against.
set -euo pipefail

version=2.15.0
bin=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/.bin

right_version() { [ -x "$1" ] && [ "$("$1" version --short 2>/dev/null)" = "$version" ]; }

find_linter() {
  local candidate
  for candidate in "$bin/golangci-lint" "$(command -v golangci-lint || true)" "$(go env GOBIN)/golangci-lint" "$(go env GOPATH)/bin/golangci-lint"; do
    if right_version "$candidate"; then
      echo "$candidate"
      return
    fi
  done
  echo "golangci-lint $version is not here: building it into $bin (takes some minutes, once)" >&2
  (cd / && GOFLAGS='' GOBIN=$bin go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$version") >&2
  right_version "$bin/golangci-lint" || { echo "$bin/golangci-lint is not version $version" >&2; exit 1; }
  echo "$bin/golangci-lint"
}

linter=$(find_linter)
exec "$linter" "$@"
