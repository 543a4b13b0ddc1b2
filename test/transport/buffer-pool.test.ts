import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BufferPool } from "../../src/transport/buffer-pool.ts";

describe("BufferPool", () => {
  it("lends the smallest class that fits", () => {
    const pool = new BufferPool();
    const lent = [0, 1, 2048, 2049, 16_384, 16_385, 65_536].map((size) => pool.take(size).length);
    assert.deepEqual(lent, [2048, 2048, 2048, 16_384, 16_384, 65_536, 65_536]);
  });

  it("lends exactly what is asked for above 64 KiB, and does not keep it", () => {
    const pool = new BufferPool();
    const large = pool.take(65_537);
    assert.equal(large.length, 65_537);
    pool.give(large);
    assert.equal(pool.freeBytes, 0);
  });

  it("lends the last buffer returned again", () => {
    const pool = new BufferPool();
    const [first, second] = [pool.take(10), pool.take(10)];
    assert.notEqual(first, second);
    pool.give(first);
    pool.give(second);
    assert.equal(pool.freeBytes, 4096);
    assert.equal(pool.take(100), second);
    assert.equal(pool.take(100), first);
    assert.equal(pool.freeBytes, 0);
  });

  it("keeps a bounded number", () => {
    const pool = new BufferPool();
    const lent = [2048, 16_384, 65_536].flatMap((size) => Array.from({ length: 1100 }, () => pool.take(size)));
    for (const buffer of lent) pool.give(buffer);
    assert.equal(pool.freeBytes, 10 * 1024 * 1024);
  });

  it("ignores buffers that are not its own size", () => {
    const pool = new BufferPool();
    pool.give(Buffer.alloc(0));
    pool.give(Buffer.alloc(100));
    assert.equal(pool.freeBytes, 0);
  });
});
