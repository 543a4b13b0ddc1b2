/** What the command line asks of a store's file. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { STORE_TABLES, type StoreEvents } from "../../src/core/store.ts";
import { PAGE_BYTES, STORE_FILE } from "../../src/store/sqlite/schema.ts";
import { SqliteStore } from "../../src/store/sqlite/store.ts";
import { compactStore, figuresOf, verifyStore } from "../../src/store/sqlite/tools.ts";
import { contentsOf, folderOf, livedFile, Model } from "./damage-kit.ts";

const QUIET: StoreEvents = {
  onDurable: () => {},
  onTrouble: ({ reason }) => assert.fail(reason),
  onRecovered: () => {},
  onLost: ({ reason }) => assert.fail(reason),
  onFailed: (error) => assert.fail(error),
};

function lived(context: TestContext) {
  const { image, contents } = livedFile(folderOf(context), 31, 600);
  const path = join(folderOf(context), STORE_FILE);
  writeFileSync(path, image.main);
  return { path, folder: dirname(path), image, contents };
}

function faultsOf(path: string): { faults: string[]; records: number } {
  const faults: string[] = [];
  const { records } = verifyStore(path, (fault) => faults.push(fault));
  return { faults, records };
}

test("the figures are those of the file", (context) => {
  const { path, contents, image } = lived(context);
  const { formatVersion, fileBytes, freeBytes, logBytes, tables } = figuresOf(path);
  assert.equal(formatVersion, 1);
  assert.equal(fileBytes, image.main.length);
  assert.equal(logBytes, 0);
  assert.equal(freeBytes, image.main.readUInt32BE(36) * PAGE_BYTES);
  assert.ok(freeBytes > 0);
  for (const [at, table] of STORE_TABLES.entries()) {
    const own = [...contents].filter(([key]) => key.startsWith(`${table} `)).map(([, record]) => record.length - 1);
    const bytes = own.reduce((sum, length) => sum + length, 0);
    assert.deepEqual(tables[at], { table, records: own.length, bytes });
  }
});

test("figures and checks are to be had while a broker runs, of what it has committed", (context) => {
  const model = new Model(folderOf(context));
  for (let key = 0; key < 300; key++) model.put(6, key, "t", Buffer.alloc(200, "value"));
  model.commit();
  const figures = figuresOf(model.path);
  assert.deepEqual(figures.tables[6], { table: "retained", records: 300, bytes: 300 * 201 });
  assert.equal(figures.logBytes, model.image().wal!.length);
  assert.deepEqual(faultsOf(model.path), { faults: [], records: 300 });
  model.put(6, 300, "t", Buffer.from("one more"));
  model.commit();
  assert.deepEqual(faultsOf(model.path), { faults: [], records: 301 });
  model.close();
});

test("an intact file has no faults, and progress goes from something to all", (context) => {
  const { path, contents, image } = lived(context);
  assert.deepEqual(faultsOf(path), { faults: [], records: contents.size });
  const shares: number[] = [];
  verifyStore(
    path,
    () => {},
    (share) => shares.push(share),
  );
  assert.deepEqual(
    shares,
    [...shares].sort((a, b) => a - b),
  );
  assert.equal(shares.at(-1), 1);
  assert.ok(readFileSync(path).equals(image.main), "the check has changed the file");
});

test("a flipped bit is one fault, with table, key and name", (context) => {
  const { path, image, contents } = lived(context);
  const [at, record] = [...contents].find(([key]) => key.startsWith("session "))!;
  const name = record.split("|")[0]!;
  const main = Buffer.from(image.main);
  for (let found = main.indexOf(`${name}`); found >= 0; found = main.indexOf(`${name}`, found + 1)) {
    // Behind the name follows the value, in the sessions' table and nowhere else without a slash between.
    const value = found + name.length;
    if (main.toString("latin1", value, value + 6) === record.slice(name.length + 1, name.length + 7)) main[value]! ^= 1;
  }
  writeFileSync(path, main);
  const fault = `${at} ${JSON.stringify(name)}: its checksum does not match`;
  assert.deepEqual(faultsOf(path), { faults: [fault], records: contents.size - 1 });
});

test("a page that is gone is a fault, and what can be read is counted", (context) => {
  const { path, image, contents } = lived(context);
  // The root of the queue's table.
  writeFileSync(path, Buffer.from(image.main).fill(0, 6 * PAGE_BYTES, 7 * PAGE_BYTES));
  const { faults, records } = faultsOf(path);
  assert.ok(
    faults.some((fault) => fault.startsWith("queue: what follows the key -1 cannot be read:")),
    faults.join("\n"),
  );
  const queued = [...contents.keys()].filter((at) => at.startsWith("queue ")).length;
  assert.equal(records, contents.size - queued);
});

test("a log that was cut off is a fault", (context) => {
  const folder = folderOf(context);
  const model = new Model(folder);
  for (let key = 0; key < 50; key++) {
    model.put(6, key, "t", Buffer.alloc(300, "value"));
    model.commit();
  }
  const { main, wal, shm } = model.image();
  model.close();
  const path = join(folderOf(context), STORE_FILE);
  writeFileSync(path, main);
  writeFileSync(`${path}-wal`, wal!.subarray(0, wal!.length / 2));
  writeFileSync(`${path}-shm`, shm!);
  const { faults } = faultsOf(path);
  assert.equal(faults.length, 1);
  assert.match(faults[0]!, /-wal is cut off: of \d+ pages in it \d+ can be read$/);
});

test("what is no store is refused in words", (context) => {
  const folder = folderOf(context);
  const missing = join(folder, "nowhere", STORE_FILE);
  const text = join(folder, "text.db");
  writeFileSync(text, "Dear diary, ".repeat(1_000));
  const foreign = join(folder, "foreign.db");
  const database = new DatabaseSync(foreign);
  database.exec("CREATE TABLE songs (title TEXT)");
  for (const ask of [figuresOf, (path: string) => verifyStore(path, () => {})]) {
    assert.throws(() => ask(missing), { message: `There is no store: ${missing} does not exist` });
    assert.throws(() => ask(text), { message: `Cannot read ${text}: file is not a database` });
    assert.throws(() => ask(foreign), { message: `Cannot read ${foreign}: it was not made by mqtt-broker` });
    database.exec("PRAGMA application_id = 0x4d515442; PRAGMA user_version = 9");
    assert.throws(() => ask(foreign), { message: `Cannot read ${foreign}: it has format version 9, and this is 1` });
    database.exec("PRAGMA application_id = 0; PRAGMA user_version = 0");
  }
  database.close();
});

test("compacting takes out the free pages and nothing else", async (context) => {
  const { path, folder, contents, image } = lived(context);
  const { bytesBefore, bytesAfter } = await compactStore(folder);
  assert.equal(bytesBefore, image.main.length);
  assert.equal(bytesAfter, readFileSync(path).length);
  assert.ok(bytesAfter < bytesBefore - image.main.readUInt32BE(36) * PAGE_BYTES + 4 * PAGE_BYTES);
  assert.equal(figuresOf(path).freeBytes, 0);
  assert.deepEqual(faultsOf(path), { faults: [], records: contents.size });
  const database = new DatabaseSync(path);
  assert.deepEqual(contentsOf(database), contents);
  // Incremental, as the store needs it to give pages back.
  assert.deepEqual({ ...database.prepare("PRAGMA auto_vacuum").get() }, { auto_vacuum: 2 });
  database.close();
  const store = new SqliteStore({ folder });
  await store.open(QUIET);
  await store.close();
});

test("compacting keeps what is in the log only", async (context) => {
  const model = new Model(folderOf(context));
  for (let key = 0; key < 300; key++) model.put(6, key, "t", Buffer.alloc(200, `value ${key}`));
  model.commit();
  const { main, wal } = model.image();
  model.close();
  const folder = folderOf(context);
  writeFileSync(join(folder, STORE_FILE), main);
  writeFileSync(join(folder, `${STORE_FILE}-wal`), wal!);
  await compactStore(folder);
  const database = new DatabaseSync(join(folder, STORE_FILE));
  assert.deepEqual(contentsOf(database), model.contents);
  database.close();
});

test("compacting is refused while a broker runs, while somebody reads, and for what is damaged or missing", async (context) => {
  const { path, folder, image } = lived(context);
  const isUntouched = () => !existsSync(`${path}.compact`);

  const store = new SqliteStore({ folder });
  await store.open(QUIET);
  await assert.rejects(compactStore(folder), /is in use by another broker of this process/);
  await store.close();

  const reader = new DatabaseSync(path);
  reader.exec("BEGIN");
  reader.prepare("SELECT count(*) FROM queue").get();
  await assert.rejects(compactStore(folder), { message: `Cannot compact ${path}: another program has it open` });
  assert.ok(isUntouched());
  reader.close();

  writeFileSync(path, Buffer.from(image.main).fill(0, 6 * PAGE_BYTES, 7 * PAGE_BYTES));
  await assert.rejects(compactStore(folder), /it is damaged: .*mqtt-broker store repair saves what can be read$/);
  assert.ok(isUntouched());

  const empty = folderOf(context);
  await assert.rejects(compactStore(empty), {
    message: `There is no store: ${join(empty, STORE_FILE)} does not exist`,
  });
});
