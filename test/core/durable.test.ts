import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Table } from "../../src/core/store.ts";
import { HeldStore } from "./held-store.ts";
import type { PeerOptions, TestPeer } from "./peer.ts";
import { Stage, type StageOptions } from "./stage.ts";

/** A stored session whose CONNACK was taken. */
async function stored(stage: Stage, store: HeldStore, clientId: string, options: PeerOptions = {}): Promise<TestPeer> {
  const properties = { sessionExpiryInterval: 3600, ...options.properties };
  const peer = stage.dial({ clientId, clean: false, properties, ...options });
  store.sync();
  await stage.settle();
  store.sync();
  await stage.settle();
  const [connack] = peer.received.splice(0, 1);
  assert.equal(connack?.cmd, "connack");
  return peer;
}

async function subscribed(
  stage: Stage,
  store: HeldStore,
  clientId: string,
  filter: string,
  qos: 0 | 1 | 2,
  options: PeerOptions = {},
): Promise<TestPeer> {
  const peer = await stored(stage, store, clientId, options);
  peer.subscribe(filter, qos);
  stage.flush();
  store.sync();
  peer.take();
  return peer;
}

/** The power is cut: what is not on disk is lost. */
function cut(store: HeldStore): HeldStore {
  return new HeldStore(store.disk);
}

/** The client's own lines, its CONNACK first. */
async function back(stage: Stage, store: HeldStore, clientId: string, options: PeerOptions = {}): Promise<TestPeer> {
  const properties = { sessionExpiryInterval: 3600, ...options.properties };
  const peer = stage.dial({ clientId, clean: false, properties, ...options });
  store.sync();
  await stage.settle();
  await stage.settle();
  return peer;
}

