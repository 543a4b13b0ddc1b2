import assert from "node:assert/strict";
import { test } from "node:test";
import { Presence, type PresenceSettings, type ShownClient, topicOf } from "../../../src/gateway/mqttsn/presence.ts";
import { filterMatches, isTopicName } from "../../../src/topic/name.ts";
import type { StageOptions } from "../../core/stage.ts";
import { SnStage } from "./sn-stage.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
type FakeClient = Mutable<ShownClient> & { downstream: { retried: number } };

const unused = (): never => assert.fail("nothing is sent");
const PREFIX = "$SYS/broker/clients";

/** Presence with clocks that move only by `advance`; what it publishes is noted. */
class Scene {
  nowMs = 5_000;
  wallMs = Date.parse("2026-03-01T12:00:00.000Z");
  sessions = new Set<string>();
  sessionsAsked = 0;
  readonly published: [topic: string, payload: string][] = [];
  readonly presence: Presence;
  private dueMs = Number.POSITIVE_INFINITY;

  constructor(settings: Partial<PresenceSettings> = {}) {
    this.presence = new Presence(
      { prefix: PREFIX, intervalMs: 10_000, clientsMax: 100, ...settings },
      {
        nowMs: () => this.nowMs,
        wallMs: () => this.wallMs,
        schedule: (dueMs) => {
          this.dueMs = dueMs;
        },
        publish: (topicName, payload, { retain }) => {
          assert.equal(retain, true);
          this.published.push([topicName, payload]);
        },
        sessions: () => {
          this.sessionsAsked++;
          return this.sessions;
        },
      },
    );
  }

  client(clientId: string, given: Partial<FakeClient> = {}): FakeClient {
    this.sessions.add(clientId);
    const peer = { address: "192.0.2.7:1000", local: false, listener: "sn", transport: "mqtt-sn" };
    return {
      clientId,
      cleanSession: false,
      route: { key: clientId, peer, origin: "192.0.2.7", maxBytes: 100, accept: unused, send: unused },
      state: "active",
      end: undefined,
      lastHeardMs: this.nowMs,
      durationSeconds: 60,
      nextWakeMs: Number.POSITIVE_INFINITY,
      missedWakes: 0,
      buffered: 0,
      downstream: { retried: 0 },
      ...given,
    };
  }

  /** The client changes, and presence hears of it. */
  change(client: FakeClient, given: Partial<FakeClient> = {}): void {
    Object.assign(client, given);
    this.presence.onClient(client);
  }

  /** Ticks come when they were asked for, and never otherwise. */
  advance(ms: number): void {
    const endMs = this.nowMs + ms;
    while (this.dueMs <= endMs) {
      this.move(Math.max(this.nowMs, this.dueMs));
      this.dueMs = Number.POSITIVE_INFINITY;
      this.presence.tick();
    }
    this.move(endMs);
  }

  /** What was published since, without what stays as it is. */
  take(): unknown[] {
    return this.published.splice(0).map(([topic, payload]) => {
      const id = topic.slice(PREFIX.length + 1, -"/mqtt-sn".length);
      if (payload === "") return [id];
      const { state, buffered, missedWakes, retries } = JSON.parse(payload) as Record<string, number | string>;
      return [id, state, buffered, missedWakes, retries].filter((value) => value !== 0);
    });
  }

  last(): unknown {
    return JSON.parse(this.published.at(-1)![1]);
  }

  private move(toMs: number): void {
    this.wallMs += toMs - this.nowMs;
    this.nowMs = toMs;
  }
}

test("a sleeping client is shown with when it was heard of, when it is to wake, and where", () => {
  const scene = new Scene();
  const client = scene.client("pump");
  scene.advance(2_500);
  const route = { ...client.route, linkQuality: 0.75 };
  route.peer = { ...route.peer, address: "", line: "/dev/ttyUSB0", nodeId: "0a1b" };
  const downstream = { retried: 4 };
  scene.change(client, { state: "asleep", durationSeconds: 300, nextWakeMs: 305_000, buffered: 3, route, downstream });
  assert.equal(scene.published.at(-1)![0], "$SYS/broker/clients/pump/mqtt-sn");
  assert.deepEqual(scene.last(), {
    state: "asleep",
    lastSeen: "2026-03-01T12:00:00.000Z",
    lastSeenSeconds: 1_772_366_400,
    nextWake: "2026-03-01T12:05:00.000Z",
    nextWakeSeconds: 1_772_366_700,
    buffered: 3,
    missedWakes: 0,
    duration: 300,
    retries: 4,
    line: "/dev/ttyUSB0",
    node: "0a1b",
    linkQuality: 0.75,
  });
});

