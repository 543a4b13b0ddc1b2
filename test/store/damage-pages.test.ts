/** Random damages of a file: whatever they are, nothing wrong comes back, and nothing is lost in silence. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { suite, test } from "node:test";
import { PageMap, Use } from "../../src/store/sqlite/page-map.ts";
import { PAGE_BYTES } from "../../src/store/sqlite/schema.ts";
import { folderOf, livedFile, pagesOf, randomOf, salvageImage, untold, wrongRecords } from "./damage-kit.ts";

const RECORDS = 900;
const SEEDS = 20;

interface Damage {
  /** Changes `main`, or returns another in its place. */
  apply(main: Buffer, random: (below: number) => number, seed: number): Buffer | void;
  /** Records that may be lost. */
  lostMax(total: number): number;
}

const DAMAGES: Record<string, Damage> = {
  "one flipped bit": {
    apply: (main, random) => flip(main, random(main.length), random(8)),
    lostMax: () => 1,
  },
  "up to 200 flipped bits": {
    apply: (main, random) => {
      for (let count = 1 + random(200); count > 0; count--) flip(main, random(main.length), random(8));
    },
    lostMax: (total) => total / 4,
  },
  "flipped bits in the heads of up to 30 pages": {
    apply: (main, random) => {
      for (let count = 1 + random(30); count > 0; count--) {
        flip(main, random(main.length / PAGE_BYTES) * PAGE_BYTES + random(60), random(8));
      }
    },
    lostMax: (total) => total / 4,
  },
  "up to 60 flipped bits in the map": {
    apply: (main, random) => {
      for (let count = 1 + random(60); count > 0; count--) {
        flip(main, PAGE_BYTES + random((5 * main.length) / PAGE_BYTES), random(8));
      }
    },
    lostMax: (total) => total / 2,
  },
  "two pages in use that were swapped": {
    apply: (main, random) => {
      const used = pagesInUse(main);
      const [first, second] = [used[random(used.length)]!, used[random(used.length)]!];
      const held = Buffer.from(page(main, first));
      page(main, first).set(page(main, second));
      page(main, second).set(held);
    },
    lostMax: (total) => total / 4,
  },
  "a page in use that was written over another, too": {
    apply: (main, random) => {
      const used = pagesInUse(main);
      page(main, used[random(used.length)]!).set(page(main, used[random(used.length)]!));
    },
    lostMax: (total) => total / 4,
  },
  "up to 20 zeroed pages": {
    apply: (main, random) => {
      for (let count = 1 + random(20); count > 0; count--) page(main, 1 + random(main.length / PAGE_BYTES)).fill(0);
    },
    lostMax: (total) => total,
  },
  "a zeroed block of 512 to 65,536 bytes": {
    apply: (main, random, seed) => {
      const start = random(main.length / 512) * 512;
      main.fill(0, start, Math.min(start + [512, 8_192, 20_000, 65_536][seed % 4]!, main.length));
    },
    lostMax: (total) => total,
  },
  "noise of up to 9,000 bytes": {
    apply: (main, random) => {
      const start = random(main.length);
      for (let at = start; at < Math.min(start + random(9_000), main.length); at++) main[at] = random(256);
    },
    lostMax: (total) => total / 2,
  },
  "an end that was cut off": {
    apply: (main, random) => main.subarray(0, random(main.length)),
    lostMax: (total) => total,
  },
};

suite("of a file with", () => {
  for (const [name, damage] of Object.entries(DAMAGES)) {
    test(`${name}, what comes back is right, and what is lost is told`, (context) => {
      const folder = folderOf(context);
      const { image, contents } = livedFile(folder, 11, RECORDS);
      for (let seed = 1; seed <= SEEDS; seed++) {
        const random = randomOf(seed);
        const main = Buffer.from(image.main);
        const changed = damage.apply(main, (below) => Math.floor(random() * below), seed) ?? main;
        const { contents: found, losses, report } = salvageImage(join(folder, "saved"), { main: changed });
        const result = {
          wrong: wrongRecords(found, contents),
          untold: untold(found, contents, losses),
          problem: report.problem,
        };
        assert.deepEqual(result, { wrong: [], untold: [], problem: "" }, `seed ${seed}`);
        const lost = contents.size - found.size;
        assert.ok(lost <= damage.lostMax(contents.size), `seed ${seed}: ${lost} of ${contents.size} are lost`);
      }
    });
  }
});

test("cut off at each of its last pages, a file keeps what was before", (context) => {
  const folder = folderOf(context);
  const { image, contents } = livedFile(folder, 12, 600);
  const pages = pagesOf(image);
  let before = -1;
  for (let left = 0; left <= pages; left += 4) {
    const { contents: found, losses } = salvageImage(join(folder, "saved"), {
      main: image.main.subarray(0, left * PAGE_BYTES),
    });
    assert.deepEqual(wrongRecords(found, contents), [], `${left} pages`);
    assert.deepEqual(untold(found, contents, losses), [], `${left} pages`);
    assert.ok(found.size >= before, `${left} pages give ${found.size} records, fewer than ${before}`);
    before = found.size;
  }
});

function flip(bytes: Buffer, at: number, bit: number): void {
  bytes[Math.floor(at)]! ^= 1 << bit;
}

function page(main: Buffer, number: number): Buffer {
  return main.subarray((number - 1) * PAGE_BYTES, number * PAGE_BYTES);
}

/** All but those that the map calls free: see DamagedTrees on what cannot be found out about these. */
function pagesInUse(main: Buffer): number[] {
  const map = new PageMap(main.length / PAGE_BYTES);
  const pages = Array.from({ length: main.length / PAGE_BYTES }, (_, at) => at + 1);
  for (const number of pages) if (map.isMapPage(number)) map.load(number, page(main, number));
  return pages.filter((number) => map.useOf(number) !== Use.Free);
}
