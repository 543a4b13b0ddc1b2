import assert from "node:assert/strict";
import { test } from "node:test";
import type { SnDevice } from "./device.ts";
import { onHeldDisk, SnStage } from "./sn-stage.ts";

/** A device that has subscribed to `filter`, at a broker whose disk answers when `synced` is called. */
async function subscribed(filter: string, qos: 0 | 1 | 2 = 0) {
  const { stage, synced: once } = await onHeldDisk();
  const synced = async (): Promise<void> => {
    for (let turns = 0; turns < 3; turns++) await once();
  };
  /** How often something seemed lost on the way, see `Route.retried`. */
  const lost = { count: 0 };
  const device: SnDevice = stage.device("a", { watch: { retried: () => void lost.count++ } });
  device.connect();
  await synced();
  device.subscribe(filter, qos);
  await synced();
  device.lines();
  return { stage, device, synced, lost };
}

/** A retained message is acknowledged when the disk has it. */
function publishOnDisk(device: SnDevice, messageId: number, dup = false): void {
  device.publish("up", "x", { qos: 1, messageId, retain: true, dup });
}

for (const own of [0, 1, 2] as const) {
  test(`what a client publishes to itself comes after its answer: it subscribed with QoS ${own}`, () => {
    const stage = new SnStage();
    const device = stage.connected("a");
    device.subscribe("t", own);
    device.lines();
    device.publish("t", "one", { qos: 1, messageId: 7 });
    const echo = own === 0 ? 'PUBLISH t "one"' : 'PUBLISH t "one" qos1 #1';
    assert.deepEqual(device.lines(), ["PUBACK #7 code0", echo]);
  });
}

test("the same with QoS 2: PUBREC, and PUBCOMP when PUBREL was sent, come before what is published", () => {
  const stage = new SnStage();
  const device = stage.connected("a");
  device.subscribe("t", 1);
  device.lines();
  device.publish("t", "two", { qos: 2, messageId: 7 });
  device.send({ type: 0x10, messageId: 7 });
  assert.deepEqual(device.lines(), ["PUBREC #7", 'PUBLISH t "two" qos1 #1', "PUBCOMP #7"]);
});

test("1.2 §6.9: while SUBACK is due, no message begins; what comes meanwhile follows it in order", async () => {
  const { stage, device, synced } = await subscribed("a");
  const messageId = device.subscribe("b", 1);
  for (const text of ["1", "2"]) stage.publish("a", text, 0);
  assert.deepEqual(device.lines(), []);
  await synced();
  assert.deepEqual(device.lines(), [`SUBACK #${messageId} qos1 code0`, 'PUBLISH a "1"', 'PUBLISH a "2"']);
});

test("while UNSUBACK is due, no message begins", async () => {
  const { stage, device, synced } = await subscribed("a");
  device.subscribe("b");
  await synced();
  device.lines();
  device.send({ type: 0x14, messageId: 50, topic: { topicIdType: 0, name: "b" } });
  stage.publish("a", "x", 0);
  assert.deepEqual(device.lines(), []);
  await synced();
  assert.deepEqual(device.lines(), ["UNSUBACK #50", 'PUBLISH a "x"']);
});

test("while PUBCOMP is due, no message begins; between PUBREC and PUBREL the client is the one that is waited for", async () => {
  const { stage, device, synced } = await subscribed("a");
  device.register("up");
  device.publish("up", "x", { qos: 2, messageId: 7 });
  await synced();
  stage.publish("a", "between", 0);
  assert.deepEqual(device.lines(), ["REGACK #2 code0", "PUBREC #7", 'PUBLISH a "between"']);
  device.send({ type: 0x10, messageId: 7 });
  stage.publish("a", "after", 0);
  assert.deepEqual(device.lines(), []);
  await synced();
  assert.deepEqual(device.lines(), ["PUBCOMP #7", 'PUBLISH a "after"']);
});

