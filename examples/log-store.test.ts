// Every store has to pass the contract suite that comes with the package. Run it with: node --test log-store.test.ts
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { storeSuite } from "mqtt-broker/store-suite";
import { LogStore } from "./log-store.ts";

storeSuite("log", async () => {
  const folder = await mkdtemp(join(tmpdir(), "log-store-"));
  return {
    create: () => new LogStore(join(folder, "changes.log")),
    remove: () => rm(folder, { recursive: true }),
  };
});
