import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { NO_PROPERTIES } from "../../src/codec/packet.ts";
import { BATCH_HEAD_BYTES, Batch } from "../../src/core/batch.ts";
import { encodeMessage } from "../../src/core/message-record.ts";
import { encodeQueued, QueueForm } from "../../src/core/queue-record.ts";
import { encodeSession, encodeSubscription, nameBytes } from "../../src/core/records.ts";
import { STORE_KEY_MAX, STORE_TABLES, type Store, type StoreEvents, Table } from "../../src/core/store.ts";
import { MemoryStore } from "../../src/store/memory.ts";
import type { NineOperations } from "../../src/store/nine-operations.ts";
import { storeFromOperations } from "../../src/store/operations.ts";
import { HooksInMemory, NineInMemory } from "./operations-kit.ts";
import { storeSuite } from "./suite.ts";

storeSuite("nine operations", async () => {
  const operations = new NineInMemory();
  return { create: () => storeFromOperations(operations), remove: async () => undefined };
});

storeSuite("nine operations that throw for what is missing, and keep an empty payload", async () => {
  const operations = new NineInMemory();
  operations.throwsForMissing = true;
  operations.keepsEmpty = true;
  return { create: () => storeFromOperations(operations), remove: async () => undefined };
});

/** What a store told. */
class Told implements StoreEvents {
  durable = 0;
  readonly events: string[] = [];
  onDurable(count: number): void {
    this.durable = count;
  }
  onTrouble({ kind, reason }: { kind: string; reason: string }): void {
    this.events.push(`${kind}: ${reason}`);
  }
  onRecovered(): void {
    this.events.push("recovered");
  }
  onLost({ table, name, reason }: { table: string; name: string; reason: string }): void {
    this.events.push(`lost ${table} ${name}: ${reason}`);
  }
  onFailed(error: Error): void {
    this.events.push(`failed: ${error.message}`);
  }
}

async function opened(operations: NineInMemory): Promise<{ store: Store; told: Told }> {
  const told = new Told();
  const store = storeFromOperations(operations);
  await store.open(told);
  return { store, told };
}

/** Waits for what comes at once or soon. */
async function until(holds: () => boolean, what: string): Promise<void> {
  for (let turn = 0; turn < 500; turn++) {
    if (holds()) return;
    await sleep(turn < 100 ? 0 : 10);
  }
  assert.fail(`Expected ${what}`);
}

function batchOf(fill: (batch: Batch) => void): Uint8Array {
  const batch = new Batch();
  fill(batch);
  return batch.bytes.slice(0, batch.length);
}

function put(batch: Batch, table: Table, key: number, name: string, value: Uint8Array): void {
  const bytes = nameBytes(name);
  const at = batch.put(table, key, bytes.length, value.length) + BATCH_HEAD_BYTES;
  batch.bytes.set(bytes, at);
  batch.bytes.set(value, at + bytes.length);
}

function putSession(batch: Batch, key: number, clientId: string, connected = false): void {
  const value = encodeSession({
    clientId,
    userName: "user",
    protocolVersion: 5,
    stored: true,
    connected,
    expiryIntervalSeconds: 60,
    expiresAtMs: 60_000,
    responseTopic: undefined,
    sentKey: 7,
    will: undefined,
    willDueAtMs: Number.POSITIVE_INFINITY,
  });
  put(batch, Table.Session, key, clientId, value);
}

function putSubscription(batch: Batch, key: number, session: number, topicFilter: string, qos: 0 | 1 | 2): void {
  const options = { noLocal: true, retainAsPublished: true, retainHandling: 1, subscriptionIdentifier: 9 } as const;
  put(batch, Table.Subscription, key, topicFilter, encodeSubscription({ session, topicFilter, qos, ...options }));
}

function putRetained(batch: Batch, key: number, topicName: string, payload: string, expiresAtMs = 1_000): void {
  const properties = expiresAtMs > 5_000 ? NO_PROPERTIES : { contentType: `type ${expiresAtMs}` };
  const message = { topicName, qos: 1, retain: true, properties, expiresAtMs, payload: nameBytes(payload) } as const;
  put(batch, Table.Retained, key, topicName, encodeMessage(message));
}

/** All there is, in hexadecimal, by table. */
async function contentOf(store: Store): Promise<string[]> {
  const pages = STORE_TABLES.map((_, table) => store.read(table as Table, 0, STORE_KEY_MAX, 1e9));
  return (await Promise.all(pages)).map((page) => Buffer.from(page).toString("hex"));
}

