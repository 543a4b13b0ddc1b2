/** createBroker({ store }): what a broker kept, the next one on the same place finds; seen by clients over TCP. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import {
  createBroker,
  MemoryStore,
  MemoryTables,
  type Store,
  type StoreEvents,
  StoreInUse,
  sqliteStore,
  storeFromOperations,
} from "../../src/library.ts";
import { HooksInMemory, NineInMemory } from "../store/operations-kit.ts";
import type { RawClient } from "../support/raw-client.ts";
import { type LibraryBroker, startLibrary } from "./kit.ts";

const KEEP = { clean: false, properties: { sessionExpiryInterval: 3600 } };
const SLEEPER = { clientId: "sleeper", ...KEEP };
const PUBLISHER = { clientId: "publisher", ...KEEP };

/** A place, whose stores are made one after the other. */
interface Place {
  create(): Store;
  /** The place as it is at this moment, for a broker that finds it after the power was cut. */
  cut?(): Place;
}

function memoryPlace(): Place {
  const tables = new MemoryTables();
  return { create: () => new MemoryStore(tables) };
}

function sqlitePlace(context: TestContext): Place {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-library-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return { create: () => sqliteStore({ folder }) };
}

function ninePlace(operations = new NineInMemory()): Place {
  const cut = (): Place => {
    const copy = new NineInMemory();
    for (const [name, session] of operations.sessions) copy.sessions.set(name, session);
    for (const [topic, message] of operations.retained) copy.retained.set(topic, message);
    return ninePlace(copy);
  };
  return { create: () => storeFromOperations(operations), cut };
}

function hooksPlace(hooks = new HooksInMemory()): Place {
  const cut = (): Place => {
    const copy = new HooksInMemory();
    for (const name of ["clients", "subscriptions", "messages", "retained"] as const) {
      for (const [key, value] of hooks[name]) (copy[name] as Map<string, unknown>).set(key, structuredClone(value));
    }
    return hooksPlace(copy);
  };
  return { create: () => storeFromOperations(hooks), cut };
}

/** Serves until the test ends or `stop` is called. */
function serve(context: TestContext, place: Place): Promise<LibraryBroker> {
  return startLibrary(context, { store: place.create(), storeRequired: true });
}

/** Leaves something of every kind. */
async function live(broker: LibraryBroker): Promise<void> {
  const sleeper = await broker.connect(SLEEPER);
  const filter = { topic: "a/#", qos: 2, rap: true } as const;
  assert.deepEqual(await sleeper.subscribe(filter, { properties: { subscriptionIdentifier: 7 } }), [2]);
  assert.deepEqual(await sleeper.subscribe("given/up", { qos: 1 }), [1]);
  assert.deepEqual(await sleeper.unsubscribe("given/up"), [0]);
  const publisher = await broker.connect(PUBLISHER);
  // Three are under way: the first is complete, of the second only PUBREL and PUBCOMP are missing.
  for (const topic of ["a/done", "a/released", "a/sent"])
    assert.equal(await publisher.publish(topic, "1", { qos: 2 }), 0);
  const [done, released] = [await sleeper.next(), await sleeper.next(), await sleeper.next()];
  for (const { messageId } of [done, released]) {
    sleeper.send({ cmd: "pubrec", messageId: messageId! });
    await sleeper.take("pubrel", messageId!);
  }
  sleeper.send({ cmd: "pubcomp", messageId: done!.messageId });
  await sleeper.settle();
  await sleeper.drop();
  for (let number = 1; number <= 20; number++) {
    const qos = number % 2 === 0 ? 1 : 2;
    assert.equal(
      await publisher.publish(`a/${number}`, `queued ${number}`, { qos, properties: { contentType: "t" } }),
      0,
    );
  }
  const properties = { contentType: "text/plain", messageExpiryInterval: 1000 };
  assert.equal(await publisher.publish("kept", "old", { qos: 1, retain: true }), 0x10);
  assert.equal(await publisher.publish("kept", "new", { qos: 1, retain: true, properties }), 0x10);
  assert.equal(await publisher.publish("removed", "x", { qos: 1, retain: true }), 0x10);
  assert.equal(await publisher.publish("removed", "", { qos: 1, retain: true }), 0x10);
  const gone = await broker.connect({ clientId: "gone", ...KEEP });
  await gone.subscribe("a/#", { qos: 1 });
  await gone.disconnect(0, { sessionExpiryInterval: 0 });
  // PUBREC was sent: it must not be taken for a new message when it comes again.
  publisher.sendPublish("a/half", "once", { qos: 2, messageId: 500 });
  await publisher.take("pubrec", 500);
}

