import assert from "node:assert/strict";
import { test } from "node:test";
import { type Claim, contradicts, corrected, losesTo, recordOf, textOf } from "../../../device/mdns/records.ts";

const OWN = new Set(["192.0.2.1", "198.51.100.1"]);
const HOST: Claim = { name: "edge.local", kind: "host", address: "192.0.2.1" };
const SERVICE: Claim = { name: "Edge._mqtt._tcp.local", kind: "service", port: 1883, target: "edge.local" };

const srv = (port: number, target: string, ttl = 120) => ({
  name: "edge._MQTT._tcp.local",
  type: "SRV",
  ttl,
  data: { priority: 0, weight: 0, port, target },
});
const a = (data: string, ttl = 120) => ({ name: "EDGE.local", type: "A", ttl, data });

test("a name is somebody else's when it leads elsewhere", () => {
  assert.equal(contradicts(srv(1883, "EDGE.local"), SERVICE, OWN), false);
  assert.equal(contradicts(srv(1884, "edge.local"), SERVICE, OWN), true);
  assert.equal(contradicts(srv(1883, "other.local"), SERVICE, OWN), true);
  assert.equal(contradicts(srv(1883, "other.local", 0), SERVICE, OWN), false, "a goodbye");
  assert.equal(contradicts({ ...srv(1, "x"), name: "Edge 2._mqtt._tcp.local" }, SERVICE, OWN), false);
  assert.equal(contradicts({ ...a("192.0.2.9"), name: SERVICE.name }, SERVICE, OWN), false);
  assert.equal(contradicts(a("192.0.2.9"), HOST, OWN), true);
  assert.equal(contradicts(a("198.51.100.1"), HOST, OWN), false, "another address of this machine");
  assert.equal(contradicts({ ...a("fe80::9"), type: "AAAA" }, HOST, OWN), true);
});

test("of two who ask at the same time the one with the later record has the name", () => {
  // RFC 6762, 8.2: 169.254.200.50 is later than 169.254.99.200, since bytes are compared without a sign.
  const claim: Claim = { name: "edge.local", kind: "host", address: "169.254.99.200" };
  assert.equal(losesTo(claim, a("169.254.200.50"), OWN), true);
  assert.equal(losesTo({ ...claim, address: "169.254.200.50" }, a("169.254.99.200"), OWN), false);
  assert.equal(losesTo(SERVICE, srv(1884, "edge.local"), OWN), true);
  assert.equal(losesTo(SERVICE, srv(1882, "edge.local"), OWN), false);
  assert.equal(losesTo(SERVICE, srv(1883, "edgf.local"), OWN), true);
  assert.equal(losesTo(SERVICE, srv(1883, "a.local"), OWN), false);
  assert.equal(losesTo(SERVICE, srv(1883, "edge.local"), OWN), false, "the same");
  assert.equal(losesTo(HOST, a("192.0.2.9"), OWN), true);
});

test("a probe says what would be claimed", () => {
  assert.deepEqual(recordOf(HOST), { name: "edge.local", ttl: 120, type: "A", data: "192.0.2.1" });
  assert.deepEqual(recordOf(SERVICE).data, { priority: 0, weight: 0, port: 1883, target: "edge.local" });
});

test("records have the addresses of their network alone, and the lifetimes of RFC 6762", () => {
  const ptr = { name: "_mqtt._tcp.local", type: "PTR", ttl: 28_800, data: "Edge._mqtt._tcp.local" };
  const txt = { name: "Edge._mqtt._tcp.local", type: "TXT", ttl: 4_500, data: [Buffer.from("txtvers=1")] };
  const records = [ptr, srv(1883, "edge.local"), txt, a("192.0.2.1"), a("198.51.100.1"), a("192.0.2.1")];
  assert.deepEqual(
    corrected(records, ["192.0.2.1"]).map(({ type, ttl, flush, data }) => [type, ttl, flush, type === "A" && data]),
    [
      ["PTR", 4_500, false, false],
      ["SRV", 120, true, false],
      ["TXT", 4_500, true, false],
      ["A", 120, true, "192.0.2.1"],
    ],
  );
});

test("a goodbye stays one, and takes no list from others", () => {
  const types = { name: "_services._dns-sd._udp.local", type: "PTR", ttl: 0, data: "_mqtt._tcp.local" };
  assert.deepEqual(
    corrected([types, a("192.0.2.1", 0)], ["192.0.2.1"]).map(({ type, ttl }) => [type, ttl]),
    [["A", 0]],
  );
});

test("a record is known again when it comes from the network", () => {
  const sent = { name: "Edge._mqtt._tcp.local", type: "SRV", data: { port: 1883, target: "edge.local" } };
  assert.equal(textOf(sent), textOf(srv(1883, "edge.local")));
  assert.notEqual(textOf(sent), textOf(srv(1884, "edge.local")));
});
