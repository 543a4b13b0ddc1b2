/** Our own responder where the system does not tell its addresses. */
import assert from "node:assert/strict";
import { syncBuiltinESMExports } from "node:module";
import os from "node:os";
import { test } from "node:test";
import { BonjourAdvertiser } from "../../../device/mdns/bonjour.ts";

test("a look at addresses that fails, as when no file can be opened any more, ends nothing", async (context) => {
  context.mock.timers.enable({ apis: ["setInterval"] });
  let asked = 0;
  context.mock.method(os, "networkInterfaces", () => {
    asked++;
    throw new Error("uv_interface_addresses returned EMFILE");
  });
  syncBuiltinESMExports();
  context.after(() => {
    context.mock.restoreAll();
    syncBuiltinESMExports();
  });
  const failures: string[] = [];
  const events = {
    published: assert.fail,
    renamed: assert.fail,
    waiting: assert.fail,
    failed: (reason: string) => void failures.push(reason),
  };
  const advertiser = new BonjourAdvertiser({ host: "gateway", events });
  await advertiser.start([]);
  assert.match(failures.join(), /EMFILE/);
  const before = asked;
  context.mock.timers.tick(3_000);
  assert.equal(asked, before + 3);
  await advertiser.stop();
});
