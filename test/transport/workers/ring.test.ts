import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Worker } from "node:worker_threads";
import { makeRing, RingReader, RingWriter } from "../../../src/transport/workers/ring.ts";
import { pattern } from "../rig.ts";

const NUMBER = 9;
const DATA = 2;

function ends(bytes: number): { writer: RingWriter; reader: RingReader } {
  const memory = makeRing(bytes);
  return { writer: new RingWriter(memory), reader: new RingReader(memory, (kind) => kind === NUMBER) };
}

function put(writer: RingWriter, connection: number, bytes: Uint8Array): void {
  writer.put(connection, DATA, bytes, 0, bytes.length);
}

describe("a ring", () => {
  it("hands over frames of every length, round and round", () => {
    const { writer, reader } = ends(256);
    const all = pattern(100_000);
    for (let at = 0, round = 0; at + 240 < all.length; round++) {
      const size = round % 240;
      assert.ok(writer.room >= size);
      writer.put(0xffff_ff00 + (round & 255), DATA, all, at, at + size);
      assert.equal(reader.next(), false, "not before it is published");
      writer.publish();
      assert.equal(reader.next(), true);
      assert.deepEqual([reader.connection, reader.kind, reader.length], [0xffff_ff00 + (round & 255), DATA, size]);
      assert.ok(all.subarray(at, at + size).equals(reader.bytes.subarray(0, size)), `round ${round}`);
      assert.equal(reader.next(), false);
      at += size;
    }
  });

  it("keeps the order of many that are published at once, numbers among them", () => {
    const { writer, reader } = ends(1024);
    for (let index = 0; index < 20; index++) {
      if (index % 2 === 0) put(writer, index, Buffer.from(`frame ${index}`));
      else writer.putNumber(index, NUMBER, 0xff_fff0 + (index % 16));
    }
    writer.publish();
    for (let index = 0; index < 20; index++) {
      assert.equal(reader.next(), true);
      assert.equal(reader.connection, index);
      if (index % 2 === 1) assert.equal(reader.length, 0xff_fff0 + (index % 16));
      else assert.equal(Buffer.from(reader.bytes.subarray(0, reader.length)).toString(), `frame ${index}`);
    }
  });

  it("says how much has room, to the last byte, and has it again when that was read", () => {
    const { writer, reader } = ends(256);
    assert.equal(writer.room, 248);
    put(writer, 1, pattern(100));
    assert.equal(writer.room, 256 - 108 - 8);
    put(writer, 2, pattern(140));
    assert.equal(writer.room, -8);
    writer.publish();
    assert.equal(reader.next(), true);
    assert.equal(writer.room, 100);
    assert.equal(reader.next(), true);
    assert.deepEqual(Buffer.from(reader.bytes.subarray(0, 140)), pattern(140));
    assert.equal(writer.room, 248);
  });

  it("takes a frame that is longer than most", () => {
    const { writer, reader } = ends(512 * 1024);
    const long = pattern(300_000);
    for (let round = 0; round < 3; round++) {
      put(writer, 1, long);
      put(writer, 1, Buffer.from("short"));
      writer.publish();
      assert.equal(reader.next(), true);
      assert.ok(long.equals(reader.bytes.subarray(0, reader.length)));
      assert.equal(reader.next(), true);
      assert.equal(Buffer.from(reader.bytes.subarray(0, 5)).toString(), "short");
    }
  });

  it("has the reader woken once for each sleep, and does not let it sleep on what has come", () => {
    const { writer, reader } = ends(256);
    put(writer, 1, Buffer.from("a"));
    assert.equal(writer.publish(), false, "it was never asleep");
    assert.equal(reader.sleep(), false);
    reader.next();
    assert.equal(reader.sleep(), true);
    put(writer, 1, Buffer.from("b"));
    assert.equal(writer.publish(), true);
    put(writer, 1, Buffer.from("c"));
    assert.equal(writer.publish(), false, "it is awake already");
  });

  it("has the writer woken once for each time that it waits", () => {
    const { writer, reader } = ends(256);
    assert.equal(reader.writerWaits, false);
    writer.waitForRoom();
    assert.deepEqual([reader.writerWaits, reader.writerWaits], [true, false]);
  });

  it("loses and changes nothing between two threads that run as fast as they can", async (context) => {
    const memory = makeRing(4096);
    const source = `
      const { workerData: { memory, path } } = require("node:worker_threads");
      import(path).then(({ RingWriter }) => {
        const writer = new RingWriter(memory);
        const bytes = new Uint8Array(700);
        const pause = new Int32Array(new SharedArrayBuffer(4));
        for (let sent = 0; sent < 10_000; ) {
          const size = (sent * 31) % 700;
          if (writer.room < size + 3) {
            Atomics.wait(pause, 0, 0, 0.1);
            continue;
          }
          bytes.fill(sent & 255, 0, size);
          writer.put(sent++, 2, bytes, 0, size);
          writer.publish();
        }
      });`;
    const path = new URL("../../../src/transport/workers/ring.ts", import.meta.url).href;
    const worker = new Worker(source, { eval: true, workerData: { memory, path } });
    context.after(() => worker.terminate());
    const reader = new RingReader(memory, () => false);
    const lastMs = performance.now() + 5000;
    for (let read = 0; read < 10_000; ) {
      if (!reader.next()) {
        if (performance.now() > lastMs) throw new Error(`Only ${read} frames came`);
        await new Promise((resolve) => setImmediate(resolve));
        continue;
      }
      const size = (read * 31) % 700;
      if (reader.connection !== read || reader.length !== size) assert.fail(`frame ${read} is ${reader.connection}`);
      for (let at = 0; at < size; at++) if (reader.bytes[at] !== (read & 255)) assert.fail(`byte ${at} of ${read}`);
      read++;
    }
  });
});
