#!/bin/sh
# arm64-room.sh COMMAND WORD…
#
# Runs a command as root where programs for ARM64 run too, through qemu-user where the machine is another one. What it
# mounts is gone with it. A machine that has qemu-user registered is used as it is; otherwise it is registered for this
# room alone, in a user namespace of its own (Linux 6.7 or newer), so that nothing of the machine changes.
set -eu
flags="--mount --pid --fork --propagation private"
inside='mount -t proc proc /proc && exec "$@"'

fail() {
  echo "Programs for ARM64 do not run here: $1" >&2
  exit 1
}

[ "$(id -u)" = 0 ] || fail "run this as root"
registered=/proc/sys/fs/binfmt_misc/qemu-aarch64
# With the flag F the kernel holds qemu-user open itself: without it each root would need a copy of it.
if [ "$(uname -m)" = aarch64 ] ||
  { grep -qx enabled "$registered" && grep -q '^flags: .*F' "$registered"; } 2>/dev/null; then
  # shellcheck disable=SC2086
  exec unshare $flags sh -c "$inside" room "$@"
fi
handler=/usr/lib/binfmt.d/qemu-aarch64.conf
[ -e "$handler" ] || fail "apt-get install qemu-user-static"
needed="Linux 6.7 registers qemu-user for a room alone; on an older one do it for the machine: apt-get install binfmt-support"
inside="mount -t proc proc /proc &&
  { mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc || { echo '$needed' >&2; exit 1; }; } &&
  cat $handler >/proc/sys/fs/binfmt_misc/register && exec \"\$@\""
gate=$(mktemp -d)
trap 'rm -rf "$gate"' EXIT
mkfifo "$gate/open"
# The users of the new namespace are mapped from outside, to themselves; it waits for that.
unshare --user sh -c 'read -r _ <"$1" && shift && inside=$1 && shift && exec unshare '"$flags"' sh -c "$inside" room "$@"' \
  room "$gate/open" "$inside" "$@" &
room=$!
until [ "$(readlink "/proc/$room/ns/user")" != "$(readlink /proc/self/ns/user)" ]; do sleep 0.1; done
echo "0 0 4294967295" >"/proc/$room/uid_map"
echo "0 0 4294967295" >"/proc/$room/gid_map"
echo >"$gate/open"
wait "$room"
