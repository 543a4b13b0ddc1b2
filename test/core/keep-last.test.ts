import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Table } from "../../src/core/store.ts";
import { HeldStore } from "./held-store.ts";
import type { PeerOptions, TestPeer } from "./peer.ts";
import { Stage, type StageMqtt, type StageOptions } from "./stage.ts";

const QUEUE = { keepLast: ["set/#", "a/+/now"] };
const MQTT: StageMqtt = { queue: QUEUE };

/** A session that is away and subscribed to everything at QoS 2. */
function away(options: StageOptions = {}): Stage {
  const stage = new Stage({ mqtt: MQTT, ...options });
  stage.resume("s").subscribed("#", 2).hangUp();
  return stage;
}

/** "set/1 first" is a message of that topic and payload. */
function publish(stage: Stage, messages: string[], qos: 0 | 1 | 2 = 1): void {
  for (const message of messages) {
    const [topic, payload] = message.split(" ") as [string, string];
    stage.broker.inlineClient.publish(topic, payload, { qos });
  }
}

function drained(stage: Stage, options: PeerOptions = {}): string[] {
  return messagesOf(stage.resume("s", { acknowledges: true, ...options }));
}

function messagesOf(peer: TestPeer): string[] {
  return peer
    .take()
    .filter((line) => line.startsWith("PUBLISH"))
    .map((line) => line.replace(/^PUBLISH (\S+) "([^"]*)".*$/, "$1 $2"));
}

test("of three hundred set-points for an absent client the last one waits, and none is named as lost", () => {
  const stage = away();
  for (let degrees = 1; degrees <= 300; degrees++) publish(stage, [`set/heating ${degrees}`]);
  const { queuedMessages, queuedBytes, messagesDropped, droppedBy } = stage.counters;
  assert.deepEqual([queuedMessages, queuedBytes, messagesDropped, droppedBy.superseded], [1, 14, 0, 299]);
  assert.deepEqual(stage.log.of("Dropping messages for a client"), []);
  assert.deepEqual(drained(stage), ["set/heating 300"]);
  assert.deepEqual([stage.counters.queuedMessages, stage.counters.queuedBytes], [0, 0]);
});

test("the newest takes the end of the queue; other topics keep all of theirs, in order", () => {
  const stage = away();
  publish(stage, [
    "set/1 a",
    "log 1",
    "set/2 b",
    "a/x/now c",
    "log 2",
    "set/1 d",
    "a/x/then 1",
    "a/x/then 2",
    "set/2 e",
  ]);
  assert.deepEqual(drained(stage), ["log 1", "a/x/now c", "log 2", "set/1 d", "a/x/then 1", "a/x/then 2", "set/2 e"]);
});

test("without queue.keepLast every message waits", () => {
  const stage = away({ mqtt: {} });
  publish(stage, ["set/1 a", "set/1 b"]);
  assert.deepEqual(drained(stage), ["set/1 a", "set/1 b"]);
  assert.equal(stage.counters.droppedBy.superseded, 0);
});

test("each session has its own newest", () => {
  const stage = away();
  publish(stage, ["set/1 a"]);
  stage.resume("other").subscribed("set/1", 1).hangUp();
  publish(stage, ["set/1 b", "set/1 c"]);
  assert.deepEqual(drained(stage), ["set/1 c"]);
  assert.deepEqual(messagesOf(stage.resume("other")), ["set/1 c"]);
  assert.equal(stage.counters.droppedBy.superseded, 3);
});

test("what was sent is not taken back: a client that is too slow gets what is under way, and then the newest", () => {
  const stage = new Stage({ mqtt: MQTT });
  const slow = stage.resume("s", { properties: { receiveMaximum: 1, sessionExpiryInterval: 60 } }).subscribed("#", 2);
  publish(stage, ["set/1 a", "set/1 b", "set/1 c"], 2);
  assert.deepEqual(slow.take(), ['PUBLISH set/1 "a" qos2 #1']);
  slow.acknowledge("pubrec", 1);
  publish(stage, ["set/1 d"], 2);
  assert.deepEqual(slow.take(), ["PUBREL #1"]);
  slow.acknowledge("pubcomp", 1);
  assert.deepEqual(slow.take(), ['PUBLISH set/1 "d" qos2 #2']);
  slow.hangUp();
  publish(stage, ["set/1 e"], 2);
  assert.deepEqual(drained(stage), ["set/1 d", "set/1 e"]);
});

