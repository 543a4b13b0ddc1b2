import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { type Packet, PacketType, Publish } from "../../src/library.ts";
import { startLibrary } from "./kit.ts";

const properties = {};

function publish(topicName: string, payload: string, qos: 0 | 1 | 2 = 0, packetIdentifier = 0): Publish {
  const bytes = Buffer.from(payload);
  return new Publish(topicName, qos, false, false, packetIdentifier, properties, bytes, 0, bytes.length);
}

const entry = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;

suite("inject in the name of a client", () => {
  test("PUBLISH of QoS 0", async (context) => {
    const { broker, connect } = await startLibrary(context);
    const [client, other] = [await connect({ clientId: "c" }), await connect()];
    await other.subscribe("t");
    broker.inject(publish("t", "x"), "c");
    await other.expect("publish", { topic: "t", payload: "x" });
    await client.expectNothing();
  });

  test("PUBLISH of QoS 1 is acknowledged to the client", async (context) => {
    const { broker, connect } = await startLibrary(context);
    const client = await connect({ clientId: "c" });
    broker.inject(publish("t", "x", 1, 77), "c");
    await client.expect("puback", { messageId: 77, reasonCode: 0x10 });
  });

  test("PUBLISH of QoS 2 and PUBREL", async (context) => {
    const { broker, connect } = await startLibrary(context);
    const [client, other] = [await connect({ clientId: "c" }), await connect()];
    await other.subscribe("t", { qos: 2 });
    broker.inject(publish("t", "x", 2, 78), "c");
    await client.expect("pubrec", { messageId: 78, reasonCode: 0 });
    broker.inject({ type: PacketType.PUBREL, packetIdentifier: 78, reasonCode: 0, properties }, "c");
    await client.expect("pubcomp", { messageId: 78, reasonCode: 0 });
    await other.expect("publish", { qos: 2 });
  });

  test("SUBSCRIBE and UNSUBSCRIBE", async (context) => {
    const { broker, connect } = await startLibrary(context);
    const client = await connect({ clientId: "c" });
    const entries = [{ ...entry, topicFilter: "t/#" }];
    broker.inject({ type: PacketType.SUBSCRIBE, packetIdentifier: 5, entries, properties }, "c");
    assert.deepEqual((await client.expect("suback", { messageId: 5 })).granted, [1]);
    assert.deepEqual(broker.sessions[0]?.subscriptions, ["t/#"]);
    broker.publish("t/1", "x");
    await client.expect("publish", { topic: "t/1" });
    broker.inject({ type: PacketType.UNSUBSCRIBE, packetIdentifier: 6, topicFilters: ["t/#", "u"], properties }, "c");
    assert.deepEqual((await client.expect("unsuback", { messageId: 6 })).granted, [0, 0x11]);
    assert.deepEqual(broker.sessions[0]?.subscriptions, []);
  });

  test("PUBACK, PUBREC and PUBCOMP end what is under way to the client", async (context) => {
    const { broker, connect } = await startLibrary(context);
    const client = await connect({ clientId: "c" });
    await client.subscribe("t", { qos: 2 });
    broker.publish("t", "1", { qos: 1 });
    broker.publish("t", "2", { qos: 2 });
    assert.equal(broker.sessions[0]?.inflightMessages, 2);
    broker.inject({ type: PacketType.PUBACK, packetIdentifier: 1, reasonCode: 0, properties }, "c");
    assert.equal(broker.sessions[0]?.inflightMessages, 1);
    broker.inject({ type: PacketType.PUBREC, packetIdentifier: 2, reasonCode: 0, properties }, "c");
    broker.inject({ type: PacketType.PUBCOMP, packetIdentifier: 2, reasonCode: 0, properties }, "c");
    assert.equal(broker.sessions[0]?.inflightMessages, 0);
    await client.expect("publish", { messageId: 1 });
    await client.expect("publish", { messageId: 2 });
    await client.expect("pubrel", { messageId: 2 });
  });

  test("PINGREQ is answered to the client", async (context) => {
    const { broker, connect } = await startLibrary(context);
    const client = await connect({ clientId: "c" });
    broker.inject({ type: PacketType.PINGREQ }, "c");
    await client.expect("pingresp");
    await client.expectNothing();
  });

  test("DISCONNECT ends the connection, and DISCONNECT with will publishes it", async (context) => {
    const { broker, connect } = await startLibrary(context);
    const other = await connect();
    await other.subscribe("will");
    const client = await connect({ clientId: "c", will: { topic: "will", payload: "gone" } });
    broker.inject({ type: PacketType.DISCONNECT, reasonCode: 4, properties }, "c");
    await client.expectClose();
    await other.expect("publish", { topic: "will", payload: "gone" });
    assert.throws(() => broker.inject({ type: PacketType.PINGREQ }, "c"), { message: /not connected/ });
  });

  test("5.0 [MQTT-4.12.0-6] AUTH without an Authentication Method ends the connection", async (context) => {
    const { broker, connect } = await startLibrary(context);
    const client = await connect({ clientId: "c" });
    const auth: Packet = { type: PacketType.AUTH, reasonCode: 0x19, properties: { authenticationMethod: "m" } };
    assert.throws(() => broker.inject(auth, "c"), { name: "ProtocolError" });
    await client.expectDisconnect(0x82);
  });

  test("5.0 [MQTT-3.1.0-2] a second CONNECT ends the connection", async (context) => {
    const { broker, connect } = await startLibrary(context);
    const client = await connect({ clientId: "c" });
    const packet: Packet = {
      type: PacketType.CONNECT,
      protocolVersion: 5,
      cleanStart: true,
      keepAliveSeconds: 0,
      clientId: "c",
      will: undefined,
      userName: undefined,
      password: undefined,
      properties,
      bridge: false,
    };
    assert.throws(() => broker.inject(packet, "c"), { name: "ProtocolError" });
    await client.expectDisconnect(0x82);
    assert.equal(broker.info.clientsConnected, 0);
  });

  const ofServers: Packet[] = [
    { type: PacketType.CONNACK, sessionPresent: false, reasonCode: 0, properties },
    { type: PacketType.SUBACK, packetIdentifier: 1, reasonCodes: [0], properties },
    { type: PacketType.UNSUBACK, packetIdentifier: 1, reasonCodes: [0], properties },
    { type: PacketType.PINGRESP },
  ];
  for (const packet of ofServers) {
    test(`packet type ${packet.type}, which only servers send, ends the connection`, async (context) => {
      const { broker, connect } = await startLibrary(context);
      const client = await connect({ clientId: "c" });
      assert.throws(() => broker.inject(packet, "c"), { name: "ProtocolError" });
      await client.expectDisconnect(0x82);
    });
  }

  test("a packet that nobody could send throws and harms nobody", async (context) => {
    const { broker, connect } = await startLibrary(context);
    const client = await connect({ clientId: "c" });
    const identifier = { type: PacketType.SUBSCRIBE, packetIdentifier: 70_000, entries: [], properties } as Packet;
    assert.throws(() => broker.inject(publish("a/#", "x"), "c"), { name: "ProtocolError" });
    assert.throws(() => broker.inject(publish("t", "x", 1, 0), "c"), { name: "ProtocolError" });
    assert.throws(() => broker.inject(identifier, "c"), { name: "RangeError" });
    const empty: Packet = { type: PacketType.SUBSCRIBE, packetIdentifier: 7, entries: [], properties };
    assert.throws(() => broker.inject(empty, "c"), { name: "ProtocolError" });
    await client.expectNothing();
    assert.equal(broker.info.clientsConnected, 1);
  });

  test("the client's rights count, not the program's", async (context) => {
    const hooks = [{ name: "h", onACLCheck: () => false }];
    const { broker, connect } = await startLibrary(context, { hooks });
    const client = await connect({ clientId: "c" });
    broker.inject(publish("t", "x", 1, 9), "c");
    await client.expect("puback", { messageId: 9, reasonCode: 0x87 });
  });

  test("hooks see the packet", async (context) => {
    const seen: number[] = [];
    const hooks = [{ name: "h", onPacketRead: (_client: unknown, packet: Packet) => void seen.push(packet.type) }];
    const { broker, connect } = await startLibrary(context, { hooks });
    await connect({ clientId: "c" });
    broker.inject(publish("t", "x"), "c");
    assert.deepEqual(seen, [PacketType.CONNECT, PacketType.PUBLISH]);
  });

  test("in a 3.1.1 client's name is in 3.1.1, which has no properties", async (context) => {
    const { broker, connect } = await startLibrary(context);
    await connect({ version: 4, clientId: "c" });
    const other = await connect();
    await other.subscribe("t");
    const packet = publish("t", "x");
    packet.properties = { contentType: "text/plain" };
    broker.inject(packet, "c");
    const received = await other.expect("publish", { topic: "t" });
    assert.deepEqual(received.properties, {});
  });

  test("among clients of one identifier the user name tells which", async (context) => {
    const { broker, connect } = await startLibrary(context);
    const [a, b] = [await connect({ clientId: "c", username: "a" }), await connect({ clientId: "c", username: "b" })];
    broker.inject({ type: PacketType.PINGREQ }, "c", "b");
    await b.expect("pingresp");
    await a.expectNothing();
    assert.throws(() => broker.inject({ type: PacketType.PINGREQ }, "c", "x"), { message: /not connected/ });
  });

  test("a client that is not there is an error", async (context) => {
    const { broker } = await startLibrary(context);
    assert.throws(() => broker.inject({ type: PacketType.PINGREQ }, "nobody"), {
      message: 'Cannot inject a packet for "nobody": not connected',
    });
  });
});

suite("inject in the program's own name", () => {
  test("PUBLISH is published", async (context) => {
    const { broker, connect } = await startLibrary(context);
    const client = await connect();
    await client.subscribe("$SYS/x");
    broker.inject(publish("$SYS/x", "y"));
    await client.expect("publish", { topic: "$SYS/x", payload: "y" });
  });

  test("anything else needs a client", async (context) => {
    const { broker } = await startLibrary(context);
    assert.throws(() => broker.inject({ type: PacketType.PINGREQ }), {
      name: "TypeError",
      message: "Cannot inject PINGREQ: name the client that it stands for",
    });
  });
});
