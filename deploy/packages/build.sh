#!/usr/bin/env bash
# Makes what `make dist` leaves in dist/: deb and rpm packages, archives, and SHA256SUMS.
#
#   build.sh [--out DIR] [--arch ARCH]...     ARCH as Go names it; amd64 and arm64 if none is given
#   build.sh --print-version                  only says which version the packages would have
#
# VERSION is what git describes if it is not set. Of the same commit and the same Go all files are the same to
# the last byte, wherever and whenever they are made: times are the commit's (SOURCE_DATE_EPOCH), owners and
# modes are those that the definitions name. The definitions beside this file are nfpm's, and their sources
# are names in the directory that is put together here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
export LC_ALL=C TZ=UTC CGO_ENABLED=0 GOFLAGS='' GOAMD64=v1 GOARM64=v8.0
umask 022

out=dist
arches=() only_version=''
if [ "$*" = --print-version ]; then
  only_version=yes
  shift
fi
while [ $# -gt 0 ]; do
  case $1 in
    --out) out=${2:?a directory} ;;
    --arch) arches+=("${2:?an architecture}") ;;
    *) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
  shift 2
done
[ ${#arches[@]} -gt 0 ] || arches=(amd64 arm64)

# describe: what git calls this tree. A fixed length of the hash, since git's own depends on how much a clone has.
describe() {
  if ! git describe --tags --always --dirty --abbrev=12; then
    echo "build.sh: without git's history name them: VERSION=v1.2.3 SOURCE_DATE_EPOCH=1700000000" >&2
    return 1
  fi
  if [ "$(git rev-parse --is-shallow-repository)" = true ] && ! git describe --tags >/dev/null 2>&1; then
    echo "build.sh: this clone is shallow, so the version knows no tag: git fetch --unshallow --tags, or set VERSION" >&2
  fi
}
linked=${VERSION:-$(describe)}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH

# package_version LINKED: a version that dpkg and rpm sort as it came about. v1.2.3-rc.1 is before 1.2.3, four
# commits after that are 1.2.3+4.gabc; without a tag it begins with 0.0.0 and the time of the commit.
package_version() {
  local base rest
  if [[ ${1#v} =~ ^([0-9]+\.[0-9]+\.[0-9]+)(-(.+))?$ ]]; then
    base=${BASH_REMATCH[1]} rest=${BASH_REMATCH[3]}
    if [[ $rest =~ ^((.+)-)?([0-9]+)-(g[0-9a-f]+(-dirty)?)$ ]]; then
      base+=${BASH_REMATCH[2]:+~${BASH_REMATCH[2]}}+${BASH_REMATCH[3]}.${BASH_REMATCH[4]}
    elif [ "$rest" = dirty ]; then
      base+=+dirty
    elif [ -n "$rest" ]; then
      base+=~$rest
    fi
  else
    base=0.0.0+$(date -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S).$1
  fi
  printf '%s\n' "${base//[^0-9A-Za-z.+~]/.}"
}
PACKAGE_VERSION=$(package_version "$linked")
export PACKAGE_VERSION
if [ -n "$only_version" ]; then
  echo "$PACKAGE_VERSION"
  exit
fi

nfpm=$(internal/tools/nfpm.sh)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
common=$work/common # of all architectures
host=$work/host     # programs that run here
mkdir -p "$common"/{man,completions,systemd,etc,scripts,examples} "$work/out"

# manual PROGRAM: its page of section 8, with the flags that it prints itself. The name of this machine is no default.
manual() {
  env -i "$host/$1" --help 2>&1 |
    sed -e '1,/^Flags:/d' -e "/^ *--\(host\|id\) /s/ (default .*)/ (default: the machine's name)/" \
      -e 's/\\/\\e/g' -e "s/^[.']/\\\\\&&/" >"$work/options"
  sed -e "/^@OPTIONS@$/{r $work/options" -e 'd}' -e "s/@DATE@/$(date -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%d)/" "deploy/packages/$1.8" >"$common/man/$1.8"
}

# notices: the licences of all modules in the programs, Go's own first.
notices() {
  printf '=== Go %s\n\n' "$(go env GOVERSION)"
  cat "$(go env GOROOT)/LICENSE"
  GOOS=linux GOARCH=amd64 go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/... |
    sort -u | while read -r module version dir; do
    find "$dir" -maxdepth 1 -type f \( -iname 'licen[sc]e*' -o -iname 'copying*' -o -iname 'notice*' \) | sort | while read -r file; do
      printf '\n=== %s %s: %s\n\n' "$module" "$version" "${file##*/}"
      cat "$file"
    done
  done
}

# build_programs ARCH DIR
build_programs() {
  GOOS=linux GOARCH=$1 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$linked" -o "$2/" ./cmd/...
}

# What does not depend on the architecture. What a program prints of itself is printed without the variables of
# whoever builds.
put_common_together() {
  local unit part package shell
  build_programs "$(go env GOHOSTARCH)" "$host"
  go run -exec "env -i SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH" -trimpath -buildvcs=false -tags reference ./cmd/serin reference "$work/reference"
  cp "$work/reference/man/"*.1 "$common/man/"
  manual serin-agent
  manual serin-coordinator
  for shell in bash zsh fish; do
    env -i "$host/serin" completion "$shell" >"$common/completions/serin.$shell"
  done
  for unit in serin-agent serin-coordinator serin-notify; do
    # Without the head, which says how to install it by hand.
    sed -e '1,/^$/d' -e 's,/usr/local/bin/,/usr/bin/,' "deploy/systemd/$unit.service" >"$common/systemd/$unit.service"
  done
  for package in serin:serin-notify serin-agent:serin-agent serin-coordinator:serin-coordinator; do
    for part in postinst prerm postrm; do
      sed -e "s/@PACKAGE@/${package%:*}/" -e "s/@UNIT@/${package#*:}/" "deploy/packages/$part.sh" >"$common/scripts/${package%:*}.$part"
    done
  done
  cp deploy/packages/preinst.sh "$common/scripts/serin-coordinator.preinst"
  cp cmd/serin/templates/{agent,coordinator}.yaml deploy/packages/notify.{yaml,urls} "$common/etc/"
  cp deploy/examples/{gates.yaml,make-certs.sh} deploy/ci/rollout.sh deploy/prometheus/rules.yaml deploy/grafana/*.json "$common/examples/"
  chmod 755 "$common/examples/"*.sh
  cp LICENSE README.md "$common/"
  notices >"$common/NOTICES"
  gzip -9n "$common/man/"* "$common/NOTICES"
}

# archive ARCH: everything for a machine without dpkg and rpm; the units stay those for /usr/local/bin.
archive() {
  local name=serin_${PACKAGE_VERSION}_linux_$1
  mkdir -p "$work/$name/bin"
  cp "$work/$1/bin/"* "$work/$name/bin/"
  cp -r "$common"/{man,completions,etc,examples,LICENSE,README.md,NOTICES.gz} "$work/$name/"
  cp -r deploy/systemd "$work/$name/"
  chmod -R u=rwX,go=rX "$work/$name"
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" --format=ustar -C "$work" -c "$name" |
    gzip -n >"$work/out/$name.tar.gz"
}

put_common_together
for arch in "${arches[@]}"; do
  mkdir -p "$work/$arch"
  cp -r "$common"/* "$work/$arch/"
  if [ "$arch" = "$(go env GOHOSTARCH)" ]; then
    cp -r "$host" "$work/$arch/bin"
  else
    build_programs "$arch" "$work/$arch/bin"
  fi
  archive "$arch"
  for package in serin serin-agent serin-coordinator; do
    for format in deb rpm; do
      (definition=$PWD/deploy/packages/$package.yaml && cd "$work/$arch" &&
        ARCH=$arch "$nfpm" package --config "$definition" --packager $format --target "$work/out/" >/dev/null)
    done
  done
done
(cd "$work/out" && sha256sum -- * >SHA256SUMS)
mkdir -p "$out"
rm -f "$out"/serin[_-]* "$out/SHA256SUMS"
mv "$work/out/"* "$out/"
(cd "$out" && ls -l SHA256SUMS serin[_-]* | awk '{ printf "%10d %s\n", $5, $9 }')
