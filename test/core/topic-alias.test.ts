import assert from "node:assert/strict";
import { test } from "node:test";
import { OutgoingAliases } from "../../src/core/topic-alias.ts";
import { Stage } from "./stage.ts";

const TOPICS_OF = (aliases: OutgoingAliases, topics: string[]): string[] =>
  topics.map((topic) => {
    const { alias, known } = aliases.assign(topic);
    return `${topic}${alias}${known ? "" : " new"}`;
  });

test("each topic gets the next alias, and keeps it", () => {
  assert.deepEqual(TOPICS_OF(new OutgoingAliases(3), ["a", "b", "a", "c", "b"]), [
    "a1 new",
    "b2 new",
    "a1",
    "c3 new",
    "b2",
  ]);
});

test("when all are taken, the topic used longest ago gives its own up", () => {
  assert.deepEqual(TOPICS_OF(new OutgoingAliases(2), ["a", "b", "a", "c", "a", "b", "c"]), [
    "a1 new",
    "b2 new",
    "a1",
    "c2 new",
    "a1",
    "b2 new",
    "c1 new",
  ]);
});

test("a topic whose packet was not sent starts afresh, its alias is not lost", () => {
  const aliases = new OutgoingAliases(2);
  aliases.assign("a");
  aliases.forget("a");
  aliases.forget("never seen");
  assert.deepEqual(TOPICS_OF(aliases, ["b", "c", "b", "a"]), ["b2 new", "c1 new", "b2", "a1 new"]);
});

const aliasing = { mqtt: { autoTopicAlias: true } };

test("autoTopicAlias: the first PUBLISH binds the alias, later ones leave the Topic Name out", () => {
  const stage = new Stage(aliasing);
  const client = stage.connect("a", { properties: { topicAliasMaximum: 2 } }).subscribed("#", 1);
  for (const topic of ["t", "t", "u", "v", "t"]) stage.broker.inlineClient.publish(topic, "x", { qos: 1 });
  assert.deepEqual(client.take(), [
    'PUBLISH t "x" qos1 #1 {"topicAlias":1}',
    'PUBLISH - "x" qos1 #2 {"topicAlias":1}',
    'PUBLISH u "x" qos1 #3 {"topicAlias":2}',
    'PUBLISH v "x" qos1 #4 {"topicAlias":1}',
    'PUBLISH t "x" qos1 #5 {"topicAlias":2}',
  ]);
});

test("5.0 [MQTT-3.1.2-27] autoTopicAlias: a client that wants no aliases gets none", () => {
  const stage = new Stage(aliasing);
  const client = stage.connect("a").subscribed("#");
  const old = stage.connect("b", { version: 4 }).subscribed("#");
  for (let count = 0; count < 2; count++) stage.broker.inlineClient.publish("t", "x");
  assert.deepEqual(client.take(), ['PUBLISH t "x"', 'PUBLISH t "x"']);
  assert.deepEqual(old.take(), ['PUBLISH t "x"', 'PUBLISH t "x"']);
});

test("autoTopicAlias: never more than our own topicAliasMaximum", () => {
  const stage = new Stage({ mqtt: { autoTopicAlias: true, topicAliasMaximum: 1 } });
  const client = stage.connect("a", { properties: { topicAliasMaximum: 10 } }).subscribed("#");
  for (const topic of ["t", "u"]) stage.broker.inlineClient.publish(topic, "x");
  assert.deepEqual(client.take(), ['PUBLISH t "x" {"topicAlias":1}', 'PUBLISH u "x" {"topicAlias":1}']);
});

test("5.0 [MQTT-3.3.2-7] aliases are bound anew on a new connection, for what is sent again too", () => {
  const stage = new Stage(aliasing);
  const properties = { sessionExpiryInterval: 100, topicAliasMaximum: 2 };
  const first = stage.resume("a", { properties }).subscribed("#", 1);
  for (let count = 0; count < 2; count++) stage.broker.inlineClient.publish("t", "x", { qos: 1 });
  first.hangUp();
  assert.deepEqual(stage.resume("a", { properties }).take(), [
    'PUBLISH t "x" qos1 #1 dup {"topicAlias":1}',
    'PUBLISH - "x" qos1 #2 dup {"topicAlias":1}',
  ]);
});

test("autoTopicAlias: a PUBLISH too large to be sent binds nothing", () => {
  const stage = new Stage(aliasing);
  const client = stage.connect("a", { properties: { topicAliasMaximum: 2, maximumPacketSize: 40 } }).subscribed("#");
  stage.broker.inlineClient.publish("t", "x".repeat(50));
  stage.broker.inlineClient.publish("t", "x");
  assert.deepEqual(client.take(), ['PUBLISH t "x" {"topicAlias":2}']);
});

test("incoming: an alias is bound, used and bound to another topic", () => {
  const stage = new Stage();
  const client = stage.connect("a").subscribed("#");
  const alias = { properties: { topicAlias: 64 } };
  client.publish("t", "1", alias);
  client.publish("", "2", alias);
  client.publish("u", "3", alias);
  client.publish("", "4", alias);
  assert.deepEqual(client.take(), ['PUBLISH t "1"', 'PUBLISH t "2"', 'PUBLISH u "3"', 'PUBLISH u "4"']);
});

test("5.0 [MQTT-3.3.2-7] incoming aliases end with the connection", () => {
  const stage = new Stage();
  stage.resume("a").publish("t", "1", { properties: { topicAlias: 1 } });
  const client = stage.resume("a");
  client.publish("", "2", { properties: { topicAlias: 1 } });
  assert.deepEqual(client.take(), [
    'DISCONNECT 82 {"reasonString":"Topic Alias 1 has no Topic Name yet 5.0 §3.3.2.3.4"}',
  ]);
});

test("an alias is bound even when the message that binds it is refused", () => {
  const stage = new Stage({ hooks: [{ name: "h", onACLCheck: (_, topic, write) => !write || topic !== "no" }] });
  const client = stage.connect("a");
  client.publish("no", "1", { qos: 1, properties: { topicAlias: 1 } });
  client.publish("", "2", { qos: 1, properties: { topicAlias: 1 } });
  assert.deepEqual(client.take(), ["PUBACK #1 87", "PUBACK #2 87"]);
});
