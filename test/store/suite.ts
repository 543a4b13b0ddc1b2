import assert from "node:assert/strict";
import { test } from "node:test";
import { BATCH_HEAD_BYTES, Batch, BatchReader } from "../../src/core/batch.ts";
import {
  STORE_KEY_MAX,
  STORE_TABLES,
  type Store,
  type StoreEvents,
  type StoreLoss,
  type StoreTrouble,
  Table,
} from "../../src/core/store.ts";

/** Where stores keep things: a folder, a server's database, a piece of memory. Each test takes a new and empty one. */
export interface StorePlace {
  /** A store of this place, not opened yet. Called again only when the one before is closed. */
  create(): Store;
  remove(): Promise<void>;
}

/** The contract of core/store.ts, for any store: run it in a test file of yours. */
export function storeSuite(name: string, make: () => Promise<StorePlace>): void {
  const storeTest = (sentence: string, body: (context: Context) => Promise<void>) => {
    test(`${name}: ${sentence}`, async () => {
      const context = new Context(await make());
      try {
        await context.open();
        await body(context);
        assert.deepEqual(context.lost, []);
        assert.deepEqual(context.troubles, []);
        assert.equal(context.failure, undefined);
      } finally {
        await context.close();
        await context.place.remove();
      }
    });
  };

  storeTest("an empty store has nothing to read", async (context) => {
    for (const table of Object.values(Table)) {
      assert.deepEqual(await context.all(table), []);
      assert.deepEqual(await context.keys(table, [0, 1, STORE_KEY_MAX]), []);
    }
  });

  storeTest("a read sees the batches that were committed before it, at once", async (context) => {
    context.commit((batch) => put(batch, Table.Queue, 1, "a", "one"));
    const first = context.all(Table.Queue);
    context.commit((batch) => put(batch, Table.Queue, 2, "b", "two"));
    const second = context.all(Table.Queue);
    assert.deepEqual(await first, [[1, "a", "one"]]);
    assert.deepEqual(await second, [
      [1, "a", "one"],
      [2, "b", "two"],
    ]);
  });

  storeTest("a read does not see what is committed after it", async (context) => {
    context.commit((batch) => put(batch, Table.Queue, 1, "a", "one"));
    const reading = context.all(Table.Queue);
    context.commit((batch) => batch.delete(Table.Queue, 1));
    assert.deepEqual(await reading, [[1, "a", "one"]]);
    assert.deepEqual(await context.all(Table.Queue), []);
  });

  storeTest("changes of a batch take effect in their order", async (context) => {
    context.commit((batch) => {
      put(batch, Table.Session, 1, "a", "old");
      put(batch, Table.Session, 1, "b", "new and longer");
      put(batch, Table.Session, 2, "gone", "");
      batch.delete(Table.Session, 2);
      batch.delete(Table.Session, 3);
      put(batch, Table.Session, 3, "stays", "");
      batch.deleteRange(Table.Session, 4, 6);
      put(batch, Table.Session, 5, "stays too", "");
    });
    assert.deepEqual(await context.all(Table.Session), [
      [1, "b", "new and longer"],
      [3, "stays", ""],
      [5, "stays too", ""],
    ]);
  });

  storeTest("a put replaces name and value of its key, shorter or longer", async (context) => {
    const long = "x".repeat(20_000);
    for (const [text, value] of [
      ["a", "b"],
      ["a/long/name", long],
      ["", ""],
      ["again", "c"],
    ] as const) {
      context.commit((batch) => put(batch, Table.Retained, 7, text, value));
      assert.deepEqual(await context.all(Table.Retained), [[7, text, value]]);
    }
  });

  storeTest("a change that was voided is not there, and a batch of them, or an empty one, counts", async (context) => {
    context.commit((batch) => {
      batch.void(put(batch, Table.Queue, 1, "void", "void"));
      put(batch, Table.Queue, 2, "kept", "kept");
      batch.void(batch.delete(Table.Queue, 2));
    });
    context.commit((batch) => batch.void(put(batch, Table.Queue, 3, "void", "")));
    context.commit(() => undefined);
    assert.deepEqual(await context.all(Table.Queue), [[2, "kept", "kept"]]);
    await context.durable(3);
  });

  storeTest("ranges are deleted with both ends, in their table only", async (context) => {
    context.commit((batch) => {
      for (let key = 0; key < 10; key++) {
        put(batch, Table.Queue, key, "", "");
        put(batch, Table.Message, key, "", "");
      }
    });
    context.commit((batch) => {
      const at = batch.deleteRange(Table.Queue, 3, 4);
      batch.extendRange(at, 6);
      batch.deleteRange(Table.Queue, 8, 8);
      batch.deleteRange(Table.Message, 5, STORE_KEY_MAX);
    });
    assert.deepEqual(
      (await context.all(Table.Queue)).map(([key]) => key),
      [0, 1, 2, 7, 9],
    );
    assert.deepEqual(
      (await context.all(Table.Message)).map(([key]) => key),
      [0, 1, 2, 3, 4],
    );
  });

  storeTest("the same key in each table is a record of its own", async (context) => {
    context.commit((batch) => {
      for (const [table, text] of STORE_TABLES.entries()) put(batch, table as Table, 1, text, text);
    });
    for (const [table, text] of STORE_TABLES.entries()) {
      assert.deepEqual(await context.all(table as Table), [[1, text, text]]);
    }
  });

  storeTest("keys go from 0 to 2^53 - 1, and are read in their order", async (context) => {
    const keys = [0, 1, 2 ** 20, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 52 + 1, STORE_KEY_MAX - 1, STORE_KEY_MAX];
    context.commit((batch) => {
      for (const key of keys.toReversed()) put(batch, Table.Queue, key, String(key), "");
    });
    const expected = keys.map((key) => [key, String(key), ""]);
    assert.deepEqual(await context.all(Table.Queue), expected);
    assert.deepEqual(await context.keys(Table.Queue, keys.toReversed()), expected);
    assert.deepEqual(await context.range(Table.Queue, 2 ** 31, 2 ** 32), expected.slice(4, 6));
    context.commit((batch) => batch.delete(Table.Queue, STORE_KEY_MAX));
    assert.deepEqual(await context.all(Table.Queue), expected.slice(0, -1));
  });

  storeTest("names of 0 and 65,535 bytes and values of 0 bytes and 1 MiB come back as they went", async (context) => {
    const name = noise(1, 0xffff);
    const value = noise(2, 1024 * 1024);
    context.commit((batch) => {
      putBytes(batch, Table.Retained, 1, new Uint8Array(0), value);
      putBytes(batch, Table.Retained, 2, name, new Uint8Array(0));
      putBytes(batch, Table.Retained, 3, name, value);
    });
    const page = await context.store.read(Table.Retained, 0, STORE_KEY_MAX, 4 * 1024 * 1024);
    const expected = new Batch();
    putBytes(expected, Table.Retained, 1, new Uint8Array(0), value);
    putBytes(expected, Table.Retained, 2, name, new Uint8Array(0));
    putBytes(expected, Table.Retained, 3, name, value);
    assert.deepEqual(page, expected.bytes.slice(0, expected.length));
    assert.deepEqual(await context.store.readKeys(Table.Retained, [1, 2, 3]), page);
  });

  storeTest("a page holds as many records as fit, and at least one", async (context) => {
    const record = BATCH_HEAD_BYTES + 1 + 9;
    context.commit((batch) => {
      for (let key = 0; key < 100; key++) put(batch, Table.Queue, key, "n", "123456789");
    });
    for (const [bytesMax, count] of [
      [0, 1],
      [record - 1, 1],
      [record, 1],
      [2 * record - 1, 1],
      [2 * record, 2],
      [50 * record + 1, 50],
      [1_000_000, 90],
    ] as const) {
      const page = await context.store.read(Table.Queue, 10, STORE_KEY_MAX, bytesMax);
      assert.equal(page.length, count * record, `bytesMax ${bytesMax}`);
      assert.equal(recordsOf(page)[0]![0], 10);
    }
  });

  storeTest("pages one after the other give every record once, in order", async (context) => {
    const keys: number[] = [];
    context.commit((batch) => {
      for (let at = 0; at < 5_000; at++) {
        keys.push(at * 7);
        putBytes(batch, Table.Queue, at * 7, new Uint8Array(at % 5), noise(at, at % 300));
      }
    });
    for (const bytesMax of [1_000, 65_536, 10_000_000]) {
      const found: number[] = [];
      for (let from = 0; ; from = found.at(-1)! + 1) {
        const page = await context.store.read(Table.Queue, from, STORE_KEY_MAX, bytesMax);
        if (page.length === 0) break;
        assert.ok(page.length <= bytesMax, `a page of ${page.length} bytes`);
        found.push(...recordsOf(page).map(([key]) => key));
      }
      assert.deepEqual(found, keys);
    }
  });

  storeTest("values are cut off where the reader asks for it, and the others are whole", async (context) => {
    context.commit((batch) => {
      put(batch, Table.Message, 1, "name", "0123456789");
      put(batch, Table.Message, 2, "name", "0123");
      put(batch, Table.Message, 3, "name", "");
    });
    const cut = async (bytes: number, bytesMax = 1_000) =>
      recordsOf(await context.store.read(Table.Message, 0, 9, bytesMax, bytes)).map(([, , value]) => value);
    assert.deepEqual(await cut(4), ["0123", "0123", ""]);
    assert.deepEqual(await cut(0), ["", "", ""]);
    assert.deepEqual(await cut(5), ["01234", "0123", ""]);
    assert.deepEqual(await cut(10), ["0123456789", "0123", ""]);
    // What is cut off does not count for the size of the page.
    assert.deepEqual(await cut(1, 2 * (BATCH_HEAD_BYTES + 4 + 1)), ["0", "0"]);
  });

  storeTest(
    "records are read by their keys, ascending, each once, without those that are not there",
    async (context) => {
      context.commit((batch) => {
        for (let key = 0; key < 6_000; key += 2) put(batch, Table.Message, key, "", String(key));
      });
      assert.deepEqual(await context.keys(Table.Message, [8, 2, 3, 8, 4]), [
        [2, "", "2"],
        [4, "", "4"],
        [8, "", "8"],
      ]);
      assert.deepEqual(await context.keys(Table.Message, []), []);
      const all = Array.from({ length: 6_000 }, (_, at) => 5_999 - at);
      const expected = all.filter((key) => key % 2 === 0).toReversed();
      assert.deepEqual(
        (await context.keys(Table.Message, all)).map(([key]) => key),
        expected,
      );
    },
  );

  storeTest("what was closed is there when it is opened again", async (context) => {
    context.commit((batch) => {
      put(batch, Table.Session, 1, "client", "state");
      put(batch, Table.Queue, 2 ** 40, "", "queued");
      put(batch, Table.Queue, 2 ** 40 + 1, "", "taken");
    });
    context.commit((batch) => batch.delete(Table.Queue, 2 ** 40 + 1));
    await context.reopen();
    assert.deepEqual(await context.all(Table.Session), [[1, "client", "state"]]);
    assert.deepEqual(await context.all(Table.Queue), [[2 ** 40, "", "queued"]]);
  });

  storeTest("every batch becomes durable: the count rises, to the last one, and never ahead", async (context) => {
    for (let round = 0; round < 20; round++) {
      for (let at = 0; at <= round; at++) context.commit((batch) => put(batch, Table.Queue, at, "", String(round)));
      await context.durable(context.handedOver);
    }
    const counts = context.durableCounts;
    assert.deepEqual(
      counts,
      [...new Set(counts)].sort((a, b) => a - b),
    );
    assert.equal(counts.at(-1), 210);
  });

  storeTest("events come from outside of calls only", async (context) => {
    for (let at = 0; at < 100; at++) {
      context.commit((batch) => put(batch, Table.Queue, at, "", ""));
      context.store.figures();
    }
    await context.all(Table.Queue);
    await context.durable(100);
    assert.equal(context.calledInside, false);
  });

  storeTest("closing waits until all is durable, and nothing follows", async (context) => {
    for (let at = 0; at < 50; at++) context.commit((batch) => put(batch, Table.Queue, at, "", "x".repeat(1_000)));
    await context.close();
    assert.equal(context.durableCounts.at(-1), 50);
    const told = context.durableCounts.length;
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(context.durableCounts.length, told);
    await context.reopen();
    assert.equal((await context.all(Table.Queue)).length, 50);
  });

  storeTest("the figures count what was made durable since the store was opened", async (context) => {
    context.commit((batch) => {
      put(batch, Table.Queue, 1, "four", "12345678");
      put(batch, Table.Queue, 2, "", "12");
      batch.void(put(batch, Table.Queue, 3, "void", "void"));
      batch.delete(Table.Queue, 4);
      batch.deleteRange(Table.Queue, 5, 9);
    });
    context.commit((batch) => put(batch, Table.Queue, 4, "", "1"));
    await context.durable(2);
    const { commits, records, bytes, diskBytes } = context.store.figures();
    assert.equal(commits === 1 || commits === 2, true, `${commits} commits`);
    assert.deepEqual({ records, bytes }, { records: 5, bytes: 15 });
    assert.equal(Number.isSafeInteger(diskBytes) && diskBytes >= 0, true, `${diskBytes} bytes on disk`);
    await context.reopen();
    assert.deepEqual({ ...context.store.figures(), diskBytes: 0 }, { commits: 0, records: 0, bytes: 0, diskBytes: 0 });
  });

  storeTest(
    "the memory of a batch may be a part of more, and may be shared with other small buffers",
    async (context) => {
      const batch = new Batch(64 * 1024);
      put(batch, Table.Queue, 1, "part", "of more");
      context.store.commit(batch.bytes.subarray(0, batch.length));
      const other = new Batch();
      put(other, Table.Queue, 2, "shared", "pool");
      context.store.commit(Buffer.from(other.bytes.subarray(0, other.length)));
      context.handedOver += 2;
      assert.deepEqual(await context.all(Table.Queue), [
        [1, "part", "of more"],
        [2, "shared", "pool"],
      ]);
    },
  );

  for (const seed of [1, 2, 3]) {
    storeTest(`random changes leave what a Map has, also after it is opened again (seed ${seed})`, (context) =>
      compareWithModel(context, seed),
    );
  }
}

