import assert from "node:assert/strict";
import { test } from "node:test";
import { Publish } from "../../../src/codec/packet.ts";
import { ReasonCode } from "../../../src/codec/reason.ts";
import { type Hook, IGNORE, refuse } from "../../../src/core/hooks.ts";
import { Stage, type StageOptions } from "../stage.ts";

/** What hooks are told of a message, as text. */
function brief(packet: Publish): string {
  const { topicName, payload, qos, retain, dup, packetIdentifier } = packet;
  const id = packetIdentifier === 0 ? "" : ` #${packetIdentifier}`;
  return `${topicName} ${Buffer.from(payload)} qos${qos}${id}${retain ? " retain" : ""}${dup ? " dup" : ""}`;
}

const verdict = (answer: ReturnType<NonNullable<Hook["onPublish"]>>): StageOptions => ({
  hooks: [{ name: "h", onPublish: () => answer }],
});

test("onACLCheck is asked for each publish and for each receiver, with the topic", () => {
  const asked: string[] = [];
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onACLCheck(client, topic, write) {
          asked.push(`${client.clientId} ${write ? "writes" : "reads"} ${topic}`);
          return undefined;
        },
      },
    ],
  });
  stage.connect("s").subscribed("t/#");
  stage.connect("p").publish("t/1", "x");
  assert.deepEqual(asked, ["s reads t/#", "p writes t/1", "s reads t/1"]);
});

test("onACLCheck: the first opinion decides, without one the access rules do", () => {
  const access = { authenticate: () => true, check: (_: unknown, topic: string) => topic !== "c" };
  const stage = new Stage({
    access,
    hooks: [
      { name: "1", onACLCheck: (_, topic) => (topic === "a" ? false : undefined) },
      { name: "2", onACLCheck: (_, topic) => (topic === "a" || topic === "b" ? topic === "a" : undefined) },
    ],
  });
  const client = stage.connect("p");
  for (const topic of ["a", "b", "c", "d"]) client.publish(topic, "x", { qos: 1 });
  assert.deepEqual(client.take(), ["PUBACK #1 87", "PUBACK #2 87", "PUBACK #3 87", "PUBACK #4 10"]);
});

test("onACLCheck denies a publish: 5.0 gets the code, 3.1.1 an ordinary acknowledgement, nobody the message", () => {
  const stage = new Stage({ hooks: [{ name: "h", onACLCheck: (_, __, write) => !write }] });
  const subscriber = stage.connect("s").subscribed("t");
  const v5 = stage.connect("v5");
  v5.publish("t", "x", { qos: 2 });
  const v4 = stage.connect("v4", { version: 4 });
  v4.publish("t", "x", { qos: 2 });
  v4.publish("t", "x", { qos: 1, id: 8 });
  assert.deepEqual(v5.take(), ["PUBREC #1 87"]);
  assert.deepEqual(v4.take(), ["PUBREC #1", "PUBACK #8"]);
  assert.deepEqual(subscriber.take(), []);
  assert.equal(stage.counters.droppedBy.notAuthorized, 3);
});

test("onACLCheck denies a subscription and a delivery", () => {
  const stage = new Stage({
    hooks: [{ name: "h", onACLCheck: (_, topic, write) => write || !topic.startsWith("secret") }],
  });
  const client = stage.connect("a");
  client.subscribe(["secret/#", "#"]);
  stage.broker.inlineClient.publish("secret/x", "x");
  stage.broker.inlineClient.publish("open", "x");
  assert.deepEqual(client.take(), ["SUBACK #1 87 00", 'PUBLISH open "x"']);
});

test("onACLCheck holds for shared subscriptions: a member without the right is passed over", () => {
  const stage = new Stage({
    hooks: [{ name: "h", onACLCheck: (client, topic, write) => write || topic === "#" || client.clientId !== "a" }],
  });
  const a = stage.connect("a").subscribed("$share/g/#");
  const b = stage.connect("b").subscribed("$share/g/#");
  for (const payload of ["1", "2"]) stage.broker.inlineClient.publish("t", payload);
  assert.deepEqual(a.take(), []);
  assert.deepEqual(b.takePayloads(), ["1", "2"]);
  b.disconnect();
  assert.equal(stage.broker.inlineClient.publish("t", "3"), 0);
  assert.deepEqual(a.take(), []);
});

