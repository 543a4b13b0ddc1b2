import assert from "node:assert/strict";
import { test } from "node:test";
import { FINDINGS_MAX, Findings } from "../../../device/mdns/findings.ts";
import { decodeResponse, type Question } from "../../../device/mdns/message.ts";
import { AAAA, described, located, MQTT, placed, pointer, response, type Said } from "./browse-packets.ts";

const TYPES = ["_mqtt._tcp", "_mqtt-sn._udp"];

function say(findings: Findings, nowMs: number, ...records: readonly Said[]): void {
  findings.take(decodeResponse(response(...records))!, nowMs);
}

function asked(questions: readonly Question[]): string[] {
  return questions.map(({ name, type }) => `${type} ${name.join("|")}`).sort();
}

test("a service is what all that is said of it makes, in whatever order it comes", () => {
  const records = [
    located("edge", "192.0.2.1"),
    described("Edge", "A=1", "a=2", "b", "=c", "d=e=f", "__proto__=x"),
    placed("EDGE", "Edge", 1883),
    located("EDGE", "2001:db8:0:0:0:0:0:1"),
    pointer("Edge"),
  ];
  const edge = {
    type: "_mqtt._tcp",
    host: "Edge.local",
    port: 1883,
    addresses: ["192.0.2.1", "2001:db8::1"],
    txt: new Map([
      ["a", "1"],
      ["b", undefined],
      ["d", "e=f"],
      ["__proto__", "x"],
    ]),
  };
  for (const order of [records, records.toReversed()]) {
    const findings = new Findings(TYPES);
    for (const record of order) say(findings, 0, record);
    const [found, ...more] = findings.services(1);
    assert.deepEqual(more, []);
    assert.deepEqual({ ...found, name: found!.name.toLowerCase() }, { ...edge, name: "edge" });
    assert.deepEqual(findings.missing(1), []);
  }
});

test("what is missing is asked for, and only of what is there", () => {
  const findings = new Findings(TYPES);
  say(findings, 0, described("Hidden", "a=b"), located("other", "192.0.2.1"));
  assert.deepEqual([findings.services(0), findings.missing(0)], [[], []]);
  say(findings, 0, pointer("Edge 1.5"));
  assert.deepEqual(asked(findings.missing(0)), ["16 Edge 1.5|_mqtt|_tcp|local", "33 Edge 1.5|_mqtt|_tcp|local"]);
  say(findings, 0, placed("Edge 1.5", "edge", 1), described("Edge 1.5"));
  assert.deepEqual(asked(findings.missing(0)), ["1 edge|local", "28 edge|local"]);
  say(findings, 0, located("edge", "192.0.2.1"));
  assert.deepEqual(asked(findings.missing(0)), ["28 edge|local"]);
  // As long as it is good for, and not longer.
  assert.deepEqual(asked(findings.missing(119_999)), ["28 edge|local"]);
  const all = ["16 Edge 1.5|_mqtt|_tcp|local", "33 Edge 1.5|_mqtt|_tcp|local"];
  assert.deepEqual(asked(findings.missing(120_000)), all);
  const { host, port, addresses } = findings.services(120_000)[0]!;
  assert.deepEqual([host, port, addresses], [undefined, undefined, []]);
  assert.equal(findings.services(4_499_999).length, 1);
  assert.deepEqual([findings.services(4_500_000), findings.missing(4_500_000)], [[], []]);
});

test("goodbyes are believed, of the whole, of a place, of an address; who comes back is there", () => {
  const findings = new Findings(TYPES);
  const all = [pointer("Edge"), placed("Edge", "edge", 1), located("edge", "192.0.2.1"), located("edge", "192.0.2.2")];
  say(findings, 0, ...all);
  say(findings, 10, located("edge", "192.0.2.1", 0));
  assert.deepEqual(findings.services(10)[0]!.addresses, ["192.0.2.2"]);
  say(findings, 20, placed("Edge", "edge", 1, 0));
  assert.equal(findings.services(20)[0]!.port, undefined);
  say(findings, 30, pointer("eDGE", 0));
  assert.deepEqual(findings.services(30), []);
  // A goodbye of somebody who never was there.
  say(findings, 40, pointer("Edge", 0), placed("Edge", "edge", 1, 0), located("nobody", "192.0.2.1", 0));
  assert.deepEqual([findings.services(40), findings.missing(40)], [[], []]);
  say(findings, 50, ...all);
  assert.deepEqual(findings.services(50)[0]!.addresses, ["192.0.2.2", "192.0.2.1"]);
});

