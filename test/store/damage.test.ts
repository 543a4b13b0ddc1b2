/** A damaged folder, through the store itself: it always opens, keeps what it moved aside, and tells what is gone. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { STORE_KEY_MAX, STORE_TABLES, type StoreLoss, type Table } from "../../src/core/store.ts";
import { PAGE_BYTES, STORE_FILE } from "../../src/store/sqlite/schema.ts";
import { SqliteStore } from "../../src/store/sqlite/store.ts";
import {
  addPage,
  type Contents,
  folderOf,
  type Image,
  livedFile,
  Model,
  pagesOf,
  randomOf,
  untold,
  wrongRecords,
} from "./damage-kit.ts";

const READ_BYTES = 1024 * 1024;
const ASIDE = `${STORE_FILE}.damaged-`;

interface Opened {
  contents: Contents;
  losses: StoreLoss[];
  notes: string[];
}

/** Opens the folder's store, reads all of it, writes something, and closes it. */
async function openAndRead(folder: string): Promise<Opened> {
  const losses: StoreLoss[] = [];
  const notes: string[] = [];
  const note = (message: string) => notes.push(message);
  const store = new SqliteStore({ folder, log: { warn: note, info: note } });
  await store.open({
    onDurable: () => {},
    onTrouble: ({ reason }) => assert.fail(reason),
    onRecovered: () => {},
    onLost: (loss) => losses.push(loss),
    onFailed: (error) => assert.fail(error),
  });
  const contents = new Map<string, string>();
  for (const table of STORE_TABLES.keys()) {
    for (let first = 0; ; ) {
      const size = contents.size;
      const page = await store.read(table as Table, first, STORE_KEY_MAX, READ_BYTES);
      addPage(contents, page);
      if (contents.size === size) break;
      first = Number([...contents.keys()].at(-1)!.split(" ")[1]) + 1;
    }
  }
  await store.close();
  return { contents, losses, notes };
}

function lay(folder: string, image: Image): void {
  mkdirSync(folder);
  writeFileSync(join(folder, STORE_FILE), image.main);
  if (image.wal !== undefined) writeFileSync(join(folder, `${STORE_FILE}-wal`), image.wal);
  if (image.shm !== undefined) writeFileSync(join(folder, `${STORE_FILE}-shm`), image.shm);
}

function asideOf(folder: string): string | undefined {
  const name = readdirSync(folder).find((each) => each.startsWith(ASIDE) && !/-(?:wal|shm)$/.test(each));
  return name === undefined ? undefined : join(folder, name);
}

/** What must hold for whatever damage: nothing wrong, nothing lost in silence, and the evidence kept. */
async function checkDamage(context: TestContext, name: string, truth: Contents, image: Image): Promise<Opened> {
  const folder = join(folderOf(context), "data");
  lay(folder, image);
  const opened = await openAndRead(folder);
  assert.deepEqual(wrongRecords(opened.contents, truth), [], name);
  assert.deepEqual(untold(opened.contents, truth, opened.losses), [], name);
  const aside = asideOf(folder);
  if (aside !== undefined) {
    assert.ok(readFileSync(aside).equals(image.main), `${name}: ${aside} is not as it was found`);
    assert.ok(opened.notes.length > 0, `${name}: it was moved aside in silence`);
  } else
    assert.deepEqual(
      opened.losses.filter(({ lastKey }) => lastKey !== undefined),
      [],
      name,
    );
  const again = await openAndRead(folder);
  assert.deepEqual(again.contents, opened.contents, `${name}, the second time`);
  assert.deepEqual(again.losses, [], `${name}, the second time`);
  return opened;
}

test("an intact file is opened as it is, and nothing is moved aside", async (context) => {
  const { image, contents } = livedFile(folderOf(context), 21, 600);
  const opened = await checkDamage(context, "intact", contents, image);
  assert.deepEqual(opened.contents, contents);
  assert.deepEqual(opened.losses, []);
});