/** Some thousand changes with many repeated keys, read back in between in every way. */
async function compareWithModel(context: Context, seed: number): Promise<void> {
  const random = generator(seed);
  const below = (count: number) => Math.floor(random() * count);
  const keyOf = () => (below(4) === 0 ? below(10) * 2 ** 20 + below(50) : below(60));
  const model = STORE_TABLES.map(() => new Map<number, RecordText>());
  for (let round = 0; round < 120; round++) {
    context.commit((batch) => {
      for (let count = below(40); count > 0; count--) {
        const table = below(3) as Table;
        const key = keyOf();
        const what = below(10);
        const records = model[table]!;
        if (what < 6) {
          const record: RecordText = [key, "n".repeat(below(8)), "v".repeat(below(20) === 0 ? 9_000 : below(200))];
          put(batch, table, ...record);
          records.set(key, record);
        } else if (what < 8) {
          batch.delete(table, key);
          records.delete(key);
        } else if (what === 8) {
          const last = key + below(30);
          batch.deleteRange(table, key, last);
          for (const found of records.keys()) if (found >= key && found <= last) records.delete(found);
        } else batch.void(put(batch, table, key, "void", "void"));
      }
    });
    if (below(40) === 0) await context.reopen();
    if (below(3) > 0) continue;
    const table = below(3) as Table;
    const expected = [...model[table]!.values()].sort(([a], [b]) => a - b);
    assert.deepEqual(await context.all(table), expected, `round ${round}`);
    const asked = Array.from({ length: 20 }, keyOf);
    assert.deepEqual(
      await context.keys(table, asked),
      expected.filter(([key]) => asked.includes(key)),
      `round ${round}`,
    );
    const [first, last] = [keyOf(), keyOf()];
    assert.deepEqual(
      await context.range(table, first, last),
      expected.filter(([key]) => key >= first && key <= last),
      `round ${round}, ${first} to ${last}`,
    );
  }
}

