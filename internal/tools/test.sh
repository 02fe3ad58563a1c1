#!/usr/bin/env bash
# go test with the arguments given, and once more, aloud, for packages whose race detector itself has crashed:
# "ThreadSanitizer: CHECK failed" (https://go.dev/issue/78156, open in Go 1.26) ends a test binary within
# testing/synctest at random, and says nothing about the code. A package that also reports a failed test, a
# panic or a data race is not run again.
#   internal/tools/test.sh -race -timeout 20m ./...     packages come last, after all flags
set -uo pipefail

log=$(mktemp)
trap 'rm -f "$log"' EXIT
go test "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
[ "$status" -ne 0 ] || exit 0

# What go test prints of a package ends with a line of its result.
crashed=$(awk '
  /ThreadSanitizer: CHECK failed/           { crash = 1 }
  /^ *--- FAIL|^panic:|WARNING: DATA RACE/  { fault = 1 }
  /^FAIL\t/ { if (crash && !fault) print $2; else others = 1 }
  /^(ok  |FAIL|\?   |---)\t/ { crash = fault = 0 }
  END { exit others }
' "$log") || exit "$status"
[ -n "$crashed" ] || exit "$status"

flags=()
for argument in "$@"; do
  case $argument in
    ./*) ;;
    *) flags+=("$argument") ;;
  esac
done
printf 'test: the race detector crashed in %s: once more\n' "${crashed//$'\n'/ }" >&2
# shellcheck disable=SC2086 # a package a word
go test "${flags[@]}" $crashed
