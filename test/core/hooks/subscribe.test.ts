import assert from "node:assert/strict";
import { test } from "node:test";
import type { Subscribe } from "../../../src/codec/packet.ts";
import { ReasonCode } from "../../../src/codec/reason.ts";
import { type Hook, IGNORE, refuse } from "../../../src/core/hooks.ts";
import { Stage } from "../stage.ts";

test("onSubscribe is given the client and all entries, onSubscribed also what was granted", () => {
  const heard: unknown[] = [];
  const stage = new Stage({
    mqtt: { maximumQos: 1 },
    hooks: [
      {
        name: "h",
        onSubscribe: (client, packet) => void heard.push(["subscribe", client.clientId, packet.entries]),
        onSubscribed: (client, packet, codes) =>
          void heard.push(["subscribed", client.clientId, packet.entries, codes]),
      },
    ],
  });
  const client = stage.connect("a");
  client.subscribe(["t", "u/#"], 2, { nl: true, rap: true, rh: 1 });
  const options = { qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 1 };
  const entries = [
    { topicFilter: "t", ...options },
    { topicFilter: "u/#", ...options },
  ];
  assert.deepEqual(heard, [
    ["subscribe", "a", entries],
    ["subscribed", "a", entries, [1, 1]],
  ]);
});

test("onSubscribed comes after SUBACK and before the retained messages", () => {
  const heard: string[] = [];
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onPacketSent: (_, packet) => void heard.push(`sent ${packet.type}`),
        onSubscribed: () => void heard.push("subscribed"),
      },
    ],
  });
  stage.broker.inlineClient.publish("t", "x", { retain: true });
  const client = stage.connect("a");
  heard.length = 0;
  client.subscribe("t");
  assert.deepEqual(heard, ["sent 9", "subscribed", "sent 3"]);
});

test("onSubscribe changes the entries, for the hooks after it too", () => {
  const prefix = (name: string): Hook => ({
    name,
    onSubscribe: (_, packet) => ({
      ...packet,
      entries: packet.entries.map((entry) => ({ ...entry, topicFilter: `${name}/${entry.topicFilter}` })),
    }),
  });
  const stage = new Stage({ hooks: [prefix("inner"), prefix("outer")] });
  const client = stage.connect("a");
  client.subscribe("t", 1);
  client.publish("t", "no");
  client.publish("outer/inner/t", "yes");
  assert.deepEqual(client.take(), ["SUBACK #1 01", 'PUBLISH outer/inner/t "yes"']);
});

test("onSubscribe may lower the QoS", () => {
  const lower = (packet: Subscribe): Subscribe => ({
    ...packet,
    entries: packet.entries.map((entry) => ({ ...entry, qos: 0 })),
  });
  const stage = new Stage({ hooks: [{ name: "h", onSubscribe: (_, packet) => lower(packet) }] });
  const client = stage.connect("a");
  client.subscribe(["t", "u"], 2);
  assert.deepEqual(client.take(), ["SUBACK #1 00 00"]);
});

test("onSubscribe refuses all entries with one code, and nothing is subscribed", () => {
  const stage = new Stage({ hooks: [{ name: "h", onSubscribe: () => refuse(ReasonCode.QuotaExceeded) }] });
  const client = stage.connect("a");
  client.subscribe(["t", "u"], 1);
  client.publish("t", "x");
  assert.deepEqual(client.take(), ["SUBACK #1 97 97"]);
  assert.equal(stage.counters.subscriptions, 0);
});

test("onSubscribe refuses a 3.1.1 client with 0x80", () => {
  const stage = new Stage({ hooks: [{ name: "h", onSubscribe: () => refuse(ReasonCode.QuotaExceeded) }] });
  const client = stage.connect("a", { version: 4 });
  client.subscribe(["t", "u"], 1);
  assert.deepEqual(client.take(), ["SUBACK #1 80 80"]);
});

test("onSubscribe: a code that SUBACK does not have becomes Unspecified error", () => {
  const stage = new Stage({ hooks: [{ name: "h", onSubscribe: () => refuse(ReasonCode.Banned) }] });
  const client = stage.connect("a");
  client.subscribe("t");
  assert.deepEqual(client.take(), ["SUBACK #1 80"]);
});

test("onSubscribe that throws refuses with Implementation specific error", () => {
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onSubscribe() {
          throw new Error("x");
        },
      },
    ],
  });
  const client = stage.connect("a");
  client.subscribe(["t", "u"]);
  assert.deepEqual(client.take(), ["SUBACK #1 83 83"]);
});

test("onSubscribe refuses: the hooks after it are not asked, onSubscribed hears of the refusal", () => {
  const heard: unknown[] = [];
  const stage = new Stage({
    hooks: [
      { name: "1", onSubscribe: () => refuse(ReasonCode.NotAuthorized) },
      {
        name: "2",
        onSubscribe: () => void heard.push("asked"),
        onSubscribed: (_, __, codes) => void heard.push(codes),
      },
    ],
  });
  stage.connect("a").subscribe("t");
  assert.deepEqual(heard, [[0x87]]);
});

