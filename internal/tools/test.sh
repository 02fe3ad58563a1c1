#!/usr/bin/env bash
# go test with the arguments given. Packages in which the race detector itself has crashed are tested again,
# aloud, with a release of Go whose detector does not, or without the detector where that release cannot be had.
# (https://go.dev/issue/78156: up to Go 1.26 ThreadSanitizer ends test binaries within testing/synctest at random,
# by a failed check of its own or a segmentation violation in its C code, which says nothing about ours. Go's own
# faults read otherwise ("panic: runtime error"), and a package that also reports a failed test, a panic or a data
# race has failed.)
#   internal/tools/test.sh -race -timeout 20m ./...     packages come last, after all flags
set -uo pipefail

readonly sound=go1.27.4 # what crashes in 4 of 8 runs with Go 1.26.11 does so in none of 8 with this one

log=$(mktemp)
trap 'rm -f "$log"' EXIT
go test "$@" 2>&1 | tee "$log"
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

flags=() detector=()
for argument in "$@"; do
  case $argument in
    ./*) ;;
    -race) detector=(-race) ;;
    *) flags+=("$argument") ;;
  esac
done
if GOTOOLCHAIN=$sound go version; then
  how="with $sound"
  export GOTOOLCHAIN=$sound
else
  how='without it'
  detector=()
fi
printf 'test: the race detector crashed in %s: again %s\n' "${crashed//$'\n'/ }" "$how" >&2
# shellcheck disable=SC2086 # a package a word
go test "${detector[@]}" "${flags[@]}" $crashed
