import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { SqliteStore } from "../../src/store/sqlite/store.ts";
import { Recorder } from "./recorder.ts";

/** A folder for one test, and the stores that were opened in it. */
export class Place {
  readonly folder = mkdtempSync(join(tmpdir(), "mqtt-broker-store-"));
  readonly file = join(this.folder, "mqtt-broker.db");
  private readonly stores: SqliteStore[] = [];

  async open(recorder = new Recorder(), folder = this.folder): Promise<{ store: SqliteStore; recorder: Recorder }> {
    const store = new SqliteStore({ folder, log: recorder.log });
    await store.open(recorder);
    this.stores.push(store);
    return { store, recorder };
  }

  async remove(): Promise<void> {
    for (const store of this.stores) await store.close();
    rmSync(this.folder, { recursive: true });
  }
}

export function placeTest(sentence: string, body: (place: Place) => Promise<void>): void {
  test(sentence, async () => {
    const place = new Place();
    try {
      await body(place);
    } finally {
      await place.remove();
    }
  });
}
