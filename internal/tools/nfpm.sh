#!/usr/bin/env bash
# Prints the path of nfpm, which makes deb and rpm packages.
exec "$(dirname "${BASH_SOURCE[0]}")/built.sh" nfpm github.com/goreleaser/nfpm/v2/cmd/nfpm 2.45.2
