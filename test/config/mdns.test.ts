import assert from "node:assert/strict";
import { test } from "node:test";
import { headlines, load, MAIN, settingsOf } from "./loading.ts";

test("mDNS finds out by itself what can be used, under a name that is as it was written", async () => {
  assert.deepEqual((await settingsOf([])).mdns, { provider: "auto", name: undefined });
  const text = "{ mdns: { provider: 'avahi', name: 'Küche 1.5' } }";
  assert.deepEqual((await settingsOf([], { [MAIN]: text })).mdns, { provider: "avahi", name: "Küche 1.5" });
  const longest = "é".repeat(31);
  assert.equal((await settingsOf([`--mdns-name=${longest}x`])).mdns.name, `${longest}x`);
});

test("a name that would be another on the network is refused with its place", async () => {
  const text = "{ mdns: { name: 'Attic\\t' } }";
  assert.deepEqual(headlines(await load([], { [MAIN]: text })), [
    'mqtt-broker.json5:1:17: "Attic\\t" cannot be a name for mDNS: it has a control character',
  ]);
  assert.deepEqual(headlines(await load(["--mdns-name= "])), [
    '--mdns-name: " " cannot be a name for mDNS: it has nothing that people could read',
  ]);
  const long = "é".repeat(32);
  assert.deepEqual(headlines(await load([`--mdns-name=${long}`])), [
    `--mdns-name: "${long}" cannot be a name for mDNS: it has 64 bytes in UTF-8, of at most 63`,
  ]);
});