test("with pages zeroed, one at a time, the store opens", async (context) => {
  const { image, contents } = livedFile(folderOf(context), 22, 600);
  const pages = [1, 2, 3, 7, 9];
  for (let page = 12; page <= pagesOf(image); page += 31) pages.push(page);
  for (const page of pages) {
    const main = Buffer.from(image.main).fill(0, (page - 1) * PAGE_BYTES, page * PAGE_BYTES);
    await checkDamage(context, `page ${page}`, contents, { main });
  }
});

test("with flipped bits, the store opens", async (context) => {
  const { image, contents } = livedFile(folderOf(context), 23, 600);
  for (let seed = 1; seed <= 8; seed++) {
    const random = randomOf(seed);
    const main = Buffer.from(image.main);
    for (let count = seed % 2 === 0 ? 1 : 50; count > 0; count--) {
      // Not in the first hundred bytes: there a bit makes it a newer version's file, which is another matter.
      const at = 100 + Math.floor(random() * (main.length - 100));
      main[at]! ^= 1 << Math.floor(random() * 8);
    }
    await checkDamage(context, `seed ${seed}`, contents, { main });
  }
});

test("with a flipped bit in what the head says of formats, the store opens with all that it had", async (context) => {
  const { image, contents } = livedFile(folderOf(context), 25, 20);
  // See "The Database Header" in SQLite's file format: versions for writing and reading, the schema's, the encoding.
  const bits = [18, 19, 44, 47, 59].flatMap((at) => [1, 2, 64].map((mask) => ({ at, mask })));
  for (const { at, mask } of bits) {
    const main = Buffer.from(image.main);
    main[at]! ^= mask;
    const name = `byte ${at}, ${mask}`;
    const opened = await checkDamage(context, name, contents, { main });
    assert.deepEqual(opened.contents, contents, name);
  }
});

test("cut off anywhere, the store opens", async (context) => {
  const { image, contents } = livedFile(folderOf(context), 24, 600);
  const lengths = [0, 1, 100, 4_095, 4_096, 4_097, 8_192];
  const random = randomOf(5);
  for (let count = 0; count < 5; count++) lengths.push(Math.floor(random() * image.main.length));
  for (const length of lengths) {
    await checkDamage(context, `${length} bytes`, contents, { main: image.main.subarray(0, length) });
  }
});

test("with something else in the place of its file, the store opens empty, and keeps that", async (context) => {
  const others: Record<string, (path: string) => void> = {
    text: (path) => writeFileSync(path, "Dear diary, ".repeat(2_000)),
    zeros: (path) => writeFileSync(path, Buffer.alloc(100_000)),
    database: (path) => {
      const database = new DatabaseSync(path);
      database.exec("CREATE TABLE songs (title TEXT)");
      database.close();
    },
  };
  for (const [name, make] of Object.entries(others)) {
    const folder = folderOf(context);
    const path = join(folder, STORE_FILE);
    make(path);
    const before = readFileSync(path);
    const { contents } = await openAndRead(folder);
    assert.deepEqual([...contents], [], name);
    assert.ok(readFileSync(asideOf(folder)!).equals(before), name);
  }
});

test("with a folder in the place of its file, the store opens empty, and keeps the folder", async (context) => {
  const folder = folderOf(context);
  mkdirSync(join(folder, STORE_FILE));
  writeFileSync(join(folder, STORE_FILE, "precious"), "kept");
  assert.deepEqual([...(await openAndRead(folder)).contents], []);
  assert.equal(readFileSync(join(asideOf(folder)!, "precious"), "utf8"), "kept");
});

test("what is committed in the log of a damaged file comes back", async (context) => {
  const model = new Model(folderOf(context));
  for (let key = 0; key < 400; key++) model.put(6, key, `t/${key}`, Buffer.alloc(200, `first ${key}`));
  model.commit();
  model.checkpoint("TRUNCATE");
  for (let key = 0; key < 400; key += 3) model.put(6, key, `t/${key}`, Buffer.alloc(200, `second ${key}`));
  for (let key = 1; key < 400; key += 3) model.delete(6, key);
  model.commit();
  const image = model.image();
  model.close();
  const main = Buffer.from(image.main).fill(0, 0, 2 * PAGE_BYTES);
  const { contents } = await checkDamage(context, "head and map", model.contents, { ...image, main });
  assert.deepEqual(contents, model.contents);
});
