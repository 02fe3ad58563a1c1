#!/usr/bin/env bash
# Puts on a Debian machine what serin needs from outside, and nothing that is there already.
#
#   deploy/setup.sh             everything: to run, to test, to develop (= make setup)
#   deploy/setup.sh --runtime   only what running needs: Docker and HAProxy (= what make demo asks for)
#
# Says what it will do before it does it. Running it again changes nothing. It installs from Debian's own
# packages, starts no HAProxy service, and starts a Docker daemon only where none answers. What Debian does not
# have is built into .bin/: the nats command-line client, for the tests, and nfpm, for make dist. Prometheus and a
# registry, for the tests too, are unpacked there and not installed: their packages would bring services.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/go/bin"

readonly min_haproxy=2.6 min_docker_api=1.41 min_go=1.26
readonly docker_log=/var/log/serin-dockerd.log docker_pid=/var/run/docker.pid
docker_host=${DOCKER_HOST:-unix:///var/run/docker.sock}

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; } # at_least HAVE WANT

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif have sudo; then
    sudo "$@"
  else
    die "needs root for: $*   (run as root, or install sudo)"
  fi
}

# --- packages ---------------------------------------------------------------------------------------

cgroups_mounted() { grep -qs ' cgroup2\? ' /proc/mounts; }