test("a message of QoS 0 takes the place of one only where it waits itself", () => {
  const without = away();
  publish(without, ["set/1 a"], 1);
  publish(without, ["set/1 b"], 0);
  assert.deepEqual(drained(without), ["set/1 a"]);
  const withThem = away({ mqtt: { queue: { ...QUEUE, qos0: true } } });
  publish(withThem, ["set/1 a"], 1);
  publish(withThem, ["set/1 b"], 0);
  assert.deepEqual(drained(withThem), ["set/1 b"]);
});

test("5.0 §4.8.2 messages of a share are pieces of work: all of them wait", () => {
  const stage = new Stage({ mqtt: MQTT });
  stage.resume("s").subscribed("$share/g/set/#", 1).hangUp();
  publish(stage, ["set/1 a", "set/1 b"]);
  assert.deepEqual(drained(stage), ["set/1 a", "set/1 b"]);
});

test("5.0 [MQTT-3.3.4-3] the newest has the subscription identifiers that it came by", () => {
  const stage = new Stage({ mqtt: MQTT });
  const peer = stage.resume("s");
  peer.subscribe("set/#", 1, {}, 7);
  peer.subscribe("set/1", 1, {}, 9);
  peer.take();
  peer.hangUp();
  publish(stage, ["set/1 a", "set/2 b", "set/1 c"]);
  assert.deepEqual(stage.resume("s").take(), [
    'PUBLISH set/2 "b" qos1 #1 {"subscriptionIdentifier":7}',
    'PUBLISH set/1 "c" qos1 #2 {"subscriptionIdentifier":[9,7]}',
  ]);
});

test("in a full queue the newest needs no more room than the one whose place it takes", () => {
  for (const overflow of ["drop-oldest", "drop-newest"] as const) {
    const stage = away({ mqtt: { queue: { ...QUEUE, overflow } }, limits: { queuedMessages: 2, queuedBytes: 16 } });
    publish(stage, ["set/1 aa", "set/2 b", "set/1 cc"]);
    assert.deepEqual([stage.counters.messagesDropped, stage.counters.droppedBy.superseded], [0, 1], overflow);
    assert.deepEqual(drained(stage), ["set/2 b", "set/1 cc"]);
  }
});

test("one that is refused leaves what waits of its topic", () => {
  const stage = away({ mqtt: { queue: { ...QUEUE, overflow: "drop-newest" } }, limits: { queuedBytes: 16 } });
  publish(stage, ["set/1 a", "set/2 b", "set/1 too-long"]);
  assert.deepEqual([stage.counters.droppedBy.queueBytes, stage.counters.droppedBy.superseded], [1, 0]);
  assert.deepEqual(drained(stage), ["set/1 a", "set/2 b"]);
});

test("one that needs more room drops the oldest others, and is not counted twice", () => {
  const stage = away({ limits: { queuedBytes: 18 } });
  publish(stage, ["set/1 a", "set/2 b", "set/3 c", "set/1 dddddd"]);
  assert.deepEqual([stage.counters.droppedBy.queueBytes, stage.counters.droppedBy.superseded], [1, 1]);
  assert.deepEqual(drained(stage), ["set/3 c", "set/1 dddddd"]);
});

/** A broker whose disk writes when the test says so. */
async function opened(store: HeldStore, mqtt: StageMqtt = MQTT, options: StageOptions = {}): Promise<Stage> {
  const stage = await Stage.load(store, { mqtt, ...options });
  await written(stage, store);
  return stage;
}

async function written(stage: Stage, store: HeldStore): Promise<void> {
  for (let round = 0; round < 3; round++) {
    stage.advance(1000);
    store.sync();
    await stage.settle();
  }
}

async function durable(stage: Stage, store: HeldStore, clientId: string, options: PeerOptions = {}): Promise<TestPeer> {
  const properties = { sessionExpiryInterval: 86_400, ...options.properties };
  const peer = stage.dial({ clientId, clean: false, ...options, properties });
  await written(stage, store);
  return peer;
}

async function sleeper(stage: Stage, store: HeldStore, clientId: string, filter = "#"): Promise<void> {
  const peer = await durable(stage, store, clientId);
  peer.subscribe(filter, 2);
  await written(stage, store);
  peer.take();
  peer.hangUp();
  await written(stage, store);
}

async function collected(stage: Stage, store: HeldStore, clientId = "s"): Promise<string[]> {
  const peer = await durable(stage, store, clientId, { acknowledges: true });
  const all: string[] = [];
  for (let idle = 0; idle < 4; idle++) {
    await written(stage, store);
    const some = messagesOf(peer);
    if (some.length > 0) idle = 0;
    all.push(...some);
  }
  peer.hangUp();
  await written(stage, store);
  return all;
}

