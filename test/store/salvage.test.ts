/** What is saved from a damaged file: as much as can be proved, and never what was not there any more. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { suite, type TestContext, test } from "node:test";
import { STORE_KEY_MAX, STORE_TABLES } from "../../src/core/store.ts";
import { longestAscending } from "../../src/store/sqlite/ascending.ts";
import { DamagedFile } from "../../src/store/sqlite/damaged-file.ts";
import { INTERIOR_PAGE, LeafPage } from "../../src/store/sqlite/damaged-page.ts";
import { DamagedRecord } from "../../src/store/sqlite/damaged-record.ts";
import { PageMap, Use } from "../../src/store/sqlite/page-map.ts";
import { salvage } from "../../src/store/sqlite/salvage.ts";
import { createFile, PAGE_BYTES } from "../../src/store/sqlite/schema.ts";
import {
  type Contents,
  emptyTarget,
  folderOf,
  type Image,
  livedFile,
  Model,
  pagesOf,
  salvageImage,
  salvagePath,
  untold,
  withPage,
  wrongRecords,
} from "./damage-kit.ts";

const NOTHING_LOST = { wrong: [], untold: [], lost: 0 };

suite("a file of all tables that has lived", () => {
  test("comes back as it was when nothing is damaged, and nothing is said", (context) => {
    const folder = folderOf(context);
    const { image, contents } = livedFile(folder, 1);
    const { contents: found, losses, report } = salvageImage(join(folder, "saved"), image);
    assert.deepEqual(found, contents);
    assert.deepEqual(losses, []);
    assert.equal(report.records, contents.size);
    assert.equal(report.lostRanges, 0);
    assert.equal(report.problem, "");
    for (const table of STORE_TABLES) {
      assert.equal(report.tables[table], [...contents.keys()].filter((at) => at.startsWith(`${table} `)).length);
    }
  });

  test("has the dead lie around whole: records that were deleted or replaced, with checksums that are right", (context) => {
    const folder = folderOf(context);
    const { image, contents } = livedFile(folder, 1);
    const dead = recordsAnywhere(folder, image).filter(([at, record]) => contents.get(at) !== record);
    assert.ok(dead.length > 1_000, `only ${dead.length} dead records: the tests below would prove nothing`);
    assert.ok(
      dead.some(([at]) => !contents.has(at)),
      "none of them was deleted",
    );
    assert.ok(
      dead.some(([at]) => contents.has(at)),
      "none of them was replaced",
    );
  });

  test("loses nothing to a page that only says where others are: the head, the map, roots, interior pages", (context) => {
    const folder = folderOf(context);
    const { image, contents } = livedFile(folder, 2);
    const pages = [1, 2, ...interiorPages(image)];
    assert.ok(pages.length > 6, "too few interior pages");
    for (const page of pages) {
      const damaged = withPage(image, page, (bytes) => bytes.fill(0));
      assert.deepEqual(outcome(folder, damaged, contents), NOTHING_LOST, `page ${page}`);
    }
  });

  test("loses only what was in a page that was zeroed, and tells which keys those may be", (context) => {
    const folder = folderOf(context);
    const { image, contents } = livedFile(folder, 3);
    let all = 0;
    for (let page = 3; page <= pagesOf(image); page += 13) {
      const damaged = withPage(image, page, (bytes) => bytes.fill(0));
      const { wrong, untold, lost } = outcome(folder, damaged, contents);
      assert.deepEqual({ wrong, untold }, { wrong: [], untold: [] }, `page ${page}`);
      const own = recordsIn(folder, image, page).filter(([at, record]) => contents.get(at) === record).length;
      // A page may instead hold a part of one large value.
      assert.ok(lost <= Math.max(own, 1), `page ${page}: ${lost} records are lost, ${own} were in it`);
      all += lost;
    }
    assert.ok(all > 100, "hardly a page with records was zeroed");
  });

  test("loses both pages' children, at most, when two interior pages and a page of the map are gone at once", (context) => {
    const folder = folderOf(context);
    const { image, contents } = livedFile(folder, 4);
    const [first, second] = interiorPages(image);
    const gone = [2, first!, second!];
    const damaged = gone.reduce((left, page) => withPage(left, page, (bytes) => bytes.fill(0)), image);
    const { wrong, untold, lost } = outcome(folder, damaged, contents);
    assert.deepEqual({ wrong, untold }, { wrong: [], untold: [] });
    assert.ok(lost > 0, "nothing tells which pages were theirs, and yet they came back");
  });
});

suite("a store of 12,000 messages", () => {
  test("with one page zeroed gives 99 % of its records, whichever page it is", (context) => {
    const { folder, image, contents } = twelveThousand(context);
    const pages = new Set([1, 2, ...interiorPages(image)]);
    for (let page = 3; page <= pagesOf(image); page += 31) pages.add(page);
    for (const page of pages) {
      const damaged = withPage(image, page, (bytes) => bytes.fill(0));
      const { wrong, untold, lost } = outcome(folder, damaged, contents);
      assert.deepEqual({ wrong, untold }, { wrong: [], untold: [] }, `page ${page}`);
      assert.ok(lost <= 100, `page ${page}: ${lost} records are lost`);
    }
  });

  test("that was cut off before an interior page gives all that is in the pages that are left", (context) => {
    const { folder, image, contents } = twelveThousand(context);
    const cutAt = Math.max(...interiorPages(image));
    assert.ok(cutAt > 100, `${interiorPages(image)} of ${pagesOf(image)}: no interior page has older children`);
    const left = { main: image.main.subarray(0, (cutAt - 1) * PAGE_BYTES) };
    const { wrong, untold, lost } = outcome(folder, left, contents);
    assert.deepEqual({ wrong, untold }, { wrong: [], untold: [] });
    assert.equal(lost, contents.size - recordsAnywhere(folder, left).length);
  });
});

suite("what is told", () => {
  test("a flipped bit in a value loses that record, by its key and name", (context) => {
    const { folder, image, place } = oneTopic(context);
    const damaged = withPage(image, place.page, (bytes) => {
      bytes[place.value]! ^= 4;
    });
    const { contents, losses } = salvageImage(join(folder, "saved"), damaged);
    assert.equal(contents.has("retained 7"), false);
    assert.equal(contents.size, 8);
    const reason = `its checksum does not match, on page ${place.page}`;
    assert.deepEqual(losses, [{ table: "retained", key: 7, name: "house/kitchen", reason }]);
  });

  test("a flipped bit in a key makes no record of another key, and the range where it was is told", (context) => {
    const { folder, image, place } = oneTopic(context);
    const damaged = withPage(image, place.page, (bytes) => {
      bytes[place.key]! ^= 32;
    });
    const { contents, losses } = salvageImage(join(folder, "saved"), damaged);
    assert.deepEqual(
      [...contents.keys()].sort(),
      [1, 2, 3, 4, 5, 6, 8, 9].map((key) => `retained ${key}`),
    );
    assert.equal(untold(contents, new Map([["retained 7", ""]]), losses).length, 0);
  });

  test("a page that is gone is told as the keys between its neighbours", (context) => {
    const folder = folderOf(context);
    const model = new Model(folder);
    for (let key = 0; key < 200; key++) model.put(4, key, "", Buffer.alloc(200, `${key} `));
    model.commit();
    model.checkpoint("TRUNCATE");
    const image = { main: model.image().main };
    model.close();
    const page = leafWith(folder, image, "queue 100");
    const keys = recordsIn(folder, image, page).map(([at]) => Number(at.split(" ")[1]));
    const { losses } = salvageImage(
      join(folder, "saved"),
      withPage(image, page, (bytes) => bytes.fill(0)),
    );
    const [first, last] = [Math.min(...keys), Math.max(...keys)];
    assert.deepEqual(losses, [
      { table: "queue", key: first, lastKey: last, name: "", reason: `page ${page} cannot be read` },
    ]);
  });

  test("more than a thousand records that are damaged one by one are told as ranges from then on", (context) => {
    const folder = folderOf(context);
    const model = new Model(folder);
    for (let key = 0; key < 3_000; key++) model.put(6, key, `t${key}`, Buffer.alloc(100, "value"));
    model.commit();
    model.checkpoint("TRUNCATE");
    const main = Buffer.from(model.image().main.toString("latin1").replaceAll("valueval", "valueVal"), "latin1");
    model.close();
    const { contents, losses } = salvageImage(join(folder, "saved"), { main });
    assert.equal(contents.size, 0);
    assert.deepEqual(untold(contents, model.contents, losses), []);
    assert.equal(losses.filter(({ name }) => name !== "").length, 1_000);
    assert.ok(losses.length < 1_200, `${losses.length} losses`);
  });
});

suite("what is no store", () => {
  const everything = STORE_TABLES.map((table) => ({ table, key: 0, lastKey: STORE_KEY_MAX, name: "" }));

  const cases: Record<string, (path: string) => void> = {
    "a missing file": () => {},
    "an empty file": (path) => writeFileSync(path, ""),
    "a folder": (path) => mkdirSync(path),
    "a text": (path) => writeFileSync(path, "Dear diary,\n".repeat(5_000)),
    zeros: (path) => writeFileSync(path, Buffer.alloc(400_000)),
    ones: (path) => writeFileSync(path, Buffer.alloc(400_000, 255)),
    "pages that all claim to be leaves": (path) => writeFileSync(path, Buffer.alloc(400_000, 0x0d)),
    "pages that all claim to be interior": (path) => writeFileSync(path, Buffer.alloc(400_000, 0x05)),
    "another program's database": (path) => {
      const database = new DatabaseSync(path);
      database.exec("BEGIN; CREATE TABLE queue (a, b, c); CREATE TABLE songs (title)");
      for (let n = 0; n < 500; n++) database.exec(`INSERT INTO queue VALUES (${n}, 'x', 'y')`);
      database.exec("COMMIT");
      database.close();
    },
  };
  for (const [name, make] of Object.entries(cases)) {
    test(`${name} gives nothing, and all of each table is told as lost`, (context) => {
      const path = join(folderOf(context), "damaged.db");
      make(path);
      const { contents, losses, report } = salvagePath(path);
      assert.deepEqual([...contents], []);
      assert.deepEqual(
        losses.map(({ reason, ...loss }) => loss),
        everything,
      );
      assert.equal(report.records, 0);
    });
  }

  test("an empty store gives nothing, and nothing is lost", (context) => {
    const path = join(folderOf(context), "empty.db");
    createFile(path);
    const { losses, report } = salvagePath(path);
    assert.deepEqual(losses, []);
    assert.equal(report.records, 0);
  });
});

test("a store that somebody vacuumed without auto_vacuum comes back all the same", (context) => {
  const folder = folderOf(context);
  const { image, contents } = livedFile(folder, 6);
  const path = join(folder, "vacuumed.db");
  writeFileSync(path, image.main);
  const database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM");
  database.close();
  const { contents: found, losses } = salvagePath(path);
  assert.deepEqual(found, contents);
  assert.deepEqual(losses, []);
});

suite("the new file", () => {
  test("is filled in transactions of ten thousand records at most", (context) => {
    const folder = folderOf(context);
    const model = new Model(folder);
    for (let key = 0; key < 25_000; key++) model.put(4, key, "", Buffer.from("short"));
    model.commit();
    model.close();
    const target = emptyTarget();
    const sizes: number[] = [];
    const exec = target.exec.bind(target);
    target.exec = (sql: string) => {
      if (sql.startsWith("COMMIT")) sizes.push(Number(target.prepare("SELECT count(*) AS n FROM queue").get()!.n));
      exec(sql);
    };
    salvage(model.path, target, () => {});
    assert.deepEqual(sizes, [10_000, 20_000, 25_000]);
    target.close();
  });

  test("that takes no more is the caller's to know of: its error is thrown, and nothing is left open", (context) => {
    const folder = folderOf(context);
    const { image } = livedFile(folder, 7);
    const path = join(folder, "damaged.db");
    writeFileSync(path, image.main);
    const target = emptyTarget();
    target.exec(`CREATE TRIGGER refusal BEFORE INSERT ON queue WHEN (SELECT count(*) FROM queue) = 300
      BEGIN SELECT raise(FAIL, 'no more'); END`);
    assert.throws(() => salvage(path, target, () => {}), /no more/);
    assert.equal(target.isTransaction, false);
    target.close();
  });
});

test("of ranges that should follow each other, the largest selection that does is kept", () => {
  const kept = (...ranges: [number, number][]): string =>
    longestAscending(
      ranges.map(([first]) => first),
      ranges.map(([, last]) => last),
    )
      .map((isKept) => (isKept ? "+" : "-"))
      .join("");
  assert.equal(kept(), "");
  assert.equal(kept([1, 3], [4, 4], [5, 9]), "+++");
  assert.equal(kept([1, 3], [7, 9], [4, 5], [6, 6]), "+-++");
  assert.equal(kept([1, 3], [3, 4], [5, 6]), "+-+");
  assert.equal(kept([9, 9], [1, 2], [3, 4]), "-++");
  assert.equal(kept([1, 0], [1, 2]), "-+");
});

test("the map gives each page of the file its use, across its own pages", () => {
  const map = new PageMap(2_000);
  const bytes = Buffer.alloc(PAGE_BYTES);
  bytes.set([Use.Root, 0, 0, 0, 0, Use.Free, 0, 0, 0, 0, Use.Child, 0, 0, 0, 3, Use.Child, 0, 0, 0, 0, 9, 0, 0, 0, 3]);
  map.load(2, bytes);
  map.load(822, bytes);
  assert.deepEqual(
    [3, 4, 5, 6, 7].map((page) => map.useOf(page)),
    [Use.Root, Use.Free, Use.Child, 0, 0],
  );
  assert.deepEqual(
    [823, 824, 825].map((page) => map.useOf(page)),
    [Use.Root, Use.Free, Use.Child],
  );
  assert.equal(map.parentOf(825), 3);
  assert.deepEqual(
    [2, 3, 821, 822, 823, 1642].map((page) => map.isMapPage(page)),
    [true, false, false, true, false, true],
  );
});

/** Most of them come in no order, so that pages are split when they are long in use. */
function twelveThousand(context: TestContext): { folder: string; image: Image; contents: Contents } {
  const folder = folderOf(context);
  const model = new Model(folder);
  for (let n = 0; n < 12_000; n++) {
    const value = Buffer.alloc(200, `value ${n} `);
    if (n % 4 === 0) model.put(4, n, "", value);
    else model.put(6, (n * 7_919) % 10_007, `device/${n}/state`, value);
    if (n % 500 === 499) model.commit();
  }
  model.checkpoint("TRUNCATE");
  const image = { main: model.image().main };
  model.close();
  return { folder, image, contents: model.contents };
}

