import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { parseTraffic, readTraffic, TrafficError, type TrafficUse } from "../../../src/auth/traffic/traffic.ts";
import { readTrafficFile, TRAFFIC_FILE, TrafficFile } from "../../../src/auth/traffic/traffic-file.ts";
import { TrafficRecord } from "../../../src/auth/traffic/traffic-record.ts";
import type { Log } from "../../../src/core/ports.ts";
import { clientOf, peerAt, trafficOf } from "./traffic-kit.ts";

const NOW_MS = 1_777_000_000_000;
const NOW = NOW_MS / 1000;

/** A record whose clock is moved by hand. */
function record(bounds?: { entriesMax: number; bytesMax?: number; refusalsMax?: number; notesPerSecondMax?: number }): {
  traffic: TrafficRecord;
  clock: { nowMs: number };
} {
  const clock = { nowMs: NOW_MS };
  const unhurried = { notesPerSecondMax: Number.POSITIVE_INFINITY };
  const whole = bounds && { bytesMax: 4 * 1024 * 1024, refusalsMax: 10, ...unhurried, ...bounds };
  return { traffic: new TrafficRecord(() => clock.nowMs, whole), clock };
}

function brief({ name, clientId, operation, topic, allowed, count }: TrafficUse): string {
  return `${name} ${clientId || "(all)"} ${operation} ${topic} ${allowed ? "allowed" : "denied"} ${count}`;
}

function uses(traffic: TrafficRecord): string[] {
  return trafficOf(traffic).uses.map(brief).sort();
}