function afterSteps(steps: number, act: () => void): void {
  if (steps === 0) act();
  else queueMicrotask(() => afterSteps(steps - 1, act));
}

const rows = (store: HeldStore, table: Table): number => store.disk.get(table)?.size ?? 0;

test("after a cut only the last is there, and its record is the only one on disk", async () => {
  const store = new HeldStore();
  const stage = await opened(store);
  await sleeper(stage, store, "s");
  for (let degrees = 1; degrees <= 300; degrees++) {
    publish(stage, [`set/1 ${degrees}`]);
    if (degrees % 7 === 0) await written(stage, store);
  }
  await written(stage, store);
  assert.equal(rows(store, Table.Queue), 1);
  const cut = new HeldStore(store.disk);
  const after = await opened(cut);
  assert.deepEqual(await collected(after, cut), ["set/1 300"]);
  assert.equal(rows(cut, Table.Queue), 0);
});

test("a cut leaves either the earlier or the newer one, never neither: both changes are one batch", async () => {
  const store = new HeldStore();
  const stage = await opened(store);
  await sleeper(stage, store, "s");
  publish(stage, ["set/1 a"]);
  await written(stage, store);
  publish(stage, ["set/1 b"]);
  stage.advance(0);
  const lost = new HeldStore(structuredClone(store.disk));
  assert.deepEqual(await collected(await opened(lost), lost), ["set/1 a"]);
  await written(stage, store);
  const kept = new HeldStore(store.disk);
  assert.deepEqual(await collected(await opened(kept), kept), ["set/1 b"]);
});

test("after a restart a newer one takes the place of one that is on disk only", async () => {
  const store = new HeldStore();
  const stage = await opened(store);
  await sleeper(stage, store, "s");
  publish(stage, ["log 1", "set/1 a", "log 2", "set/2 b"]);
  await written(stage, store);
  const cut = new HeldStore(store.disk);
  const after = await opened(cut);
  publish(after, ["set/1 c"]);
  await written(after, cut);
  assert.deepEqual([after.counters.queuedMessages, rows(cut, Table.Queue)], [4, 4]);
  assert.deepEqual(await collected(after, cut), ["log 1", "log 2", "set/2 b", "set/1 c"]);
});

test("messages that several sessions wait for are counted right, also where their record is shared", async () => {
  const store = new HeldStore();
  const stage = await opened(store);
  for (const client of ["s", "t", "u"]) await sleeper(stage, store, client, client === "u" ? "set/1" : "#");
  publish(stage, ["set/1 a", "set/2 b"], 2);
  await written(stage, store);
  assert.deepEqual([rows(store, Table.Queue), rows(store, Table.Message)], [5, 2]);
  assert.deepEqual(await collected(stage, store, "u"), ["set/1 a"]);
  const cut = new HeldStore(store.disk);
  const after = await opened(cut);
  publish(after, ["set/1 c"], 2);
  await written(after, cut);
  // The message that nobody waits for any more is gone with the last that did.
  assert.deepEqual([rows(cut, Table.Queue), rows(cut, Table.Message)], [5, 2]);
  for (const client of ["s", "t"]) assert.deepEqual(await collected(after, cut, client), ["set/2 b", "set/1 c"]);
  assert.deepEqual(await collected(after, cut, "u"), ["set/1 c"]);
  assert.deepEqual([rows(cut, Table.Queue), rows(cut, Table.Message)], [0, 0]);
  assert.equal(after.counters.storeRecordsLost, 0);
});

test("in a queue whose younger part is on disk only the newest is the only one as well", async () => {
  const store = new HeldStore();
  const stage = await opened(store);
  for (const client of ["s", "t"]) await sleeper(stage, store, client);
  const logs = Array.from({ length: 1500 }, (_, number) => `log ${number}`);
  publish(stage, logs);
  for (let degrees = 1; degrees <= 50; degrees++) {
    publish(stage, [`set/1 ${degrees}`, `set/2 ${degrees}`]);
    if (degrees % 20 === 0) await written(stage, store);
  }
  await written(stage, store);
  assert.equal(stage.counters.queuedMessages, 2 * 1502);
  assert.deepEqual([rows(store, Table.Queue), rows(store, Table.Message)], [2 * 1502, 1502]);
  assert.deepEqual(await collected(stage, store), [...logs, "set/1 50", "set/2 50"]);
  assert.deepEqual(await collected(stage, store, "t"), [...logs, "set/1 50", "set/2 50"]);
  assert.deepEqual([rows(store, Table.Queue), rows(store, Table.Message)], [0, 0]);
  assert.equal(stage.counters.queuedMessages, 0);
  assert.equal(stage.counters.queuedBytes, 0);
});