function outcome(folder: string, image: Image, truth: Contents) {
  const { contents, losses } = salvageImage(join(folder, "saved"), image);
  const wrong = wrongRecords(contents, truth);
  return { wrong, untold: untold(contents, truth, losses), lost: truth.size - contents.size + wrong.length };
}

function interiorPages(image: Image): number[] {
  const map = new PageMap(pagesOf(image));
  const pages: number[] = [];
  for (let page = 2; page <= pagesOf(image); page++) {
    if (image.main[(page - 1) * PAGE_BYTES] === INTERIOR_PAGE && !map.isMapPage(page)) pages.push(page);
  }
  return pages;
}

/** Every whole record of a page, in use or not. */
function recordsIn(folder: string, image: Image, page: number): [string, string][] {
  const path = join(folder, "looked-at.db");
  writeFileSync(path, image.main);
  const file = new DamagedFile(path);
  const found = wholeRecords(file, page);
  file.close();
  return found;
}

function recordsAnywhere(folder: string, image: Image): [string, string][] {
  const path = join(folder, "looked-at.db");
  writeFileSync(path, image.main);
  const file = new DamagedFile(path);
  const found: [string, string][] = [];
  for (let page = 2; page <= file.pageCount; page++) found.push(...wholeRecords(file, page));
  file.close();
  return found;
}