test("while PUBACK is due, a message that another client publishes waits for it", async () => {
  const { stage, device, synced } = await subscribed("a");
  device.register("up");
  publishOnDisk(device, 7);
  stage.publish("a", "other", 0);
  assert.deepEqual(device.lines(), ["REGACK #2 code0"]);
  await synced();
  assert.deepEqual(device.lines(), ["PUBACK #7 code0", 'PUBLISH a "other"']);
});

test("after REGACK the message waits for the answer that is due; repetitions of what was begun do not", async () => {
  const { stage, device, synced } = await subscribed("#");
  device.answers = false;
  stage.publish("new", "x", 0);
  stage.advance(1_000);
  device.register("up");
  publishOnDisk(device, 7);
  assert.deepEqual(device.lines(), ["REGISTER new", "REGACK #2 code0"]);
  stage.advance(9_000);
  assert.deepEqual(device.lines(), ["REGISTER new"]);
  device.answerLast();
  assert.deepEqual(device.lines(), []);
  await synced();
  assert.deepEqual(device.lines(), ["PUBACK #7 code0", 'PUBLISH new "x"', 'PUBLISH up "x"']);
});

test("an answer that does not come holds messages back for T_retry, and not longer when it is asked for again", async () => {
  const { stage, device, synced, lost } = await subscribed("a");
  device.register("up");
  publishOnDisk(device, 7);
  stage.publish("a", "1", 0);
  device.lines();
  stage.advance(5_000);
  publishOnDisk(device, 7, true);
  stage.advance(4_999);
  assert.deepEqual(device.lines(), []);
  stage.advance(1);
  assert.deepEqual(device.lines(), ['PUBLISH a "1"']);
  stage.publish("a", "2", 0);
  assert.deepEqual(device.lines(), ['PUBLISH a "2"']);
  publishOnDisk(device, 7, true);
  await synced();
  assert.deepEqual(device.lines(), ["PUBACK #7 code0"]);
  // It asked again because the disk is slow, and not because anything was lost.
  assert.equal(lost.count, 0);
});

test("messages of QoS 0 that are held back do not pile up without end, and flow after the answer", async () => {
  const { stage, device, synced } = await subscribed("a");
  device.register("up");
  publishOnDisk(device, 7);
  device.lines();
  for (let count = 0; count < 5_000; count++) stage.publish("a", `${count}`, 0);
  const { length } = stage.gateway.client("a")!.downstream;
  assert.ok(length >= 50 && length <= 60, `${length}`);
  await synced();
  const lines = device.lines();
  assert.deepEqual(lines.slice(0, 2), ["PUBACK #7 code0", 'PUBLISH a "0"']);
  assert.ok(lines.length > 50);
  stage.publish("a", "last", 0);
  assert.deepEqual(device.lines(), ['PUBLISH a "last"']);
});

test("a sleeper that publishes and wakes has its answer, then what was kept, then PINGRESP", async () => {
  const { stage, device, synced } = await subscribed("a", 1);
  device.register("up");
  device.disconnect(100);
  stage.publish("a", "kept");
  await synced();
  device.lines();
  publishOnDisk(device, 7);
  device.wake();
  assert.deepEqual(device.lines(), []);
  await synced();
  assert.deepEqual(device.lines(), ["PUBACK #7 code0", 'PUBLISH a "kept" qos1 #1', "PINGRESP"]);
  assert.equal(stage.gateway.client("a")?.state, "asleep");
});

test("PINGRESP does not send a client to sleep whose answer is due, for T_retry at most", async () => {
  const { stage, device, synced } = await subscribed("a", 1);
  device.register("up");
  device.disconnect(100);
  device.lines();
  publishOnDisk(device, 7);
  device.wake();
  assert.deepEqual(device.lines(), []);
  await synced();
  assert.deepEqual(device.lines(), ["PUBACK #7 code0", "PINGRESP"]);
  publishOnDisk(device, 8);
  stage.advance(4_000);
  device.wake();
  stage.advance(5_999);
  assert.deepEqual(device.lines(), []);
  stage.advance(1);
  assert.deepEqual(device.lines(), ["PINGRESP"]);
});
