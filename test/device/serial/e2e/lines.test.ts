import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import type { FramingName } from "../../../../device/serial/framing/framing.ts";
import { until } from "../pty.ts";
import { median, Rig } from "./rig.ts";
import type { SnNode } from "./sn-node.ts";

const BYTES_PER_SECOND = 115_200;
/** Nobody asks twice only because this machine is busy. */
const RETRY_MS = 2000;

let rig: Rig;

beforeEach(() => {
  rig = new Rig();
});

afterEach(() => rig.close());

/** A device alone on a line of its own, plugged in. */
async function device(name: string, framing: FramingName): Promise<SnNode> {
  const cable = rig.cable(name, BYTES_PER_SECOND);
  await cable.plug();
  return rig.end(cable, framing).node(name, RETRY_MS);
}

test("lines whose framing nobody has told serve their devices, each in its own", async () => {
  const framings: FramingName[] = ["raw", "slip", "slip-crc", "hdlc", "cobs"];
  const nodes = await Promise.all(framings.map((framing) => device(framing, framing)));
  await rig.start(framings.map((name) => `--serial=${rig.at(name)}`));
  // One frame alone decides when nothing has contradicted it for a second.
  await Promise.all(nodes.map((node) => node.connect()));
  await Promise.all(nodes.map((node) => node.subscribe("all", 1)));
  for (const node of nodes) await node.publish(await node.register("all"), 1, `from ${node.clientId}`);
  const all = framings.map((name) => ({ topic: "all", text: `from ${name}` }));
  await until(() => nodes.every(({ received }) => received.length === all.length), "what each has said");
  for (const { received } of nodes) assert.deepEqual(received, all);
  const told = rig.log.lines.filter((line) => line.startsWith("info The framing of a serial line is known"));
  assert.deepEqual(
    told.sort(),
    framings.map((name) => `info The framing of a serial line is known line=${name} framing=${name}`).sort(),
  );
});

test("a pattern takes the devices that are there and those that come", async () => {
  const first = await device("ttyACM0", "cobs");
  await rig.start([`--serial=${rig.at("ttyACM*")}:115200,framing=cobs,name=garden`, "--sys-interval=100ms"]);
  await first.connect();
  await device("ttyUSB0", "cobs");
  const second = await device("ttyACM1", "cobs");
  await until(() => rig.opened === 2, "the second line to open");
  await second.connect();
  await until(() => rig.sys.get("serial/garden-ttyACM1/up") === "1", "the second line under $SYS");
  const names = new Set([...rig.sys.keys()].map((topic) => topic.split("/")[1]));
  assert.deepEqual([...names].sort(), ["garden-ttyACM0", "garden-ttyACM1"]);
  assert.deepEqual(
    ["up", "framing", "baudRate", "path"].map((key) => rig.sys.get(`serial/garden-ttyACM1/${key}`)),
    ["1", "cobs", "115200", rig.at("ttyACM1")],
  );
});

test("a device is whom its line, the line's settings, or its node id name, with that user's rights", async () => {
  const named = await device("named", "slip-crc");
  const known = await device("known", "slip-crc");
  const cable = rig.cable("radio", BYTES_PER_SECOND);
  await cable.plug();
  const radio = rig.end(cable, "slip-crc");
  const sensor = radio.node("sensor", RETRY_MS, Uint8Array.of(0xab, 0x01));
  const other = radio.node("other", RETRY_MS, Uint8Array.of(0xcd, 0x01));
  const auth = `{
    authentication: [
      { name: "garden", method: "plain_password", password: "never given" },
      { name: "meter", method: "serial", port: "${rig.at("known")}" },
      { name: "sensor", method: "mqtt_sn", nodeId: "AB*" },
    ],
    authorization: [
      { topic: "#", allow: { sub: ["@any"], pub: ["@any"] } },
      { topic: "door", deny: { pub: ["@any"] } },
      { topic: "door", allow: { pub: ["garden"] } },
    ],
  }`;
  const paths = [`${rig.at("named")},user=garden`, rig.at("known"), rig.at("radio")];
  await rig.start(
    paths.map((path) => `--serial=${path},framing=slip-crc`),
    auth,
  );
  await Promise.all([named, known, sensor].map((node) => node.connect()));
  await assert.rejects(other.connect(), /other was refused/);
  const users = rig.broker.sessions.map(({ clientId, userName }) => `${clientId} is ${userName}`);
  assert.deepEqual(users.sort(), ["known is meter", "named is garden", "sensor is sensor"]);
  await named.publish(await named.register("door"), 1, "open");
  await assert.rejects(
    known.register("door").then((topicId) => known.publish(topicId, 1, "open")),
    /PUBACK/,
  );
  await assert.rejects(
    sensor.register("door").then((topicId) => sensor.publish(topicId, 1, "open")),
    /PUBACK/,
  );
});