type RecordText = [key: number, name: string, value: string];

/** A store with what it told. */
class Context {
  readonly place: StorePlace;
  store!: Store;
  handedOver = 0;
  durableCounts: number[] = [];
  calledInside = false;
  failure: Error | undefined;
  readonly lost: StoreLoss[] = [];
  readonly troubles: StoreTrouble[] = [];
  private isInside = false;
  private isOpen = false;
  private onCount: (() => void) | undefined;

  constructor(place: StorePlace) {
    this.place = place;
  }

  async open(): Promise<void> {
    this.store = this.place.create();
    this.handedOver = 0;
    this.durableCounts = [];
    await this.store.open(this.events());
    this.isOpen = true;
  }

  async close(): Promise<void> {
    if (this.isOpen) await this.store.close();
    this.isOpen = false;
  }

  async reopen(): Promise<void> {
    await this.close();
    await this.open();
  }

  commit(fill: (batch: Batch) => unknown): void {
    const batch = new Batch();
    fill(batch);
    this.handedOver++;
    this.isInside = true;
    this.store.commit(batch.bytes.subarray(0, batch.length));
    this.isInside = false;
  }

  all(table: Table): Promise<RecordText[]> {
    return this.range(table, 0, STORE_KEY_MAX);
  }

  async range(table: Table, first: number, last: number): Promise<RecordText[]> {
    this.isInside = true;
    const reading = this.store.read(table, first, last, Number.MAX_SAFE_INTEGER);
    this.isInside = false;
    return recordsOf(await reading);
  }

