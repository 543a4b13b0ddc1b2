/** What the connection with another broker is made of, piece by piece. */
import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { Backoff } from "../../src/bridge/backoff.ts";
import { Notes } from "../../src/bridge/notes.ts";
import { OwnAccess } from "../../src/bridge/own-access.ts";
import { RetainedCopies, type RetainedHere } from "../../src/bridge/retained-copies.ts";
import { topmost } from "../../src/bridge/topmost.ts";
import { WantedFilters } from "../../src/bridge/wanted-filters.ts";
import { Wire } from "../../src/bridge/wire.ts";
import type { Connect, Subscribe } from "../../src/codec/packet.ts";
import type { SubackReasonCode } from "../../src/codec/reason.ts";
import type { Access } from "../../src/core/access.ts";
import { Client, NO_PEER } from "../../src/core/client.ts";
import { filterMatches } from "../../src/topic/name.ts";
import { TestLog } from "../core/stage.ts";

test("the pauses between attempts double up to the longest, and begin anew after a connection that held", () => {
  const longest = new Backoff(1000, 60_000, () => 1);
  assert.deepEqual(
    Array.from({ length: 8 }, () => longest.next(0)),
    [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000],
  );
  assert.equal(longest.next(29_999), 60_000);
  assert.equal(longest.next(30_000), 1000);
  assert.equal(longest.next(0), 2000);
  const shortest = new Backoff(1000, 60_000, () => 0);
  assert.deepEqual([shortest.next(0), shortest.next(0)], [500, 1000]);
});

/** Retained messages, as the broker has them. */
class Shelf {
  readonly kept = new Map<string, string>();
  readonly log = new TestLog("warn");
  fails = false;

  notes(folder: "session" | "filter"): Notes {
    return new Notes(folder, {
      log: this.log,
      publish: (topicName, payload, { retain }) => {
        if (this.fails) throw new RangeError("over the limits");
        assert.equal(retain, true);
        if (payload === "") this.kept.delete(topicName);
        else this.kept.set(topicName, payload);
      },
      retained: (topicFilter) => [...this.kept.keys()].filter((name) => filterMatches(topicFilter, name)),
    });
  }
}

test("notes are there again after a restart, whatever is in the names", () => {
  const shelf = new Shelf();
  const before = shelf.notes("filter");
  for (const name of ["a/+/#", "ü%", "a/+/#", "gone", "x\u0000y"]) before.add(name);
  before.delete("gone");
  before.delete("never there");
  shelf.kept.set("$mqtt-sn-upstream/filter/%zz", "1");
  const after = shelf.notes("filter");
  after.load();
  assert.deepEqual(after.names, ["a/+/#", "ü%", "x\u0000y"]);
  const others = shelf.notes("session");
  others.load();
  assert.deepEqual(others.names, []);
  shelf.fails = true;
  after.add("b");
  assert.equal(shelf.log.lines.length, 1);
});

const device = (clientId: string, userName?: string): Client =>
  new Client(clientId, userName, 5, false, 0, { ...NO_PEER, transport: "mqtt-sn" });

function subscribeOf(...topicFilters: string[]): Subscribe {
  const options = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
  return {
    type: 8,
    packetIdentifier: 1,
    entries: topicFilters.map((topicFilter) => ({ topicFilter, ...options })),
    properties: {},
  };
}

const keyOf = (clientId: string, userName: string | undefined): string => `${clientId} ${userName ?? ""}`.trimEnd();

class Wishes {
  readonly shelf = new Shelf();
  changes = 0;
  wanted = this.restart();

  restart(): WantedFilters {
    const notes = this.shelf.notes("session");
    notes.load();
    this.wanted = new WantedFilters("sn/", notes, keyOf, () => this.changes++);
    return this.wanted;
  }

  subscribe(client: Client, topicFilters: string[], codes: SubackReasonCode[] = topicFilters.map(() => 0)): void {
    const packet = subscribeOf(...topicFilters);
    this.wanted.hook.onSubscribe(client, packet);
    this.wanted.hook.onSubscribed(client, packet, codes);
  }

  unsubscribe(client: Client, ...topicFilters: string[]): void {
    this.wanted.hook.onUnsubscribed(client, { type: 10, packetIdentifier: 1, topicFilters, properties: {} });
  }

  get filters(): string[] {
    return [...this.wanted.filters].sort();
  }
}