test("an active client is promised no waking, and what is not known is left out", () => {
  const scene = new Scene();
  scene.change(scene.client("a"));
  assert.deepEqual(scene.last(), {
    state: "active",
    lastSeen: "2026-03-01T12:00:00.000Z",
    lastSeenSeconds: 1_772_366_400,
    buffered: 0,
    missedWakes: 0,
    duration: 60,
    retries: 0,
    address: "192.0.2.7:1000",
  });
});

test("each new state is told at once: active, asleep, awake, asleep, lost", () => {
  const scene = new Scene();
  const client = scene.client("a");
  for (const state of ["active", "asleep", "awake", "asleep"] as const) scene.change(client, { state });
  scene.change(client, { state: "gone", end: "lost" });
  assert.deepEqual(
    scene.take(),
    ["active", "asleep", "awake", "asleep", "lost"].map((state) => ["a", state]),
  );
});

test("who was let go or said goodbye is disconnected as long as its session is there", () => {
  for (const end of ["disconnected", "let go"] as const) {
    const scene = new Scene();
    const client = scene.client("a");
    scene.change(client);
    scene.change(client, { state: "gone", end });
    scene.advance(60_000);
    assert.deepEqual(scene.take(), [
      ["a", "active"],
      ["a", "disconnected"],
    ]);
    scene.sessions.delete("a");
    scene.advance(10_000);
    assert.deepEqual(scene.take(), [["a"]]);
    assert.equal(scene.presence.size, 0);
  }
});

test("a clean session that says goodbye leaves nothing; one that is lost is shown until its session ends", () => {
  const scene = new Scene();
  for (const end of ["disconnected", "lost"] as const) {
    const client = scene.client(end, { cleanSession: true });
    scene.change(client);
    scene.change(client, { state: "gone", end });
  }
  assert.deepEqual(scene.take(), [["disconnected", "active"], ["disconnected"], ["lost", "active"], ["lost", "lost"]]);
  scene.sessions.clear();
  scene.advance(10_000);
  assert.deepEqual(scene.take(), [["lost"]]);
});

test("other changes are told once a second at most, and with what is true then", () => {
  const scene = new Scene();
  const client = scene.client("a");
  scene.change(client);
  for (let buffered = 1; buffered <= 29; buffered++) {
    scene.change(client, { buffered, lastHeardMs: scene.nowMs });
    scene.advance(100);
  }
  assert.deepEqual(scene.take(), [
    ["a", "active"],
    ["a", "active", 10],
    ["a", "active", 20],
  ]);
  scene.advance(900);
  assert.deepEqual(scene.take(), [["a", "active", 29]]);
});

test("a change that was taken back within the second is not told", () => {
  const scene = new Scene();
  const client = scene.client("a");
  scene.change(client);
  scene.change(client, { buffered: 1 });
  scene.change(client, { buffered: 0 });
  scene.advance(3_000);
  assert.deepEqual(scene.take(), [["a", "active"]]);
});

test("that a client was heard of again is told once in an interval, and nothing while it is silent", () => {
  const scene = new Scene();
  const client = scene.client("a");
  scene.change(client);
  for (let count = 0; count < 95; count++) {
    scene.advance(100);
    scene.change(client, { lastHeardMs: scene.nowMs });
  }
  assert.equal(scene.published.length, 1);
  scene.advance(500);
  assert.equal(scene.published.length, 2);
  assert.equal((scene.last() as { lastSeen: string }).lastSeen, "2026-03-01T12:00:09.500Z");
  scene.advance(100_000);
  assert.equal(scene.published.length, 2);
});

test("between two messages there is a second, also when an interval ends", () => {
  const scene = new Scene();
  const client = scene.client("a");
  scene.change(client);
  scene.advance(9_500);
  scene.change(client, { state: "asleep" });
  scene.advance(100);
  scene.change(client, { buffered: 1, lastHeardMs: scene.nowMs });
  scene.advance(899);
  assert.deepEqual(scene.take(), [
    ["a", "active"],
    ["a", "asleep"],
  ]);
  scene.advance(1_000);
  assert.deepEqual(scene.take(), [["a", "asleep", 1]]);
});

test("what is buffered for a sleeper is looked up once in an interval, since nobody tells of it", () => {
  const scene = new Scene();
  const client = scene.client("a", { state: "asleep", nextWakeMs: 100_000 });
  scene.change(client);
  client.buffered = 7;
  scene.advance(9_999);
  assert.deepEqual(scene.take(), [["a", "asleep"]]);
  scene.advance(1);
  assert.deepEqual(scene.take(), [["a", "asleep", 7]]);
  scene.advance(30_000);
  assert.deepEqual(scene.take(), []);
});

