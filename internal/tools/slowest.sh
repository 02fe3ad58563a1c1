#!/usr/bin/env bash
# slowest.sh N LOG: of the packages in a log of go test the N that took longest, with their seconds, and all together.
# Packages are tested side by side, so the sum is longer than anybody has waited.
set -euo pipefail
awk '
  ($1 == "ok" || $1 == "FAIL") && $3 ~ /^[0-9.]+s$/ { sum += $3; print $3 + 0, $2 | "sort -rn | head -n '"$1"'" }
  END { close("sort -rn | head -n '"$1"'"); printf "%.0f all packages together\n", sum }
' "$2" | awk '{ printf "%8.1f s  ", $1; $1 = ""; print substr($0, 2) }'
