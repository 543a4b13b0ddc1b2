import assert from "node:assert/strict";
import { test } from "node:test";
import type { PeerOptions, TestPeer } from "./peer.ts";
import { Stage } from "./stage.ts";

const TOPIC = `res_${"1".padStart(32, "0")}`;

/** A client and the Response Information it was given. */
function requester(stage: Stage, options: PeerOptions = {}): { client: TestPeer; topic: string | undefined } {
  const properties = { requestResponseInformation: true, ...options.properties };
  const client = stage.dial({ clientId: "owner", ...options, properties });
  const packet = client.received.shift();
  assert.ok(packet?.cmd === "connack" && packet.reasonCode === 0);
  return { client, topic: packet.properties?.responseInformation };
}

test("5.0 §3.2.2.3.15 Response Information is given to a client that asks for it", () => {
  assert.equal(requester(new Stage()).topic, TOPIC);
});

test("5.0 [MQTT-3.1.2-28] a client that does not ask gets none", () => {
  assert.equal(requester(new Stage(), { properties: { requestResponseInformation: false } }).topic, undefined);
});

test("responseInformation off: nobody gets any, also with alwaysReturnResponseInfo", () => {
  assert.equal(requester(new Stage({ mqtt: { responseInformation: false } })).topic, undefined);
  const mqtt = { responseInformation: false, compat: { alwaysReturnResponseInfo: true } };
  assert.equal(requester(new Stage({ mqtt })).topic, undefined);
});

test("it stays with the session, and is another one for another session", () => {
  const stage = new Stage();
  const properties = { sessionExpiryInterval: 100 };
  const first = requester(stage, { properties });
  first.client.hangUp();
  assert.equal(requester(stage, { clean: false, properties }).topic, first.topic);
  assert.notEqual(requester(stage, { clientId: "other" }).topic, first.topic);
  assert.notEqual(requester(stage, { clean: true }).topic, first.topic);
});

test("only its owner subscribes, to the topic and below it", () => {
  const stage = new Stage();
  const { client } = requester(stage);
  const filters = [TOPIC, `${TOPIC}/#`, `${TOPIC}/+/x`, `${TOPIC}/deep/er`];
  client.subscribe(filters, 1);
  assert.deepEqual(client.take(), ["SUBACK #1 01 01 01 01"]);
  const other = stage.connect("other");
  other.subscribe([...filters, `$share/g/${TOPIC}`, `$share/g/${TOPIC}/#`, `${TOPIC}0`, "res_"], 1);
  assert.deepEqual(other.take(), ["SUBACK #1 87 87 87 87 87 87 01 01"]);
});

test("anybody publishes there, and only its owner receives", () => {
  const stage = new Stage();
  const { client } = requester(stage);
  client.subscribed(`${TOPIC}/#`, 1);
  const others = ["#", "+", "+/#", "$share/g/#"].map((filter, index) =>
    stage.connect(`o${index}`).subscribed(filter, 1),
  );
  const publisher = stage.connect("p", { version: 4 });
  publisher.publish(TOPIC, "answer", { qos: 1 });
  publisher.publish(`${TOPIC}/7`, "below", { qos: 1, retain: true });
  assert.deepEqual(publisher.take(), ["PUBACK #1", "PUBACK #2"]);
  assert.deepEqual(client.takePayloads(), ["answer", "below"]);
  for (const other of others) assert.deepEqual(other.take(), []);
});

test("the owner receives by a wildcard too", () => {
  const stage = new Stage();
  const { client } = requester(stage);
  client.subscribed("+/x");
  stage.broker.inlineClient.publish(`${TOPIC}/x`, "answer");
  assert.deepEqual(client.takePayloads(), ["answer"]);
});

test("retained messages there are sent to nobody else", () => {
  const stage = new Stage();
  requester(stage);
  stage.broker.inlineClient.publish(`${TOPIC}/x`, "answer", { retain: true });
  const other = stage.connect("other");
  other.subscribe("#");
  assert.deepEqual(other.take(), ["SUBACK #1 00"]);
});

test("a will is published there", () => {
  const stage = new Stage();
  const { client } = requester(stage);
  client.subscribed(TOPIC);
  stage.connect("w", { will: { topic: TOPIC, payload: Buffer.from("gone") } }).hangUp();
  assert.deepEqual(client.takePayloads(), ["gone"]);
});

test("when the session ends, its Response Information is nobody's", () => {
  const stage = new Stage();
  requester(stage).client.disconnect();
  assert.equal(stage.broker.router.responseTopics.size, 0);
});