interface Expected {
  /** Whether PUBREL is all that is left of it. */
  released: boolean;
  /** Whether the identifiers of incoming QoS 2 messages are known. */
  incoming: boolean;
}

/** Finds all that `live` left. */
async function findAll(broker: LibraryBroker, expected: Expected): Promise<void> {
  assert.deepEqual(broker.broker.sessions.map(({ clientId }) => clientId).sort(), ["publisher", "sleeper"]);
  const [session] = broker.broker.sessions.filter(({ clientId }) => clientId === "sleeper");
  assert.deepEqual(session!.subscriptions, ["a/#"]);
  const sleeper = await broker.connect(SLEEPER);
  assert.equal(sleeper.connack.sessionPresent, true);
  if (expected.released) await complete(sleeper, (await sleeper.expect("pubrel")).messageId);
  const sent = await sleeper.expect("publish", { topic: "a/sent", qos: 2, dup: true });
  assert.deepEqual(sent.properties, { subscriptionIdentifier: 7 });
  const topics: string[] = [];
  await acknowledge(sleeper, sent.messageId, 2);
  while (topics.length < 21) {
    const { topic, qos, messageId, payload } = await sleeper.expect("publish", { retain: false });
    topics.push(topic);
    assert.equal(payload, topic === "a/half" ? "once" : `queued ${topic.slice(2)}`);
    await acknowledge(sleeper, messageId, qos);
  }
  assert.deepEqual(topics, [...Array.from({ length: 20 }, (_, at) => `a/${at + 1}`), "a/half"]);
  await sleeper.expectNothing();
  const publisher = await broker.connect(PUBLISHER);
  assert.equal(publisher.connack.sessionPresent, true);
  publisher.sendPublish("a/half", "once", { qos: 2, messageId: 500, dup: true });
  await publisher.take("pubrec", 500);
  publisher.send({ cmd: "pubrel", messageId: 500 });
  await publisher.take("pubcomp", 500);
  if (!expected.incoming)
    await acknowledge(sleeper, (await sleeper.expect("publish", { topic: "a/half" })).messageId, 2);
  await sleeper.expectNothing();
  await publisher.subscribe([{ topic: "kept" }, { topic: "removed" }]);
  const kept = await publisher.expect("publish", { topic: "kept", payload: "new", retain: true });
  const { contentType, messageExpiryInterval } = kept.properties;
  assert.equal(contentType, "text/plain");
  assert.ok(Number(messageExpiryInterval) > 900 && Number(messageExpiryInterval) <= 1000);
  await publisher.expectNothing();
}

async function acknowledge(client: RawClient, messageId: number, qos: number): Promise<void> {
  if (qos === 1) {
    client.send({ cmd: "puback", messageId });
    return;
  }
  client.send({ cmd: "pubrec", messageId });
  await client.take("pubrel", messageId);
  await complete(client, messageId);
}

async function complete(client: RawClient, messageId: number): Promise<void> {
  client.send({ cmd: "pubcomp", messageId });
}

const ALL: Expected = { released: true, incoming: true };
const PLACES: [name: string, make: (context: TestContext) => Place, expected: Expected][] = [
  ["memory", memoryPlace, ALL],
  ["sqlite", sqlitePlace, ALL],
  ["nine operations", () => ninePlace(), ALL],
  ["hooks", () => hooksPlace(), { ...ALL, incoming: false }],
];

suite("the next broker on the same store finds what was kept", () => {
  for (const [name, make, expected] of PLACES) {
    test(`${name}, after a stop, twice`, async (context) => {
      const place = make(context);
      const first = await serve(context, place);
      await live(first);
      await first.broker.stop();
      const between = await serve(context, place);
      assert.equal(between.broker.sessions.length, 2);
      await between.broker.stop();
      await findAll(await serve(context, place), expected);
    });
  }

  for (const [name, make, expected] of PLACES.slice(2)) {
    test(`${name}, after the power was cut`, async (context) => {
      const place = make(context);
      await live(await serve(context, place));
      const cut = place.cut!();
      await findAll(await serve(context, cut), expected);
    });
  }

  test("nothing is left in hooks when all of it was delivered, and sessions have ended", async (context) => {
    const hooks = new HooksInMemory();
    const first = await serve(context, hooksPlace(hooks));
    await live(first);
    await first.broker.stop();
    const second = await serve(context, hooksPlace(hooks));
    await findAll(second, { released: true, incoming: false });
    for (const clientId of ["sleeper", "publisher"]) {
      const client = await second.connect({ clientId, clean: true });
      await client.disconnect();
    }
    second.broker.publish("kept", "", { retain: true });
    await second.broker.stop();
    assert.deepEqual(
      [hooks.clients, hooks.subscriptions, hooks.messages, hooks.retained].map(({ size }) => size),
      [0, 0, 0, 0],
    );
    assert.equal(hooks.stopped, 2);
  });
});