// Reading takes several steps of promises: the newer message comes between any two of them.
for (const [isShared, steps] of [false, true].flatMap((isShared) =>
  [0, 1, 2, 3, 4].map((n) => [isShared, n] as const),
)) {
  const where = `${isShared ? "a message of several sessions" : "a message"} that is superseded ${steps} steps after`;
  test(`${where} it was read from disk is neither sent nor named as lost`, async () => {
    const store = new HeldStore();
    const stage = await opened(store);
    await sleeper(stage, store, "s");
    if (isShared) await sleeper(stage, store, "t", "set/#");
    const logs = Array.from({ length: 1100 }, (_, number) => `log ${number}`);
    publish(stage, [...logs, "set/1 a", "log last"]);
    await written(stage, store);
    if (isShared) assert.deepEqual(await collected(stage, store, "t"), ["set/1 a"]);
    const read = store.read.bind(store);
    let reads = 0;
    store.read = async (table, ...range) => {
      const page = await read(table, ...range);
      if (table === Table.Queue && reads++ === 0) afterSteps(steps, () => publish(stage, ["set/1 b"]));
      return page;
    };
    assert.deepEqual(await collected(stage, store), [...logs, "log last", "set/1 b"]);
    assert.equal(reads > 0, true);
    const { storeRecordsLost, droppedBy, queuedMessages, queuedBytes } = stage.counters;
    assert.deepEqual([storeRecordsLost, droppedBy.superseded], [0, 1]);
    if (isShared) assert.deepEqual(await collected(stage, store, "t"), ["set/1 b"]);
    else assert.deepEqual([queuedMessages, queuedBytes], [0, 0]);
    assert.deepEqual([rows(store, Table.Queue), rows(store, Table.Message)], [0, 0]);
  });
}

test("what a run left that kept all is thinned when it is read", async () => {
  const store = new HeldStore();
  const stage = await opened(store, {});
  await sleeper(stage, store, "s");
  publish(stage, ["set/1 a", "log 1", "set/1 b", "set/1 c", "log 2"]);
  await written(stage, store);
  const cut = new HeldStore(store.disk);
  const after = await opened(cut);
  assert.deepEqual(await collected(after, cut), ["log 1", "set/1 c", "log 2"]);
  assert.deepEqual([after.counters.droppedBy.superseded, rows(cut, Table.Queue)], [2, 0]);
});

test("what may have been under way at a cut is sent again, whatever is newer", async () => {
  const store = new HeldStore();
  const stage = await opened(store);
  const peer = await durable(stage, store, "s");
  peer.subscribe("#", 2);
  publish(stage, ["set/1 a"], 2);
  await written(stage, store);
  assert.deepEqual(messagesOf(peer), ["set/1 a"]);
  const cut = new HeldStore(store.disk);
  const after = await opened(cut);
  publish(after, ["set/1 b", "set/1 c"], 2);
  await written(after, cut);
  assert.deepEqual(await collected(after, cut), ["set/1 a", "set/1 c"]);
  assert.equal(after.counters.droppedBy.superseded, 1);
});

test("what a subscription is told of retained messages takes no newer message's place, after a cut neither", async () => {
  const store = new HeldStore();
  const stage = await opened(store);
  stage.broker.inlineClient.publish("set/1", "old", { qos: 2, retain: true });
  const peer = await durable(stage, store, "s", { acknowledges: true });
  peer.subscribe(["set/1", "log"], 2, { rh: 2 });
  await written(stage, store);
  peer.subscribe("set/#", 2);
  publish(stage, ["log 1", "set/1 new"], 2);
  // The subscription is on disk now, and what was published then is not.
  store.sync(1);
  await stage.settle();
  assert.equal(stage.counters.queuedMessages, 3);
  assert.deepEqual(messagesOf(peer), []);
  peer.hangUp();
  await written(stage, store);
  const all = ["log 1", "set/1 new", "set/1 old"];
  const cut = new HeldStore(structuredClone(store.disk));
  assert.deepEqual(await collected(stage, store), all);
  assert.deepEqual(await collected(await opened(cut), cut), all);
});

