import assert from "node:assert/strict";
import { test } from "node:test";
import type { EntranceLimits } from "../../src/core/entrance.ts";
import type { PeerOptions, TestPeer } from "./peer.ts";
import { Stage } from "./stage.ts";

let port = 1;
/** From a host, by a listener that has these limits. */
const by = (limits: EntranceLimits, host = "198.51.100.1", listener = "own"): PeerOptions => ({
  from: { address: `${host}:${++port}`, listener },
  entrance: { limits },
});

/** The code in the CONNACK of each, and what is said with it. */
function codes(clients: readonly TestPeer[]): string[] {
  return clients.map((client) =>
    client
      .take()
      .join()
      .slice(8)
      .replace(/^00.*/, "00")
      .replace(/ \{"reasonString":"(.*)"\}/, ": $1"),
  );
}

test("clients: the listener's own are counted, others are not, and a client takes its own place again", () => {
  const stage = new Stage();
  const own = by({ clients: 2 });
  const first = stage.connect("a", own);
  stage.connect("x", by({}, undefined, "other"));
  stage.connect("b", own);
  assert.deepEqual(codes([stage.dial({ clientId: "c", ...own }), stage.dial({ clientId: "c", version: 4, ...own })]), [
    "97: listener own has 2 of at most 2 connections",
    "03",
  ]);
  assert.deepEqual(codes([stage.dial({ clientId: "a", ...own })]), ["00"]);
  assert.equal(first.state, "ended");
  stage.connect("y", by({}, undefined, "other"));
  // Whose session is at another listener leaves no place here.
  assert.match(codes([stage.dial({ clientId: "x", ...own })])[0]!, /^97/);
  assert.equal(stage.broker.sessions.get("x")?.live, true);
  assert.equal(stage.log.of("Connection refused")[0]?.refused, 1);
});

test("addressConnections: of one address everywhere, by the limit of the broker", () => {
  const stage = new Stage({ limits: { addressConnections: 2 } });
  const first = stage.connect("a", by({}));
  stage.connect("b", by({}, undefined, "other"));
  const third = stage.dial({ clientId: "c", ...by({}) });
  assert.deepEqual(codes([third]), ["97: 198.51.100.1 has 2 of at most 2 connections"]);
  stage.connect("d", by({}, "198.51.100.2"));
  first.disconnect();
  stage.connect("c", by({}));
  for (const host of ["[2001:db8::1]", "[2001:db8::2]"]) stage.connect(host, by({}, host));
  assert.deepEqual(codes([stage.dial({ clientId: "e", ...by({}, "[2001:db8::3]") })]), [
    "97: 2001:db8::/64 has 2 of at most 2 connections",
  ]);
});

test("addressConnections: by one listener, beside those by others", () => {
  const stage = new Stage();
  const limits = { addressConnections: 1 };
  const first = stage.connect("a", by(limits));
  for (const id of ["x", "y"]) stage.connect(id, by({}, undefined, "other"));
  assert.deepEqual(codes([stage.dial({ clientId: "b", ...by(limits) })]), [
    "97: 198.51.100.1 by listener own has 1 of at most 1 connections",
  ]);
  assert.deepEqual(codes([stage.dial({ clientId: "b", ...by(limits, "198.51.100.2") })]), ["00"]);
  first.hangUp();
  assert.deepEqual(codes([stage.dial({ clientId: "b2", ...by(limits) })]), ["00"]);
});

test("addressConnections: who has said nothing yet counts for itself, until it does, goes, or its time is over", () => {
  const stage = new Stage();
  const limits = { addressConnections: 2 };
  const [first, second] = [stage.open(by(limits)), stage.open(by(limits))];
  assert.deepEqual(codes([stage.dial({ clientId: "c", ...by(limits) })]), [
    "97: 198.51.100.1 by listener own has 2 of at most 2 connections",
  ]);
  first!.hangUp();
  stage.connect("c", by(limits));
  second!.connect();
  assert.deepEqual(codes([second!]), ["00"]);
  stage.open(by(limits));
  stage.open(by(limits));
  stage.advance(10_000);
  stage.broker.sessions.get("c")!.connection!.disconnect(0x98, "test");
  assert.deepEqual(codes([stage.dial({ clientId: "d", ...by(limits) })]), ["00"]);
});

