import assert from "node:assert/strict";
import { test } from "node:test";
import { fuzzCodec } from "./codec.ts";

const ROUNDS = 4_000;

for (const seed of [1, 2, 3]) {
  test(`random and mutated bytes give packets or a ProtocolError (seed ${seed})`, () => {
    const tally = fuzzCodec(seed, (rounds) => rounds < ROUNDS);
    assert.equal(tally.rounds, ROUNDS);
    assert.ok(tally.packets > ROUNDS / 4, `only ${tally.packets} packets were accepted`);
    assert.ok(tally.refusals > ROUNDS / 4, `only ${tally.refusals} streams were refused`);
  });
}
