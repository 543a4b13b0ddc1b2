import assert from "node:assert/strict";
import { test } from "node:test";
import type { SnPacket } from "../../../src/gateway/mqttsn/codec/packet.ts";
import { SnReturnCode, SnType } from "../../../src/gateway/mqttsn/codec/types.ts";
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

test("CONNECT is sent until CONNACK comes, T_retry apart, and told of after N_retry", async () => {
  const script = ["init node clean", "connect", "poll", "clock 9999", "poll", "clock 1", "poll"];
  const later = ["clock 10000", "poll", "clock 10000", "poll", "clock 10000", "poll", "poll", CONNACK, "poll", "state"];
  const first = connect({ cleanSession: true });
  assert.deepEqual(await converse([...script, ...later]), [
    ...["= ok", "= ok", first, 10_000, 1, first, 10_000],
    ...[first, 10_000, first, 10_000, "unanswered", 0, first, 10_000, "connected", 45_000, "state 3 idle"],
  ]);
});

test("the will is told when it is asked for", async () => {
  const script = ["init node will", "connect", "poll", { type: SnType.WillTopicReq }, "poll"] as const;
  const then = [{ type: SnType.WillMsgReq }, "poll", CONNACK, "poll"] as const;
  assert.deepEqual(await converse([...script, ...then]), [
    ...["= ok", "= ok", connect({ will: true }), 10_000],
    { type: SnType.WillTopic, will: { qos: 1, retain: true, topic: "will/topic" } },
    10_000,
    { type: SnType.WillMsg, message: new Uint8Array(Buffer.from("gone")) },
    ...[10_000, "connected", 45_000],
  ]);
});

test("a refused CONNECT is tried again after T_WAIT", async () => {
  const refused: SnPacket = { type: SnType.Connack, returnCode: SnReturnCode.Congestion };
  assert.deepEqual(await converse(["init node", "connect", "poll", refused, "poll", "clock 300000", "poll"]), [
    ...["= ok", "= ok", connect(), 10_000, "refused 1", 300_000, connect(), 10_000],
  ]);
});

test("a client identifier has 1 to 23 octets", async () => {
  assert.deepEqual(await converse(["init -"]), ["= wrong-argument"]);
  assert.deepEqual(await converse([`init ${"x".repeat(24)}`]), ["= wrong-argument"]);
  assert.deepEqual(await converse([`init ${"x".repeat(23)}`]), ["= ok"]);
});

test("keep-alive: PINGREQ after three quarters of silence either way, and the connection is lost after N_retry", async () => {
  const ping: SnPacket = { type: SnType.Pingreq, clientId: undefined };
  const alive = [
    "clock 45000",
    "poll",
    PINGRESP,
    "poll",
    "clock 44999",
    `publish =5 0 0 ${HI}`,
    "poll",
    "clock 1",
    "poll",
  ] as const;
  // What is only sent shows nothing of who hears it.
  const silent = Array.from({ length: 4 }, () => ["clock 10000", "poll"]).flat();
  assert.deepEqual(await afterActive([...alive, ...silent, "clock 1000", "poll"]), [
    ...[ping, 10_000, 45_000, publish("hi", { topicIdType: 1, topicId: 5 }), "= ok", 1, ping, 10_000],
    ...[ping, 10_000, ping, 10_000, ping, 10_000, "lost 1", 1000, connect(), 10_000],
  ]);
  assert.deepEqual(await afterActive([ping, "poll"]), [PINGRESP, 45_000]);
  // Nor does what only comes show the gateway that anybody is there.
  const message = publish("x", { topicIdType: 1, topicId: 5 });
  assert.deepEqual(await afterActive(["clock 30000", message, "poll", "clock 15000", "poll"]), [
    ...['message 1:5 qos 0 "x"', 15_000, ping, 10_000],
  ]);
});

