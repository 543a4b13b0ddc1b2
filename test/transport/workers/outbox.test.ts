import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { Turn } from "../../../src/transport/turn.ts";
import { Outbox } from "../../../src/transport/workers/outbox.ts";
import { CREDIT_BYTES, Kind, Pipe } from "../../../src/transport/workers/pipe.ts";
import { makeRing } from "../../../src/transport/workers/ring.ts";
import { pattern, turns, until } from "../rig.ts";

const RING_BYTES = 1024 * 1024;
const END = new Uint8Array(0);

interface Frame {
  connection: number;
  kind: number;
  length: number;
  bytes: Buffer;
}

describe("an outbox and its pipe", () => {
  let sender: Pipe;
  let receiver: Pipe;
  let frames: Frame[];
  /** Wakes that the sender has given, and whether the receiver hears them. */
  let wakes = 0;
  let hears = true;
  let emptied = 0;

  beforeEach(() => {
    const there = makeRing(RING_BYTES);
    const back = makeRing(RING_BYTES);
    frames = [];
    wakes = 0;
    hears = true;
    emptied = 0;
    const wakeReceiver = (): void => {
      wakes++;
      if (hears) setImmediate(() => receiver.onWake());
    };
    sender = new Pipe(there, back, new Turn(), wakeReceiver, () => {});
    const onFrame = (connection: number, kind: number, bytes: Uint8Array, length: number): void => {
      const payload = kind === Kind.TAKEN ? END : bytes.subarray(0, length);
      frames.push({ connection, kind, length, bytes: Buffer.from(payload) });
    };
    receiver = new Pipe(back, there, new Turn(), () => setImmediate(() => sender.onWake()), onFrame);
    receiver.onWake();
  });

  function outbox(connection: number): Outbox {
    return new Outbox(sender, connection, () => emptied++);
  }

  function dataOf(connection: number): Buffer {
    return Buffer.concat(
      frames.filter((one) => one.connection === connection && one.kind === Kind.DATA).map(({ bytes }) => bytes),
    );
  }

  it("wakes the other end once for all that a turn sends", async () => {
    const boxes = [1, 2, 3].map(outbox);
    for (let round = 0; round < 10; round++) for (const box of boxes) box.send(Buffer.from("x"), 0, 1);
    await until("all came", () => frames.length === 30);
    assert.equal(wakes, 1);
    boxes[0]!.send(Buffer.from("y"), 0, 1);
    await until("it came", () => frames.length === 31);
    assert.equal(wakes, 2);
  });

  it("sends no more data than its credit, the rest as it is granted, and the end behind all", async () => {
    const bytes = pattern(CREDIT_BYTES + 1000);
    const box = outbox(7);
    assert.equal(box.send(bytes, 0, bytes.length), CREDIT_BYTES);
    box.add(bytes.subarray(CREDIT_BYTES));
    box.put(Kind.END, Uint8Array.of(0x8b));
    assert.equal(box.bytes, 1000);
    await until("the credit came", () => dataOf(7).length === CREDIT_BYTES);
    await turns(5);
    assert.equal(dataOf(7).length, CREDIT_BYTES);
    box.grant(400);
    await until("more came", () => dataOf(7).length === CREDIT_BYTES + 400);
    assert.deepEqual([box.bytes, emptied, frames.at(-1)!.kind], [600, 0, Kind.DATA]);
    box.grant(CREDIT_BYTES);
    await until("the end came", () => frames.at(-1)!.kind === Kind.END);
    assert.ok(dataOf(7).equals(bytes));
    assert.deepEqual([frames.at(-1)!.bytes, box.bytes, emptied], [Buffer.of(0x8b), 0, 1]);
  });

  it("lets others by while one has no credit", async () => {
    const slow = outbox(1);
    slow.add(pattern(CREDIT_BYTES + 1));
    await turns(3);
    assert.equal(slow.bytes, 1);
    outbox(2).send(Buffer.from("swift"), 0, 5);
    await until("it came", () => String(dataOf(2)) === "swift");
    assert.equal(slow.bytes, 1);
  });

  it("loses nothing, and keeps each one's order, when there is no room for all", async () => {
    hears = false;
    const all = Array.from({ length: 12 }, (_, index) => pattern(CREDIT_BYTES - index * 1000, index + 1));
    const boxes = all.map((bytes, index) => {
      const box = outbox(index);
      const sent = box.send(bytes, 0, bytes.length);
      box.add(bytes.subarray(sent));
      box.tell(index + 1);
      box.put(Kind.END);
      return box;
    });
    await turns(3);
    assert.ok(boxes.reduce((sum, { bytes }) => sum + bytes, 0) > 1_000_000);
    hears = true;
    receiver.onWake();
    await until("all ended", () => frames.filter(({ kind }) => kind === Kind.END).length === 12);
    for (const [index, bytes] of all.entries()) {
      assert.ok(dataOf(index).equals(bytes), `connection ${index}`);
      const own = frames.filter(({ connection }) => connection === index);
      assert.equal(own.at(-1)!.kind, Kind.END);
      assert.deepEqual(
        own.filter(({ kind }) => kind === Kind.TAKEN).map(({ length }) => length),
        [index + 1],
      );
    }
  });

  it("close() forgets what waits, and its frame is the last", async () => {
    const box = outbox(1);
    box.add(pattern(CREDIT_BYTES + 5000));
    box.put(Kind.END);
    box.close(Kind.DESTROY);
    box.close(Kind.CLOSED);
    box.add(pattern(5));
    box.put(Kind.END);
    box.tell(5);
    box.grant(CREDIT_BYTES);
    assert.equal(box.send(pattern(5), 0, 5), 0);
    await until("it came", () => frames.at(-1)?.kind === Kind.DESTROY);
    await turns(5);
    assert.deepEqual([box.bytes, frames.at(-1)!.kind, dataOf(1).length], [0, Kind.DESTROY, CREDIT_BYTES]);
  });

  it("close() is heard of when there was no room for it at first", async () => {
    hears = false;
    for (let index = 0; index < 5; index++) outbox(index).add(pattern(CREDIT_BYTES));
    const box = outbox(99);
    box.close(Kind.CLOSED, Buffer.from("why"));
    await turns(3);
    hears = true;
    receiver.onWake();
    await until("it came", () => frames.some(({ connection }) => connection === 99));
    assert.equal(String(frames.find(({ connection }) => connection === 99)!.bytes), "why");
  });
});
