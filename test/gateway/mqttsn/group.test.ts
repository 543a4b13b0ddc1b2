import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

/** Two hosts in a network of their own: the broker on one, who searches on the other. */
const TWO_HOSTS = `
  unshare -n sleep 30 & other=$!
  trap 'kill $other $broker' EXIT
  while [ "$(readlink /proc/$other/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do sleep 0.02; done
  ip link add v0 type veth peer name v1 netns $other
  ip addr add 10.99.0.1/24 dev v0 && ip link set v0 up && ip route add 224.0.0.0/4 dev v0
  "$0" "$1/udp-broker.ts" "" 225.1.1.1 > /dev/null & broker=$!
  nsenter -t $other -n sh -ec '
    ip addr add 10.99.0.2/24 dev v1; ip link set v1 up; ip route add 224.0.0.0/4 dev v1
    exec "$0" "$1/group-run.ts"' "$0" "$1"`;

test("1.2 §6.1: ADVERTISE goes to the group, and GWINFO to the one who searches there and to the group", () => {
  const words = ["-rn", "sh", "-ec", TWO_HOSTS, process.execPath, import.meta.dirname];
  const said = execFileSync("unshare", words, { encoding: "utf8", timeout: 20_000 });
  assert.deepEqual(JSON.parse(said), {
    toAsker: ["10.99.0.1 030201"],
    // Its own search comes back to the host that sent it.
    toGroup: ["10.99.0.1 0500010001", "10.99.0.1 030201", "10.99.0.2 030101"].sort(),
  });
});
