/**
 * Damages that aim at the rule by which pages are believed (DamagedTrees): pointers bent to what was given up, entries
 * of the map that lie, pages in the place of others, and cells that were deleted.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { DamagedFile } from "../../src/store/sqlite/damaged-file.ts";
import { LeafPage, readInterior } from "../../src/store/sqlite/damaged-page.ts";
import { type DamagedTree, DamagedTrees } from "../../src/store/sqlite/damaged-tree.ts";
import { PageMap, Use } from "../../src/store/sqlite/page-map.ts";
import { PAGE_BYTES } from "../../src/store/sqlite/schema.ts";
import {
  type Contents,
  folderOf,
  type Image,
  livedFile,
  Model,
  pagesOf,
  salvageImage,
  untold,
  withPage,
  wrongRecords,
} from "./damage-kit.ts";

const NOTHING_LOST = { wrong: [], untold: [], lost: 0 };

/** An intact file, and what can be known of its pages. */
class Subject {
  readonly image: Image;
  readonly contents: Contents;
  readonly trees: DamagedTree[];
  readonly map: PageMap;
  private readonly folder: string;
  private readonly found: DamagedTrees;

  constructor(context: TestContext, seed: number) {
    this.folder = folderOf(context);
    ({ image: this.image, contents: this.contents } = livedFile(this.folder, seed));
    const path = join(this.folder, "intact.db");
    writeFileSync(path, this.image.main);
    const file = new DamagedFile(path);
    this.found = new DamagedTrees(file);
    this.trees = this.found.trees();
    file.close();
    this.map = new PageMap(pagesOf(this.image));
    for (let page = 2; page <= pagesOf(this.image); page++) {
      if (this.map.isMapPage(page)) this.map.load(page, this.page(page));
    }
  }

  page(page: number): Buffer {
    return this.image.main.subarray((page - 1) * PAGE_BYTES, page * PAGE_BYTES);
  }

  range(page: number) {
    return this.found.rangeOf(page);
  }

  get freePages(): number[] {
    return this.pagesThat((page) => this.map.useOf(page) === Use.Free);
  }

  get interiors(): number[] {
    return this.pagesThat(
      (page) => !this.map.isMapPage(page) && this.map.useOf(page) !== Use.Free && this.children(page) > 0,
    );
  }

  children(page: number): number {
    return readInterior(this.page(page))?.children.length ?? 0;
  }

  /** The image with a child of an interior page changed for another. */
  withChild(interior: number, at: number, child: number): Image {
    const bytes = this.page(interior);
    const isLast = at === this.children(interior) - 1;
    const place = isLast ? 8 : bytes.readUInt16BE(12 + 2 * at);
    return withPage(this.image, interior, (changed) => changed.writeUInt32BE(child, place));
  }

  withEntry(page: number, use: number, parent: number): Image {
    return withPage(this.image, 2, (bytes) => {
      bytes[(page - 3) * 5] = use;
      bytes.writeUInt32BE(parent, (page - 3) * 5 + 1);
    });
  }

  outcome(image: Image) {
    const { contents, losses } = salvageImage(join(this.folder, "saved"), image);
    const wrong = wrongRecords(contents, this.contents);
    const lost = this.contents.size - contents.size + wrong.length;
    return { wrong, untold: untold(contents, this.contents, losses), lost };
  }

  private pagesThat(is: (page: number) => boolean): number[] {
    return Array.from({ length: pagesOf(this.image) - 2 }, (_, at) => at + 3).filter(is);
  }
}