test("a line's forwarder says whether its messages must have envelopes, or must not", async () => {
  const ends = await Promise.all(
    ["none", "some"].map(async (name) => {
      const cable = rig.cable(name, BYTES_PER_SECOND);
      await cable.plug();
      const end = rig.end(cable, "cobs");
      return [end.node(`${name} direct`, RETRY_MS), end.node(`${name} behind`, RETRY_MS, Uint8Array.of(1, 2))] as const;
    }),
  );
  const [[noneDirect, noneBehind], [someDirect, someBehind]] = [ends[0]!, ends[1]!];
  const lines = [`${rig.at("none")},framing=cobs,forwarder=false`, `${rig.at("some")},framing=cobs,forwarder=true`];
  await rig.start([...lines.map((line) => `--serial=${line}`), "--sys-interval=100ms"]);
  void noneBehind.connect();
  void someDirect.connect();
  await Promise.all([noneDirect.connect(), someBehind.connect()]);
  await until(() => ["none", "some"].every((name) => rig.sys.get(`serial/${name}/refused`) === "1"), "both refusals");
  assert.deepEqual(rig.broker.sessions.map(({ clientId }) => clientId).sort(), ["none direct", "some behind"]);
  const told =
    "warn Messages on a serial line are not taken line=none reason=a message has an envelope of a forwarder,";
  assert.ok(rig.log.find(told));
  assert.ok(rig.log.find("warn Messages on a serial line are not taken line=some reason=a message has no envelope"));
});

test("one node that is flooded with QoS 0 costs the others on its line nothing, nor itself its answers", async (t) => {
  const cable = rig.cable("ttyUSB0", BYTES_PER_SECOND);
  await cable.plug();
  const end = rig.end(cable, "slip-crc");
  const nodes = Array.from({ length: 20 }, (_, number) =>
    end.node(`node${number}`, RETRY_MS, Uint8Array.of(1, number)),
  );
  await rig.start([`--serial=${rig.at("ttyUSB0")}:921600,framing=slip-crc`]);
  await Promise.all(nodes.map((node) => node.connect()));
  await Promise.all(nodes.map((node) => node.subscribe(`for/${node.clientId}`, 1)));
  const [flooded, ...others] = nodes;
  const flood = setInterval(() => {
    for (let count = 0; count < 40; count++) rig.broker.publish("for/node0", "x".repeat(50));
  }, 4);
  await until(() => cable.down.carried > 2 * BYTES_PER_SECOND * 0.2, "a full line");
  const before = cable.down.carried;
  const times = others.map(() => 0);
  for (const [index, node] of others.entries()) {
    node.onMessage = ({ text }) => {
      if (Number(text) < 3) rig.broker.publish(`for/${node.clientId}`, String(Number(text) + 1), { qos: 1 });
      else times[index] = cable.down.carried - before;
    };
    rig.broker.publish(`for/${node.clientId}`, "1", { qos: 1 });
  }
  const topicId = await flooded!.register("up");
  await flooded!.publish(topicId, 1, "still here");
  await until(() => times.every((time) => time > 0), "three messages for each of the others");
  clearInterval(flood);
  t.diagnostic(`three messages took ${median(times)} octets of the line in the middle, ${Math.max(...times)} at most`);
  // Two pseudo terminals hold some 40,000, three times; what waits in the broker would come to three times 180,000.
  assert.equal(Math.max(...times) < 180_000, true, `${times}`);
  assert.equal(median(times) / Math.max(...times) >= 0.5, true, `${times}`);
  assert.deepEqual([...new Set(nodes.map(({ retried, disconnects }) => retried + disconnects))], [0]);
});