# missing_packages MODE: the names of what is missing, one a line. Programs are looked for, not packages:
# a HAProxy or a Docker from elsewhere is as good. /usr/bin/docker alone is a client without an engine.
missing_packages() {
  have dockerd && have docker || docker_answers || echo docker.io
  have iptables || docker_answers || echo iptables
  have haproxy || echo haproxy
  [ -e /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
  # A kernel with AppArmor makes Docker load a profile, for which it needs the parser.
  if grep -qs Y /sys/module/apparmor/parameters/enabled && ! have apparmor_parser; then echo apparmor; fi
  cgroups_mounted || echo cgroupfs-mount
  [ "$1" = all ] || return 0
  have protoc || echo protobuf-compiler
  [ -e /usr/include/google/protobuf/timestamp.proto ] || echo libprotobuf-dev
  # Go's race detector needs a C compiler.
  have gcc || echo gcc
  [ -e /usr/include/stdlib.h ] || echo libc6-dev
  # Of systemd only systemd-analyze, which checks the unit files; it is not started.
  have systemd-analyze || echo systemd
  have openssl || echo openssl
  # The packages of make dist are tried with it, as with dpkg.
  have rpm || echo rpm
  # Programs for the other architecture are tried in it.
  have qemu-aarch64 && have qemu-x86_64 || echo qemu-user
  have ip || echo iproute2
  have curl || echo curl
  # The web console is tested in a browser, which needs a font.
  have chromium || have chromium-browser || have google-chrome || printf '%s\n' chromium fonts-dejavu-core
}

install_packages() {
  have apt-get || die "missing: $*, and there is no apt-get here: install them, then run this again"
  say "installing from Debian's packages: $*"
  if apt-get install --simulate --no-install-recommends "$@" >/dev/null 2>&1 && apt_install "$@"; then
    return
  fi
  # No lists yet, or lists older than the mirror's files.
  say "refreshing the package lists (apt-get update)"
  as_root apt-get update -q || die "apt-get update did not work"
  apt_install "$@" || die "apt-get could not install: $*"
}

apt_install() {
  local status=0
  keep_services_off
  as_root env DEBIAN_FRONTEND="$DEBIAN_FRONTEND" apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$@" || status=1
  remove_policy
  return $status
}

# Debian starts a service as soon as its package is unpacked, unless policy-rc.d says no. Serin's agents run
# their own HAProxy processes; the package's one, with an empty configuration, is of no use to anybody.
# Without systemd it starts Docker by an init script that fails where it may not set limits or mount
# cgroups, and the installation with it; there start_docker does it.
readonly policy=/usr/sbin/policy-rc.d
our_policy=
keep_services_off() {
  [ ! -e "$policy" ] || return 0
  our_policy=yes
  local denied=haproxy
  [ -d /run/systemd/system ] || denied='haproxy|docker'
  printf '#!/bin/sh\n# By deploy/setup.sh, removed when it ends.\ncase "$1" in %s) exit 101 ;; esac\n' "$denied" | as_root tee "$policy" >/dev/null
  as_root chmod 755 "$policy"
}
remove_policy() {
  [ -n "$our_policy" ] || return 0
  our_policy=
  as_root rm -f "$policy"
}

# --- Docker -----------------------------------------------------------------------------------------

docker_answers() { have docker && timeout 10 docker -H "$docker_host" version --format '{{.Server.APIVersion}}' >/dev/null 2>&1; }
docker_answers_root() { have docker && as_root timeout 10 docker -H "$docker_host" version --format '{{.Server.APIVersion}}' >/dev/null 2>&1; }

start_docker() {
  [ "$docker_host" = unix:///var/run/docker.sock ] || die "no Docker answers at DOCKER_HOST=$docker_host"
  if [ -d /run/systemd/system ] && systemctl cat docker.service >/dev/null 2>&1; then
    say "no Docker daemon answers: starting docker.service"
    as_root systemctl start docker.service || die "docker.service does not start: see journalctl -u docker"
    wait_for_docker "see journalctl -u docker"
    return
  fi
  if ! cgroups_mounted && have cgroupfs-mount; then as_root cgroupfs-mount; fi
  say "no Docker daemon answers: starting dockerd (log: $docker_log, pid: $docker_pid)"
  # shellcheck disable=SC2016
  as_root bash -c 'setsid nohup "$0" --pidfile "$1" >>"$2" 2>&1 </dev/null &' "$(command -v dockerd)" "$docker_pid" "$docker_log"
  wait_for_docker "see $docker_log"
}

# wait_for_docker HINT: until it answers; at most a minute, and not on when the daemon has given up.
wait_for_docker() {
  local second
  for second in $(seq 60); do
    ! docker_answers_root || return 0
    if [ "$second" -gt 10 ] && [ ! -d "/proc/$(cat "$docker_pid" 2>/dev/null || echo none)" ]; then break; fi
    sleep 1
  done
  if [ -e "$docker_log" ]; then
    say "the last lines of $docker_log:" >&2
    as_root tail -n 20 "$docker_log" >&2
  fi
  die "dockerd was started but does not answer at $docker_host: $1"
}

check_docker() {
  docker_answers || docker_answers_root || start_docker
  local api
  if ! docker_answers; then
    die "Docker runs, but user $(id -un) may not use it: run 'sudo usermod -aG docker $(id -un)' and log in again, or run make as root"
  fi
  api=$(docker -H "$docker_host" version --format '{{.Server.APIVersion}}')
  at_least "$api" $min_docker_api || die "Docker speaks API $api; serin needs $min_docker_api (Docker 20.10) or newer"
  say "Docker answers at $docker_host (API $api)"
}

# --- the rest ---------------------------------------------------------------------------------------

check_haproxy() {
  local version
  version=$(haproxy -v | sed -nE '1s/^HA-?Proxy version ([0-9]+\.[0-9]+(\.[0-9]+)?).*/\1/p')
  [ -n "$version" ] || die "$(command -v haproxy) does not say its version"
  at_least "$version" $min_haproxy || die "HAProxy is $version; serin needs $min_haproxy or newer"
  say "HAProxy $version at $(command -v haproxy)"
}

check_go() {
  have go || die "Go is missing: install Go $min_go or newer from https://go.dev/dl/ (Debian 12's own is older)"
  local version
  version=$(go env GOVERSION)
  at_least "${version#go}" $min_go || die "Go is $version; serin needs $min_go or newer"
  say "Go ${version#go}"
}

# unpacked PROGRAM: where it is, once it is.
unpacked() {
  internal/tools/debian.sh "$1" && return
  say "refreshing the package lists (apt-get update)" >&2
  as_root apt-get update -q >&2 || die "apt-get update did not work"
  internal/tools/debian.sh "$1"
}

main() {
  local mode=all missing
  case "${1:-}" in
    '') ;;
    --runtime) mode=runtime ;;
    *) die "usage: deploy/setup.sh [--runtime]" ;;
  esac
  cd "$(dirname "${BASH_SOURCE[0]}")/.." # so that `go` is the one that go.mod asks for
  trap remove_policy EXIT
  check_go
  mapfile -t missing < <(missing_packages $mode)
  if [ ${#missing[@]} -gt 0 ]; then
    install_packages "${missing[@]}"
    hash -r
  fi
  check_haproxy
  check_docker
  if [ $mode = all ]; then
    say "the nats client at $(internal/tools/nats.sh), nfpm at $(internal/tools/nfpm.sh)"
    say "Prometheus at $(unpacked prometheus), promtool at $(unpacked promtool), a registry at $(unpacked docker-registry)"
  fi
  say "all there"
}

main "$@"
