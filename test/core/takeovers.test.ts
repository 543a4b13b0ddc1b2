import assert from "node:assert/strict";
import { test } from "node:test";
import type { PeerOptions, TestPeer } from "./peer.ts";
import { Stage } from "./stage.ts";

const FIGHT = "Two clients use the same client identifier and take one session from each other: give each its own";
const LONELY =
  "One host takes over its own session again and again: two programs with one client identifier, or one that connects without closing";
const HOSTS = ["198.51.100.1", "198.51.100.2"];

let lastPort = 0;
const from = (host: string): PeerOptions => ({ from: { address: `${host}:${++lastPort}` } });

/** Each takes the session from the other, one a second. */
function fight(stage: Stage, takeovers: number, options: PeerOptions = {}): TestPeer {
  let last = stage.connect("twin", { ...options, ...from(HOSTS[0]!) });
  for (let count = 1; count <= takeovers; count++) {
    stage.advance(1000);
    last = stage.connect("twin", { ...options, ...from(HOSTS[count % 2]!) });
  }
  return last;
}

test("four takeovers within thirty seconds are one warning that names both addresses, the client and the user", () => {
  lastPort = 0;
  const stage = new Stage();
  fight(stage, 3, { username: "kim" });
  assert.deepEqual(stage.log.at("warn"), []);
  stage.advance(1000);
  stage.connect("twin", { username: "kim", ...from(HOSTS[0]!) });
  assert.deepEqual(stage.log.of(FIGHT), [
    {
      client: "twin",
      user: "kim",
      address: "198.51.100.1:5",
      listener: "test",
      otherAddress: "198.51.100.2:4",
      takeovers: 4,
    },
  ]);
});

test("it is repeated once a minute at most, with the takeovers since", () => {
  const stage = new Stage();
  fight(stage, 130);
  assert.deepEqual(
    stage.log.of(FIGHT).map(({ takeovers }) => takeovers),
    [4, 60, 60],
  );
});

test("a client that takes its session over now and then is no fight", () => {
  const stage = new Stage();
  for (let count = 0; count < 20; count++) {
    stage.connect("c", from(HOSTS[count % 2]!));
    stage.advance(10_001);
  }
  assert.deepEqual(stage.log.at("warn"), []);
});

test("clients that end their connections before the next one comes are no fight, nor are those of two users", () => {
  const stage = new Stage();
  for (let count = 0; count < 10; count++) stage.connect("c", from(HOSTS[count % 2]!)).disconnect();
  for (let count = 0; count < 4; count++) stage.connect("u", { username: `user ${count}`, ...from(HOSTS[count % 2]!) });
  assert.deepEqual(stage.log.at("warn"), []);
});

test("one host that takes over its own session again and again is told apart", () => {
  const stage = new Stage();
  for (let count = 0; count < 5; count++) stage.connect("c", from(HOSTS[0]!));
  assert.deepEqual(stage.log.at("warn"), [LONELY]);
});

test("without takeoverHold the newest has the session, however often", () => {
  const stage = new Stage();
  const last = fight(stage, 50);
  assert.equal(last.state, "open");
});

test("takeoverHoldMs: while they fight the one who is there keeps the session, and another address is refused", () => {
  const stage = new Stage({ limits: { takeoverHoldMs: 20_000 } });
  const holder = fight(stage, 4);
  stage.advance(19_999);
  const refused = stage.dial({ clientId: "twin", ...from(HOSTS[1]!) });
  const why = "another client with this client identifier is connected: give each its own";
  assert.deepEqual(refused.take(), [`CONNACK 85 {"reasonString":"${why}"}`]);
  assert.deepEqual(stage.dial({ clientId: "twin", version: 4, ...from(HOSTS[1]!) }).take(), ["CONNACK 02"]);
  assert.equal(holder.state, "open");
  assert.equal(stage.counters.connectionsRefused, 2);
  assert.equal(stage.log.of("Connection refused").length, 1);
});

test("takeoverHoldMs: after that time the other one gets its turn, and keeps it as long when they go on", () => {
  const stage = new Stage({ limits: { takeoverHoldMs: 20_000 } });
  fight(stage, 4);
  let outside = 1;
  const tries: string[] = [];
  for (let count = 0; count < 41; count++) {
    stage.advance(1000);
    const answer = stage
      .dial({ clientId: "twin", ...from(HOSTS[outside]!) })
      .take()[0]!
      .slice(8, 10);
    if (answer === "00") outside = 1 - outside;
    tries.push(answer);
  }
  assert.equal(tries.join(" "), `${"85 ".repeat(19)}00 ${"85 ".repeat(19)}00 85`);
});

test("takeoverHoldMs: the holder's own host can always take its session over, and peace ends the hold", () => {
  const stage = new Stage({ limits: { takeoverHoldMs: 20_000 } });
  fight(stage, 4);
  const again = stage.connect("twin", from(HOSTS[0]!));
  stage.advance(1000);
  again.disconnect();
  stage.connect("twin", from(HOSTS[1]!));
});

test("what is remembered of takeovers is bounded", () => {
  const stage = new Stage();
  for (let index = 0; index < 1100; index++) {
    stage.connect(`c${index}`, from(HOSTS[0]!));
    stage.connect(`c${index}`, from(HOSTS[1]!)).disconnect();
  }
  const fights = (stage.broker.takeovers as unknown as { fights: Map<string, unknown> }).fights;
  assert.equal(fights.size, 1024);
});