test("connections per second: of the listener, and of an address by it, refused with Connection rate exceeded", () => {
  const stage = new Stage();
  const listener = { listenerConnectionsPerSecond: 2 };
  const dial = (limits: EntranceLimits, host?: string): TestPeer => stage.dial({ clientId: "c", ...by(limits, host) });
  assert.deepEqual(codes([dial(listener), dial(listener, "198.51.100.2"), dial(listener, "198.51.100.3")]), [
    "00",
    "00",
    "9f: more than 2 connections a second (limit listenerConnectionsPerSecond of listener own)",
  ]);
  stage.advance(1000);
  const address = { addressConnectionsPerSecond: 1 };
  assert.deepEqual(codes([dial(address), dial(address), dial(address, "198.51.100.2")]), [
    "00",
    "9f: more than 1 connections a second (limit addressConnectionsPerSecond of listener own)",
    "00",
  ]);
  assert.deepEqual(codes([stage.dial({ clientId: "c", ...by({}, undefined, "other") })]), ["00"]);
});

test("messages and bytes per second: of a client, an address and all of the listener", () => {
  const cases: [EntranceLimits, number][] = [
    [{ clientMessagesPerSecond: 2 }, 4],
    [{ addressMessagesPerSecond: 3 }, 3],
    [{ listenerMessagesPerSecond: 1 }, 1],
    [{ clientBytesPerSecond: 5 }, 2],
    [{ addressBytesPerSecond: 20 }, 3],
    [{ listenerBytesPerSecond: 5 }, 1],
  ];
  for (const [limits, passed] of cases) {
    const stage = new Stage();
    const reader = stage.connect("r").subscribed("t");
    const clients = ["a", "b"].map((id) => stage.connect(id, by(limits)));
    const free = stage.connect("f", by({}, undefined, "other"));
    // Seven bytes each.
    for (const client of [...clients, free]) for (const text of ["1", "2", "3"]) client.publish("t", text);
    const name = Object.keys(limits).join();
    assert.equal(reader.takePayloads().length, passed + 3, name);
    assert.equal(stage.counters.droppedBy.rate, 6 - passed, name);
  }
});

test("of a limit of the broker and one of the listener the lower one holds", () => {
  for (const [general, own, passed] of [
    [5, 2, 2],
    [2, 5, 2],
  ] as const) {
    const stage = new Stage({ limits: { listenerMessagesPerSecond: general } });
    const reader = stage.connect("r", { from: { listener: "reader" } }).subscribed("t");
    const client = stage.connect("a", by({ listenerMessagesPerSecond: own }));
    for (let count = 0; count < 6; count++) client.publish("t", "x");
    assert.equal(reader.takePayloads().length, passed);
  }
});

test("limits that a listener has no more hold for those who come from then on", () => {
  const stage = new Stage({ limits: { listenerMessagesPerSecond: 100 } });
  const reader = stage.connect("r", { from: { listener: "reader" } }).subscribed("t");
  stage.connect("a", by({ listenerMessagesPerSecond: 1, clients: 1 }));
  const next = stage.connect("b", by({}));
  for (let count = 0; count < 6; count++) next.publish("t", "x");
  assert.equal(reader.takePayloads().length, 6);
});

test("clients: a limit that a listener gets later counts who is there already", () => {
  const stage = new Stage();
  const first = stage.connect("a", { from: { listener: "own" } });
  assert.match(codes([stage.dial({ clientId: "b", ...by({ clients: 1 }) })])[0]!, /^97/);
  first.hangUp();
  assert.deepEqual(codes([stage.dial({ clientId: "b", ...by({ clients: 1 }) })]), ["00"]);
});

test("where a listener bounds nothing, its connections are not counted", () => {
  const stage = new Stage();
  stage.connect("a", { entrance: { mountPoint: "a/", versions: [5] } });
  const [connection] = stage.broker.connections;
  assert.deepEqual([connection?.meter, connection?.budgets, connection?.waitsUnder], [undefined, undefined, undefined]);
});