test("a missed wake is told, with when it should have been", () => {
  const scene = new Scene();
  const client = scene.client("a", { state: "asleep", durationSeconds: 30, nextWakeMs: 35_000 });
  scene.change(client);
  scene.advance(30_000);
  scene.change(client, { nextWakeMs: Number.POSITIVE_INFINITY, missedWakes: 1 });
  scene.advance(1_000);
  assert.deepEqual(scene.take(), [
    ["a", "asleep"],
    ["a", "asleep", 1],
  ]);
  scene.change(client, { buffered: 1 });
  scene.advance(2_000);
  assert.equal((scene.last() as { nextWake: string }).nextWake, "2026-03-01T12:00:30.000Z");
  scene.change(client, { state: "active" });
  assert.equal("nextWake" in (scene.last() as object), false);
});

test("who changes its state without end is told of ten times at once, and then once a second", () => {
  const scene = new Scene();
  const client = scene.client("a");
  for (let count = 0; count < 500; count++) {
    scene.change(client, { state: count % 2 === 0 ? "asleep" : "awake" });
    scene.advance(10);
  }
  assert.ok(scene.published.length <= 10 + 5, `${scene.published.length} messages in five seconds`);
  assert.equal(scene.published.length >= 10 + 3, true);
  scene.advance(2_000);
  assert.equal((scene.last() as { state: string }).state, "awake");
});

test("one whose place is taken by itself is not shown as gone; by plain MQTT, it is taken away", () => {
  const scene = new Scene();
  const before = scene.client("a");
  scene.change(before);
  scene.change(before, { state: "gone", end: "replaced" });
  const now = scene.client("a");
  scene.change(now);
  // Late news of the one before says nothing.
  scene.change(before, { end: "lost" });
  scene.advance(5_000);
  assert.deepEqual(scene.take(), [["a", "active"]]);
  scene.change(now, { state: "gone", end: "replaced" });
  scene.advance(1_000);
  assert.deepEqual(scene.take(), [["a"]]);
  assert.equal(scene.presence.size, 0);
});

test("one that comes back is shown again, and its session is not asked for any more", () => {
  const scene = new Scene();
  const client = scene.client("a");
  scene.change(client);
  scene.change(client, { state: "gone", end: "lost" });
  scene.advance(20_000);
  assert.equal(scene.sessionsAsked, 2);
  scene.change(scene.client("a"));
  scene.sessions.clear();
  scene.advance(20_000);
  assert.deepEqual(scene.take(), [
    ["a", "active"],
    ["a", "lost"],
    ["a", "active"],
  ]);
  assert.equal(scene.sessionsAsked, 2);
});

test("times are told anew when the wall clock is set", () => {
  const scene = new Scene();
  scene.change(scene.client("a"));
  scene.wallMs += 500;
  scene.advance(10_000);
  assert.equal(scene.published.length, 1);
  scene.wallMs = Date.parse("2030-01-01T00:00:10.000Z");
  scene.advance(10_000);
  assert.equal(scene.published.length, 2);
  assert.equal((scene.last() as { lastSeen: string }).lastSeen, "2030-01-01T00:00:00.000Z");
});

test("no more clients are shown than may be: who is gone the longest makes room, who is there does not", () => {
  const scene = new Scene({ clientsMax: 2 });
  const [a, b, c, d] = ["a", "b", "c", "d"].map((id) => scene.client(id)) as [FakeClient, ...FakeClient[]];
  scene.change(a);
  scene.change(b!);
  scene.change(c!);
  assert.deepEqual(scene.take(), [
    ["a", "active"],
    ["b", "active"],
  ]);
  scene.change(b!, { state: "gone", end: "lost" });
  scene.change(a, { state: "gone", end: "lost" });
  scene.change(d!);
  assert.deepEqual(scene.take(), [["b", "lost"], ["a", "lost"], ["b"], ["d", "active"]]);
  assert.equal(scene.presence.size, 2);
});

test("without clients nobody is to be called", () => {
  const scene = new Scene();
  const client = scene.client("a", { cleanSession: true });
  scene.change(client);
  scene.change(client, { state: "gone", end: "disconnected" });
  scene.advance(10_000);
  scene.presence.tick = () => assert.fail("called");
  scene.advance(100_000);
});

test("every client identifier has one level of its own, and no two have the same", () => {
  const ids = ["a/b", "a%2Fb", "+", "#", "$SYS", "a b", "ü", "\u0001\u007f\u0085", "%", "/", "a//b", "😀"];
  const topics = ids.map((id) => topicOf(PREFIX, id));
  assert.equal(new Set(topics).size, ids.length);
  for (const topic of topics) {
    assert.ok(isTopicName(topic), topic);
    assert.ok(filterMatches("$SYS/broker/clients/+/mqtt-sn", topic), topic);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be in it.
    assert.doesNotMatch(topic, /[\u0000-\u001f\u007f-\u009f]/);
  }
  assert.deepEqual(topics.slice(0, 5), [
    `${PREFIX}/a%2Fb/mqtt-sn`,
    `${PREFIX}/a%252Fb/mqtt-sn`,
    `${PREFIX}/%2B/mqtt-sn`,
    `${PREFIX}/%23/mqtt-sn`,
    `${PREFIX}/$SYS/mqtt-sn`,
  ]);
  assert.equal(decodeURIComponent(topics[7]!), `${PREFIX}/${ids[7]}/mqtt-sn`);
});

