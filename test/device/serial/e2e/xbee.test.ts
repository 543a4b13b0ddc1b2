import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { bytesOf } from "../framing/kit.ts";
import { until } from "../pty.ts";
import { Rig } from "./rig.ts";
import { XbeeRadio } from "./xbee-radio.ts";

const BYTES_PER_SECOND = 115_200;
/** Nobody asks twice only because this machine is busy. */
const RETRY_MS = 2000;
/** With octets that have to be escaped in mode 2. */
const FIRST = "0013a2007d7e1113";
const SECOND = "0013a2007d7e1114";
/** One that is known by its 16-bit address alone, as in older 802.15.4 networks. */
const THIRD = "7e13";

let rig: Rig;
let radio: XbeeRadio | undefined;

beforeEach(() => {
  rig = new Rig();
});

afterEach(async () => {
  radio?.stop();
  await rig.close();
});

for (const framing of ["xbee1", "xbee2"] as const) {
  test(`${framing}: nodes behind one radio are clients of their own, each with its own messages`, async () => {
    const cable = rig.cable("radio", BYTES_PER_SECOND);
    await cable.plug();
    radio = new XbeeRadio(cable, framing === "xbee2");
    const nodes = [
      radio.node("first", 0x90, bytesOf(FIRST), RETRY_MS),
      radio.node("second", 0x80, bytesOf(SECOND), RETRY_MS),
      radio.node("third", 0x81, bytesOf(THIRD), RETRY_MS),
    ];
    const auth = `{
      authentication: [
        { name: "garden", method: "mqtt_sn", nodeId: "${FIRST.toUpperCase()}" },
        { name: "house", method: "mqtt_sn", nodeId: "*" },
      ],
      authorization: [{ topic: "#", allow: { sub: ["@any"], pub: ["@any"] } }],
    }`;
    await rig.start([`--serial=${rig.at("radio")},framing=${framing}`], auth);
    const heard: string[] = [];
    rig.broker.inlineClient.subscribe("up/#", ({ topicName, payload }) => {
      heard.push(`${topicName} ${Buffer.from(payload)}`);
    });

    await Promise.all(nodes.map((node) => node.connect()));
    const users = rig.broker.sessions.map(({ clientId, userName }) => `${clientId} is ${userName}`);
    assert.deepEqual(users.sort(), ["first is garden", "second is house", "third is house"]);

    await Promise.all(nodes.map((node) => node.subscribe(`down/${node.clientId}`, 1)));
    for (const node of nodes) {
      // Its data has what the module escapes.
      await node.publish(await node.register(`up/${node.clientId}`), 2, `~}\u0011\u0013 from ${node.clientId}`);
    }
    assert.deepEqual(
      heard,
      nodes.map(({ clientId }) => `up/${clientId} ~}\u0011\u0013 from ${clientId}`),
    );

    radio.requests.length = 0;
    rig.broker.publish("down/second", "~}\u0011\u0013", { qos: 1 });
    rig.broker.publish("down/third", "for the third", { qos: 1 });
    rig.broker.publish("down/first", "for the first", { qos: 1 });
    await until(() => nodes.every(({ received }) => received.length > 0), "a message for each");
    assert.deepEqual(
      nodes.map(({ received }) => received),
      [
        [{ topic: "down/first", text: "for the first" }],
        [{ topic: "down/second", text: "~}\u0011\u0013" }],
        [{ topic: "down/third", text: "for the third" }],
      ],
    );
    // Each was sent to its node and to nobody else.
    const addresses = radio.requests.map((request) => request.split(":")[0]);
    assert.deepEqual(addresses.sort(), [`to ${FIRST}`, `to ${SECOND}`, `to ${THIRD}`]);
    assert.deepEqual([...new Set(nodes.map(({ retried, disconnects }) => retried + disconnects))], [0]);
  });
}

test("what is for all goes to all nodes of a radio", async () => {
  const cable = rig.cable("radio", BYTES_PER_SECOND);
  await cable.plug();
  radio = new XbeeRadio(cable, true);
  const { requests } = radio;
  await rig.start([`--serial=${rig.at("radio")},framing=xbee2`, "--mqtt-sn-gateway-id=7", "--mqtt-sn-advertise=60s"]);
  await until(() => requests.length > 0, "ADVERTISE");
  assert.deepEqual(requests, ["to 000000000000ffff: 050007003c"]);
});
