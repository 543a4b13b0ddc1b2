import assert from "node:assert/strict";
import { test } from "node:test";
import { type SnQos, SnReturnCode, SnType } from "../../../src/gateway/mqttsn/codec/types.ts";
import { converse } from "./conversation.ts";
import {
  afterActive,
  CONNACK,
  connect,
  DISCONNECT,
  HI,
  id,
  PINGRESP,
  puback,
  publish,
  regack,
  register,
  suback,
  subscribe,
} from "./packets.ts";

test("a topic is registered before its first message, once", async () => {
  const script = [`publish a/b 1 0 ${HI}`, "poll", regack(7, 1), "poll"] as const;
  assert.deepEqual(
    await afterActive([`publish a/b 0 1 ${HI}`, "poll", regack(7, 1), "poll", `publish a/b 0 0 ${HI}`]),
    [
      ...["= ok", register(0, 1, "a/b"), 10_000, "registered a/b"],
      ...[
        publish("hi", { topicId: 7, retain: true }),
        'published a/b "hi"',
        45_000,
        publish("hi", { topicId: 7 }),
        "= ok",
      ],
    ],
  );
  // Message identifier 1 was taken for the message itself.
  assert.deepEqual(await afterActive([...script.slice(0, 2), regack(7, 2), "poll", puback(7, 1), "poll"]), [
    ...["= ok", register(0, 2, "a/b"), 10_000, "registered a/b", publish("hi", { qos: 1, topicId: 7, messageId: 1 })],
    ...[10_000, 'published a/b "hi"', 45_000],
  ]);
});

test("QoS 2 goes through PUBREC, PUBREL and PUBCOMP; each half is repeated until it is answered", async () => {
  const message = publish("hi", { qos: 2, topicIdType: 1, topicId: 5, messageId: 1 });
  const script = [
    `publish =5 2 0 ${HI}`,
    "poll",
    "clock 10000",
    "poll",
    id("Pubrec", 1),
    "poll",
    "clock 10000",
    "poll",
  ];
  const then = [id("Pubrec", 1), "poll", `publish =5 1 0 ${HI}`, id("Pubcomp", 1), "poll", id("Pubcomp", 1), "poll"];
  assert.deepEqual(await afterActive([...script, ...then]), [
    ...["= ok", message, 10_000, { ...message, dup: true }, 10_000, id("Pubrel", 1), 10_000, id("Pubrel", 1), 10_000],
    ...[id("Pubrel", 1), 10_000, "= busy", 'published 1:5 "hi"', 45_000, 45_000],
  ]);
});

test("QoS -1 needs no connection, and takes predefined and short topics only", async () => {
  const minus = publish("hi", { qos: -1 as SnQos, topicIdType: 1, topicId: 5 });
  const short = publish("hi", { qos: -1 as SnQos, topicIdType: 2, topicId: 0x6162 });
  const script = ["init node", `publish =5 -1 0 ${HI}`, `publish ~ab -1 0 ${HI}`, `publish a -1 0 ${HI}`, "poll"];
  assert.deepEqual(await converse(script), ["= ok", minus, "= ok", short, "= ok", "= wrong-argument", 4_294_967_295]);
});

test("what cannot be sent is refused at once", async () => {
  const script = [`publish a/+ 0 0 ${HI}`, `publish a/# 1 0 ${HI}`, `publish a 3 0 ${HI}`, `publish a -2 0 ${HI}`];
  assert.deepEqual(await afterActive([...script, "subscribe a 3", "register a/#", "register =5", "sleep 0"]), [
    ...Array(8).fill("= wrong-argument"),
  ]);
  const early = ["init node", `publish =5 0 0 ${HI}`, `publish =5 1 0 ${HI}`, "sleep 5", "wake", "disconnect"];
  assert.deepEqual(await converse(early), ["= ok", ...Array(5).fill("= wrong-state")]);
});

