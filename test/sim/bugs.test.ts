import assert from "node:assert/strict";
import { test } from "node:test";
import { EARLY_BUGS, find, OTHER_BUGS } from "./bugs.ts";
import { simulate } from "./run.ts";

/** A run takes some 30 ms. The rarest of these need some 100 runs, since a crash has to come at the right moment. */
const SEEDS_MAX = 500;

for (const bug of [...EARLY_BUGS, ...OTHER_BUGS]) {
  test(`the oracle finds: ${bug.name}`, async (context) => {
    const found = await find(bug, 1, SEEDS_MAX);
    assert.ok(found !== undefined, `none of ${SEEDS_MAX} seeds shows it`);
    const { violation } = await simulate(found.seed, { isHarsh: true });
    assert.equal(violation, undefined, `seed ${found.seed} fails without the bug too`);
    context.diagnostic(`seed ${found.seed}: ${found.violation}`);
  });
}
