#!/usr/bin/env bash
# Makes a certificate authority and certificates for serin, with openssl (3.0 or newer).
#
#   make-certs.sh DIR NAME[=IP-OR-DNS]...
#   make-certs.sh certs c1=10.0.0.1 c2=10.0.0.2 c3=10.0.0.3 web-01 web-02 operator
#
# Coordinators need the address that others dial in their certificate; agents and people need none. What is
# in DIR already stays: run it again with another name to add one. DIR/ca.key signs; keep it off the hosts.
set -euo pipefail
umask 077

[ $# -ge 2 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
dir=$1
shift
command -v openssl >/dev/null || { echo "make-certs: openssl is missing" >&2; exit 1; }
mkdir -p "$dir"

# quietly COMMAND...: openssl talks on standard error even when all is well.
quietly() {
  local said
  said=$("$@" 2>&1) || { printf '%s\n' "$said" >&2; exit 1; }
}

readonly key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)

if [ ! -e "$dir/ca.pem" ]; then
  quietly openssl req -x509 "${key[@]}" -days 3650 -subj "/CN=serin authority" -keyout "$dir/ca.key" -out "$dir/ca.pem"
fi
for entry in "$@"; do
  name=${entry%%=*} address=
  [ "$name" = "$entry" ] || address=${entry#*=}
  [ ! -e "$dir/$name.pem" ] || continue
  extra=()
  case $address in
    '') ;;
    *[!0-9.:a-fA-F]* | *[g-zG-Z]*) extra=(-addext "subjectAltName=DNS:$address") ;;
    *) extra=(-addext "subjectAltName=IP:$address") ;;
  esac
  quietly openssl req -x509 -CA "$dir/ca.pem" -CAkey "$dir/ca.key" "${key[@]}" -days 825 -subj "/CN=$name" \
    -addext basicConstraints=CA:FALSE "${extra[@]}" -keyout "$dir/$name.key" -out "$dir/$name.pem"
  printf '%s\n' "$dir/$name.pem"
done