test("onACLCheck denies retained messages of a subscription", () => {
  const stage = new Stage({ hooks: [{ name: "h", onACLCheck: (_, topic) => topic !== "b" }] });
  for (const topic of ["a", "b"]) stage.broker.inlineClient.publish(topic, "x", { retain: true });
  const client = stage.connect("s");
  client.subscribe("#");
  assert.deepEqual(client.take(), ["SUBACK #1 00", 'PUBLISH a "x" retain']);
});

test("onACLCheck that throws denies", () => {
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onACLCheck() {
          throw new Error("x");
        },
      },
    ],
  });
  const client = stage.connect("a");
  client.publish("t", "x", { qos: 1 });
  client.subscribe("t");
  assert.deepEqual(client.take(), ["PUBACK #1 87", "SUBACK #1 87"]);
});

test("the program's own client passes no ACL", () => {
  const stage = new Stage({ hooks: [{ name: "h", onACLCheck: (_, __, write) => !write }] });
  const subscriber = stage.connect("s").subscribed("t");
  stage.broker.inlineClient.publish("t", "x");
  assert.deepEqual(subscriber.take(), ['PUBLISH t "x"']);
});

test("onPublish is given the message with its topic, also when only an alias named it", () => {
  const heard: string[] = [];
  const stage = new Stage({
    hooks: [{ name: "h", onPublish: (client, packet) => void heard.push(`${client.clientId} ${brief(packet)}`) }],
  });
  const client = stage.connect("p");
  client.publish("t", "1", { qos: 1, retain: true, properties: { topicAlias: 3 } });
  client.publish("", "2", { properties: { topicAlias: 3 } });
  assert.deepEqual(heard, ["p t 1 qos1 #1 retain", "p t 2 qos0"]);
});

test("onPublish changes the message, for the hooks after it too", () => {
  const seen: string[] = [];
  const stage = new Stage({
    hooks: [
      {
        name: "1",
        onPublish: (_, packet) =>
          new Publish(
            `site/${packet.topicName}`,
            1,
            true,
            false,
            0,
            { contentType: "text/plain" },
            Buffer.from("new"),
            0,
            3,
          ),
      },
      { name: "2", onPublish: (_, packet) => void seen.push(brief(packet)) },
    ],
  });
  const client = stage.connect("a").subscribed("#", 2, { rap: true });
  client.publish("t", "old", { qos: 2 });
  assert.deepEqual(client.take(), [
    'PUBLISH site/t "new" qos1 #1 retain {"contentType":"text/plain"}',
    // What is acknowledged is what the client sent.
    "PUBREC #1",
  ]);
  assert.deepEqual(seen, ["site/t new qos1 retain"]);
  assert.equal(stage.broker.retained.get("site/t")?.payload.length, 3);
});

test("onPublish changes the payload in place", () => {
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onPublish(_, packet) {
          packet.payload = Buffer.from(Buffer.from(packet.payload).toString().toUpperCase());
        },
      },
    ],
  });
  const client = stage.connect("a").subscribed("t", 1);
  client.publish("t", "abc", { qos: 1 });
  assert.deepEqual(client.take(), ['PUBLISH t "ABC" qos1 #1', "PUBACK #1"]);
});

test("onPublish refuses: QoS 1 and 2 are acknowledged with the code, and nobody gets the message", () => {
  const stage = new Stage(verdict(refuse(ReasonCode.QuotaExceeded, "too much")));
  const subscriber = stage.connect("s").subscribed("#");
  const client = stage.connect("p");
  client.publish("t", "0", { retain: true });
  client.publish("t", "1", { qos: 1, retain: true });
  client.publish("t", "2", { qos: 2 });
  assert.deepEqual(client.take(), [
    'PUBACK #1 97 {"reasonString":"too much"}',
    'PUBREC #2 97 {"reasonString":"too much"}',
  ]);
  assert.deepEqual(subscriber.take(), []);
  assert.equal(stage.broker.retained.size, 0);
  assert.equal(client.state, "open");
});