test("wanted is what MQTT-SN sessions were granted, each filter until the last of them has dropped it", () => {
  const wishes = new Wishes();
  const [one, two] = [device("one"), device("two")];
  wishes.subscribe(one, ["sn/a", "sn/b/#", "sn/no"], [1, 0, 0x87]);
  wishes.subscribe(two, ["sn/a", "$share/g/sn/c", "elsewhere"]);
  wishes.subscribe(new Client("mqtt", undefined, 5, false, 0, NO_PEER), ["sn/d"]);
  assert.deepEqual(wishes.filters, ["a", "b/#", "c"]);
  wishes.unsubscribe(one, "sn/a");
  wishes.unsubscribe(one, "sn/a");
  assert.deepEqual(wishes.filters, ["a", "b/#", "c"]);
  const { changes } = wishes;
  wishes.unsubscribe(two, "sn/a");
  assert.deepEqual(wishes.filters, ["b/#", "c"]);
  assert.equal(wishes.changes, changes + 1);
});

test("a session that ends wants nothing more: expired, ended with its connection, or begun anew", () => {
  for (const end of ["expired", "disconnected", "clean"]) {
    const wishes = new Wishes();
    const { hook } = wishes.wanted;
    const [one, two] = [device("one", "kim"), device("one", "lee")];
    wishes.subscribe(one, ["sn/a", "sn/b"]);
    wishes.subscribe(two, ["sn/b"]);
    hook.onDisconnect(one, undefined, false);
    assert.deepEqual(wishes.filters, ["a", "b"]);
    if (end === "expired") hook.onClientExpired(one);
    else if (end === "disconnected") hook.onDisconnect(one, undefined, true);
    else hook.onSessionEstablished(one, { cleanStart: true } as Connect);
    assert.deepEqual(wishes.filters, ["b"], end);
    assert.equal(wishes.shelf.kept.size, 1);
  }
});

test("after a restart the MQTT-SN sessions that are still there want what they wanted, and others do not begin to", () => {
  const wishes = new Wishes();
  wishes.subscribe(device("one"), ["sn/a"]);
  wishes.subscribe(device("ended"), ["sn/b"]);
  wishes.restart().load([
    { clientId: "one", userName: undefined, subscriptions: ["sn/a", "$share/g/sn/c"] },
    { clientId: "mqtt", userName: undefined, subscriptions: ["sn/#"] },
  ]);
  assert.deepEqual(wishes.filters, ["a", "c"]);
  assert.deepEqual([...wishes.shelf.kept.keys()], ["$mqtt-sn-upstream/session/one"]);
  // The session goes on without a word of its subscriptions.
  wishes.unsubscribe(device("one"), "sn/a", "$share/g/sn/c");
  assert.deepEqual(wishes.filters, []);
});

class Copies {
  readonly here = new Map<string, { text: string; isCopy: boolean }>();
  readonly removed: string[] = [];
  readonly copies = new RetainedCopies(
    {
      retained: (topicFilter: string, each: (message: RetainedHere) => void) => {
        for (const [topicName, { text, isCopy }] of this.here) {
          if (filterMatches(topicFilter, topicName)) each({ topicName, payload: Buffer.from(text), isCopy });
        }
      },
      remove: (topicName) => {
        this.removed.push(topicName);
        this.here.delete(topicName);
      },
    },
    30,
  );

  keep(topicName: string, text: string, isCopy = true): this {
    this.here.set(topicName, { text, isCopy });
    return this;
  }

  heard(topicName: string, text: string): boolean {
    return this.copies.heard(topicName, Buffer.from(text));
  }
}

test("what is retained there and here the same is no news, once for each time that it was asked for", (context) => {
  const { copies, ...rest } = new Copies().keep("a", "1").keep("own", "2", false).keep("b", "3");
  context.after(() => copies.stop());
  const heard = (topicName: string, text: string): boolean => copies.heard(topicName, Buffer.from(text));
  assert.equal(heard("a", "1"), false);
  copies.asked(["a", "own"]);
  copies.granted();
  assert.deepEqual([heard("a", "1"), heard("a", "1"), heard("own", "2"), heard("b", "3")], [true, false, true, false]);
  copies.asked(["a"]);
  assert.equal(heard("a", "other"), false);
  assert.deepEqual(rest.removed, []);
});

test("copies that are not heard of are taken away when it is silent; what is not a copy stays", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const wait = (ms: number): void => context.mock.timers.tick(ms);
  const scene = new Copies().keep("a", "1").keep("b", "1").keep("own", "1", false).keep("c/d", "1");
  const { copies, removed } = scene;
  context.after(() => copies.stop());
  copies.asked(["+"]);
  copies.granted();
  for (let times = 0; times < 5; times++) {
    wait(29);
    scene.heard("b", "1");
    assert.deepEqual(removed, []);
  }
  wait(30);
  assert.deepEqual(removed, ["a"]);
  copies.asked(["#"]);
  copies.granted();
  copies.stop();
  wait(60_000);
  assert.deepEqual(removed, ["a"]);
  // What is published just now looks the same, and must not put it off for ever.
  copies.asked(["#"]);
  copies.granted();
  for (let times = 0; times < 1499; times++) {
    wait(20);
    scene.heard("b", "1");
  }
  assert.deepEqual(removed, ["a"]);
  wait(20);
  assert.deepEqual(removed, ["a", "c/d"]);
});