/** A store whose answers are the test's to give. */
class HeldStore extends MemoryStore {
  told: StoreEvents | undefined;
  isHeld = false;
  closed = 0;
  private durable = 0;

  override open(events: StoreEvents): Promise<void> {
    this.told = events;
    const onDurable = (count: number): void => {
      this.durable = count;
      if (!this.isHeld) events.onDurable(count);
    };
    return super.open({ ...forwarded(events), onDurable });
  }

  release(): void {
    this.isHeld = false;
    this.told!.onDurable(this.durable);
  }

  override async close(): Promise<void> {
    this.closed++;
    await super.close();
  }
}

function forwarded(events: StoreEvents): StoreEvents {
  return {
    onDurable: (count) => events.onDurable(count),
    onTrouble: (trouble) => events.onTrouble(trouble),
    onRecovered: () => events.onRecovered(),
    onLost: (loss) => events.onLost(loss),
    onFailed: (error) => events.onFailed(error),
  };
}

/** A store that cannot be opened. */
class ClosedStore extends MemoryStore {
  private readonly error: Error;

  constructor(error: Error) {
    super();
    this.error = error;
  }

  override open(): Promise<void> {
    return Promise.reject(this.error);
  }
}

suite("a broker with a store of the program's own", () => {
  test("acknowledges when the store has answered", async (context) => {
    const store = new HeldStore();
    const broker = await startLibrary(context, { store });
    const sleeper = await broker.connect(SLEEPER);
    await sleeper.subscribe("t", { qos: 1 });
    await sleeper.disconnect();
    const publisher = await broker.connect();
    store.isHeld = true;
    const messageId = publisher.sendPublish("t", "x", { qos: 1 });
    await publisher.settle();
    await publisher.expectNothing();
    store.release();
    await publisher.take("puback", messageId);
  });

  test("closes it when it stops", async () => {
    const store = new HeldStore();
    const broker = createBroker({ store });
    await broker.start();
    await broker.stop();
    assert.equal(store.closed, 1);
  });

  test("serves from memory when the store cannot be opened, and says so", async (context) => {
    const errors: string[] = [];
    const nothing = () => undefined;
    const log = { enabled: () => true, warn: nothing, info: nothing, debug: nothing, trace: nothing };
    const store = new ClosedStore(new Error("no such table"));
    const error = (message: string, fields?: object) => errors.push(`${message} ${JSON.stringify(fields)}`);
    const broker = await startLibrary(context, { store, log: { ...log, error } });
    assert.deepEqual(errors, ['Nothing outlives this process: the store cannot be used {"reason":"no such table"}']);
    const client = await broker.connect(SLEEPER);
    assert.equal(await client.publish("t", "x", { qos: 1, retain: true }), 0x10);
  });

  test("does not start when the store is required, or used by another broker", async () => {
    for (const [error, storeRequired] of [
      [new Error("no such table"), true],
      [new StoreInUse("in use by process 7"), false],
    ] as const) {
      const broker = createBroker({ store: new ClosedStore(error), storeRequired });
      await assert.rejects(broker.start(), error);
    }
  });

  test("tells when the store has failed", async (context) => {
    const failures: Error[] = [];
    const store = new HeldStore();
    await startLibrary(context, { store, onStoreFailed: (error) => failures.push(error) });
    const error = new Error("the thread has died");
    store.told!.onFailed(error);
    assert.deepEqual(failures, [error]);
  });

  test("nothing of SQLite is loaded before it is opened", () => {
    const library = JSON.stringify(new URL("../../src/library.ts", import.meta.url));
    const program = `
      const { createBroker, sqliteStore } = await import(${library});
      const broker = createBroker({ store: sqliteStore({ folder: "nowhere" }) });
      console.log(broker.urls.length);`;
    const words = ["--no-experimental-sqlite", "--input-type=module", "--eval", program];
    const output = execFileSync(process.execPath, words, { encoding: "utf8" });
    assert.equal(output, "0\n");
  });
});
