import assert from "node:assert/strict";
import { duplexPair } from "node:stream";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { StreamLink } from "../../src/transport/link.ts";
import { Turn } from "../../src/transport/turn.ts";
import { countWrites, Heard, send, turns } from "./rig.ts";

const PEER = { address: "", local: true, listener: "test", transport: "stream" };

function makeLink(turn: Turn): { link: StreamLink; writes: { count: number } } {
  const [stream, other] = duplexPair();
  other.resume();
  const writes = countWrites(stream);
  const link = new StreamLink(stream, PEER, turn);
  link.open(() => new Heard());
  return { link, writes };
}

describe("Turn", () => {
  it("flushes in the order in which output came", async () => {
    const turn = new Turn();
    const order: string[] = [];
    turn.add({ flush: () => order.push("a") });
    turn.add({ flush: () => order.push("b") });
    assert.deepEqual(order, []);
    await turns(1);
    assert.deepEqual(order, ["a", "b"]);
    await turns(3);
    assert.deepEqual(order, ["a", "b"]);
  });

  it("does what is to be done at the end once, before the links are written, and not when it writes early", async () => {
    const turn = new Turn();
    const order: string[] = [];
    turn.beginRead();
    turn.atEnd(() => order.push("task"));
    turn.add({ flush: () => order.push("early") });
    turn.flush();
    assert.deepEqual(order, ["early"]);
    turn.add({ flush: () => order.push("link") });
    turn.endRead();
    await turns(2);
    assert.deepEqual(order, ["early", "task", "link"]);
    turn.atEnd(() => order.push("alone"));
    await turns(2);
    assert.deepEqual(order, ["early", "task", "link", "alone"]);
  });

  it("flushes what is added during a flush in the same one", async () => {
    const turn = new Turn();
    const order: string[] = [];
    turn.add({
      flush: () => {
        order.push("a");
        turn.add({ flush: () => order.push("b") });
        turn.flush();
        order.push("a ends");
      },
    });
    turn.flush();
    assert.deepEqual(order, ["a", "a ends", "b"]);
    turn.add({ flush: () => order.push("c") });
    await turns(1);
    assert.deepEqual(order, ["a", "a ends", "b", "c"]);
  });

  it("writes a batch of 64 KiB without waiting for the end of the turn", async () => {
    const { link, writes } = makeLink(new Turn());
    for (let index = 0; index < 64; index++) send(link, Buffer.alloc(1024));
    assert.equal(writes.count, 0);
    assert.equal(link.pendingBytes, 65_536);
    send(link, Buffer.alloc(1024));
    assert.equal(writes.count, 1);
    await turns(5);
    assert.equal(writes.count, 2);
  });

  it("writes all batches when together they hold too much", async () => {
    const turn = new Turn(10 * 2048);
    const pairs = Array.from({ length: 20 }, () => makeLink(turn));
    for (const { link } of pairs) send(link, Buffer.from("x"));
    assert.deepEqual(
      pairs.map(({ writes }) => writes.count),
      [...Array(11).fill(1), ...Array(9).fill(0)],
    );
    await turns(1);
    assert.ok(pairs.every(({ writes }) => writes.count === 1));
  });

  it("writes each link, and loses none, when early and late flushes alternate", async () => {
    const turn = new Turn(4096);
    const pairs = Array.from({ length: 7 }, () => makeLink(turn));
    for (let round = 0; round < 30; round++) {
      for (const { link } of pairs) send(link, Buffer.alloc(900));
      if (round % 4 === 0) await turns(1);
    }
    await turns(10);
    for (const { link } of pairs) assert.deepEqual([link.pendingBytes, link.takenBytes], [0, 27_000]);
  });

  it("what came alone after a quiet moment is written when it has been handled", async () => {
    const turn = new Turn();
    let flushes = 0;
    await sleep(2);
    turn.beginRead();
    turn.add({ flush: () => flushes++ });
    assert.equal(flushes, 0);
    turn.endRead();
    assert.equal(flushes, 1);
  });

  it("under load what sockets led to is written once, after all of them", async () => {
    const turn = new Turn();
    let flushes = 0;
    // The first one opens the turn; those right behind it wait for each other.
    turn.beginRead();
    turn.endRead();
    turn.beginRead();
    turn.add({ flush: () => flushes++ });
    turn.endRead();
    turn.beginRead();
    turn.endRead();
    assert.equal(flushes, 0);
    await turns(1);
    assert.equal(flushes, 1);
  });
});