test("messages longer than 255 octets have the long head, the longest has 65,535", async () => {
  const data = (length: number) => "78".repeat(length);
  const sent = await afterActive([
    `publish =5 0 0 ${data(248)}`,
    `publish =5 0 0 ${data(249)}`,
    `publish =5 0 0 ${data(65_526)}`,
  ]);
  const wanted = [248, 249, 65_526].flatMap((length) => [
    publish("x".repeat(length), { topicIdType: 1, topicId: 5 }),
    "= ok",
  ]);
  assert.deepEqual(sent, wanted);
  assert.deepEqual(await afterActive([`publish =5 0 0 ${data(65_527)}`]), ["= wrong-argument"]);
});

test("an id that the gateway has forgotten is asked for anew, and the message sent again", async () => {
  const invalid = SnReturnCode.InvalidTopicId;
  const script = ["register a", "poll", regack(7, 1), "poll", `publish a 1 0 ${HI}`, "poll"] as const;
  const then = [puback(7, 2, invalid), "poll", regack(8, 3), "poll", puback(8, 2), "poll"] as const;
  const message = publish("hi", { qos: 1, topicId: 7, messageId: 2 });
  assert.deepEqual(await afterActive([...script, ...then]), [
    ...["= ok", register(0, 1, "a"), 10_000, "registered a", 45_000, "= ok", message, 10_000],
    ...[register(0, 3, "a"), 10_000, "registered a", { ...message, topicId: 8 }, 10_000, 'published a "hi"', 45_000],
  ]);
  // Of QoS 0 nothing is sent again, but the next message registers.
  const quiet = [`publish a 0 0 ${HI}`, puback(7, 0, invalid), "poll", `publish a 0 0 ${HI}`, "poll"] as const;
  assert.deepEqual((await afterActive([...script.slice(0, 4), ...quiet])).slice(5), [
    ...[publish("hi", { topicId: 7 }), "= ok", 45_000, "= ok", register(0, 2, "a"), 10_000],
  ]);
  // A predefined topic has no other id, and a gateway that denies its own ids is not asked for ever.
  const predefined = [`publish =5 1 0 ${HI}`, "poll", puback(5, 1, invalid), "poll"] as const;
  assert.deepEqual((await afterActive(predefined)).slice(3), ['failed 1:5 code 2 "hi"', 45_000]);
  const denials = [1, 2, 3, 4].flatMap((n) => [regack(7, n + 1), "poll", puback(7, 1, invalid), "poll"] as const);
  const said = await afterActive([`publish a 1 0 ${HI}`, "poll", ...denials]);
  assert.equal(said.filter((one) => typeof one === "object" && one.type === SnType.Register).length, 4);
  assert.deepEqual(said.slice(-2), ['failed a code 2 "hi"', 45_000]);
});

test("a rejected topic, message or subscription is told of, a congested gateway asked again after T_WAIT", async () => {
  const { Congestion, NotSupported } = SnReturnCode;
  const rejected = [`publish a 1 0 ${HI}`, "poll", regack(0, 2, NotSupported), "poll", "state"] as const;
  assert.deepEqual((await afterActive(rejected)).slice(3), ['failed a code 3 "hi"', 45_000, "state 3 idle"]);
  const filter = ["subscribe b/# 1", "poll", suback(0, 1, 1, NotSupported), "poll", "state"] as const;
  assert.deepEqual((await afterActive(filter)).slice(3), ["failed b/# code 3", 45_000, "state 3 idle"]);
  // PINGREQ keeps the connection meanwhile.
  const pings = Array.from({ length: 6 }, () => ["clock 45000", "poll", PINGRESP, "poll"] as const).flat();
  const congested = [`publish =5 1 0 ${HI}`, "poll", puback(5, 1, Congestion), "poll", ...pings, "clock 30000", "poll"];
  const said = await afterActive(congested);
  assert.deepEqual(said.slice(0, 4), [
    "= ok",
    publish("hi", { qos: 1, topicIdType: 1, topicId: 5, messageId: 1 }),
    10_000,
    45_000,
  ]);
  assert.deepEqual(said.at(-2), publish("hi", { dup: true, qos: 1, topicIdType: 1, topicId: 5, messageId: 1 }));
  assert.equal(said.filter((one) => typeof one === "object" && one.type === SnType.Publish).length, 2);
});

