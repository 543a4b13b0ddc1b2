import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { duplexPair } from "node:stream";
import { type TestContext, test } from "node:test";
import { MqttClient } from "mqtt";
import { allowAll, createBroker, type Entrance, type RunningBroker } from "../../src/library.ts";
import { connect, dial } from "../support/raw-client.ts";
import { portOf, tcpListener } from "./kit.ts";

const PLANT: Entrance = { mountPoint: "plant1/", versions: [4, 5] };

/** A broker that tells by which topics messages come. */
async function started(context: TestContext): Promise<{ broker: RunningBroker; topics: string[] }> {
  const broker = createBroker({ auth: allowAll() });
  const topics: string[] = [];
  broker.inlineClient.subscribe("#", ({ topicName }) => topics.push(topicName));
  await broker.start();
  context.after(() => broker.stop());
  return { broker, topics };
}

/** Connects as MQTT 3.1.1 and as 3.1: what it has published to, and the return code. */
async function tried(port: number, topics: string[]): Promise<unknown[]> {
  const client = await connect(port, { version: 4 });
  await client.publish("t", "x", { qos: 1 });
  client.socket.destroy();
  const old = await dial(port, { version: 3, clientId: "old" });
  const { returnCode } = await old.expect("connack");
  old.socket.destroy();
  return [...topics.splice(0), returnCode];
}

test("a listener of one's own has an entrance, and may get another", async (context) => {
  const { broker, topics } = await started(context);
  await broker.addListener(tcpListener(broker), PLANT);
  assert.deepEqual(await tried(portOf(broker), topics), ["plant1/t", 1]);
  assert.equal(broker.setEntrance("test", { mountPoint: "b/" }), true);
  assert.deepEqual(await tried(portOf(broker), topics), ["b/t", 0]);
  assert.equal(broker.setEntrance("none", {}), false);
});

test("so has a server that was made elsewhere", async (context) => {
  const { broker, topics } = await started(context);
  const server = createServer();
  await broker.listen(server, "mine", PLANT);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  assert.deepEqual(await tried((server.address() as AddressInfo).port, topics), ["plant1/t", 1]);
});

test("and a stream that is attached", async (context) => {
  const { broker, topics } = await started(context);
  const [ours, theirs] = duplexPair();
  broker.attach(ours, "pair", PLANT);
  const client = new MqttClient(() => theirs, { reconnectPeriod: 0 });
  context.after(() => client.end(true));
  await client.publishAsync("t", "x", { qos: 1 });
  assert.deepEqual(topics, ["plant1/t"]);
});

test("what nobody can ask is refused before anything is opened", async (context) => {
  const { broker } = await started(context);
  const wrong: Entrance = { mountPoint: "#" };
  await assert.rejects(broker.addListener(tcpListener(broker), wrong), /^TypeError: The mount point "#" has \+, #/);
  await assert.rejects(broker.listen(createServer(), "mine", wrong), TypeError);
  const [ours] = duplexPair();
  assert.throws(() => broker.attach(ours, "pair", wrong), TypeError);
  assert.throws(() => broker.setEntrance("test", wrong), TypeError);
  assert.deepEqual(broker.urls, []);
});
