import assert from "node:assert/strict";
import { test } from "node:test";
import { crash } from "./harness.ts";

test("nothing acknowledged is lost, nothing of QoS 2 comes twice, by kill -9 a dozen times", async (context) => {
  const seed = Date.now() % 1_000_000;
  const { verdict, kills, startMsMax } = await crash(context, { seed, rounds: 16 });
  const { acknowledged, delivered, retained, subscriptions, sessions, opinions } = verdict.counts;
  context.diagnostic(
    `crash: seed ${seed}, ${kills} kills, ${acknowledged} messages acknowledged, ${delivered + opinions} delivered, ` +
      `${retained} retained topics, ${subscriptions} subscriptions and ${sessions} sessions looked at; ` +
      `the slowest start took ${Math.round(startMsMax)} ms`,
  );
  assert.deepEqual(verdict.tally, {}, `seed ${seed}:\n${verdict.describe()}`);
  assert.ok(kills >= 10, `only ${kills} kills`);
  assert.ok(acknowledged > 500, `only ${acknowledged} messages were acknowledged`);
  assert.ok(delivered > acknowledged, `only ${delivered} messages were delivered`);
  assert.ok(retained > 100, `only ${retained} retained topics were looked at`);
  assert.ok(subscriptions > 50, `only ${subscriptions} subscriptions were looked at`);
});