test("one whose topic would be too long is not shown, and the others are", () => {
  const scene = new Scene();
  scene.change(scene.client("/".repeat(30_000)));
  scene.change(scene.client("a"));
  assert.deepEqual(scene.take(), [["a", "active"]]);
});

/** With the gateway and the broker themselves; what the broker retains is what is asked for. */
function living(options: StageOptions = {}) {
  let dueMs = Number.POSITIVE_INFINITY;
  const sn = new SnStage({}, options, { onClient: (client) => presence.onClient(client) });
  const { broker } = sn.stage;
  const presence = new Presence(
    { prefix: PREFIX, intervalMs: 10_000, clientsMax: 100 },
    {
      nowMs: () => sn.stage.nowMs,
      wallMs: () => sn.stage.wallMs,
      schedule: (atMs) => {
        dueMs = atMs;
      },
      publish: (topicName, payload, { retain }) => broker.inlineClient.publish(topicName, payload, { retain }),
      sessions: () => [...broker.sessions.values()].map(({ client }) => client.clientId),
    },
  );
  return {
    sn,
    advance(ms: number): void {
      for (const endMs = sn.stage.nowMs + ms; sn.stage.nowMs < endMs; ) {
        sn.advance(Math.min(100, endMs - sn.stage.nowMs));
        if (dueMs > sn.stage.nowMs) continue;
        dueMs = Number.POSITIVE_INFINITY;
        presence.tick();
      }
    },
    shown(clientId: string): Record<string, unknown> | undefined {
      const found = broker.retained.get(topicOf(PREFIX, clientId));
      return found === undefined ? undefined : JSON.parse(Buffer.from(found.payload).toString());
    },
  };
}

test("1.2 §6.14: a device sleeps, is late, wakes, and is lost in the end, as everybody can see", () => {
  const { sn, advance, shown } = living();
  const device = sn.connected("pump/1");
  device.subscribe("t", 1);
  assert.equal(shown("pump/1")?.state, "active");
  device.disconnect(100);
  assert.deepEqual([shown("pump/1")?.state, shown("pump/1")?.duration], ["asleep", 100]);
  assert.equal(Number(shown("pump/1")?.nextWakeSeconds) - Number(shown("pump/1")?.lastSeenSeconds), 100);
  for (const payload of ["a", "b"]) sn.publish("t", payload);
  advance(10_000);
  assert.equal(shown("pump/1")?.buffered, 2);
  advance(92_000);
  assert.deepEqual([shown("pump/1")?.state, shown("pump/1")?.missedWakes], ["asleep", 1]);
  device.answers = false;
  device.wake();
  assert.equal(shown("pump/1")?.state, "awake");
  advance(11_000);
  assert.equal(shown("pump/1")?.retries, 1);
  device.answers = true;
  advance(10_000);
  assert.deepEqual([shown("pump/1")?.state, "nextWake" in shown("pump/1")!], ["asleep", true]);
  advance(1_100);
  assert.equal(shown("pump/1")?.buffered, 0);
  advance(120_000);
  assert.equal(shown("pump/1")?.state, "lost");
});

test("what is retained of a device goes with its session", () => {
  const { sn, advance, shown } = living({ mqtt: { sessionExpiryMax: 30 } });
  const clean = sn.connected("clean", {}, { cleanSession: true });
  const stays = sn.connected("stays");
  clean.disconnect();
  stays.disconnect();
  assert.deepEqual([shown("clean"), shown("stays")?.state], [undefined, "disconnected"]);
  advance(25_000);
  assert.equal(shown("stays")?.state, "disconnected");
  advance(20_000);
  assert.equal(shown("stays"), undefined);
});

test("a device that connects anew by another port is shown there, and one whose place plain MQTT takes is not", () => {
  const { sn, advance, shown } = living({ mqtt: { sessionKey: "client" } });
  const device = sn.connected("a", { port: 1 });
  sn.move(device, { port: 2 });
  device.connect();
  advance(2_000);
  assert.deepEqual([shown("a")?.state, shown("a")?.address], ["active", "192.0.2.7:2"]);
  sn.stage.resume("a");
  advance(2_000);
  assert.notEqual(shown("a")?.state, "active");
});
