#!/usr/bin/env bash
# Generates the Go code of proto/**/*.proto, and the parts of docs/ that follow from the code.
#   generate.sh           writes them where they belong
#   generate.sh --check   writes nothing, shows what differs and fails if anything does
# protoc is Debian's (make setup installs it); the Go plugin is the version that go.mod names.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

command -v protoc >/dev/null || { echo "protoc is missing: run 'make setup'" >&2; exit 1; }
mapfile -t protos < <(find proto -name '*.proto' | LC_ALL=C sort)
[ ${#protos[@]} -gt 0 ] || { echo "no .proto file under proto/" >&2; exit 1; }

mkdir -p .bin
go build -o .bin/protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go

# generate DIR: the code of all .proto files, under DIR/proto, and the references, under DIR/docs.
generate() {
  protoc --plugin=protoc-gen-go=.bin/protoc-gen-go --proto_path=. --go_out="$1" --go_opt=paths=source_relative "${protos[@]}"
  go run -buildvcs=false ./internal/tools/reference "$1"
  manual=$(mktemp -d)
  go run -buildvcs=false -tags reference ./cmd/serin reference "$manual"
  mv "$manual/docs/cli.md" "$1/docs/"
  rm -rf "$manual"
}

if [ "${1:-}" != --check ]; then
  generate .
  exit
fi

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
generate "$fresh"
status=0
# The head of each file names the version of protoc: another patch of Debian's package is no difference.
while IFS= read -r file; do
  diff -u -I '^//.*protoc' "$file" "$fresh/$file" | sed -n '1,40p' || status=1
done < <({ (cd "$fresh" && find proto docs -type f); find proto -name '*.pb.go'; } | LC_ALL=C sort -u)
[ $status -eq 0 ] || { echo "generated code is not up to date: run 'make generate' and commit" >&2; exit 1; }