test("copies below no filter that is wanted are taken away at once", () => {
  const { copies, removed } = new Copies().keep("a/1", "x").keep("a/2", "x").keep("b", "x").keep("own", "x", false);
  copies.forget(["b", "+/2"]);
  assert.deepEqual(removed, ["a/1"]);
});

test("the broker's own client may do everything, and the rules decide for all others as before", () => {
  const asked: string[] = [];
  let tell: (() => void) | undefined;
  const access: Access = {
    authenticate: () => false,
    check: ({ clientId }, topic) => {
      asked.push(`${clientId} ${topic}`);
      return false;
    },
    why: () => "line 7",
    review: () => undefined,
    banned: () => 3,
    explainsToClients: true,
    onChange: (changed) => {
      tell = changed;
    },
  };
  const own = new OwnAccess(access, ({ clientId }) => clientId === "own");
  let changes = 0;
  own.onChange!(() => changes++);
  tell!();
  assert.equal(changes, 1);
  assert.deepEqual([own.check!(device("own"), "a", true), own.check!(device("x"), "a", true)], [true, false]);
  assert.deepEqual(asked, ["x a"]);
  assert.deepEqual([own.why(device("x"), "a", true), own.banned(), own.explainsToClients], ["line 7", 3, true]);
  const free = new OwnAccess({ authenticate: () => true }, () => false);
  assert.deepEqual([free.check, free.onChange, free.endsLostSubscriptions], [undefined, undefined, false]);
});

test("PINGREQ leaves before the other side's patience ends, and silence after it is the end", (context) => {
  context.mock.timers.enable({ apis: ["setInterval", "setTimeout"] });
  const sent: string[] = [];
  const stream = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _, done) => {
      sent.push(chunk.toString("hex"));
      done();
    },
  });
  const ended: string[] = [];
  const wire = new Wire(stream, 5, 1000, {
    onPacket: () => {},
    onDrain: () => {},
    onClosed: (reason) => void ended.push(reason),
  });
  context.after(() => wire.destroy());
  // As a server keep alive of 4 s, which wants a packet within 4 s.
  wire.keepAlive(4);
  context.mock.timers.tick(2_999);
  stream.uncork();
  assert.deepEqual(sent, []);
  context.mock.timers.tick(1);
  stream.uncork();
  assert.deepEqual([sent, ended], [["c000"], []]);
  stream.emit("data", Buffer.from("d000", "hex"));
  context.mock.timers.tick(3_000);
  stream.uncork();
  assert.deepEqual([sent, ended], [["c000", "c000"], []]);
  // While we do not read it still wants to hear of us.
  wire.pause();
  context.mock.timers.tick(60_000);
  stream.uncork();
  assert.deepEqual([sent.splice(0).length, ended], [22, []]);
  wire.resume();
  context.mock.timers.tick(6_000);
  assert.deepEqual(ended, ["it does not answer any more"]);
});

test("a connection that is dead is noticed however patient the other side is", (context) => {
  context.mock.timers.enable({ apis: ["setInterval", "setTimeout"] });
  for (const serverKeepAlive of [0, 65_535]) {
    const ended: string[] = [];
    const wire = new Wire(new Duplex({ read: () => {}, write: (_chunk, _, done) => done() }), 5, 1000, {
      onPacket: () => {},
      onDrain: () => {},
      onClosed: (reason) => void ended.push(reason),
    });
    context.after(() => wire.destroy());
    wire.keepAlive(serverKeepAlive);
    context.mock.timers.tick(2 * 45_000 - 1);
    assert.deepEqual(ended, []);
    context.mock.timers.tick(1);
    assert.deepEqual(ended, ["it does not answer any more"]);
  }
});

test("of filters that overlap those are asked for that no other one stands for", () => {
  assert.deepEqual(topmost(["a/b", "a/+", "c", "a/+/d", "e/#", "e/+", "e"]), ["a/+", "c", "a/+/d", "e/#"]);
  assert.deepEqual(topmost(["a/+", "a/#", "+/b"]), ["a/#", "+/b"]);
  // Each stands for the other, and one of them must stay.
  assert.deepEqual(topmost(["+/#", "#", "x"]), ["#"]);
});