suite("record of traffic", () => {
  test("notes so much a second, and counts what it leaves out", () => {
    const { traffic, clock } = record({ entriesMax: 100, notesPerSecondMax: 3 });
    const { login, client } = clientOf("kim", "c1");
    for (const topic of ["a", "b", "c", "d", "e"]) traffic.used(login, client, topic, true, true);
    traffic.connected(login, client);
    assert.deepEqual(
      uses(traffic),
      ["a", "b", "c"].map((topic) => `kim c1 publish ${topic} allowed 1`),
    );
    clock.nowMs += 1000;
    traffic.used(login, client, "d", true, true);
    const { header } = trafficOf(traffic);
    assert.deepEqual([uses(traffic).length, header.droppedUses, header.droppedClients], [4, 2, 1]);
  });

  test("counts each topic of each client by direction and verdict, with the first and the last time", () => {
    const { traffic, clock } = record();
    const { login, client } = clientOf("kim", "c1");
    traffic.connected(login, client);
    traffic.used(login, client, "home/door", true, true);
    clock.nowMs += 5_000;
    traffic.used(login, client, "home/door", true, true);
    traffic.used(login, client, "home/door", true, false);
    traffic.used(login, client, "home/door", false, true);
    traffic.used(login, client, "home/#", false, true);
    const { clients, uses: all, header } = trafficOf(traffic);
    assert.deepEqual(header, {
      type: "mqtt-broker-traffic",
      format: 1,
      sinceSeconds: NOW,
      droppedUses: 0,
      droppedClients: 0,
    });
    assert.deepEqual(clients, [
      {
        type: "client",
        name: "kim",
        userName: "kim",
        clientId: "c1",
        method: "sha256",
        groups: [],
        address: "192.168.1.7:50000",
        local: false,
        listener: "tcp",
        transport: "tcp",
        count: 1,
        firstSeconds: NOW,
        lastSeconds: NOW,
      },
    ]);
    assert.deepEqual(
      all.map((use) => `${brief(use)} ${use.firstSeconds - NOW} ${use.lastSeconds - NOW}`),
      [
        "kim c1 publish home/door allowed 2 0 5",
        "kim c1 publish home/door denied 1 5 5",
        "kim c1 receive home/door allowed 1 5 5",
        "kim c1 subscribe home/# allowed 1 5 5",
      ],
    );
  });

  test("keeps the address that a client had last, and a token's groups", () => {
    const { traffic } = record();
    const first = clientOf("kim", "c1", { method: "jwt", groups: ["@a"] });
    const later = clientOf("kim", "c1", {
      method: "jwt",
      groups: ["@b"],
      peer: peerAt("10.0.0.9:1", { transport: "tls" }),
    });
    traffic.connected(first.login, first.client);
    traffic.connected(later.login, later.client);
    const [client] = trafficOf(traffic).clients;
    assert.deepEqual(
      [client?.address, client?.transport, client?.groups, client?.count],
      ["10.0.0.9:1", "tls", ["@b"], 2],
    );
  });

  test("keeps the bounds that rules set, as they were the last time", () => {
    const { traffic } = record();
    const { login, client } = clientOf("kim", "c1");
    traffic.used(login, client, "a", true, true);
    traffic.used(login, client, "a", true, { maximumQos: 1, retain: false });
    traffic.used(login, client, "b", true, { maximumQos: 0, retain: true });
    traffic.used(login, client, "c", true, { maximumQos: 0, retain: false });
    traffic.used(login, client, "c", true, true);
    assert.deepEqual(
      trafficOf(traffic).uses.map(({ topic, maximumQos, retain }) => [topic, maximumQos, retain]),
      [
        ["a", 1, false],
        ["b", 0, undefined],
        ["c", undefined, undefined],
      ],
    );
  });

  test("does not count clients that are known from the store only", () => {
    const { traffic } = record();
    const { login, client } = clientOf("kim", "c1");
    traffic.used(Object.assign(login, { certain: false }), client, "a", false, true);
    assert.deepEqual(trafficOf(traffic).uses, []);
  });

  test("folds many topics of one client into a pattern when it is full, and goes on counting there", () => {
    const { traffic } = record({ entriesMax: 60 });
    const { login, client } = clientOf("kim", "c1");
    traffic.used(login, client, "home/door", true, true);
    for (let index = 0; index < 200; index++) traffic.used(login, client, `meter/${index}/value`, true, true);
    assert.deepEqual(uses(traffic), ["kim c1 publish home/door allowed 1", "kim c1 publish meter/+/value allowed 200"]);
    const { uses: all, header } = trafficOf(traffic);
    const folded = all.find(({ folded: isFolded }) => isFolded);
    assert.equal(folded?.sampleTopic, "meter/199/value");
    assert.equal(header.droppedUses, 0);
  });

  test("folds the clients of one user, each with a topic of its own, into %c", () => {
    const { traffic } = record({ entriesMax: 60 });
    for (let index = 0; index < 300; index++) {
      const { login, client } = clientOf("meters", `m${index}`);
      traffic.connected(login, client);
      traffic.used(login, client, `meter/m${index}/value`, true, true);
      traffic.used(login, client, "news", false, true);
    }
    assert.deepEqual(uses(traffic), [
      "meters (all) publish meter/%c/value allowed 300",
      "meters (all) receive news allowed 300",
    ]);
    const { clients, header } = trafficOf(traffic);
    assert.deepEqual([clients[0]?.clientId, clients[0]?.sampleClientId], ["", "m299"]);
    // Of the one that was connecting when it was folded nothing but its coming is left.
    assert.ok(clients.length <= 2);
    assert.equal(
      clients.reduce((sum, { count }) => sum + count, 0),
      300,
    );
    assert.deepEqual([header.droppedUses, header.droppedClients], [0, 0]);
  });

  test("neither joins what was denied with what was allowed, nor makes a wildcard of a first level with $", () => {
    const { traffic } = record({ entriesMax: 100 });
    const { login, client } = clientOf("kim", "c1");
    for (let index = 0; index < 80; index++) {
      traffic.used(login, client, `$${index}`, false, true);
      traffic.used(login, client, `a/${index}`, true, index % 2 === 0);
    }
    const patterns = trafficOf(traffic).uses.filter(({ folded }) => folded);
    assert.deepEqual(patterns.map(brief).sort(), ["kim c1 publish a/+ allowed 40", "kim c1 publish a/+ denied 40"]);
    assert.equal(
      trafficOf(traffic).uses.some(({ topic }) => topic.startsWith("+")),
      false,
    );
  });

  test("stays within its bounds whatever comes, counts what it drops, and forgets what was denied first", () => {
    const { traffic } = record({ entriesMax: 100 });
    const good = clientOf("kim", "c1");
    traffic.used(good.login, good.client, "home/door", true, true);
    for (let index = 0; index < 2_000; index++) {
      const { login, client } = clientOf(`u${index}`, `c${index}`);
      traffic.used(login, client, `x${index}/y${index}/z${index}`, true, index % 3 === 0);
    }
    const { clients, uses: all, header } = trafficOf(traffic);
    assert.ok(clients.length + all.length <= 100);
    assert.ok(all.filter(({ allowed }) => !allowed).length <= 25);
    assert.ok(header.droppedUses > 1_000);
    assert.ok(all.some(({ topic }) => topic === "home/door"));
  });

  test("is bounded in bytes too, and keeps no monstrous topics", () => {
    const { traffic } = record({ entriesMax: 20_000, bytesMax: 20_000 });
    const { login, client } = clientOf("kim", "c1");
    traffic.used(login, client, "x".repeat(60_000), true, true);
    assert.equal(trafficOf(traffic).header.droppedUses, 1);
    for (let index = 0; index < 500; index++) {
      const other = clientOf(`user-${index}`, "c");
      traffic.used(other.login, other.client, "y".repeat(500) + index, true, true);
    }
    assert.ok([...traffic.lines()].map((line) => JSON.stringify(line)).join("").length < 20_000);
  });

  test("keeps the last refusals only, one for each name, client and address, whatever the port", () => {
    const { traffic } = record({ entriesMax: 100, refusalsMax: 2 });
    const at = (address: string, clientId: string) =>
      clientOf("x", clientId, { userName: null, peer: peerAt(address) }).client;
    traffic.refused(at("10.0.0.1:1", "a"), "no");
    traffic.refused(at("10.0.0.1:2", "a"), "no again");
    traffic.refused(at("10.0.0.1:3", "b"), "no");
    traffic.refused(at("10.0.0.1:4", "c"), "no");
    traffic.refused(at("10.0.0.1:5", "b"), "no");
    assert.deepEqual(
      trafficOf(traffic).refusals.map(({ clientId, address, count, reason }) => [clientId, address, count, reason]),
      [
        ["c", "10.0.0.1:4", 1, "no"],
        ["b", "10.0.0.1:5", 2, "no"],
      ],
    );
  });
});