function wholeRecords(file: DamagedFile, page: number): [string, string][] {
  const leaf = new LeafPage();
  const record = new DamagedRecord(file);
  const found: [string, string][] = [];
  if (!file.read(page, leaf.bytes) || !leaf.load()) return found;
  for (let index = 0; index < leaf.cellCount; index++) {
    if (!leaf.cell(index) || !record.read(leaf)) continue;
    const table = record.tableOf(0);
    const text = `${Buffer.from(record.name).toString("latin1")}|${Buffer.from(record.value).toString("latin1")}`;
    if (table >= 0) found.push([`${STORE_TABLES[table]} ${leaf.key}`, text]);
  }
  return found;
}

function leafWith(folder: string, image: Image, at: string): number {
  for (let page = 2; page <= pagesOf(image); page++) {
    if (recordsIn(folder, image, page).some(([found]) => found === at)) return page;
  }
  throw new Error(`${at} is nowhere`);
}

/** Nine retained messages, and where in the file one of them is. */
function oneTopic(context: TestContext) {
  const folder = folderOf(context);
  const model = new Model(folder);
  for (let key = 1; key <= 9; key++)
    model.put(6, key, key === 7 ? "house/kitchen" : `t/${key}`, Buffer.from("22.5 degrees"));
  model.commit();
  model.checkpoint("TRUNCATE");
  const image = { main: model.image().main };
  model.close();
  const name = image.main.indexOf("house/kitchen");
  const page = Math.floor(name / PAGE_BYTES) + 1;
  const at = name % PAGE_BYTES;
  // Before the name: length, key, and a head of five bytes.
  return { folder, image, place: { page, key: at - 6, value: at + "house/kitchen".length } };
}
