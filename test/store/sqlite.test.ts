import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SqliteStore } from "../../src/store/sqlite/store.ts";
import { storeSuite } from "./suite.ts";

storeSuite("sqlite", async () => {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-store-"));
  return {
    create: () => new SqliteStore({ folder }),
    remove: () => rm(folder, { recursive: true }),
  };
});