test("a new announcement replaces addresses of the same family that are older than a second", () => {
  const findings = new Findings(TYPES);
  say(
    findings,
    0,
    pointer("Edge"),
    placed("Edge", "edge", 1),
    located("edge", "192.0.2.1"),
    located("edge", "2001:db8:0:0:0:0:0:1"),
  );
  say(findings, 1_000, located("edge", "192.0.2.2"));
  assert.deepEqual(findings.services(1_000)[0]!.addresses, ["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
  say(findings, 1_500, located("edge", "192.0.2.3"));
  assert.deepEqual(findings.services(1_500)[0]!.addresses, ["192.0.2.2", "192.0.2.3", "2001:db8::1"]);
  // Without the bit that says so nothing is replaced.
  say(findings, 9_000, { ...located("edge", "192.0.2.4"), recordClass: 1 });
  assert.deepEqual(findings.services(9_000)[0]!.addresses, ["192.0.2.2", "192.0.2.3", "192.0.2.4", "2001:db8::1"]);
});

test("addresses at which no machine can be are left out, as are lists that name what is not of their type", () => {
  const findings = new Findings(TYPES);
  const none = [
    "127.0.0.1",
    "0.0.0.0",
    "224.0.0.251",
    "255.255.255.255",
    "0:0:0:0:0:0:0:1",
    "0:0:0:0:0:0:0:0",
    "ff02:0:0:0:0:0:0:fb",
  ];
  say(findings, 0, pointer("Edge"), placed("Edge", "edge", 1), ...none.map((address) => located("edge", address)));
  assert.deepEqual(findings.services(0)[0]!.addresses, []);
  const wrong = { ...pointer("Printer", 4500, ["_ipp", "_tcp", "local"]), name: MQTT };
  say(findings, 0, wrong, pointer("x", 4500, ["_http", "_tcp", "local"]), { ...pointer("a"), data: Buffer.of(0) });
  assert.deepEqual(
    findings.services(0).map(({ name }) => name),
    ["Edge"],
  );
  // Port 0 at the root is how a service says that it is not there (RFC 2782).
  say(findings, 0, { ...placed("Edge", "edge", 0), data: Buffer.alloc(7) });
  assert.deepEqual(
    [findings.services(0)[0]!.host, asked(findings.missing(0))],
    [undefined, ["16 Edge|_mqtt|_tcp|local"]],
  );
});

test("what is known is not asked to be said again until half of its time is over", () => {
  const findings = new Findings(TYPES);
  say(findings, 0, pointer("Edge"), placed("Other", "edge", 1));
  const [known, ...more] = findings.known(2_249_000);
  assert.deepEqual(more, []);
  assert.deepEqual(known, { type: 12, name: [...MQTT], ttl: 2_251, flush: false, target: ["Edge", ...MQTT] });
  assert.deepEqual(findings.known(2_250_000), []);
});

test("there is an end to what is remembered, and who was there first is not driven out", () => {
  const findings = new Findings(TYPES);
  say(findings, 0, pointer("First"), placed("First", "first", 1));
  for (let index = 0; index < FINDINGS_MAX.hosts + 10; index++) say(findings, 0, located(`host-${index}`, "192.0.2.1"));
  say(findings, 0, located("first", "192.0.2.7"));
  // Those of which no list says anything make room for those that are there.
  for (let index = 0; index < FINDINGS_MAX.instances + 10; index++) say(findings, 0, placed(`hidden-${index}`, "x", 1));
  for (let index = 0; index < FINDINGS_MAX.instances - 1; index++) say(findings, 0, pointer(`listed-${index}`));
  assert.deepEqual([findings.services(0).length, findings.isFull], [FINDINGS_MAX.instances, false]);
  say(findings, 0, pointer("One more"), described("One more", "a=b"));
  assert.deepEqual([findings.services(0).length, findings.isFull], [FINDINGS_MAX.instances, true]);
  const many = Array.from({ length: 100 }, (_, index) => located("first", `192.0.2.${index + 1}`));
  say(findings, 0, ...many);
  const { name, addresses } = findings.services(0)[0]!;
  assert.deepEqual([name, addresses.length], ["First", FINDINGS_MAX.addresses]);
  // The place of one that has left is free again; of a host without addresses nothing is left.
  say(findings, 0, pointer("listed-7", 0), pointer("One more"));
  assert.equal(findings.services(0).at(-1)!.name, "One more");
  const removed = Array.from({ length: FINDINGS_MAX.hosts }, (_, index) => located(`host-${index}`, "192.0.2.1", 0));
  for (const record of removed) say(findings, 0, record);
  say(findings, 0, { ...located("late", "192.0.2.8") }, placed("listed-1", "late", 1));
  assert.deepEqual(findings.services(0).find(({ name: one }) => one === "listed-1")!.addresses, ["192.0.2.8"]);
  assert.equal(AAAA, 28);
});