suite("a pointer to a child", () => {
  test("that was bent to a freed page, whose dead records would fit there, brings none of them back", (context) => {
    const subject = new Subject(context, 41);
    let tried = 0;
    for (const tree of subject.trees) {
      for (const [at, leaf] of tree.leaves.entries()) {
        const parent = subject.map.parentOf(leaf);
        const index = readInterior(subject.page(parent || leaf))?.children.indexOf(leaf) ?? -1;
        const before = subject.range(tree.leaves[at - 1] ?? 0)?.last ?? -1;
        const behind = subject.range(tree.leaves[at + 1] ?? 0)?.first ?? Number.POSITIVE_INFINITY;
        const dead = subject.freePages.find((page) => {
          const range = subject.range(page);
          return range?.table === subject.range(leaf)?.table && range!.first > before && range!.last < behind;
        });
        if (index < 0 || dead === undefined || tried === 12) continue;
        tried++;
        assert.deepEqual(subject.outcome(subject.withChild(parent, index, dead)), NOTHING_LOST, `${dead} for ${leaf}`);
      }
    }
    assert.ok(tried >= 5, `only ${tried} freed pages would fit anywhere`);
  });

  test("that was bent to another page loses nothing: the map knows the right one", (context) => {
    const subject = new Subject(context, 42);
    for (const interior of subject.interiors) {
      const count = subject.children(interior);
      for (const at of [0, Math.floor(count / 2), count - 1]) {
        for (const child of [interior, 1, 2, 5, 7_777_777, subject.trees[6]!.leaves[1]!, subject.interiors[0]!]) {
          const name = `child ${at} of ${interior} becomes ${child}`;
          const { wrong, untold, lost } = subject.outcome(subject.withChild(interior, at, child));
          assert.deepEqual({ wrong, untold, lost }, NOTHING_LOST, name);
        }
      }
    }
  });

  test("that was forgotten, with the count of a page, loses nothing", (context) => {
    const subject = new Subject(context, 43);
    for (const interior of subject.interiors) {
      const fewer = withPage(subject.image, interior, (bytes) => bytes.writeUInt16BE(bytes.readUInt16BE(3) >> 1, 3));
      assert.deepEqual(subject.outcome(fewer), NOTHING_LOST, `page ${interior}`);
    }
  });
});

suite("an entry of the map", () => {
  test("that names another parent, or another use, loses nothing: the parent knows its child", (context) => {
    const subject = new Subject(context, 44);
    const [one, other] = subject.interiors;
    const leaves = subject.trees.flatMap((tree) => tree.leaves).filter((leaf) => leaf > 10 && leaf < 800);
    for (const leaf of leaves.filter((_, at) => at % 45 === 0)) {
      for (const parent of [one!, other!, leaves[0]!, leaves.at(-1)!, subject.freePages[0]!, pagesOf(subject.image)]) {
        if (parent === subject.map.parentOf(leaf)) continue;
        assert.deepEqual(
          subject.outcome(subject.withEntry(leaf, Use.Child, parent)),
          NOTHING_LOST,
          `${leaf} to ${parent}`,
        );
      }
      assert.deepEqual(
        subject.outcome(subject.withEntry(leaf, Use.Overflow, one!)),
        NOTHING_LOST,
        `${leaf} an overflow`,
      );
      assert.deepEqual(subject.outcome(subject.withEntry(leaf, 77, 0)), NOTHING_LOST, `${leaf} unreadable`);
    }
  });

  test("that gives a freed page to a parent that is whole brings nothing back", (context) => {
    const subject = new Subject(context, 45);
    const dead = subject.freePages.filter((page) => subject.range(page) !== undefined && page < 800).slice(0, 5);
    assert.equal(dead.length, 5);
    for (const page of dead) {
      for (const parent of subject.interiors) {
        assert.deepEqual(
          subject.outcome(subject.withEntry(page, Use.Child, parent)),
          NOTHING_LOST,
          `${page} to ${parent}`,
        );
      }
    }
  });

  test("is not believed when its whole page is a stranger, with entries that are right elsewhere", (context) => {
    const subject = new Subject(context, 46);
    for (const shift of [1, 7, 100]) {
      const strange = withPage(subject.image, 2, (bytes) => {
        const used = (pagesOf(subject.image) - 2) * 5;
        const turned = Buffer.concat([bytes.subarray(shift * 5, used), bytes.subarray(0, shift * 5)]);
        bytes.set(turned);
      });
      assert.deepEqual(subject.outcome(strange), NOTHING_LOST, `shifted by ${shift}`);
    }
  });
});

suite("a page in the place of another", () => {
  test("costs nothing but a leaf when it is an interior page's: the map knows the children", (context) => {
    const subject = new Subject(context, 47);
    const leaf = subject.trees[6]!.leaves[3]!;
    for (const interior of subject.interiors) {
      const covered = withPage(subject.image, interior, (bytes) => bytes.set(subject.page(leaf)));
      assert.deepEqual(subject.outcome(covered), NOTHING_LOST, `page ${interior}`);
    }
  });

  test("is told when it is an empty leaf, which only a root may be", (context) => {
    const subject = new Subject(context, 48);
    const leaf = subject.trees.find(({ table }) => table === "queue")!.leaves[2]!;
    const empty = Buffer.alloc(PAGE_BYTES);
    empty.set([0x0d, 0, 0, 0, 0, 0x10, 0, 0]);
    const { wrong, untold, lost } = subject.outcome(withPage(subject.image, leaf, (bytes) => bytes.set(empty)));
    assert.deepEqual({ wrong, untold }, { wrong: [], untold: [] });
    assert.ok(lost > 0);
  });

  test("does not make a small table a large one: a stranger on its root is only lost, and told", (context) => {
    const subject = new Subject(context, 49);
    const stranger = subject.page(subject.trees.find(({ table }) => table === "retained")!.leaves[2]!);
    for (const headless of [false, true]) {
      const covered = withPage(subject.image, 3, (bytes) => bytes.set(stranger));
      const image = headless ? withPage(covered, 1, (bytes) => bytes.fill(0)) : covered;
      assert.deepEqual(subject.outcome(image), { wrong: [], untold: [], lost: 1 }, headless ? "without a head" : "");
    }
  });
});

