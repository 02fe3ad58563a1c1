#!/usr/bin/env bash
# The first process of a machine that is made of namespaces: its root is this machine's, and what changes there is
# kept in memory, below DIR/changes. Says "ready", and ends, with all processes of that machine, when its input does.
#
#   machine.sh DIR PACKAGES SYSTEMCTL SOCKET
#
# PACKAGES is seen as /mnt, SYSTEMCTL in place of the real one, which is in /run, and SOCKET is Docker's.
set -euo pipefail
dir=$1 packages=$2 systemctl=$3 socket=$4

mount --make-rprivate /
mount -t tmpfs -o mode=0755 machine "$dir"
root=$dir/root
mkdir "$dir/changes" "$dir/work" "$root"
mount -t overlay -o "lowerdir=/,upperdir=$dir/changes,workdir=$dir/work" machine "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=0755 run "$root/run"
mount -t tmpfs tmp "$root/tmp"
mkdir -p "$root/run/systemd/system" # as where systemd runs
touch "$root/run/docker.sock"
mount --bind "$socket" "$root/run/docker.sock"
mount --bind "$packages" "$root/mnt"
cp /usr/bin/systemctl "$root/run/systemctl"
mount --bind "$systemctl" "$root/usr/bin/systemctl"
hostname packages
ip link set lo up
echo ready
cat >/dev/null