test("after a loss it reconnects without cleaning, registers and subscribes again, and repeats what was in flight", async () => {
  const before = [
    "init node clean",
    "connect",
    "poll",
    CONNACK,
    "poll",
    "subscribe s 1",
    "poll",
    suback(9, 1),
    "poll",
  ] as const;
  const flight = [
    `publish a 2 0 ${HI}`,
    "poll",
    regack(7, 3),
    "poll",
    DISCONNECT,
    "poll",
    "clock 1000",
    "poll",
  ] as const;
  const again = [
    CONNACK,
    "poll",
    regack(8, 4),
    "poll",
    suback(3, 5),
    "poll",
    id("Pubrec", 2),
    id("Pubcomp", 2),
    "poll",
  ] as const;
  const message = publish("hi", { qos: 2, topicId: 7, messageId: 2 });
  assert.deepEqual((await converse([...before, ...flight, ...again])).slice(11), [
    ...["= ok", register(0, 3, "a"), 10_000, "registered a", message, 10_000, "lost 0", 1000, connect(), 10_000],
    ...["connected", register(0, 4, "a"), 10_000, "registered a", subscribe("s", 5)],
    ...[{ ...message, topicId: 8, dup: true }, 10_000, "subscribed s qos 1", 10_000],
    ...[id("Pubrel", 2), 'published a "hi"', 45_000],
  ]);
});

test("a release that was not confirmed is repeated after a loss, not the message", async () => {
  const script = [
    `publish =5 2 0 ${HI}`,
    "poll",
    id("Pubrec", 1),
    "poll",
    DISCONNECT,
    "poll",
    "clock 1000",
    "poll",
  ] as const;
  const said = await afterActive([...script, CONNACK, "poll", id("Pubcomp", 1), "poll"]);
  assert.deepEqual(said.slice(-5), ["connected", id("Pubrel", 1), 10_000, 'published 1:5 "hi"', 45_000]);
});

test("losses in a row double the wait, up to 64 times", async () => {
  const loss = [DISCONNECT, "poll", "clock 64000", "poll", CONNACK, "poll"] as const;
  const said = await afterActive(Array.from({ length: 9 }, () => loss).flat());
  const waits = said.flatMap((one, at) => (one === "lost 0" ? [said[at + 1]] : []));
  assert.deepEqual(waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 64_000, 64_000]);
  const calm = await afterActive([...loss, ...loss, "clock 64001", "poll", PINGRESP, "poll", ...loss]);
  assert.deepEqual(
    calm.flatMap((one, at) => (one === "lost 0" ? [calm[at + 1]] : [])),
    [1000, 2000, 1000],
  );
});

test("messages of QoS 1 are taken while the connection is being made", async () => {
  assert.deepEqual(
    await converse(["init node", "connect", `publish =5 1 0 ${HI}`, `publish =5 0 0 ${HI}`, "poll", CONNACK, "poll"]),
    [
      ...["= ok", "= ok", "= ok", "= wrong-state", connect(), 10_000, "connected"],
      ...[publish("hi", { qos: 1, topicIdType: 1, topicId: 5, messageId: 1 }), 10_000],
    ],
  );
});

const SLEEP: SnPacket = { type: SnType.Disconnect, durationSeconds: 600 };
const WAKE: SnPacket = { type: SnType.Pingreq, clientId: "node" };

test("sleep: DISCONNECT with the duration until it is answered, then silence", async () => {
  const script = ["sleep 600", `publish =5 0 0 ${HI}`, "poll", "clock 10000", "poll", DISCONNECT, "poll", DISCONNECT];
  assert.deepEqual(await afterActive([...script, "clock 500000", "poll", "state"]), [
    ...["= ok", "= wrong-state", SLEEP, 10_000, SLEEP, 10_000, "asleep", 4_294_967_295, 4_294_967_295, "state 5 idle"],
  ]);
});

test("wake: what was kept comes with its handshakes, and PINGRESP ends the window", async () => {
  const message = publish("kept", { qos: 2, topicId: 4, messageId: 6 });
  // Late answers to an earlier DISCONNECT and PINGREQ lay in the line's buffer all the time.
  const script = [
    "sleep 600",
    "poll",
    DISCONNECT,
    "poll",
    "wake",
    DISCONNECT,
    PINGRESP,
    "poll",
    register(4, 5, "b/c"),
    "poll",
  ] as const;
  const slow = [
    "clock 9000",
    message,
    "poll",
    "clock 9000",
    id("Pubrel", 6),
    "poll",
    "clock 9000",
    "poll",
    PINGRESP,
    "poll",
  ];
  assert.deepEqual(await afterActive([...script, ...slow]), [
    ...["= ok", SLEEP, 10_000, "asleep", 4_294_967_295, "= ok", WAKE, 10_000, regack(4, 5), 10_000],
    ...['message b/c qos 2 "kept"', id("Pubrec", 6), 10_000, id("Pubcomp", 6), 10_000, 1000, "asleep", 4_294_967_295],
  ]);
});