test("onPublish refuses: a refused QoS 2 identifier is free again", () => {
  const answers = [refuse(ReasonCode.QuotaExceeded), undefined];
  const stage = new Stage({ hooks: [{ name: "h", onPublish: () => answers.shift() }] });
  const client = stage.connect("p").subscribed("t");
  client.publish("t", "refused", { qos: 2, id: 7 });
  client.publish("t", "accepted", { qos: 2, id: 7 });
  assert.deepEqual(client.take(), ["PUBREC #7 97", 'PUBLISH t "accepted"', "PUBREC #7"]);
});

test("onPublish refuses: a 3.1.1 client goes through with QoS 2 and the message is not published by its repetition", () => {
  const stage = new Stage(verdict(refuse(ReasonCode.NotAuthorized)));
  const client = stage.connect("p", { version: 4 });
  client.publish("t", "x", { qos: 2, id: 7 });
  client.publish("t", "x", { qos: 2, id: 7, dup: true });
  client.acknowledge("pubrel", 7);
  assert.deepEqual(client.take(), ["PUBREC #7", "PUBREC #7", "PUBCOMP #7"]);
});

test("onPublish: a code that PUBACK does not have becomes Implementation specific error", () => {
  const stage = new Stage(verdict(refuse(ReasonCode.Banned)));
  const client = stage.connect("p");
  client.publish("t", "x", { qos: 1 });
  assert.deepEqual(client.take(), ["PUBACK #1 83"]);
});

const throwing: StageOptions = {
  hooks: [
    {
      name: "h",
      onPublish() {
        throw new Error("x");
      },
    },
  ],
};

test("onPublish that throws refuses with Implementation specific error", () => {
  const client = new Stage(throwing).connect("p").subscribed("t");
  client.publish("t", "x", { qos: 1 });
  assert.deepEqual(client.take(), ['PUBACK #1 83 {"reasonString":"a hook failed"}']);
  assert.equal(client.state, "open");
});

test("3.1.1 [MQTT-4.8.0-2] onPublish that throws ends the connection of a client that no code could tell", () => {
  const client = new Stage(throwing).connect("p", { version: 4 }).subscribed("t");
  client.publish("t", "x", { qos: 1 });
  assert.deepEqual(client.take(), []);
  assert.equal(client.state, "ended");
});

test("onPublish ignores: acknowledged as usual, given to nobody, not retained, and onPublished is not told", () => {
  const published: string[] = [];
  const asked: string[] = [];
  const stage = new Stage({
    hooks: [
      { name: "1", onPublish: () => IGNORE, onPublished: (_, packet) => void published.push(packet.topicName) },
      { name: "2", onPublish: (_, packet) => void asked.push(packet.topicName) },
    ],
  });
  const client = stage.connect("p").subscribed("#");
  client.publish("t", "0");
  client.publish("t", "1", { qos: 1, retain: true });
  client.publish("t", "2", { qos: 2 });
  client.acknowledge("pubrel", 2);
  assert.deepEqual(client.take(), ["PUBACK #1", "PUBREC #2", "PUBCOMP #2"]);
  assert.equal(stage.broker.retained.size, 0);
  assert.deepEqual([published, asked], [[], []]);
});

test("onPublish is not asked again for a repeated QoS 2 message", () => {
  const heard: string[] = [];
  const stage = new Stage({ hooks: [{ name: "h", onPublish: (_, packet) => void heard.push(brief(packet)) }] });
  const client = stage.connect("p");
  client.publish("t", "x", { qos: 2, id: 7 });
  client.publish("t", "x", { qos: 2, id: 7, dup: true });
  assert.deepEqual(heard, ["t x qos2 #7"]);
});

test("onPublished comes when the message is on its way to all, and is given what onPublish made of it", () => {
  const heard: string[] = [];
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onPublish: (_, packet) =>
          new Publish("changed", packet.qos, false, false, packet.packetIdentifier, {}, packet.bytes, 0, 0),
        onQosPublish: (client, packet) => void heard.push(`to ${client.clientId} ${packet.topicName}`),
        onPublished: (client, packet) => void heard.push(`by ${client.clientId} ${packet.topicName}`),
      },
    ],
  });
  stage.connect("s").subscribed("#", 1);
  stage.connect("p").publish("t", "x", { qos: 1 });
  assert.deepEqual(heard, ["to s changed", "by p changed"]);
});
