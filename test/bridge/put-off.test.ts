/** A side that has no room for a message at present: nothing that was acknowledged is lost by that. */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { PutOff } from "../../src/bridge/put-off.ts";
import { emptyFolder, startBroker } from "../smoke/program.ts";
import { connected, joinDevice, OtherBroker, publishSafely, startOurs, subscribe, until, watch } from "./kit.ts";

/** A plugin that says Quota exceeded to each message at topics that end with "t", for as long as the file `full` is there. */
function quota(context: TestContext): { words: readonly string[]; end(): void } {
  const folder = emptyFolder(context);
  const [plugin, full] = [join(folder, "quota.mjs"), join(folder, "full")];
  const hooks = JSON.stringify(import.meta.resolve("../../src/core/hooks.ts"));
  writeFileSync(full, "");
  writeFileSync(
    plugin,
    `import { existsSync } from "node:fs";
import { refuse } from ${hooks};
export const hook = {
  name: "quota",
  onPublish: (client, packet) => {
    if (!packet.topicName.endsWith("t") || packet.qos === 0) return undefined;
    const isFull = existsSync(${JSON.stringify(full)});
    console.log((isFull ? "refused " : "took ") + Buffer.from(packet.payload) + (packet.dup ? " dup" : ""));
    return isFull ? refuse(0x97) : undefined;
  },
};
`,
  );
  return { words: ["--plugin", plugin], end: () => rmSync(full) };
}

suite("put off", { concurrency: 3 }, () => {
  test("what the other broker has no room for goes there as soon as it has, and what it has room for is not held up for good", async (context) => {
    const { words, end } = quota(context);
    const other = await startBroker(context, ["--tcp-port", "0", ...words]);
    const ours = await startOurs(context, `mqtt://127.0.0.1:${other.port}`, ["--sys-interval=1s"]);
    await connected(ours);
    const there = await watch(context, other.port, "#");
    const device = await joinDevice(context, "one", ours);
    const here = await watch(context, ours.port);
    await here.publish("mqtt-sn/a/t", "1", 2);
    await publishSafely(device, "a/t", "2", 1);
    await publishSafely(device, "a/other", "3", 2);
    assert.deepEqual(await there.until(1), ["a/other 3 qos1"]);
    const { reason } = await ours.program.line(/^The other broker of the MQTT-SN clients is lost/);
    assert.equal(reason, "the other broker has no room for a message at present: Quota exceeded (0x97)");
    await connected(ours, 2);
    await other.program.until(() => other.program.stdout.split("refused 1").length > 2, "a second refusal");
    end();
    assert.deepEqual((await there.until(2)).sort(), ["a/t 1 qos2", "a/t 2 qos1"]);
    // 5.0 [MQTT-4.4.0-2]: what was refused is not sent again, and a new message is no duplicate.
    assert.match(other.program.stdout, /^refused 1\n/m);
    assert.deepEqual(
      [...new Set(other.program.stdout.split("\n"))].filter((line) => /^(?:refused|took)/.test(line)).sort(),
      ["refused 1", "refused 2", "took 1", "took 2"],
    );
    assert.doesNotMatch(ours.program.stdout, /is dropped/);
    const sys = await watch(context, ours.port, "$SYS/broker/mqtt-sn/upstream/+");
    await until(
      () => ["refused 0", "waiting 0"].every((text) => sys.heard.some((line) => line.includes(`/${text}`))),
      () => String(sys.heard),
    );
  });

  for (const version of [5, 4]) {
    test(`MQTT ${version}: what this broker has no room for stays with the other one until it has`, async (context) => {
      const { words, end } = quota(context);
      const other = await OtherBroker.start(context);
      const ours = await startOurs(context, other.url, [`--mqtt-sn-upstream-version=${version}`, ...words]);
      await connected(ours);
      const device = await joinDevice(context, "one", ours);
      await subscribe(device, "#");
      await until(() => other.lines(/Received SUBSCRIBE from mqtt-sn-/).length === 1, "a subscription there");
      const there = await other.watch(undefined);
      await there.publish("cmd/t", "1");
      const { reason } = await ours.program.line(/^The other broker of the MQTT-SN clients is lost/);
      assert.equal(reason, "this broker has no room for a message at present: Quota exceeded (0x97)");
      await connected(ours, 2);
      end();
      await device.until('PUBLISH cmd/t "1" qos1 #1');
    });
  }
});

test("a message that is refused in twenty connections in which others were taken is given up", () => {
  const putOff = new PutOff();
  for (let connection = 0; connection < 20; connection++) {
    assert.equal(putOff.refuse(7), true);
    // Within a connection it counts once.
    assert.equal(putOff.refuse(7), true);
    putOff.settled(8);
    putOff.ended();
  }
  assert.equal(putOff.refuse(7), false);
  assert.equal(putOff.refuse(7), true);
});

test("while nothing at all is taken no message is given up, and one that was taken begins anew", () => {
  const putOff = new PutOff();
  for (let connection = 0; connection < 100; connection++) {
    assert.equal(putOff.refuse(7), true);
    assert.equal(putOff.refuse(8), true);
    putOff.ended();
  }
  for (let connection = 0; connection < 19; connection++) {
    putOff.refuse(7);
    putOff.settled(9);
    putOff.ended();
  }
  putOff.settled(7);
  putOff.ended();
  for (let connection = 0; connection < 20; connection++) {
    assert.equal(putOff.refuse(7), true);
    putOff.settled(9);
    putOff.ended();
  }
  assert.equal(putOff.refuse(7), false);
});

test("after a refusal the same message is a new one, once", () => {
  const putOff = new PutOff();
  assert.equal(putOff.beginsAnew(7), false);
  putOff.refuse(7);
  assert.equal(putOff.beginsAnew(7), true);
  assert.equal(putOff.beginsAnew(7), false);
});