test("one that is refused since the disk is full leaves what waits of its topic", async () => {
  const store = new HeldStore();
  const stage = await opened(store, MQTT, { limits: { journalBytes: 0 } });
  await sleeper(stage, store, "s");
  publish(stage, ["set/1 a"]);
  await written(stage, store);
  store.trouble({ kind: "full", reason: "no space" });
  publish(stage, ["log 1", "set/1 b"]);
  const { queuedMessages, droppedBy } = stage.counters;
  assert.deepEqual([queuedMessages, droppedBy.storeFull, droppedBy.superseded], [2, 1, 0]);
});

test("of what a run left that kept all, an older one is not sent before the newest was read", async () => {
  const store = new HeldStore();
  const stage = await opened(store, {});
  await sleeper(stage, store, "s");
  const logs = Array.from({ length: 40 }, (_, number) => `log ${number}${"x".repeat(40_000)}`);
  publish(stage, ["set/1 a", ...logs, "set/1 b"]);
  await written(stage, store);
  const cut = new HeldStore(store.disk);
  const after = await opened(cut);
  assert.deepEqual(await collected(after, cut), [...logs, "set/1 b"]);
  assert.deepEqual([after.counters.droppedBy.superseded, after.counters.queuedMessages], [1, 0]);
  assert.deepEqual([after.counters.queuedBytes, rows(cut, Table.Queue)], [0, 0]);
});

test("one whose message has left the disk while its queue was read is not named as lost", async () => {
  const store = new HeldStore();
  const stage = await opened(store);
  await sleeper(stage, store, "s");
  await sleeper(stage, store, "t", "set/#");
  const logs = Array.from({ length: 1100 }, (_, number) => `log ${number}`);
  publish(stage, [...logs, "set/1 a"]);
  await written(stage, store);
  assert.deepEqual(await collected(stage, store, "t"), ["set/1 a"]);
  const readKeys = store.readKeys.bind(store);
  let reads = 0;
  store.readKeys = async (table, keys) => {
    if (table === Table.Message && reads++ === 0) {
      publish(stage, ["set/1 b"]);
      stage.flush();
    }
    return readKeys(table, keys);
  };
  assert.deepEqual(await collected(stage, store), [...logs, "set/1 b"]);
  assert.deepEqual([reads > 0, stage.counters.storeRecordsLost], [true, 0]);
});

test("whatever is published, cut off and restarted: of each topic the last, in the order of their last, and no record more", async () => {
  const step = fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({ topic: fc.constantFrom("set/1", "set/2", "set/3", "log"), qos: fc.constantFrom(1, 2) }),
    },
    { weight: 2, arbitrary: fc.constant("write" as const) },
    { weight: 1, arbitrary: fc.constant("cut" as const) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.boolean(), async (steps, second) => {
      const limits = { queuedMessages: 1_000_000 };
      let store = new HeldStore();
      let stage = await opened(store, MQTT, { limits });
      await sleeper(stage, store, "s");
      if (second) await sleeper(stage, store, "t");
      // More than is held in memory, so that part of the queue is on disk only.
      const filler = "x".repeat(40_000);
      let model: string[] = [];
      let number = 0;
      for (const one of steps) {
        if (one === "write" || one === "cut") {
          await written(stage, store);
          if (one === "write") continue;
          store = new HeldStore(store.disk);
          stage = await opened(store, MQTT, { limits });
          continue;
        }
        const payload = `${++number}${one.topic === "log" ? filler : ""}`;
        publish(stage, [`${one.topic} ${payload}`], one.qos as 1 | 2);
        if (one.topic !== "log") model = model.filter((message) => !message.startsWith(`${one.topic} `));
        model.push(`${one.topic} ${payload}`);
      }
      await written(stage, store);
      const sessions = second ? ["s", "t"] : ["s"];
      assert.equal(rows(store, Table.Queue), model.length * sessions.length);
      assert.equal(stage.counters.queuedMessages, model.length * sessions.length);
      for (const client of sessions) assert.deepEqual(await collected(stage, store, client), model);
      assert.deepEqual([rows(store, Table.Queue), rows(store, Table.Message)], [0, 0]);
      assert.deepEqual([stage.counters.queuedMessages, stage.counters.queuedBytes], [0, 0]);
      assert.deepEqual([stage.counters.storeRecordsLost, stage.counters.messagesDropped], [0, 0]);
    }),
    { numRuns: 40, seed: 11 },
  );
});