test("subscriptions are asked for one after another, by name, predefined id and short name", async () => {
  const script = ["subscribe a 2", "subscribe =5 0", "subscribe ~xy 1", "poll", suback(9, 1, 1), "poll"] as const;
  const then = [suback(5, 2, 0), "poll", suback(0, 3, 1), "poll", "state"] as const;
  const predefined = {
    type: SnType.Subscribe,
    dup: false,
    qos: 0,
    messageId: 2,
    topic: { topicIdType: 1, topicId: 5 },
  };
  const short = {
    type: SnType.Subscribe,
    dup: false,
    qos: 1,
    messageId: 3,
    topic: { topicIdType: 2, topicId: 0x7879 },
  };
  assert.deepEqual(await afterActive([...script, ...then]), [
    ...["= ok", "= ok", "= ok", subscribe("a", 1, 2), 10_000, "subscribed a qos 1", predefined, 10_000],
    ...["subscribed 1:5 qos 0", short, 10_000, "subscribed 2:30841 qos 1", 45_000, "state 3 idle"],
  ]);
});

test("SUBSCRIBE is repeated with DUP; a subscription that is ended is not asked for again", async () => {
  const script = [
    "subscribe a 1",
    "poll",
    "unsubscribe a",
    "clock 10000",
    "poll",
    suback(9, 1),
    "poll",
    "unsubscribe a",
    "poll",
  ];
  const then = [id("Unsuback", 2), "poll", DISCONNECT, "poll", "clock 1000", "poll", CONNACK, "poll"] as const;
  const unsubscribe = { type: SnType.Unsubscribe, messageId: 2, topic: { topicIdType: 0, name: "a" } };
  assert.deepEqual(await afterActive([...script, ...then]), [
    ...["= ok", subscribe("a", 1), 10_000, "= busy", subscribe("a", 1, 1, true), 10_000, "subscribed a qos 1", 45_000],
    ...["= ok", unsubscribe, 10_000, "unsubscribed a", 45_000, "lost 0", 1000, connect(), 10_000, "connected", 45_000],
  ]);
});

test("messages come with the names of their topics, however the gateway says them", async () => {
  const script = [
    "subscribe a 1",
    "subscribe =5 1",
    "subscribe ~xy 1",
    "poll",
    suback(9, 1),
    "poll",
    suback(5, 2),
    "poll",
  ] as const;
  const then = [
    suback(0, 3),
    publish("1", { topicId: 9 }),
    publish("2", { topicId: 5, topicIdType: 1, qos: 1, messageId: 77, retain: true }),
    publish("3", { topicId: 0x7879, topicIdType: 2, qos: 1, messageId: 78, dup: true }),
    publish("4", { topicId: 0x7a7a, topicIdType: 2 }),
    register(10, 79, "b/c"),
    publish("5", { topicId: 10 }),
    "poll",
  ] as const;
  assert.deepEqual((await afterActive([...script, ...then])).slice(11), [
    ...["subscribed 2:30841 qos 1", 'message a qos 0 "1"', 'message 1:5 qos 1 retain "2"', puback(5, 77)],
    ...['message 2:30841 qos 1 dup "3"', puback(0x7879, 78), 'message 2:31354 qos 0 "4"', regack(10, 79)],
    ...['message b/c qos 0 "5"', 45_000],
  ]);
});

test("a message of an unknown id is answered so that the gateway registers the topic", async () => {
  const unknown = [publish("1", { topicId: 10 }), publish("2", { topicId: 10, qos: 2, messageId: 5 }), "poll"] as const;
  assert.deepEqual(await afterActive(unknown), [puback(10, 0, 2), puback(10, 5, 2), 45_000]);
});