test("onUnsubscribe is given the filters, onUnsubscribed comes after UNSUBACK", () => {
  const heard: unknown[] = [];
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onUnsubscribe: (client, packet) => void heard.push(["unsubscribe", client.clientId, packet.topicFilters]),
        onPacketSent: (_, packet) => void heard.push(packet.type),
        onUnsubscribed: (client, packet) => void heard.push(["unsubscribed", client.clientId, packet.topicFilters]),
      },
    ],
  });
  const client = stage.connect("a").subscribed("t");
  heard.length = 0;
  client.unsubscribe("t", "u");
  assert.deepEqual(client.take(), ["UNSUBACK #2 00 11"]);
  assert.deepEqual(heard, [["unsubscribe", "a", ["t", "u"]], 11, ["unsubscribed", "a", ["t", "u"]]]);
});

test("onUnsubscribe changes the filters", () => {
  const stage = new Stage({
    hooks: [{ name: "h", onUnsubscribe: (_, packet) => ({ ...packet, topicFilters: ["u"] }) }],
  });
  const client = stage.connect("a").subscribed(["t", "u"]);
  client.unsubscribe("t");
  client.publish("t", "still");
  client.publish("u", "no more");
  assert.deepEqual(client.take(), ["UNSUBACK #2 00", 'PUBLISH t "still"']);
});

test("onUnsubscribe that throws keeps nobody from unsubscribing", () => {
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onUnsubscribe() {
          throw new Error("x");
        },
      },
    ],
  });
  const client = stage.connect("a").subscribed("t");
  client.unsubscribe("t");
  client.publish("t", "x");
  assert.deepEqual(client.take(), ["UNSUBACK #2 00"]);
  assert.equal(client.state, "open");
});

test("onSelectSubscribers is given the share and its members, the one whose turn it is first", () => {
  const heard: unknown[] = [];
  const stage = new Stage({
    hooks: [
      {
        name: "h",
        onSelectSubscribers: ({ group, candidates }, packet) =>
          void heard.push([group, packet.topicName, candidates.map(({ session }) => session.client.clientId).join()]),
      },
    ],
  });
  for (const name of ["a", "b", "c"]) stage.connect(name).subscribed("$share/g/t/#", 1);
  stage.resume("away").subscribed("$share/g/t/#", 1).hangUp();
  for (let count = 0; count < 4; count++) stage.broker.inlineClient.publish("t/x", "x");
  assert.deepEqual(heard, [
    ["g", "t/x", "a,b,c,away"],
    ["g", "t/x", "b,c,a,away"],
    ["g", "t/x", "c,a,b,away"],
    ["g", "t/x", "a,b,c,away"],
  ]);
});

test("onSelectSubscribers changes whose turn it is, for the hooks after it too", () => {
  const seen: string[] = [];
  const stage = new Stage({
    hooks: [
      {
        name: "reverse",
        onSelectSubscribers: ({ group, candidates }) => ({ group, candidates: candidates.toReversed() }),
      },
      {
        name: "see",
        onSelectSubscribers: ({ candidates }) => void seen.push(candidates[0]!.session.client.clientId),
      },
    ],
  });
  const [a, b] = ["a", "b"].map((name) => stage.connect(name).subscribed("$share/g/t"));
  stage.broker.inlineClient.publish("t", "x");
  assert.deepEqual(a!.take(), []);
  assert.deepEqual(b!.take(), ['PUBLISH t "x"']);
  assert.deepEqual(seen, ["b"]);
});

test("onSelectSubscribers may give the message to nobody; ordinary subscribers get it all the same", () => {
  const stage = new Stage({
    hooks: [{ name: "h", onSelectSubscribers: ({ group }) => ({ group, candidates: [] }) }],
  });
  const member = stage.connect("a").subscribed("$share/g/t");
  const other = stage.connect("b").subscribed("t");
  stage.broker.inlineClient.publish("t", "x");
  assert.deepEqual(member.take(), []);
  assert.deepEqual(other.take(), ['PUBLISH t "x"']);
});

for (const [how, answer] of [
  ["throws", undefined],
  ["answers what it may not", IGNORE],
] as const) {
  test(`onSelectSubscribers that ${how} has no say`, () => {
    const onSelectSubscribers = (): never => {
      if (answer === undefined) throw new Error("x");
      return answer as never;
    };
    const stage = new Stage({ hooks: [{ name: "h", onSelectSubscribers }] });
    const [a, b] = ["a", "b"].map((name) => stage.connect(name).subscribed("$share/g/t"));
    for (let count = 0; count < 3; count++) stage.broker.inlineClient.publish("t", String(count));
    assert.deepEqual(a!.takePayloads(), ["0", "2"]);
    assert.deepEqual(b!.takePayloads(), ["1"]);
  });
}