suite("in a leaf,", () => {
  /** Keys 10 to 21 on one page, of which 14, 15, 20 and 21 were deleted; their bytes are there still. */
  function leaf(context: TestContext) {
    const folder = folderOf(context);
    const model = new Model(folder);
    for (let key = 10; key <= 21; key++) model.put(6, key, `t/${key}`, Buffer.alloc(50, `value ${key} `));
    model.commit();
    const cells = new Map<number, number>();
    const page = 9;
    const cellsOf = (image: Image) => {
      const looked = new LeafPage();
      image.main.copy(looked.bytes, 0, (page - 1) * PAGE_BYTES, page * PAGE_BYTES);
      assert.equal(looked.load(), true);
      for (let index = 0; index < looked.cellCount; index++) {
        looked.cell(index);
        cells.set(looked.key, looked.bytes.readUInt16BE(8 + 2 * index));
      }
    };
    model.checkpoint("TRUNCATE");
    cellsOf(model.image());
    // The freed block begins with the lower one, whose first bytes it takes: 14's stay, since it lies behind 15's.
    for (const key of [15, 14, 21, 20]) {
      model.delete(6, key);
      model.commit();
    }
    model.checkpoint("TRUNCATE");
    const image = { main: model.image().main };
    model.close();
    const keys = [10, 11, 12, 13, 16, 17, 18, 19];
    const bend = (key: number, place: number, more: (bytes: Buffer) => void = () => {}) => {
      const bent = withPage(image, page, (bytes) => {
        bytes.writeUInt16BE(place, 8 + 2 * keys.indexOf(key));
        more(bytes);
      });
      const { contents, losses } = salvageImage(join(folder, "saved"), bent);
      const result = {
        wrong: wrongRecords(contents, model.contents),
        untold: untold(contents, model.contents, losses),
      };
      assert.deepEqual(result, { wrong: [], untold: [] });
      return [...contents.keys()].map((at) => Number(at.split(" ")[1])).sort();
    };
    return { cells, bend, keys, image, page, contents: model.contents, folder };
  }

  test("a cell that was deleted within the page does not come back, though a pointer is bent to it", (context) => {
    const { cells, bend, image, page } = leaf(context);
    assert.ok(
      image.main.indexOf("t/14value 14", (page - 1) * PAGE_BYTES) > 0,
      "the deleted record is not there any more",
    );
    assert.deepEqual(bend(16, cells.get(14)!), [10, 11, 12, 13, 17, 18, 19]);
  });

  test("a cell that was deleted at the page's end does not come back either", (context) => {
    const { cells, bend } = leaf(context);
    assert.deepEqual(bend(19, cells.get(20)!), [10, 11, 12, 13, 16, 17, 18]);
    assert.deepEqual(bend(19, cells.get(21)!), [10, 11, 12, 13, 16, 17, 18]);
  });

  test("nor does one out of its order, when the page has forgotten what is free", (context) => {
    const { cells, bend } = leaf(context);
    const forget = (bytes: Buffer) => bytes.writeUInt16BE(0, 1);
    assert.deepEqual(bend(12, cells.get(14)!, forget), [10, 11, 13, 16, 17, 18, 19]);
  });

  test("a pointer that is bent to another cell in use costs its own record only", (context) => {
    const { cells, bend } = leaf(context);
    assert.deepEqual(bend(11, cells.get(18)!), [10, 12, 13, 16, 17, 18, 19]);
    assert.deepEqual(bend(18, cells.get(11)!), [10, 11, 12, 13, 16, 17, 19]);
  });

  test("records that are forgotten with the count of cells are told", (context) => {
    const { image, page, contents, folder } = leaf(context);
    const fewer = withPage(image, page, (bytes) => bytes.writeUInt16BE(5, 3));
    const { contents: found, losses } = salvageImage(join(folder, "saved"), fewer);
    assert.deepEqual(wrongRecords(found, contents), []);
    assert.deepEqual(untold(found, contents, losses), []);
    assert.equal(found.size, 5);
  });
});
