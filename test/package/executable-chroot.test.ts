/** The executable where nothing else is: a small Debian without Node.js, of either architecture. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { suite, test } from "node:test";
import { ARM64_ROOM } from "../../device/image/base-tree.ts";
import { ARCHITECTURES } from "../../packaging/architecture.ts";
import { executablePath } from "../executable/executable.ts";
import { runCommand } from "../smoke/program.ts";
import { ALONE, DebianChroot } from "./debian-chroot.ts";

/**
 * The broker runs in the chroot, mosquitto's clients beside it on the same loopback interface, which nobody else has.
 * Each step writes what it found.
 */
const STORY = `
root=$1
ip link set lo up
mount -t proc proc "$root/proc"
for device in null zero random urandom; do touch "$root/dev/$device"; mount --bind /dev/$device "$root/dev/$device"; done
start() {
  chroot "$root" /usr/bin/env -i PATH=/usr/bin MQTT_BROKER_MDNS=off /tmp/$2 --data-dir /var/lib/broker >>"$root/tmp/log" 2>&1 &
  broker=$!
  until mosquitto_pub -t ready -n 2>/dev/null; do kill -0 $broker || { cat "$root/tmp/log"; exit 1; }; sleep 0.1; done
}
echo "node: $(chroot "$root" sh -c 'command -v node' || echo none)"
start "$@"
timeout 60 mosquitto_sub -t live -C 1 & subscriber=$!
until ! kill -0 $subscriber 2>/dev/null; do mosquitto_pub -t live -m "heard live"; sleep 0.2; done
mosquitto_sub -c -i pump -q 1 -t 'pump/#' -E
for order in 1 2 3; do mosquitto_pub -q 1 -t pump/orders -m "order $order"; done
mosquitto_pub -q 1 -r -t name -m tomatoes
kill -KILL $broker
wait $broker || echo "killed: $?"
start "$@"
mosquitto_sub -c -i pump -q 1 -t 'pump/#' -C 3 -W 60
mosquitto_sub -t name -C 1 -W 60
kill -TERM $broker
wait $broker && echo "stopped: $?"
`;

const EXPECTED = [
  "node: none",
  "heard live",
  "killed: 137",
  "order 1",
  "order 2",
  "order 3",
  "tomatoes",
  "stopped: 0",
  "",
].join("\n");

suite("in a Debian without Node.js", { concurrency: 1 }, () => {
  for (const architecture of ARCHITECTURES) {
    test(`the executable for ${architecture} serves, is killed, and has lost nothing`, async (context) => {
      const file = executablePath(architecture);
      assert.ok(existsSync(file), `${file} is missing: npm run package -- all --executable-only makes it`);
      const chroot = new DebianChroot(context, architecture);
      const name = chroot.bring(file).replace("/tmp/", "");
      const words = [...ALONE, "timeout", "--kill-after=5", "240", "sh", "-c", STORY, "sh", chroot.root, name];
      const { stdout, stderr } = await runCommand(context, ARM64_ROOM, words);
      assert.equal(stdout, EXPECTED, stderr);
      assert.match(chroot.read("/tmp/log"), /Listening on tcp:\/\/\[::\]:1883/);
    });
  }
});