function commandsOf(peer: TestPeer): string[] {
  return peer.take().map((line) => line.replace(/ \{.*/, ""));
}

async function opened(options: StageOptions = {}): Promise<{ stage: Stage; store: HeldStore }> {
  const store = new HeldStore();
  const stage = await Stage.load(store, options);
  store.sync();
  return { stage, store };
}

describe("an acknowledgement leaves when the disk has what it promises", () => {
  test("PUBACK of a message for a stored session, and those behind it in their order", async () => {
    const { stage, store } = await opened();
    const sleeper = await subscribed(stage, store, "s", "t", 1);
    sleeper.hangUp();
    const publisher = stage.connect("p");
    publisher.publish("t", "kept", { qos: 1 });
    publisher.publish("nobody", "not kept", { qos: 1 });
    assert.deepEqual(publisher.take(), []);
    store.sync(1);
    assert.deepEqual(publisher.take(), []);
    store.sync();
    assert.deepEqual(publisher.take(), ["PUBACK #1", "PUBACK #2 10"]);
  });

  test("nothing waits where nothing is kept", async () => {
    const { stage, store } = await opened();
    const live = stage.connect("c").subscribed("t", 2);
    const publisher = stage.connect("p");
    publisher.publish("t", "one", { qos: 1 });
    publisher.publish("t", "two", { qos: 2 });
    assert.deepEqual(publisher.take(), ["PUBACK #1", "PUBREC #2"]);
    assert.deepEqual(live.take(), ['PUBLISH t "one" qos1 #1', 'PUBLISH t "two" qos2 #2']);
    assert.equal(store.pending.length, 0);
  });

  test("a connected stored session gets QoS 1 at once; only the publisher waits", async () => {
    const { stage, store } = await opened();
    const subscriber = await subscribed(stage, store, "s", "t", 1);
    const publisher = stage.connect("p");
    publisher.publish("t", "m", { qos: 1 });
    assert.deepEqual(subscriber.take(), ['PUBLISH t "m" qos1 #1']);
    assert.deepEqual(publisher.take(), []);
    store.sync();
    assert.deepEqual(publisher.take(), ["PUBACK #1"]);
  });

  test("PUBREC to a publisher with a stored session waits for its identifier", async () => {
    const { stage, store } = await opened();
    const publisher = await stored(stage, store, "p");
    publisher.publish("nobody", "m", { qos: 2 });
    assert.deepEqual(publisher.take(), []);
    // Sent again before: it must not be answered any earlier.
    publisher.publish("nobody", "m", { qos: 2, id: 1, dup: true });
    assert.deepEqual(publisher.take(), []);
    store.sync();
    assert.deepEqual(publisher.take(), ["PUBREC #1 10", "PUBREC #1"]);
  });

  test("PUBCOMP to a publisher with a stored session waits until its identifier is gone", async () => {
    const { stage, store } = await opened();
    const publisher = await stored(stage, store, "p");
    publisher.publish("nobody", "m", { qos: 2 });
    store.sync();
    publisher.take();
    publisher.acknowledge("pubrel", 1);
    assert.deepEqual(publisher.take(), []);
    store.sync();
    assert.deepEqual(publisher.take(), ["PUBCOMP #1"]);
  });

  test("SUBACK and UNSUBACK of a stored session; retained messages follow the SUBACK", async () => {
    const { stage, store } = await opened();
    stage.broker.inlineClient.publish("t", "retained", { retain: true });
    const peer = await stored(stage, store, "s");
    peer.subscribe("t", 0);
    assert.deepEqual(peer.take(), []);
    store.sync();
    assert.deepEqual(peer.take(), ["SUBACK #1 00", 'PUBLISH t "retained" retain']);
    peer.unsubscribe("t");
    assert.deepEqual(peer.take(), []);
    store.sync();
    assert.deepEqual(peer.take(), ["UNSUBACK #2 00"]);
  });

  test("CONNACK with a new stored session, with one that goes on, and with one that replaces a stored one", async () => {
    const { stage, store } = await opened();
    for (const [clean, expiry, expected] of [
      [false, 3600, "CONNACK 00"],
      [false, 3600, "CONNACK 00 present"],
      [true, 0, "CONNACK 00"],
    ] as const) {
      const peer = stage.dial({ clientId: "s", clean, properties: { sessionExpiryInterval: expiry } });
      await stage.settle();
      assert.deepEqual(peer.take(), []);
      store.sync();
      await stage.settle();
      assert.deepEqual(commandsOf(peer), [expected]);
      peer.hangUp();
      store.sync();
    }
  });

  test("what the client sends with its CONNECT is handled after CONNACK", async () => {
    const { stage, store } = await opened();
    const peer = stage.open({ clientId: "s", clean: false, properties: { sessionExpiryInterval: 60 } });
    peer.send(peer.connectPacket(), peer.publishPacket("nobody", "m", { qos: 1 }), { cmd: "pingreq" });
    await stage.settle();
    assert.deepEqual(peer.take(), []);
    store.sync();
    await stage.settle();
    assert.deepEqual(commandsOf(peer), ["CONNACK 00", "PUBACK #1 10", "PINGRESP"]);
  });

  test("a connection that is taken over while it waits leaves the session to the other", async () => {
    const { stage, store } = await opened();
    const first = stage.dial({ clientId: "s", clean: false, properties: { sessionExpiryInterval: 60 } });
    const second = stage.dial({ clientId: "s", clean: false, properties: { sessionExpiryInterval: 60 } });
    store.sync();
    await stage.settle();
    assert.deepEqual(first.take(), []);
    assert.equal(first.state, "ended");
    assert.deepEqual(commandsOf(second), ["CONNACK 00 present"]);
    assert.equal(stage.broker.sessions.size, 1);
  });
});

describe("exactly once, for stored sessions", () => {
  test("an outgoing QoS 2 PUBLISH waits for the disk, and what is behind it waits with it", async () => {
    const { stage, store } = await opened();
    const subscriber = await subscribed(stage, store, "s", "t", 2);
    const publisher = stage.connect("p");
    publisher.publish("t", "one", { qos: 2 });
    publisher.publish("t", "two", { qos: 1 });
    assert.deepEqual(subscriber.take(), []);
    store.sync(1);
    assert.deepEqual(subscriber.take(), ['PUBLISH t "one" qos2 #1', 'PUBLISH t "two" qos1 #2']);
  });

  test("PUBREL waits until it is on disk that PUBREC came", async () => {
    const { stage, store } = await opened();
    const subscriber = await subscribed(stage, store, "s", "t", 2);
    stage.connect("p").publish("t", "one", { qos: 2 });
    store.sync();
    subscriber.take();
    subscriber.acknowledge("pubrec", 1);
    // A second one must not get its PUBREL any earlier.
    subscriber.acknowledge("pubrec", 1);
    assert.deepEqual(subscriber.take(), []);
    store.sync();
    assert.deepEqual(subscriber.take(), ["PUBREL #1", "PUBREL #1"]);
    subscriber.acknowledge("pubcomp", 1);
    stage.advance(1000);
    stage.flush();
    store.sync();
    assert.equal(store.disk.get(Table.Queue)?.size ?? 0, 0);
  });

  test("after a cut the publisher's resend is not delivered again", async () => {
    const { stage, store } = await opened();
    const sleeper = await subscribed(stage, store, "s", "t", 2);
    const publisher = await stored(stage, store, "p");
    sleeper.hangUp();
    publisher.publish("t", "m", { qos: 2 });
    store.sync();
    const disk = cut(store);
    const after = await Stage.load(disk);
    const publisherBack = await back(after, disk, "p");
    publisherBack.publish("t", "m", { qos: 2, id: 1, dup: true });
    publisherBack.acknowledge("pubrel", 1);
    after.flush();
    disk.sync();
    assert.deepEqual(commandsOf(publisherBack), ["CONNACK 00 present", "PUBREC #1", "PUBCOMP #1"]);
    const sleeperBack = await back(after, disk, "s");
    assert.deepEqual(commandsOf(sleeperBack), ["CONNACK 00 present", 'PUBLISH t "m" qos2 #1']);
  });

  test("a message and its publisher's identifier are in one batch, even when a queue is read on meanwhile", async () => {
    const { stage, store } = await opened();
    (await subscribed(stage, store, "s", "t", 2)).hangUp();
    stage.connect("q").publish("t", "0", { qos: 1 });
    store.sync();
    const disk = cut(store);
    const after = await Stage.load(disk, { limits: { queuedMessages: 2 } });
    const publisher = await stored(after, disk, "p");
    const one = publisher.publishPacket("t", "1", { qos: 1, id: 1 });
    // This one makes the queue too long, and what is dropped has to be read first.
    const two = publisher.publishPacket("t", "2", { qos: 2, id: 2 });
    publisher.send(one, two);
    disk.sync(1);
    const keys = [...disk.disk.get(Table.Incoming)!.keys()].map((key) => key % 65_536);
    assert.deepEqual([disk.disk.get(Table.Queue)!.size, keys], [3, [2]]);
    await after.settle();
    disk.sync();
    assert.equal(after.counters.droppedBy.queueFull, 1);
  });

  test("after a cut the states of both directions go on where the disk has them", async () => {
    const { stage, store } = await opened();
    const subscriber = await subscribed(stage, store, "s", "t", 2);
    const publisher = stage.connect("p");
    for (const [index, payload] of ["released", "sent", "acknowledged", "late"].entries()) {
      publisher.publish("t", payload, { qos: payload === "acknowledged" ? 1 : 2, id: index + 1 });
    }
    store.sync();
    subscriber.take();
    subscriber.acknowledge("pubrec", 1);
    subscriber.acknowledge("puback", 3);
    stage.advance(1000);
    store.sync();
    assert.deepEqual(subscriber.take(), ["PUBREL #1"]);
    const disk = cut(store);
    const after = await Stage.load(disk);
    const again = await back(after, disk, "s");
    assert.deepEqual(commandsOf(again), [
      "CONNACK 00 present",
      "PUBREL #1",
      'PUBLISH t "sent" qos2 #2 dup',
      'PUBLISH t "late" qos2 #4 dup',
    ]);
    // A new message takes an identifier that is free.
    after.broker.inlineClient.publish("t", "new", { qos: 2 });
    after.flush();
    disk.sync();
    assert.deepEqual(again.take(), ['PUBLISH t "new" qos2 #5']);
  });
});

describe("what is taken up after a cut", () => {
  test("subscriptions with their options, and none that was taken back", async () => {
    const { stage, store } = await opened();
    const peer = await stored(stage, store, "s");
    peer.subscribe(["a/+", "b/#", "gone", "$share/g/c"], 1, { nl: false, rap: true, rh: 2 }, 7);
    peer.unsubscribe("gone");
    store.sync();
    const disk = cut(store);
    const after = await Stage.load(disk);
    const session = after.broker.findSession("s")!;
    assert.deepEqual([...session.subscriptions.keys()], ["a/+", "b/#", "$share/g/c"]);
    const again = await back(after, disk, "s");
    again.take();
    after.broker.inlineClient.publish("a/1", "m", { qos: 1, retain: true });
    after.broker.inlineClient.publish("c", "shared", { qos: 1 });
    assert.deepEqual(again.take(), [
      'PUBLISH a/1 "m" qos1 #1 retain {"subscriptionIdentifier":7}',
      'PUBLISH c "shared" qos1 #2 {"subscriptionIdentifier":7}',
    ]);
  });

  test("retained messages: the last value, and none that was deleted", async () => {
    const { stage, store } = await opened();
    const publisher = stage.connect("p");
    publisher.publish("a", "old", { qos: 1, retain: true });
    publisher.publish("b", "deleted", { qos: 1, retain: true });
    store.sync();
    publisher.publish("a", "new", { qos: 1, retain: true, properties: { contentType: "x" } });
    publisher.publish("b", "", { qos: 1, retain: true });
    publisher.publish("c", "both in one batch", { qos: 1, retain: true });
    publisher.publish("c", "", { qos: 1, retain: true });
    store.sync();
    publisher.publish("a", "not on disk", { qos: 1, retain: true });
    const after = await Stage.load(cut(store));
    assert.deepEqual(subscribeAll(after), ['PUBLISH a "new" qos1 #1 retain {"contentType":"x"}']);
  });

  test("a retained QoS 0 message is on disk within a second", async () => {
    const { stage, store } = await opened();
    stage.connect("p").publish("a", "1", { retain: true });
    assert.equal(store.pending.length, 0);
    stage.advance(1000);
    assert.equal(store.pending.length, 1);
  });

  test("a queue in its order, with a payload that several wait for stored once", async () => {
    const { stage, store } = await opened();
    const sleepers = ["s1", "s2", "s3"];
    for (const name of sleepers) (await subscribed(stage, store, name, "t", 1)).hangUp();
    const publisher = stage.connect("p");
    for (let number = 0; number < 5; number++) publisher.publish("t", `shared ${number}`, { qos: 1 });
    store.sync();
    assert.equal(store.disk.get(Table.Message)!.size, 5);
    assert.equal(store.disk.get(Table.Queue)!.size, 15);
    const disk = cut(store);
    const after = await Stage.load(disk);
    assert.equal(after.counters.queuedMessages, 15);
    for (const name of sleepers) {
      const peer = await back(after, disk, name, { acknowledges: true });
      peer.take();
      await after.settle();
      disk.sync();
      after.advance(1000);
      disk.sync();
    }
    assert.equal(disk.disk.get(Table.Message)!.size, 0);
    assert.equal(disk.disk.get(Table.Queue)!.size, 0);
    assert.equal(after.broker.archive!.queues.references.size, 0);
    assert.equal(after.counters.queuedMessages, 0);
    assert.equal(after.counters.queuedBytes, 0);
  });

  test("messages that were never sent come without DUP", async () => {
    const { stage, store } = await opened();
    (await subscribed(stage, store, "s", "t", 1)).disconnect();
    stage.connect("p").publish("t", "m", { qos: 1 });
    store.sync();
    const disk = cut(store);
    const after = await Stage.load(disk);
    assert.deepEqual(commandsOf(await back(after, disk, "s")), ["CONNACK 00 present", 'PUBLISH t "m" qos1 #1']);
  });

  test("the will of a client that was connected, after its delay; none after DISCONNECT", async () => {
    const { stage, store } = await opened();
    (await subscribed(stage, store, "watch", "will/#", 1)).hangUp();
    const will = (topic: string, willDelayInterval: number) => ({
      will: { topic, payload: Buffer.from("gone"), qos: 1 as const, retain: false, properties: { willDelayInterval } },
    });
    await stored(stage, store, "stays", will("will/delayed", 30));
    await stored(stage, store, "leaves", will("will/never", 0)).then((peer) => peer.disconnect());
    stage.connect("clean", will("will/clean", 0));
    stage.advance(1000);
    store.sync();
    const disk = cut(store);
    const after = await Stage.load(disk);
    after.advance(1);
    const watch = await back(after, disk, "watch");
    assert.deepEqual(commandsOf(watch), ["CONNACK 00 present", 'PUBLISH will/clean "gone" qos1 #1']);
    after.advance(29_000);
    assert.deepEqual(watch.take(), []);
    after.advance(1_000);
    assert.deepEqual(watch.take(), ['PUBLISH will/delayed "gone" qos1 #2']);
    disk.sync();
    const third = await Stage.load(cut(disk));
    third.advance(100_000);
    assert.equal(third.counters.queuedMessages, 2);
  });

  test("what stands for a will alone is no session: its client finds none there, however quick it is", async () => {
    const { stage, store } = await opened();
    const will = { topic: "will", payload: Buffer.from("x"), qos: 1 as const, retain: true };
    stage.connect("c", { will });
    stage.advance(1000);
    store.sync();
    const disk = cut(store);
    const after = await Stage.load(disk);
    const peer = await back(after, disk, "c");
    assert.deepEqual(commandsOf(peer), ["CONNACK 00"]);
    assert.equal(after.broker.retained.get("will")?.payloadEnd, 1);
  });

  test("a client that comes back in time keeps its will to itself", async () => {
    const { stage, store } = await opened();
    (await subscribed(stage, store, "watch", "will", 1)).hangUp();
    const will = { topic: "will", payload: Buffer.from("x"), qos: 1 as const, retain: false };
    await stored(stage, store, "c", { will: { ...will, properties: { willDelayInterval: 30 } } });
    const disk = cut(store);
    const after = await Stage.load(disk);
    after.advance(10_000);
    await back(after, disk, "c");
    after.advance(60_000);
    assert.equal(after.counters.queuedMessages, 0);
  });
});

test("totals of $SYS go on after a cut when that is asked for", async () => {
  const options = { mqtt: { sys: { restore: true } } };
  const { stage, store } = await opened(options);
  stage.connect("p").publish("t", "m");
  const { messagesReceived, bytesReceived } = stage.broker.sys.info();
  assert.equal(messagesReceived, 1);
  stage.advance(3_600_000);
  store.sync();
  const after = await Stage.load(cut(store), options);
  const info = after.broker.sys.info();
  assert.deepEqual([info.messagesReceived, info.bytesReceived], [messagesReceived, bytesReceived]);
  assert.equal((await Stage.load(cut(store))).broker.sys.info().messagesReceived, 0);
});

describe("time that was spent off", () => {
  async function after(offMs: number, trustedBefore: boolean, trustedAfter: boolean): Promise<Stage> {
    const store = new HeldStore();
    const stage = await Stage.load(store, { trusted: trustedBefore });
    (await subscribed(stage, store, "s", "t", 1)).hangUp();
    const publisher = stage.connect("p");
    publisher.publish("t", "m", { qos: 1, properties: { messageExpiryInterval: 600 } });
    publisher.publish("r", "m", { qos: 1, retain: true, properties: { messageExpiryInterval: 600 } });
    stage.broker.archive!.putClock();
    stage.broker.archive!.journal.want(0);
    stage.flush();
    store.sync();
    store.sync();
    const wallMs = trustedAfter ? stage.wallMs + offMs : 1000;
    const later = await Stage.load(cut(store), { trusted: trustedAfter, wallMs });
    later.advance(1);
    return later;
  }

  test("counts when both ends can be believed", async () => {
    const stage = await after(3_500_000, true, true);
    assert.equal(stage.broker.sessions.size, 1);
    assert.equal(stage.broker.retained.get("r"), undefined);
    assert.equal((await after(3_700_000, true, true)).broker.sessions.size, 0);
  });

  test("does not count when one of them cannot: a box that wakes up in 1970 expires nothing", async () => {
    for (const [before, behind] of [
      [true, false],
      [false, true],
      [false, false],
    ] as const) {
      const stage = await after(9_000_000, before, behind);
      assert.equal(stage.broker.sessions.size, 1);
      assert.equal(stage.broker.retained.get("r")?.payloadEnd, 1);
    }
  });
});

describe("policies", () => {
  test("batch: the acknowledgement leaves at once, and the disk has the message when its time is over", async () => {
    const durability = { delayMs: 0, topics: [{ topicFilter: "sensors/#", delayMs: 30_000 }] };
    const { stage, store } = await opened({ mqtt: { durability } });
    (await subscribed(stage, store, "s", "#", 1)).hangUp();
    store.sync();
    const publisher = stage.connect("p");
    publisher.publish("sensors/1", "m", { qos: 1 });
    assert.deepEqual(publisher.take(), ["PUBACK #1"]);
    stage.advance(29_999);
    assert.equal(store.pending.length, 0);
    stage.advance(1);
    assert.equal(store.pending.length, 1);
    publisher.publish("other", "m", { qos: 1 });
    assert.deepEqual(publisher.take(), []);
  });

  test("never: nothing is written for its sake, but all of it with an orderly stop", async () => {
    const { stage, store } = await opened({ mqtt: { durability: { delayMs: Number.POSITIVE_INFINITY, topics: [] } } });
    (await subscribed(stage, store, "s", "#", 1)).hangUp();
    stage.flush();
    store.sync();
    const publisher = stage.connect("p");
    publisher.publish("t", "m", { qos: 1 });
    assert.deepEqual(publisher.take(), ["PUBACK #1"]);
    stage.advance(100_000);
    store.sync();
    assert.equal(store.disk.get(Table.Queue)?.size ?? 0, 0);
    await stage.broker.close();
    assert.equal(store.disk.get(Table.Queue)!.size, 1);
  });

  test("QoS 2 identifiers are on disk before they are answered for, whatever the policy", async () => {
    const { stage, store } = await opened({ mqtt: { durability: { delayMs: Number.POSITIVE_INFINITY, topics: [] } } });
    const publisher = await stored(stage, store, "p");
    publisher.publish("t", "m", { qos: 2 });
    assert.deepEqual(publisher.take(), []);
    store.sync();
    assert.deepEqual(publisher.take(), ["PUBREC #1 10"]);
  });
});

describe("what is acknowledged before it was handed over is never written", () => {
  test("a message that all its receivers had", async () => {
    const { stage, store } = await opened();
    await subscribed(stage, store, "s1", "t", 1, { acknowledges: true });
    await subscribed(stage, store, "s2", "t", 1, { acknowledges: true });
    const publisher = stage.connect("p");
    publisher.publish("t", "first", { qos: 1 });
    // The disk is busy with the first one.
    publisher.publish("t", "second", { qos: 1 });
    store.sync(1);
    stage.flush();
    store.sync();
    assert.deepEqual(publisher.take(), ["PUBACK #1", "PUBACK #2"]);
    stage.advance(1000);
    store.sync();
    assert.equal(store.disk.get(Table.Queue)?.size ?? 0, 0);
    assert.equal(store.disk.get(Table.Message)?.size ?? 0, 0);
  });
});

describe("a disk that takes nothing", () => {
  test("refuses what would have to be kept, and nothing else; then goes on by itself", async () => {
    const { stage, store } = await opened();
    (await subscribed(stage, store, "s", "t", 1)).hangUp();
    const live = stage.connect("live").subscribed("#", 1);
    const publisher = stage.connect("p");
    publisher.publish("t", "before", { qos: 1 });
    live.take();
    store.trouble({ kind: "full", reason: "no room in the folder" });
    publisher.publish("t", "refused", { qos: 1 });
    publisher.publish("r", "refused", { qos: 1, retain: true });
    publisher.publish("r", "not retained", { retain: true });
    publisher.publish("free", "delivered", { qos: 1 });
    assert.deepEqual(live.take(), ['PUBLISH r "not retained"', 'PUBLISH free "delivered" qos1 #2']);
    assert.equal(stage.broker.retained.get("r"), undefined);
    const old = stage.connect("old", { version: 4 });
    old.publish("t", "refused", { qos: 1 });
    assert.equal(old.state, "ended");
    assert.deepEqual(old.take(), []);
    store.sync();
    store.events.onRecovered();
    const reason = '{"reasonString":"the disk takes nothing at present"}';
    assert.deepEqual(publisher.take(), ["PUBACK #1", `PUBACK #2 97 ${reason}`, `PUBACK #3 97 ${reason}`, "PUBACK #4"]);
    publisher.publish("t", "after", { qos: 1 });
    store.sync();
    assert.deepEqual(publisher.take(), ["PUBACK #5"]);
    assert.equal(stage.counters.droppedBy.storeFull, 4);
  });

  test("lets in who has a session, and gives it what is on disk; a new one is refused", async () => {
    const { stage, store } = await opened();
    (await subscribed(stage, store, "s", "t", 1)).hangUp();
    stage.connect("p").publish("t", "kept", { qos: 1 });
    store.sync();
    store.trouble({ kind: "full", reason: "no room" });
    const known = stage.dial({ clientId: "s", clean: false, properties: { sessionExpiryInterval: 3600 } });
    const fresh = stage.dial({ clientId: "new", clean: false, properties: { sessionExpiryInterval: 3600 } });
    await stage.settle();
    assert.deepEqual(commandsOf(known), ["CONNACK 00 present", 'PUBLISH t "kept" qos1 #1']);
    assert.deepEqual(commandsOf(fresh), ["CONNACK 97"]);
    known.subscribe("u", 1);
    store.sync();
    assert.deepEqual(known.take(), ["SUBACK #1 97"]);
  });
});

describe("long queues live on disk", () => {
  test("beyond a window nothing of them is in memory; they drain in order", async () => {
    const { stage, store } = await opened({ limits: { queuedMessages: 10_000 } });
    (await subscribed(stage, store, "s", "t", 1)).hangUp();
    const publisher = stage.connect("p");
    for (let number = 0; number < 5000; number++) publisher.publish("t", `${number}`, { qos: 1 });
    store.sync();
    publisher.take();
    const { delivery } = stage.broker.findSession("s")!;
    assert.equal(delivery.queued!.queue.length, 1024);
    assert.equal(delivery.queued!.tail!.count, 5000 - 1024);
    assert.equal(stage.counters.queuedMessages, 5000);
    const again = await back(stage, store, "s", { acknowledges: true });
    const expected = Array.from({ length: 5000 }, (_, number) => `${number}`);
    const payloads: string[] = [];
    for (let round = 0; round < 100 && payloads.length < 5000; round++) {
      payloads.push(...again.takePayloads());
      await stage.settle();
      stage.advance(100);
      store.sync();
    }
    assert.deepEqual(payloads, expected);
    stage.advance(1000);
    store.sync();
    assert.equal(store.disk.get(Table.Queue)!.size, 0);
    assert.deepEqual([stage.counters.queuedMessages, stage.counters.queuedBytes, stage.counters.inflight], [0, 0, 0]);
  });

  test("the oldest make room, those on disk too", async () => {
    const { stage, store } = await opened({ limits: { queuedMessages: 1500 } });
    (await subscribed(stage, store, "s", "t", 1)).hangUp();
    const publisher = stage.connect("p");
    for (let number = 0; number < 3000; number++) {
      publisher.publish("t", `${number}`, { qos: 1 });
      if (number % 500 !== 0) continue;
      store.sync();
      await stage.settle();
    }
    store.sync();
    await stage.settle();
    assert.equal(stage.broker.findSession("s")!.delivery.waiting, 1500);
    assert.equal(stage.counters.droppedBy.queueFull, 1500);
    stage.advance(1000);
    store.sync();
    const disk = cut(store);
    const after = await Stage.load(disk, { limits: { queuedMessages: 1500 } });
    assert.equal(after.counters.queuedMessages, 1500);
    // Nothing of it is in memory now, and still the oldest makes room.
    after.broker.inlineClient.publish("t", "last", { qos: 1 });
    await after.settle();
    assert.equal(after.counters.queuedMessages, 1500);
    const peer = await back(after, disk, "s");
    assert.deepEqual(peer.takePayloads()[0], "1501");
  });

  test("a session that ends takes what is on disk with it; messages of a share go to another member", async () => {
    const { stage, store } = await opened();
    (await subscribed(stage, store, "s", "$share/g/t", 1)).hangUp();
    const publisher = stage.connect("p");
    for (let number = 0; number < 2000; number++) publisher.publish("t", `${number}`, { qos: 1 });
    store.sync();
    const other = await subscribed(stage, store, "o", "$share/g/t", 1, { acknowledges: true });
    stage.dial({ clientId: "s", clean: true });
    const payloads: string[] = [];
    for (let round = 0; round < 50; round++) {
      payloads.push(...other.takePayloads());
      stage.advance(100);
      store.sync();
      await stage.settle();
    }
    assert.equal(payloads.length, 2000);
    assert.equal(new Set(payloads).size, 2000);
    assert.equal(store.disk.get(Table.Queue)!.size, 0);
    assert.equal(stage.counters.queuedMessages, 0);
  });
});

test("journalBytes: publishers are not read from while the disk cannot keep up", async () => {
  const { stage, store } = await opened({ limits: { journalBytes: 64 * 1024 } });
  (await subscribed(stage, store, "s", "t", 1)).hangUp();
  const publisher = stage.connect("p");
  const bystander = stage.connect("b");
  publisher.publish("t", "x".repeat(70_000), { qos: 1 });
  assert.equal(publisher.link.reading, false);
  bystander.publish("u", "m", { qos: 1 });
  assert.deepEqual(bystander.take(), ["PUBACK #1 10"]);
  store.sync();
  assert.equal(publisher.link.reading, true);
});

function subscribeAll(stage: Stage): string[] {
  const peer = stage.connect("all");
  peer.subscribe("#", 2);
  return peer.take().slice(1);
}