test("a QoS 2 message is told of once, however often it comes, and again after its release", async () => {
  const message = publish("once", { qos: 2, topicIdType: 1, topicId: 5, messageId: 9 });
  const script = [message, { ...message, dup: true }, "poll", id("Pubrel", 9), id("Pubrel", 9), message, "poll"];
  assert.deepEqual(await afterActive(script), [
    ...['message 1:5 qos 2 "once"', id("Pubrec", 9), id("Pubrec", 9), 45_000],
    ...[id("Pubcomp", 9), id("Pubcomp", 9), 'message 1:5 qos 2 "once"', id("Pubrec", 9), 45_000],
  ]);
  // Across a lost connection, too.
  const across = [
    message,
    "poll",
    DISCONNECT,
    "poll",
    "clock 1000",
    "poll",
    CONNACK,
    "poll",
    { ...message, dup: true },
    "poll",
  ];
  const said = await afterActive(across);
  assert.deepEqual(said.slice(-4), ["connected", 45_000, id("Pubrec", 9), 45_000]);
});

test("five QoS 2 messages at once are one too many: the oldest is forgotten, the others are not", async () => {
  const message = (messageId: number) => publish(`${messageId}`, { qos: 2, topicIdType: 1, topicId: 5, messageId });
  const said = await afterActive([...[1, 2, 3, 4, 5].map(message), ...[2, 3, 4, 5, 1].map(message), "poll"]);
  assert.deepEqual(
    said.filter((one) => typeof one === "string"),
    [1, 2, 3, 4, 5, 1].map((n) => `message 1:5 qos 2 "${n}"`),
  );
  assert.equal(said.filter((one) => typeof one === "object" && one.type === SnType.Pubrec).length, 10);
});

test("announced topics take the place of the one announced longest ago, or are rejected when too long", async () => {
  const script = [
    register(1, 1, "a"),
    register(2, 2, "b"),
    register(3, 3, "c"),
    register(4, 4, "n".repeat(32)),
  ] as const;
  const then = [register(5, 5, "n".repeat(31)), ...[1, 2, 3, 5].map((topicId) => publish("x", { topicId })), "poll"];
  assert.deepEqual(await afterActive([...script, ...then]), [
    ...[regack(1, 1), regack(2, 2), regack(3, 3), regack(4, 4, 3), regack(5, 5)],
    ...[puback(1, 0, 2), puback(2, 0, 2), 'message c qos 0 "x"', `message ${"n".repeat(31)} qos 0 "x"`, 45_000],
  ]);
});

test("an id that is given to another topic no longer stands for the first", async () => {
  const script = [
    "register a",
    "poll",
    regack(7, 1),
    "poll",
    register(7, 2, "b"),
    publish("x", { topicId: 7 }),
    "poll",
  ] as const;
  assert.deepEqual((await afterActive([...script, `publish a 0 0 ${HI}`, "poll"])).slice(5), [
    ...[regack(7, 2), 'message b qos 0 "x"', 45_000, "= ok", register(0, 2, "a"), 10_000],
  ]);
});

test("message identifiers go from 65,535 to 1, and what should have one and has none is passed over", async () => {
  const publishes = [`publish =5 1 0 ${HI}`, "poll", puback(5, 65_535), "poll", `publish =5 1 0 ${HI}`, "poll"];
  const said = await converse(["init node last-id", "connect", "poll", CONNACK, "poll", ...publishes]);
  assert.deepEqual(
    said.flatMap((one) => (typeof one === "object" && one.type === SnType.Publish ? [one.messageId] : [])),
    [65_535, 1],
  );
  const without = [1, 2].map((qos) => publish("x", { qos: qos as SnQos, topicIdType: 1, topicId: 5 }));
  assert.deepEqual(await afterActive([...without, "poll"]), [45_000]);
});
