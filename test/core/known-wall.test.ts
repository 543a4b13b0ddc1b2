import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HeldStore } from "./held-store.ts";
import { Stage } from "./stage.ts";

/** The power is cut: what is not on disk is lost. */
function cut(store: HeldStore): HeldStore {
  return new HeldStore(store.disk);
}

describe("what time it was at least", () => {
  /** The store of a broker that was loaded with this clock and has been on for an hour. */
  async function hourLater(store: HeldStore, wallMs: number, trusted: boolean): Promise<[HeldStore, number]> {
    const stage = await Stage.load(store, { trusted, wallMs });
    store.sync();
    stage.advance(3_600_000);
    stage.broker.archive!.putClock();
    stage.broker.archive!.journal.want(0);
    stage.flush();
    store.sync();
    store.sync();
    return [cut(store), stage.broker.archive!.keptWallMs];
  }
  const HOUR_MS = 3_600_000;
  const KNOWN_MS = 1_800_000_000_000;

  test("is kept by the store, and goes on through runs whose clock begins in 1970", async () => {
    let [store, kept] = await hourLater(new HeldStore(), KNOWN_MS, false);
    assert.equal(kept, 0);
    [store, kept] = await hourLater(store, 1000, false);
    assert.equal(kept, KNOWN_MS + 2 * HOUR_MS);
    [store, kept] = await hourLater(store, 1000, false);
    assert.equal(kept, KNOWN_MS + 3 * HOUR_MS);
  });

  test("is what a clock says that can be believed, also when that is earlier", async () => {
    let [store, kept] = await hourLater(new HeldStore(), KNOWN_MS, false);
    [store] = await hourLater(store, 1_700_000_000_000, true);
    [store, kept] = await hourLater(store, 1000, false);
    assert.equal(kept, 1_700_000_000_000 + 2 * HOUR_MS);
  });
});
