#!/usr/bin/env bash
# go test with the arguments given. Where the race detector itself has crashed in a package, its tests run again,
# aloud, each in a process of its own (https://go.dev/issue/78156, open in Go 1.26): within testing/synctest
# ThreadSanitizer ends long-lived test binaries at random, by a failed check of its own or a segmentation
# violation in its C code, which says nothing about ours. Go's own faults read otherwise ("panic: runtime
# error"), and what also reports a failed test, a panic or a data race has failed.
#   internal/tools/test.sh -race -timeout 20m ./...
set -uo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# crashed LOG prints the packages of go test's output that crashed so; 1 if others failed. What is printed of a
# package ends with a line of its result.
crashed() {
  awk '
    /ThreadSanitizer: CHECK failed/           { crash = 1 }
    /^SIGSEGV: segmentation violation/        { violation = 1 }
    /^goroutine 0 .*synctest bubble/          { if (violation) crash = 1 }
    /^ *--- FAIL|^panic:|WARNING: DATA RACE/  { fault = 1 }
    /^FAIL\t/ { if (crash && !fault) print $2; else others = 1 }
    /^(ok  |FAIL|\?   |---)\t/ { crash = violation = fault = 0 }
    END { exit others }
  ' "$1"
}

# alone PACKAGE TEST: a test in a process of its own, which is young enough to live; three times at most.
alone() {
  local try status
  for try in 1 2 3; do
    "$work/alone.test" -test.run "^$2\$" -test.timeout 20m >"$work/alone.log" 2>&1
    status=$?
    if [ "$status" -eq 0 ]; then
      return 0
    fi
    printf 'FAIL\t%s\n' "$1" >>"$work/alone.log"
    if [ -z "$(crashed "$work/alone.log")" ]; then
      break
    fi
    printf 'test: the race detector crashed in %s of %s, try %d\n' "$2" "$1" "$try"
  done
  cat "$work/alone.log"
  return 1
}

go test "$@" 2>&1 | tee "$work/log"
status=${PIPESTATUS[0]}
[ "$status" -ne 0 ] || exit 0
packages=$(crashed "$work/log") || exit "$status"
[ -n "$packages" ] || exit "$status"

failed=0
for package in $packages; do
  printf 'test: the race detector crashed in %s: its tests one by one\n' "$package"
  go test -race -c -o "$work/alone.test" "$package" || exit 1
  cd "$(go list -f '{{.Dir}}' "$package")" || exit 1
  names=$("$work/alone.test" -test.list '^(Test|Fuzz|Example)') || exit 1
  for name in $names; do
    if alone "$package" "$name"; then
      printf 'ok  \t%s\t%s\n' "$package" "$name"
    else
      failed=1
    fi
  done
  cd - >/dev/null || exit 1
done
exit "$failed"