suite("the nine operations", () => {
  test("get what MQTT knows in their own words", async () => {
    const operations = new NineInMemory();
    const { store } = await opened(operations);
    store.commit(
      batchOf((batch) => {
        putSession(batch, 1, "pump");
        putSubscription(batch, 1, 1, "a/+", 1);
        putSubscription(batch, 2, 1, "b/#", 2);
        putRetained(batch, 1, "a/b", "on");
      }),
    );
    await store.close();
    const session = operations.sessions.get("pump")!;
    assert.deepEqual(session.subscriptions.slice(0, -1), [
      { topic: "a/+", qos: 1 },
      { topic: "b/#", qos: 2 },
    ]);
    assert.match(session.subscriptions.at(-1)!.topic, /^\$mqtt-broker\//);
    assert.deepEqual([session.clientId, session.cleanSession], ["pump", false]);
    assert.deepEqual(operations.retained.get("a/b"), {
      topic: "a/b",
      payload: nameBytes("on"),
      qos: 1,
      retain: true,
    });
    assert.equal(operations.closed, 1);
  });

  test("lose what is gone", async () => {
    const operations = new NineInMemory();
    const { store } = await opened(operations);
    store.commit(
      batchOf((batch) => {
        putSession(batch, 1, "pump");
        putSubscription(batch, 1, 1, "a/+", 1);
        putRetained(batch, 1, "a/b", "on");
        for (let key = 0; key < 20; key++) put(batch, Table.Queue, key, "", nameBytes("queued"));
      }),
    );
    store.commit(
      batchOf((batch) => {
        batch.delete(Table.Session, 1);
        batch.delete(Table.Subscription, 1);
        batch.delete(Table.Retained, 1);
        batch.deleteRange(Table.Queue, 0, 1000);
      }),
    );
    await store.close();
    assert.deepEqual([...operations.sessions.keys()], []);
    assert.deepEqual([...operations.retained.keys()], ["$mqtt-broker/last-batch"]);
  });

  test("keep the session that a client began anew in the same batch", async () => {
    const operations = new NineInMemory();
    const { store } = await opened(operations);
    store.commit(
      batchOf((batch) => {
        putSession(batch, 1, "pump");
        putSubscription(batch, 1, 1, "old", 1);
      }),
    );
    await store.read(Table.Session, 0, 9, 9);
    await until(() => operations.sessions.has("pump"), "the session");
    store.commit(
      batchOf((batch) => {
        batch.delete(Table.Subscription, 1);
        batch.delete(Table.Session, 1);
        putSession(batch, 2, "pump");
        putSubscription(batch, 2, 2, "new", 1);
      }),
    );
    await store.close();
    assert.deepEqual(operations.sessions.get("pump")!.subscriptions[0], { topic: "new", qos: 1 });
    assert.equal(operations.calls.includes("deleteSession pump"), false);
  });

  test("do not mix the names of clients and topics with the broker's own, nor two users' clients", async () => {
    const operations = new NineInMemory();
    const { store } = await opened(operations);
    store.commit(
      batchOf((batch) => {
        for (const [at, name] of ["$mqtt-broker/sessions/0", "twin", "twin"].entries()) putSession(batch, at + 1, name);
        putRetained(batch, 1, "$mqtt-broker/last-batch", "mine");
        putRetained(batch, 2, "$mqtt-broker/records/0", "mine too");
        put(batch, Table.Totals, 0, "", nameBytes("{}"));
      }),
    );
    const before = await contentOf(store);
    await store.close();
    const again = await opened(operations);
    assert.deepEqual(await contentOf(again.store), before);
    assert.deepEqual(again.told.events, []);
    await again.store.close();
  });

  test("are called one after the other, and what they were given counts when they have answered", async () => {
    const operations = new NineInMemory();
    const { store, told } = await opened(operations);
    operations.held = [];
    store.commit(batchOf((batch) => putRetained(batch, 1, "a", "1")));
    const next = async (call: string) => {
      await until(() => operations.held!.length > 0, call);
      await sleep(0);
      assert.deepEqual([operations.held!.length, operations.calls.at(-1)], [1, call]);
      operations.held!.shift()!();
    };
    assert.deepEqual([operations.calls, told.durable], [[], 0]);
    await next("storeRetained $mqtt-broker/last-batch");
    assert.equal(told.durable, 0);
    await next("storeRetained a");
    assert.equal(told.durable, 1);
    const closed = store.close();
    await next("saveSession $mqtt-broker/retained/0");
    await closed;
  });

  test("that fail are trouble once, and are tried again until they succeed", async () => {
    const operations = new NineInMemory();
    const { store, told } = await opened(operations);
    operations.failure = Object.assign(new Error("the disk is full"), { code: "ENOSPC" });
    store.commit(batchOf((batch) => putRetained(batch, 1, "a", "1")));
    await until(() => operations.calls.length === 2, "a second try");
    assert.deepEqual([told.durable, told.events], [0, ["full: the disk is full"]]);
    operations.failure = undefined;
    await until(() => told.durable === 1, "the batch to be durable");
    assert.deepEqual(told.events, ["full: the disk is full", "recovered"]);
    await store.close();
    assert.equal(operations.retained.get("a")!.topic, "a");
  });

  test("that go on failing do not keep the store from closing", async () => {
    const operations = new NineInMemory();
    const { store, told } = await opened(operations);
    operations.failure = new Error("gone");
    store.commit(batchOf((batch) => putRetained(batch, 1, "a", "1")));
    await store.close();
    assert.deepEqual([told.durable, told.events, operations.closed], [0, ["unwritable: gone"], 1]);
  });

  test("that cannot read keep the store from opening, with their reason", async () => {
    const operations = new NineInMemory();
    operations.loadSession = () => {
      throw new Error("connection refused");
    };
    await assert.rejects(storeFromOperations(operations).open(new Told()), { message: "connection refused" });
    await assert.rejects(storeFromOperations({ ...bound(new NineInMemory()), getRetained: textual }).open(new Told()), {
      message: "getRetained must answer with a payload of bytes, as storeRetained was given: $mqtt-broker/last-batch",
    });
  });

  test("may say in their own way that nothing is there", async () => {
    const operations = new NineInMemory();
    operations.loadSession = () => {
      throw new Error("E_NONE");
    };
    const isMissing = (error: unknown) => (error as Error).message === "E_NONE";
    const store = storeFromOperations(operations, { isMissing });
    await store.open(new Told());
    await store.close();
  });

  test("name what was damaged, and give the rest", async () => {
    const operations = new NineInMemory();
    const first = await opened(operations);
    first.store.commit(
      batchOf((batch) => {
        putSession(batch, 1, "pump");
        putSession(batch, 2, "fan");
        for (const key of [5, 6, 7]) put(batch, Table.Queue, key, "", nameBytes("queued"));
      }),
    );
    first.store.commit(batchOf(() => undefined));
    await first.store.close();
    operations.retained.delete("$mqtt-broker/last-batch");
    operations.sessions.get("pump")!.subscriptions = [];
    operations.retained.get("$mqtt-broker/records/1")!.payload = Uint8Array.of(1, 2, 3);
    const { store, told } = await opened(operations);
    assert.deepEqual(told.events, [
      "lost session pump: its subscriptions do not hold the record that the broker had added",
      "lost queue : it holds no record",
    ]);
    const keys = async (table: Table) => (await store.readKeys(table, [1, 2, 5, 6, 7])).length;
    assert.equal(await keys(Table.Queue), 2 * (BATCH_HEAD_BYTES + 6));
    assert.equal((await store.readKeys(Table.Session, [1])).length, 0);
    assert.notEqual((await store.readKeys(Table.Session, [2])).length, 0);
    await store.close();
  });

  test("what is missing is named when the store is made", () => {
    const { saveSession, storeRetained } = bound(new NineInMemory());
    const given = { saveSession, storeRetained } as unknown as NineOperations;
    assert.throws(() => storeFromOperations(given), {
      name: "TypeError",
      message: "These are no operations of a store: loadSession, deleteSession, getRetained must be a function",
    });
  });

  for (const keepsEmpty of [false, true]) {
    test(`a broker cut off at any call finds what was durable, and batches whole (empty kept: ${keepsEmpty})`, async () => {
      const batches = lifeOf(60);
      const states = [await contentOf(new MemoryStore())];
      const model = new MemoryStore();
      for (const batch of batches) {
        model.commit(batch.slice());
        states.push(await contentOf(model));
      }
      const operations = new NineInMemory();
      operations.keepsEmpty = keepsEmpty;
      let done = 0;
      let cuts = 0;
      // Each life begins where the one before was cut off.
      for (let life = 0; done < batches.length; life++) {
        operations.callsLeft = Number.POSITIVE_INFINITY;
        operations.isCut = false;
        const { store, told } = await opened(operations);
        assert.deepEqual(told.events, []);
        assert.deepEqual(await contentOf(store), states[done], `after ${done} batches and ${cuts} cuts`);
        operations.callsLeft = life % 13;
        for (const [at, batch] of batches.slice(done, done + 3).entries()) {
          store.commit(batch.slice());
          await until(() => told.durable === at + 1 || operations.isCut, "the batch to be durable");
        }
        if (operations.isCut) cuts++;
        else {
          operations.callsLeft = Number.POSITIVE_INFINITY;
          await store.close();
        }
        done += told.durable;
      }
      assert.ok(cuts > batches.length / 3, `${cuts} cuts`);
    });
  }
});

suite("hooks", () => {
  test("that miss everything are no operations of a store", () => {
    assert.throws(() => storeFromOperations({ onQosPublish: () => undefined }), {
      message: /^These are no operations of a store: saveSession, loadSession, /,
    });
  });

  test("get a message that several wait for with each of them", async () => {
    const { hooks, store } = await openedHooks();
    store.commit(
      batchOf((batch) => {
        for (const number of [1, 2]) putSession(batch, number, `client ${number}`, true);
        put(batch, Table.Message, 5, "t", encodeMessage(MESSAGE));
        for (const number of [1, 2]) putQueued(batch, number, 10 + number, { message: 5 });
      }),
    );
    await until(() => hooks.told.durable === 1, "the first batch to be durable");
    store.commit(batchOf((batch) => batch.delete(Table.Queue, 1)));
    await store.close();
    const expected = { ...MESSAGE_TOLD, clientId: "client 2", packetIdentifier: 12 };
    assert.deepEqual([...hooks.messages.values()], [expected]);
    assert.equal(hooks.calls.at(-1), "complete client 1 11");
  });

  test("get what shares a packet identifier one after the other", async () => {
    const { hooks, store } = await openedHooks();
    const payloads = () => [...hooks.messages.values()].map(({ payload }) => Buffer.from(payload).toString());
    const commit = async (fill: (batch: Batch) => void) => {
      const count = hooks.told.durable + 1;
      store.commit(batchOf(fill));
      await until(() => hooks.told.durable === count, "the batch to be durable");
    };
    await commit((batch) => {
      putSession(batch, 1, "client", true);
      for (const key of [1, 2, 3]) putQueued(batch, key, 9, { session: 1, payload: `message ${key}` });
    });
    assert.deepEqual(payloads(), ["message 1"]);
    await commit((batch) => batch.delete(Table.Queue, 2));
    assert.deepEqual(payloads(), ["message 1"]);
    await commit((batch) => batch.delete(Table.Queue, 1));
    assert.deepEqual(payloads(), ["message 3"]);
    await commit((batch) => batch.delete(Table.Queue, 3));
    assert.deepEqual(payloads(), []);
    await store.close();
  });

  test("keep what a client began anew in the batch that ends its old session", async () => {
    const { hooks, store } = await openedHooks();
    store.commit(
      batchOf((batch) => {
        putSession(batch, 1, "client", true);
        putSubscription(batch, 1, 1, "t", 1);
        putSubscription(batch, 2, 1, "old", 1);
        putQueued(batch, 1, 9, { payload: "old" });
      }),
    );
    await until(() => hooks.told.durable === 1, "the first batch to be durable");
    store.commit(
      batchOf((batch) => {
        for (const key of [1, 2]) batch.delete(Table.Subscription, key);
        batch.delete(Table.Session, 1);
        batch.deleteRange(Table.Queue, 0, 1000);
        putSession(batch, 2, "client", true);
        putSubscription(batch, 3, 2, "t", 2);
        putQueued(batch, 2000, 9, { session: 2, payload: "new" });
      }),
    );
    await store.close();
    assert.equal(hooks.clients.has("client"), true);
    assert.deepEqual(
      [...hooks.subscriptions.values()].map(({ topicFilter, qos }) => [topicFilter, qos]),
      [["t", 2]],
    );
    assert.deepEqual(
      [...hooks.messages.values()].map(({ payload }) => Buffer.from(payload).toString()),
      ["new"],
    );
    assert.equal(hooks.calls.includes("expired client"), false);
  });

  test("hear of a session that comes and goes", async () => {
    const { hooks, store } = await openedHooks();
    store.commit(batchOf((batch) => putSession(batch, 1, "client", true)));
    await until(() => hooks.told.durable === 1, "the first batch to be durable");
    store.commit(batchOf((batch) => putSession(batch, 1, "client", false)));
    await until(() => hooks.told.durable === 2, "the second batch to be durable");
    store.commit(batchOf((batch) => batch.delete(Table.Session, 1)));
    await store.close();
    const expected = ["established client", "established client", "disconnected client false", "expired client"];
    assert.deepEqual(hooks.calls, expected);
  });

  test("that hand over what cannot be used: it is named and left out", async () => {
    const hooks = new HooksInMemory();
    hooks.clients.set("c", { clientId: "c", protocolVersion: 5, sessionExpiryInterval: 60 });
    hooks.clients.set("bad", { clientId: "", protocolVersion: 5, sessionExpiryInterval: 60 });
    hooks.subscriptions.set("c", { clientId: "c", topicFilter: "a/#/b", qos: 1 });
    hooks.subscriptions.set("other", { clientId: "other", topicFilter: "a", qos: 1 });
    hooks.retained.set("r", { topicName: "r/+", payload: nameBytes("x"), qos: 1 });
    hooks.retained.set("e", { topicName: "e", payload: nameBytes(""), qos: 1 });
    hooks.messages.set("m", { clientId: "c", topicName: "m", payload: nameBytes("x"), qos: 1 });
    const told = new Told();
    const store = storeFromOperations(hooks);
    await store.open(told);
    assert.deepEqual(told.events, [
      "lost session : it has no client identifier",
      "lost subscription a/#/b: not a valid Topic Filter",
      "lost subscription a: it has no session",
      "lost retained r/+: not a valid Topic Name",
      "lost retained e: it has no payload",
      "lost queue m: it has no packet identifier",
    ]);
    await store.close();
  });
});

const MESSAGE = {
  topicName: "t",
  qos: 1,
  retain: false,
  properties: { contentType: "text" },
  expiresAtMs: Number.POSITIVE_INFINITY,
  payload: nameBytes("x"),
} as const;

/** As HooksInMemory keeps it. */
const MESSAGE_TOLD = {
  userName: "user",
  topicName: "t",
  payload: nameBytes("x"),
  qos: 1,
  retain: false,
  properties: { contentType: "text" },
  subscriptionIdentifiers: [],
};

class ToldHooks extends HooksInMemory {
  readonly told = new Told();
}

async function openedHooks(): Promise<{ hooks: ToldHooks; store: Store }> {
  const hooks = new ToldHooks();
  const store = storeFromOperations(hooks);
  await store.open(hooks.told);
  return { hooks, store };
}

/** For the session of the same number when none is given; of a message of its own record, or with its payload. */
function putQueued(
  batch: Batch,
  key: number,
  packetIdentifier: number,
  { session = key, message = 0, payload = "" }: { session?: number; message?: number; payload?: string },
): void {
  const isWhole = message === 0;
  const value = encodeQueued({
    form: isWhole ? QueueForm.Whole : QueueForm.Reference,
    qos: 1,
    retain: false,
    packetIdentifier,
    countedBytes: 0,
    session,
    queuedAtMs: 0,
    message,
    subscriptionIdentifiers: undefined,
    share: undefined,
    whole: isWhole ? { ...MESSAGE, payload: nameBytes(payload) } : undefined,
  });
  put(batch, Table.Queue, key, isWhole ? "t" : "", value);
}

function bound(operations: NineInMemory): NineOperations {
  const names = ["saveSession", "loadSession", "deleteSession", "storeRetained", "getRetained"] as const;
  return Object.fromEntries(
    names.map((name) => [name, operations[name].bind(operations)]),
  ) as unknown as NineOperations;
}

const textual = () => ({ topic: "t", payload: "text" as unknown as Uint8Array, qos: 0, retain: true }) as const;

/** Batches in which sessions, subscriptions, retained messages and queues come, change, go and take each other's names. */
function lifeOf(count: number): Uint8Array[] {
  let state = 7;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return (state >>> 8) % limit;
  };
  return Array.from({ length: count }, (_, round) =>
    batchOf((batch) => {
      for (let changes = 1 + below(6); changes > 0; changes--) {
        const key = 1 + below(4);
        switch (below(9)) {
          case 0:
          case 1:
            putSession(batch, key, `client ${below(3)}`, below(2) === 0);
            break;
          case 2:
            batch.delete(Table.Session, key);
            break;
          case 3:
            putSubscription(batch, key, 1 + below(4), `filter/${below(3)}`, 1);
            break;
          case 4:
            batch.delete(Table.Subscription, key);
            break;
          case 5:
            putRetained(batch, key, `topic/${below(3)}`, `payload ${round}`, 1_000 * (1 + below(9)));
            break;
          case 6:
            batch.delete(Table.Retained, key);
            break;
          case 7:
            for (let at = 0; at < 4; at++) put(batch, Table.Queue, below(8), "t", nameBytes(`queued ${round}`));
            break;
          default:
            batch.deleteRange(Table.Queue, below(4), 4 + below(8));
        }
      }
    }),
  );
}