  async keys(table: Table, keys: readonly number[]): Promise<RecordText[]> {
    return recordsOf(await this.store.readKeys(table, keys));
  }

  async durable(count: number): Promise<void> {
    while ((this.durableCounts.at(-1) ?? 0) < count) {
      await new Promise<void>((resolve) => {
        this.onCount = resolve;
      });
    }
    assert.equal(this.durableCounts.at(-1), count);
  }

  private events(): StoreEvents {
    return {
      onDurable: (count) => {
        if (this.isInside) this.calledInside = true;
        assert.ok(count <= this.handedOver, `${count} of ${this.handedOver} batches are called durable`);
        this.durableCounts.push(count);
        this.onCount?.();
      },
      onTrouble: (trouble) => this.troubles.push(trouble),
      onRecovered: () => undefined,
      onLost: (loss) => this.lost.push(loss),
      onFailed: (error) => {
        this.failure = error;
      },
    };
  }
}

function put(batch: Batch, table: Table, key: number, name: string, value: string): number {
  const encoder = new TextEncoder();
  return putBytes(batch, table, key, encoder.encode(name), encoder.encode(value));
}

function putBytes(batch: Batch, table: Table, key: number, name: Uint8Array, value: Uint8Array): number {
  const at = batch.put(table, key, name.length, value.length);
  batch.bytes.set(name, at + BATCH_HEAD_BYTES);
  batch.bytes.set(value, at + BATCH_HEAD_BYTES + name.length);
  return at;
}

function recordsOf(page: Uint8Array): RecordText[] {
  const reader = new BatchReader(page);
  const decoder = new TextDecoder();
  const records: RecordText[] = [];
  while (reader.next()) records.push([reader.key, decoder.decode(reader.name), decoder.decode(reader.value)]);
  return records;
}

function noise(seed: number, length: number): Uint8Array {
  const random = generator(seed);
  return Uint8Array.from({ length }, () => random() * 256);
}

/** The same numbers, 0 to 1, for the same seed. */
function generator(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b9);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
