#!/usr/bin/env bash
# go test with the arguments given, by a release of Go whose race detector is sound.
# (https://go.dev/issue/78156: up to Go 1.26 ThreadSanitizer ends test binaries within testing/synctest at random,
# by a failed check of its own or a segmentation violation in its C code, which says nothing about ours: in 4 of 8
# runs with Go 1.26.11, in none of 8 with 1.27.4.) Where that release cannot be had, packages in which the detector
# itself has crashed are tested again without it, aloud. (Go's own faults read otherwise ("panic: runtime error"),
# and a package that also reports a failed test, a panic or a data race has failed.)
# Programs that tests build are built by the Go that everybody else has, so that they are what users get, and what
# make has compiled of them is not compiled again.
#   internal/tools/test.sh -race -timeout 20m ./...     packages come last, after all flags
set -uo pipefail

readonly sound=go1.27.4
programs_by=()

case $(go env GOVERSION) in
  go1.2[0-6]*)
    if GOTOOLCHAIN=$sound go version; then
      programs_by=(-exec "env 'GOTOOLCHAIN=$(go env GOTOOLCHAIN)' 'GOROOT=${GOROOT:-}' 'PATH=$PATH'")
      export GOTOOLCHAIN=$sound
    else
      printf 'test: %s cannot be had: the race detector of this Go may crash by itself\n' "$sound" >&2
    fi
    ;;
esac

log=$(mktemp)
trap 'rm -f "$log"' EXIT
go test "${programs_by[@]}" "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
[ "$status" -ne 0 ] || exit 0

# What go test prints of a package ends with a line of its result.
crashed=$(awk '
  /ThreadSanitizer: CHECK failed/           { crash = 1 }
  /^SIGSEGV: segmentation violation/        { violation = 1 }
  /^goroutine .*synctest bubble/            { if (violation) crash = 1 }
  /^ *--- FAIL|^panic:|WARNING: DATA RACE/  { fault = 1 }
  /^FAIL\t/ { if (crash && !fault) print $2; else others = 1 }
  /^(ok  |FAIL|\?   |---)\t/ { crash = violation = fault = 0 }
  END { exit others }
' "$log") || exit "$status"
[ -n "$crashed" ] || exit "$status"

flags=()
for argument in "$@"; do
  case $argument in
    ./* | -race) ;;
    *) flags+=("$argument") ;;
  esac
done
printf 'test: the race detector crashed in %s: again without it\n' "${crashed//$'\n'/ }" >&2
# shellcheck disable=SC2086 # a package a word
go test "${programs_by[@]}" "${flags[@]}" $crashed