suite("record of traffic on disk", () => {
  function folder(context: TestContext): string {
    const path = mkdtempSync(join(tmpdir(), "mqtt-broker-traffic-"));
    context.after(() => rmSync(path, { recursive: true, force: true }));
    return path;
  }

  function listening(): { log: Log; lines: string[] } {
    const lines: string[] = [];
    const take = (message: string, fields?: object) => void lines.push(`${message} ${JSON.stringify(fields ?? {})}`);
    return { log: { enabled: () => true, error: take, warn: take, info: take, debug: take, trace: take }, lines };
  }

  test("comes back as it was, and only its owner can read it", async (context) => {
    const path = folder(context);
    const { log, lines } = listening();
    const { traffic } = record();
    const { login, client } = clientOf("kim", "c1");
    const file = new TrafficFile(traffic, path, log);
    await file.start();
    traffic.connected(login, client);
    traffic.used(login, client, "a/\n\u2028b", true, { maximumQos: 1, retain: false });
    traffic.refused(client, "no");
    await file.stop();
    await file.stop();
    assert.equal(statSync(join(path, TRAFFIC_FILE)).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(path), [TRAFFIC_FILE]);
    const again = record().traffic;
    const second = new TrafficFile(again, path, log);
    await second.start();
    assert.deepEqual(trafficOf(again), trafficOf(traffic));
    again.used(login, client, "a/\n\u2028b", true, true);
    await second.stop();
    assert.equal(readTrafficFile(join(path, TRAFFIC_FILE))?.uses[0]?.count, 2);
    assert.deepEqual(lines, []);
  });

  test("is not written when nothing has changed, nor when it was never started", async (context) => {
    const path = folder(context);
    const { traffic } = record();
    const file = new TrafficFile(traffic, path, listening().log);
    await file.stop();
    await file.start();
    await file.stop();
    assert.deepEqual(readdirSync(path), []);
  });

  for (const [what, text] of [
    [
      "half a line",
      '{"type":"mqtt-broker-traffic","format":1,"sinceSeconds":1,"droppedUses":0,"droppedClients":0}\n{"ty',
    ],
    ["no beginning", '{"type":"refused"}\n'],
    ["nothing", ""],
    ["bytes of something else", "\u0000\u0001\u0002"],
  ] as const) {
    test(`is ignored with a warning when it holds ${what}, and replaced`, async (context) => {
      const path = folder(context);
      writeFileSync(join(path, TRAFFIC_FILE), text);
      const { log, lines } = listening();
      const { traffic } = record();
      const file = new TrafficFile(traffic, path, log);
      await file.start();
      assert.equal(lines.length, 1);
      assert.match(lines[0]!, /^Cannot use the record of traffic: a new record begins.*traffic\.jsonl.*line \d/);
      const { login, client } = clientOf("kim", "c1");
      traffic.used(login, client, "a", true, true);
      await file.stop();
      assert.equal(parseTraffic(readFileSync(join(path, TRAFFIC_FILE), "utf8")).uses.length, 1);
    });
  }

  test("a folder that cannot be written to is warned of, and nothing else happens", async (context) => {
    const { log, lines } = listening();
    const { traffic } = record();
    const file = new TrafficFile(traffic, join(folder(context), "missing"), log);
    await file.start();
    const { login, client } = clientOf("kim", "c1");
    traffic.used(login, client, "a", true, true);
    await file.stop();
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /^Cannot save the record of traffic .*ENOENT/);
  });

  test("each field is checked, and the line named", () => {
    const header = { type: "mqtt-broker-traffic", format: 1, sinceSeconds: 1, droppedUses: 0, droppedClients: 0 };
    const wrong: [unknown[], RegExp][] = [
      [[{ ...header, format: 2 }], /^TrafficError: line 1: Format 2/],
      [[header, header], /^TrafficError: line 2: A second beginning/],
      [[header, { type: "use", name: 1 }], /^TrafficError: line 2: name must be text/],
      [[header, { type: "elephant" }], /^TrafficError: line 2: Of no known type: "elephant"/],
      [[header, null], /^TrafficError: line 2: Not an object/],
      [[header, { type: "constructor" }], /^TrafficError: line 2: Of no known type/],
    ];
    for (const [values, message] of wrong) {
      assert.throws(
        () => readTraffic(values),
        (error) => error instanceof TrafficError && message.test(String(error)),
      );
    }
  });
});
