import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestPeer } from "./peer.ts";
import { Stage, type StageOptions } from "./stage.ts";

const KIB = "x".repeat(1020);

/** A subscriber that takes nothing any more, its link blocked by a first message. */
function stuck(stage: Stage, options: object = {}): TestPeer {
  const peer = stage.resume("slow", options).subscribed("#", 1);
  peer.link.peerTakes = false;
  publish(stage, 1, 0);
  assert.equal(peer.link.blocked, true);
  return peer;
}

/** So many messages of one kibibyte, each in a turn of its own. */
function publish(stage: Stage, count: number, qos: 0 | 1 | 2, topic = "t"): void {
  for (let left = count; left > 0; left--) {
    stage.broker.inlineClient.publish(topic, KIB, { qos });
    stage.flush();
  }
}

const bounded: StageOptions = { limits: { linkPendingBytes: 8 * 1024 } };

test("linkPendingBytes: QoS 0 is dropped and counted once so much waits, QoS 1 is held, nobody else is harmed", () => {
  const stage = new Stage(bounded);
  const quick = stage.connect("quick").subscribed("#", 1);
  quick.acknowledges = true;
  const slow = stuck(stage);
  publish(stage, 20, 0);
  assert.ok(slow.link.pendingBytes >= 8 * 1024 && slow.link.pendingBytes < 9.1 * 1024, `${slow.link.pendingBytes}`);
  assert.equal(stage.counters.droppedBy.slowReader, 21 - 8);
  publish(stage, 5, 1);
  assert.deepEqual([stage.counters.queuedMessages, stage.counters.inflight], [5, 0]);
  assert.equal(quick.takePayloads().length, 26);
  slow.acknowledges = true;
  slow.link.takeAll();
  assert.deepEqual(
    slow
      .take()
      .map((line) => line.replace(KIB, ""))
      .slice(8),
    [1, 2, 3, 4, 5].map((id) => `PUBLISH t "" qos1 #${id}`),
  );
  assert.deepEqual([stage.counters.queuedMessages, stage.counters.inflight], [0, 0]);
});

test("linkPendingPackets: small messages are bounded by their number", () => {
  const stage = new Stage({ limits: { linkPendingPackets: 10 } });
  const slow = stuck(stage);
  for (let count = 0; count < 50; count++) stage.broker.inlineClient.publish("t", "x");
  stage.flush();
  assert.equal(stage.counters.droppedBy.slowReader, 51 - 10);
  slow.link.takeAll();
  assert.equal(slow.takePayloads().length, 10);
  stage.broker.inlineClient.publish("t", "again");
  assert.deepEqual(slow.takePayloads(), ["again"]);
});

test("the first message that is dropped for a client is logged, the rest are counted", () => {
  const stage = new Stage(bounded);
  stuck(stage);
  publish(stage, 20, 0);
  assert.deepEqual(
    stage.log.of("Dropping messages for a client").map(({ client, reason, topic }) => [client, reason, topic]),
    [["slow", "slowReader", "t"]],
  );
});

test("what is held keeps its order, and what comes after it waits behind it", () => {
  const stage = new Stage(bounded);
  const slow = stuck(stage);
  publish(stage, 10, 0);
  for (const payload of ["1", "2"]) stage.broker.inlineClient.publish("t", payload, { qos: 1 });
  slow.link.takeAll();
  stage.broker.inlineClient.publish("t", "3", { qos: 1 });
  assert.deepEqual(
    slow.takePayloads().filter((payload) => payload.length === 1),
    ["1", "2", "3"],
  );
});

test("a link that has room again before it is empty lets nothing overtake what is held", () => {
  const stage = new Stage(bounded);
  const slow = stuck(stage);
  publish(stage, 10, 0);
  for (const payload of ["1", "2"]) stage.broker.inlineClient.publish("t", payload, { qos: 1 });
  slow.link.takeSome(1000);
  assert.ok(slow.link.pendingBytes < 8 * 1024);
  stage.broker.inlineClient.publish("t", "3", { qos: 1 });
  slow.link.takeAll();
  assert.deepEqual(
    slow.takePayloads().filter((payload) => payload.length === 1),
    ["1", "2", "3"],
  );
});

test("linkStallMs: a peer that takes nothing of what waits is disconnected, and its session stays", () => {
  const stage = new Stage({ limits: { linkPendingBytes: 8 * 1024, linkStallMs: 5000 } });
  const slow = stuck(stage);
  publish(stage, 10, 1);
  stage.advance(4_999);
  assert.equal(slow.state, "open");
  stage.advance(1);
  assert.equal(slow.state, "destroyed");
  assert.equal(stage.log.of("Client disconnected").at(-1)?.reason, "takes no output");
  assert.deepEqual([...stage.broker.sessions.keys()], ["slow"]);
});

test("linkStallMs: a peer that takes some bytes now and then stays, until it has stopped for at most twice as long", () => {
  const stage = new Stage({ limits: { linkPendingBytes: 8 * 1024, linkStallMs: 5000 } });
  const slow = stuck(stage);
  publish(stage, 10, 1);
  for (let round = 0; round < 10; round++) {
    stage.advance(4_000);
    slow.link.takeSome(10);
  }
  assert.equal(slow.state, "open");
  stage.advance(4_999);
  assert.equal(slow.state, "open");
  stage.advance(5_001);
  assert.equal(slow.state, "destroyed");
});

test("linkStallMs: a peer that has taken everything in between begins anew", () => {
  const stage = new Stage({ limits: { linkPendingBytes: 8 * 1024, linkStallMs: 5000 } });
  const slow = stuck(stage);
  publish(stage, 10, 0);
  stage.advance(4_000);
  slow.link.takeAll();
  slow.link.peerTakes = false;
  publish(stage, 10, 0);
  stage.advance(4_999);
  assert.equal(slow.state, "open");
  stage.advance(1);
  assert.equal(slow.state, "destroyed");
});

