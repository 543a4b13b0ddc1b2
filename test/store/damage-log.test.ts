/** Damages of the write-ahead log: what was committed in it counts, what was not does not. */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { PAGE_BYTES } from "../../src/store/sqlite/schema.ts";
import { walState } from "../../src/store/sqlite/wal-pages.ts";
import {
  type Contents,
  folderOf,
  type Image,
  Model,
  randomOf,
  salvageImage,
  withPage,
  wrongRecords,
} from "./damage-kit.ts";

const HEAD_BYTES = 32;
const FRAME_BYTES = PAGE_BYTES + 24;

/** A state after each commit, and how long the log was then; the first is the one in the main file. */
interface History {
  image: Required<Image>;
  states: { contents: Contents; logBytes: number }[];
}

function history(folder: string, { isCopied = false } = {}): History {
  const model = new Model(folder);
  const random = randomOf(8);
  const states: History["states"] = [];
  const commit = (step: number): void => {
    for (let n = 0; n < 20; n++) {
      const key = Math.floor(random() * 400);
      if (random() < 0.3) model.delete(6, key);
      else model.put(6, key, `t/${key}`, Buffer.alloc(10 + Math.floor(random() * 90), `${step}.${n} `));
      if (n % 2 === 0) model.put(4, step * 100 + n, "", Buffer.alloc(150, `${step}.${n} `));
    }
    model.commit();
    states.push({ contents: new Map(model.contents), logBytes: model.image().wal!.length });
  };
  for (let step = 0; step < 20; step++) commit(step);
  model.checkpoint("TRUNCATE");
  states.splice(0, states.length, { contents: new Map(model.contents), logBytes: 0 });
  for (let step = 20; step < 35; step++) commit(step);
  if (isCopied) model.checkpoint("PASSIVE");
  const image = model.image() as Required<Image>;
  model.close();
  return { image, states };
}

suite("the write-ahead log", () => {
  test("belongs to the store: what is committed in it comes back, though the main file is damaged", (context) => {
    const folder = folderOf(context);
    const { image, states } = history(folder);
    assert.deepEqual(salvageImage(join(folder, "saved"), image).contents, states.at(-1)!.contents);
    const headless = withPage(image, 1, (bytes) => bytes.fill(0));
    assert.deepEqual(salvageImage(join(folder, "saved"), headless).contents, states.at(-1)!.contents);
  });

  test("that was cut off gives the state after the last transaction that is whole in it", (context) => {
    const folder = folderOf(context);
    const { image, states } = history(folder);
    const random = randomOf(1);
    for (let length = image.wal.length; length >= 0; length -= 1 + Math.floor(random() * 12_000)) {
      const wal = image.wal.subarray(0, length);
      const state = states.filter(({ logBytes }) => logBytes <= length).at(-1)!;
      const { contents, losses } = salvageImage(join(folder, "saved"), { main: image.main, wal });
      assert.deepEqual(contents, state.contents, `${length} bytes`);
      assert.deepEqual(losses, [], `${length} bytes`);
    }
  });

  test("with a flipped bit gives the state before the transaction that has it", (context) => {
    const folder = folderOf(context);
    const { image, states } = history(folder);
    const random = randomOf(9);
    const places = Array.from({ length: 20 }, () => Math.floor(random() * image.wal.length));
    // And each byte of the head of a frame.
    for (let at = 0; at < 24; at++) places.push(HEAD_BYTES + 40 * FRAME_BYTES + at);
    for (const at of places) {
      const wal = Buffer.from(image.wal);
      wal[at]! ^= 1 << Math.floor(random() * 8);
      const state = at < HEAD_BYTES ? states[0]! : states.filter(({ logBytes }) => logBytes <= at).at(-1)!;
      assert.deepEqual(
        salvageImage(join(folder, "saved"), { main: image.main, wal }).contents,
        state.contents,
        `byte ${at}`,
      );
    }
  });

  test("of an earlier time that lies behind the present one is not used", (context) => {
    const folder = folderOf(context);
    const model = new Model(folder);
    for (let key = 0; key < 500; key++) model.put(6, key, "", Buffer.from("old old old"));
    model.commit();
    model.checkpoint("PASSIVE");
    // Starts at the front again: what is behind it stays as it was.
    for (let key = 0; key < 500; key += 100) model.delete(6, key);
    model.commit();
    const image = model.image();
    model.close();
    assert.ok(image.wal!.indexOf("old old old", 6 * FRAME_BYTES) > 0, "nothing old is left in the log");
    const { contents } = salvageImage(join(folder, "saved"), image);
    assert.deepEqual(contents, model.contents);
  });

  test("that was cut off after it had been copied into the file is known to be older than it, by the -shm", (context) => {
    const folder = folderOf(context);
    const { image, states } = history(folder, { isCopied: true });
    const random = randomOf(2);
    for (
      let length = image.wal.length;
      length > HEAD_BYTES + FRAME_BYTES;
      length -= 1 + Math.floor(random() * 20_000)
    ) {
      const wal = image.wal.subarray(0, length);
      assert.deepEqual(
        salvageImage(join(folder, "saved"), { ...image, wal }).contents,
        states.at(-1)!.contents,
        `${length} bytes`,
      );
    }
  });

  test("is all that is left when the main file was emptied, and what it proves comes back", (context) => {
    const folder = folderOf(context);
    const { image, states } = history(folder);
    const { contents } = salvageImage(join(folder, "saved"), { ...image, main: Buffer.alloc(0) });
    assert.deepEqual(wrongRecords(contents, states.at(-1)!.contents), []);
    assert.ok(contents.size > 100, `${contents.size} records came back`);
  });

  test("tells how much of it is whole, was committed, and has been copied", (context) => {
    const folder = folderOf(context);
    const path = join(folder, "looked-at.db");
    const look = ({ wal, shm }: Partial<Image>) => {
      for (const [bytes, side] of [
        [wal, "-wal"],
        [shm, "-shm"],
      ] as const) {
        rmSync(path + side, { force: true });
        if (bytes !== undefined) writeFileSync(path + side, bytes);
      }
      return walState(path);
    };
    const { image } = history(folder);
    const all = (image.wal.length - HEAD_BYTES) / FRAME_BYTES;
    const short = image.wal.subarray(0, image.wal.length / 2);
    assert.deepEqual(look(image), { frames: all, committedFrames: all, copiedFrames: 0 });
    assert.deepEqual(look({ wal: image.wal }), { frames: all, committedFrames: all, copiedFrames: 0 });
    const cut = look({ ...image, wal: short })!;
    assert.ok(cut.frames < all / 2);
    assert.equal(cut.committedFrames, all);
    const damagedIndex = Buffer.from(image.shm);
    for (const copy of [0, 48]) damagedIndex[copy + 17]! ^= 1;
    assert.equal(look({ wal: short, shm: damagedIndex })!.committedFrames, cut.frames);
    assert.equal(look({}), undefined);
  });
});
