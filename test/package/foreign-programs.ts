import { readFileSync } from "node:fs";

/** Debian's package qemu-user-static brings it: how the kernel knows a program for ARM64, and who runs it. */
const RULE = "/usr/lib/binfmt.d/qemu-aarch64.conf";

/**
 * Begins namespaces of users, mounts, processes and networks, in which root is root, and executes the words after the first
 * in them. Programs for other machines run there: the kernel keeps a list of their interpreters for each namespace of users,
 * so the one of this machine stays as it is, and nothing is left when the last process has ended.
 */
const ENTER = `
set -e
rule=$1; shift
unshare --user sh -c 'read -r _ <&9; exec "$@" 9<&-' sh \\
  unshare --mount --propagation private --pid --fork --ipc --uts --net sh -ec '
    mount -t proc proc /proc
    mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    cat "$1" >/proc/sys/fs/binfmt_misc/register
    shift
    exec "$@"' sh "$rule" "$@" 9<"$FIFO" &
child=$!
exec 9>"$FIFO"
until [ "$(readlink /proc/$child/ns/user)" != "$(readlink /proc/$$/ns/user)" ]; do sleep 0.01; done
for map in uid_map gid_map; do echo "0 0 4294967295" >/proc/$child/$map; done
echo go >&9
exec 9>&-
wait $child
`;

/** Words before a command, with which it runs where programs for ARM64 do too. Root alone can. */
export function foreignWords(): readonly [string, ...string[]] {
  if (process.getuid?.() !== 0) throw new Error("Programs for ARM64 run in namespaces of their own: run this as root");
  try {
    readFileSync(RULE);
  } catch {
    throw new Error(`${RULE} is missing. On Debian: apt-get install qemu-user-static binfmt-support`);
  }
  const script = `FIFO=$(mktemp -u); mkfifo -m 600 "$FIFO"; trap 'rm -f "$FIFO"' EXIT\n${ENTER}`;
  return ["sh", "-c", script, "sh", RULE];
}