test("linkStallMs holds for what is left of a queue, and of retained messages, when the peer stops taking", () => {
  for (const retain of [false, true]) {
    const stage = new Stage({ limits: { linkPendingBytes: 4096, linkStallMs: 5000 } });
    if (!retain) stage.resume("slow").subscribed("#", 1).hangUp();
    for (let count = 0; count < 200; count++) stage.broker.inlineClient.publish(`t/${count}`, KIB, { qos: 1, retain });
    const slow = stage.open({ clientId: "slow", clean: false, properties: { sessionExpiryInterval: 100 } });
    if (!retain) slow.link.peerTakes = false;
    slow.connect();
    slow.link.peerTakes = false;
    if (retain) slow.subscribe("#", 0);
    assert.equal(slow.link.blocked, true);
    assert.ok(slow.link.pendingBytes < 200 * 1024);
    stage.advance(5000);
    assert.equal(slow.state, "destroyed", `retain ${retain}`);
  }
});

test("a slow reader is disconnected by its stall also while it keeps sending", () => {
  const stage = new Stage({ limits: { linkPendingBytes: 8 * 1024, linkStallMs: 5000 } });
  const slow = stuck(stage, { keepalive: 2 });
  publish(stage, 10, 0);
  for (let second = 0; second < 5; second++) {
    assert.equal(slow.state, "open");
    stage.advance(1000);
    slow.send({ cmd: "pingreq" });
  }
  assert.equal(slow.state, "destroyed");
});

test("a will of a stalled client is published", () => {
  const stage = new Stage({ limits: { linkPendingBytes: 4096, linkStallMs: 5000 } });
  const watcher = stage.connect("watch").subscribed("w");
  stuck(stage, { will: { topic: "w", payload: Buffer.from("gone") } });
  publish(stage, 10, 0);
  stage.advance(5000);
  assert.deepEqual(watcher.takePayloads(), ["gone"]);
});

const BUDGET = 1024 * 1024 + 64 * 1024;

test("a client that sends PINGREQ and reads no answer costs bounded memory, and is not read any more", () => {
  const stage = new Stage();
  const client = stage.connect("flood");
  client.link.peerTakes = false;
  const chunk = Buffer.alloc(64 * 1024, Buffer.from([0xc0, 0]));
  for (let round = 0; round < 200; round++) client.sendBytes(chunk);
  assert.equal(client.link.reading, false);
  assert.ok(client.link.pendingBytes >= BUDGET && client.link.pendingBytes <= BUDGET + chunk.length);
});

test("a client whose answers piled up is read again when it has taken them, and nothing is lost", () => {
  const stage = new Stage({ limits: { linkPendingBytes: 4096 } });
  const client = stage.connect("flood");
  client.link.peerTakes = false;
  const chunk = Buffer.alloc(20 * 1024, Buffer.from([0xc0, 0]));
  for (let round = 0; round < 4; round++) client.sendBytes(chunk);
  assert.equal(client.link.reading, false);
  client.link.takeAll();
  assert.equal(client.take().length, (4 * chunk.length) / 2);
  assert.equal(client.link.reading, true);
});

test("answers of every kind count: acknowledgements of a publisher that does not read", () => {
  const stage = new Stage({ limits: { linkPendingBytes: 4096 } });
  const client = stage.connect("p");
  client.link.peerTakes = false;
  const packets = Array.from({ length: 1000 }, () => client.publishPacket("t", "x", { qos: 1 }));
  for (let round = 0; round < 50; round++) client.send(...packets);
  assert.equal(client.link.reading, false);
  assert.ok(client.link.pendingBytes <= 4096 + 64 * 1024 + 5 * packets.length);
});

test("while it is not read, a client's silence does not count against its Keep Alive, but its stall does", () => {
  const stage = new Stage({ limits: { linkPendingBytes: 4096, linkStallMs: 60_000 } });
  const client = stage.connect("flood", { keepalive: 5 });
  client.link.peerTakes = false;
  for (let round = 0; round < 3; round++) client.sendBytes(Buffer.alloc(64 * 1024, Buffer.from([0xc0, 0])));
  assert.equal(client.link.reading, false);
  stage.advance(59_999);
  assert.equal(client.state, "open");
  stage.advance(1);
  assert.equal(client.state, "destroyed");
});

test("after a pause the Keep Alive begins anew", () => {
  const stage = new Stage({ limits: { linkPendingBytes: 4096 } });
  const client = stage.connect("flood", { keepalive: 10 });
  client.link.peerTakes = false;
  for (let round = 0; round < 2; round++) client.sendBytes(Buffer.alloc(64 * 1024, Buffer.from([0xc0, 0])));
  assert.equal(client.link.reading, false);
  stage.advance(40_000);
  client.link.takeAll();
  client.take();
  stage.advance(14_999);
  assert.equal(client.state, "open");
  stage.advance(1_001);
  assert.equal(client.state, "ended");
});

test("a client that is slow and gone leaves no deadline, link or count behind", () => {
  const stage = new Stage(bounded);
  const slow = stuck(stage);
  publish(stage, 20, 1);
  slow.hangUp(new Error("ECONNRESET"));
  stage.advance(3_600_000);
  assert.deepEqual([stage.broker.sessions.size, stage.broker.connections.size], [0, 0]);
  assert.deepEqual([stage.counters.queuedMessages, stage.counters.queuedBytes, stage.counters.inflight], [0, 0, 0]);
  assert.equal(stage.broker.nextDeadlineMs(), Number.POSITIVE_INFINITY);
});
