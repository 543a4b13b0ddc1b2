import assert from "node:assert/strict";
import { test } from "node:test";
import { simulate } from "./run.ts";

/** Fixed seeds are the same in every run; how many fit is a question of time. */
const FIXED_SEEDS = 200;
const FRESH_MS = 1_000;

async function hold(seed: number, withStore: boolean): Promise<void> {
  const { violation } = await simulate(seed, { withStore, damage: withStore });
  assert.equal(violation, undefined, `seed ${seed}; npm run sim -- --seed ${seed} shows what happened`);
}

test("nothing acknowledged is lost, nothing comes twice, whatever crashes, for the fixed seeds", async () => {
  for (let seed = 1; seed <= FIXED_SEEDS; seed++) await hold(seed, true);
});

test("the same holds on a slow disk while the power fails again and again", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const { violation } = await simulate(seed, { isHarsh: true });
    assert.equal(violation, undefined, `seed ${seed}; npm run sim -- --harsh --seed ${seed} shows what happened`);
  }
});

test("without a store and without crashes every promise holds as well", async () => {
  for (let seed = 1; seed <= 30; seed++) await hold(seed, false);
});

test("fresh seeds hold too", async (context) => {
  const startedMs = Date.now();
  const first = startedMs % 2 ** 31;
  let seed = first;
  for (; Date.now() < startedMs + FRESH_MS; seed++) await hold(seed, true);
  context.diagnostic(`seeds ${first} to ${seed - 1}`);
});

test("the same seed gives the same bytes, and another seed others", async () => {
  const digests = new Set<number>();
  for (const seed of [5, 6, 7, 8]) {
    const first = await simulate(seed);
    assert.deepEqual(await simulate(seed), first);
    digests.add(first.digest);
  }
  assert.equal(digests.size, 4);
});

test("runs do what they are for: crashes, messages, deliveries", async () => {
  let crashes = 0;
  let deliveries = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const outcome = await simulate(seed);
    crashes += outcome.crashes;
    deliveries += outcome.deliveries;
  }
  assert.ok(crashes >= 10, `${crashes} crashes in 20 runs`);
  assert.ok(deliveries >= 500, `${deliveries} deliveries in 20 runs`);
});