test("wake: PINGREQ is repeated, and a gateway that is silent or has forgotten is connected to again", async () => {
  const asleep = ["sleep 600", "poll", DISCONNECT, "poll", "wake", "poll"] as const;
  const silent = Array.from({ length: 4 }, () => ["clock 10000", "poll"]).flat();
  assert.deepEqual((await afterActive([...asleep, ...silent, "clock 1000", "poll"])).slice(6), [
    ...[WAKE, 10_000, WAKE, 10_000, WAKE, 10_000, WAKE, 10_000, "lost 1", 1000, connect(), 10_000],
  ]);
  assert.deepEqual((await afterActive([...asleep, DISCONNECT, "poll", "clock 1000", "poll"])).slice(8), [
    ...["lost 0", 1000, connect(), 10_000],
  ]);
});

test("a sleeper connects to become active, and keeps its subscriptions, but not its ids", async () => {
  const script = [
    "subscribe s 1",
    "poll",
    suback(9, 1),
    "poll",
    "sleep 600",
    "poll",
    DISCONNECT,
    "poll",
    "connect",
    "poll",
  ] as const;
  const then = [
    CONNACK,
    "poll",
    publish("x", { topicId: 9 }),
    register(4, 5, "s"),
    publish("x", { topicId: 4 }),
    "poll",
  ];
  assert.deepEqual((await afterActive([...script, ...then])).slice(10), [
    ...["= ok", connect(), 10_000, "connected", 45_000, puback(9, 0, 2), regack(4, 5), 'message s qos 0 "x"', 45_000],
  ]);
});

test("sleep waits for nothing: while something is in flight it is refused", async () => {
  assert.deepEqual(
    await afterActive([`publish =5 1 0 ${HI}`, "sleep 5", "poll", "sleep 5", puback(5, 1), "poll", "sleep 5"]),
    [
      ...["= ok", "= busy", publish("hi", { qos: 1, topicIdType: 1, topicId: 5, messageId: 1 }), 10_000, "= busy"],
      ...['published 1:5 "hi"', 45_000, "= ok"],
    ],
  );
});

test("goodbye is repeated N_retry times, then the client is disconnected without an answer", async () => {
  const bye: SnPacket = { type: SnType.Disconnect, durationSeconds: undefined };
  const rounds = Array.from({ length: 4 }, () => ["clock 10000", "poll"]).flat();
  assert.deepEqual(await afterActive(["disconnect", "poll", ...rounds, "state"]), [
    ...["= ok", bye, 10_000, bye, 10_000, bye, 10_000, bye, 10_000, "disconnected", 4_294_967_295, "state 0 idle"],
  ]);
  assert.deepEqual(await afterActive(["disconnect", "poll", DISCONNECT, "poll"]), [
    "= ok",
    bye,
    10_000,
    "disconnected",
    4_294_967_295,
  ]);
});

test("malformed, unknown and unasked messages are passed over", async () => {
  const bad = [
    "00",
    "01",
    "0300",
    "0305",
    "02ff",
    "0218ff",
    "030d00",
    "0100030c",
    "060c00000100",
    "080a00010001ff00",
    "0501",
    "0100",
    "010003",
    "031700",
    "0510000900",
  ];
  const unasked = [regack(1, 9), suback(1, 9), id("Unsuback", 9), id("Pubcomp", 9), puback(1, 9), CONNACK, PINGRESP];
  const said = await afterActive([
    ...bad.map((hex) => new Uint8Array(Buffer.from(hex, "hex"))),
    "poll",
    ...unasked,
    "poll",
    "state",
  ]);
  assert.deepEqual(said, [regack(1, 1, 3), 45_000, 45_000, "state 3 idle"]);
  // A release or receipt of another life is finished all the same.
  assert.deepEqual(await afterActive([id("Pubrec", 9), id("Pubrel", 8), "poll"]), [
    id("Pubrel", 9),
    id("Pubcomp", 8),
    45_000,
  ]);
});
