import assert from "node:assert/strict";
import { after, test } from "node:test";
import { startBroker } from "../support/broker.ts";
import { unique } from "../support/raw-client.ts";
import { field, packet } from "./wire.ts";

const broker = await startBroker();
after(() => broker.stop());

/** Filters, names that they match, and names that they do not; `R` stands for a root that only the test uses. */
const MATCHING = [
  {
    ids: "5.0 [MQTT-4.7.1-1], 3.1.1 [MQTT-4.7.1-2]",
    filter: "R/#",
    yes: ["R", "R/", "R/a", "R/a/b", "R//"],
    no: ["Ra", "r"],
  },
  {
    ids: "5.0 [MQTT-4.7.1-1], 3.1.1 [MQTT-4.7.1-2]",
    filter: "R/a/#",
    yes: ["R/a", "R/a/b"],
    no: ["R", "R/ab", "R/b/a"],
  },
  { ids: "5.0 [MQTT-4.7.1-2], 3.1.1 [MQTT-4.7.1-3]", filter: "R/+", yes: ["R/a", "R/"], no: ["R", "R/a/b", "R//"] },
  {
    ids: "5.0 [MQTT-4.7.1-2], 3.1.1 [MQTT-4.7.1-3]",
    filter: "R/+/b",
    yes: ["R/a/b", "R//b"],
    no: ["R/b", "R/a/b/c", "R/a/c"],
  },
  { ids: "5.0 [MQTT-4.7.1-2], 3.1.1 [MQTT-4.7.1-3]", filter: "R/+/+", yes: ["R/a/b", "R//"], no: ["R/a", "R/a/b/c"] },
  { ids: "5.0 [MQTT-4.7.1-2], 3.1.1 [MQTT-4.7.1-3]", filter: "R/+/#", yes: ["R/a", "R/", "R/a/b/c"], no: ["R"] },
  { ids: "5.0 [MQTT-4.7.1-2], 3.1.1 [MQTT-4.7.1-3]", filter: "+/R", yes: ["a/R", "/R"], no: ["R", "a/b/R"] },
  {
    ids: "5.0 [MQTT-4.7.3-4], 3.1.1 [MQTT-4.7.3-4]",
    filter: "R/a",
    yes: ["R/a"],
    no: ["R/A", "R/a/", "/R/a", "R//a", "R/a ", "R/ a"],
  },
  { ids: "5.0 [MQTT-4.7.3-4], 3.1.1 [MQTT-4.7.3-4]", filter: "R/", yes: ["R/"], no: ["R", "R//", "/R"] },
  { ids: "5.0 [MQTT-4.7.3-4], 3.1.1 [MQTT-4.7.3-4]", filter: "/R", yes: ["/R"], no: ["R", "//R"] },
  { ids: "5.0 [MQTT-4.7.3-4], 3.1.1 [MQTT-4.7.3-4]", filter: "R/é", yes: ["R/é"], no: ["R/e\u0301", "R/e", "R/É"] },
  { ids: "5.0 [MQTT-4.7.3-4], 3.1.1 [MQTT-4.7.3-4]", filter: "R/e\u0301", yes: ["R/e\u0301"], no: ["R/é"] },
  { ids: "5.0 [MQTT-4.7.3-4], 3.1.1 [MQTT-4.7.3-4]", filter: "R/..", yes: ["R/.."], no: ["R", "R/."] },
  {
    ids: "5.0 [MQTT-4.7.3-4], 3.1.1 [MQTT-4.7.3-4]",
    filter: "R/%2f\\*",
    yes: ["R/%2f\\*"],
    no: ["R//", "R/%2F\\*", "R/ab"],
  },
];

for (const { ids, filter, yes, no } of MATCHING) {
  test(`${ids} matches ${filter} to ${yes.join(" ")}, and not to ${no.join(" ")}`, async () => {
    for (const version of [5, 4] as const) {
      const root = unique("R");
      const name = (text: string) => text.replace("R", root);
      const client = await broker.connect({ version });
      await client.subscribe(name(filter));
      for (const text of no) await client.publish(name(text), "no");
      for (const text of yes) client.sendPublish(name(text), "yes");
      for (const text of yes) await client.expect("publish", { topic: name(text), payload: "yes" });
      await client.expectNothing();
      await client.disconnect();
    }
  });
}

for (const { version, ids } of [
  { version: 5, ids: "5.0 [MQTT-4.7.2-1]" },
  { version: 4, ids: "3.1.1 [MQTT-4.7.2-1]" },
] as const) {
  for (const filter of ["#", "+", "+/#", "+/monitor", "+/+", "/#"]) {
    test(`${ids} does not match ${filter} to names that begin with $`, async () => {
      const client = await broker.connect({ version });
      await client.subscribe({ topic: filter, qos: 0, ...(version === 5 ? { rh: 2 as const } : {}) });
      const other = await broker.connect();
      await other.publish("$other", "x");
      await other.publish("$other/monitor", "x");
      await client.expectNothing();
      await client.disconnect();
      await other.disconnect();
    });
  }

  test(`${ids} matches filters that begin with the same $ level`, async () => {
    const client = await broker.connect({ version });
    const root = unique("$r");
    await client.subscribe([{ topic: `${root}/#` }, { topic: `${root}/+/x` }]);
    await client.publish(`${root}/a/x`, "x");
    await client.expect("publish", { topic: `${root}/a/x` });
    await client.expectNothing();
    await client.subscribe([{ topic: "+/$level" }]);
    await client.publish("a/$level", "y");
    await client.expect("publish", { topic: "a/$level" });
    await client.disconnect();
  });

  test(`${ids} shows $SYS to who subscribes to it, and not to #`, async () => {
    const everything = await broker.connect({ version });
    await everything.subscribe("#");
    const system = await broker.connect({ version });
    await system.subscribe("$SYS/#");
    const { topic, retain } = await system.expect("publish");
    assert.match(topic, /^\$SYS\//);
    assert.equal(retain, true);
    await broker.advance(30_000);
    await everything.expectNothing();
    system.socket.destroy();
    await everything.disconnect();
  });
}

for (const { version, ids } of [
  { version: 5, ids: "5.0 [MQTT-4.7.3-3] [MQTT-4.7.3-1]" },
  { version: 4, ids: "3.1.1 [MQTT-4.7.3-3] [MQTT-4.7.3-1]" },
] as const) {
  test(`${ids} takes Topic Filters of 1 and of 65,535 bytes`, async () => {
    const client = await broker.connect({ version });
    const long = unique("t").padEnd(65_535, "é").slice(0, 32_000);
    const longest = Buffer.from(long).subarray(0, 65_535);
    const padded = Buffer.concat([longest, Buffer.alloc(65_535 - longest.length, "x")]);
    const none = version === 5 ? "00" : "";
    client.sendBytes(packet("82", "0001", none, field("a"), "00", field(padded), "00"));
    await client.expect("suback", { granted: [0, 0] });
    client.sendBytes(packet("30", field(padded), none, "78"));
    await client.expectBytes(packet("30", field(padded), none, "78"));
    await client.disconnect();
  });
}
