import assert from "node:assert/strict";
import { test } from "node:test";
import type { Access, AuthMethod } from "../../src/core/access.ts";
import { checkEntrance, type Entrance } from "../../src/core/entrance.ts";
import { refuse } from "../../src/core/hooks.ts";
import { Stage } from "./stage.ts";

const WILL = { topic: "w", payload: Buffer.from(""), qos: 2 as const, retain: false };

test("versions: others are refused with the code that their version has for it, and logged with the listener's name", () => {
  const codes = (versions: readonly (3 | 4 | 5)[]): string[] =>
    ([3, 4, 5] as const).map((version) => {
      const [connack = ""] = new Stage().dial({ version, entrance: { versions } }).take();
      return connack.slice(8, 10);
    });
  assert.deepEqual(codes([3, 4, 5]), ["00", "00", "00"]);
  assert.deepEqual(codes([5]), ["01", "01", "00"]);
  assert.deepEqual(codes([4]), ["01", "00", "84"]);
  const stage = new Stage();
  stage.dial({ version: 5, entrance: { versions: [4] } });
  assert.equal(
    stage.log.of("Connection refused")[0]?.reason,
    "refused: protocol level 5 is not accepted at listener test (Unsupported protocol version (0x84))",
  );
  assert.equal(stage.broker.sessions.size, 0);
});

test("versions: the minimum of the broker holds as well", () => {
  const stage = new Stage({ mqtt: { minimumProtocolVersion: 5 } });
  assert.deepEqual(stage.dial({ version: 4, entrance: { versions: [4, 5] } }).take(), ["CONNACK 01"]);
});

test("maximumQos: it is in CONNACK, and what is above is refused, granted lower, or ends the connection", () => {
  const entrance: Entrance = { limits: { maximumQos: 1 } };
  const stage = new Stage();
  const first = stage.dial({ entrance });
  assert.match(first.take().join(), /"maximumQoS":1/);
  first.subscribe(["a", "b"], 2);
  assert.deepEqual(first.take(), ["SUBACK #1 01 01"]);
  first.publish("a", "x", { qos: 2 });
  assert.match(first.take().join(), /^DISCONNECT 9b/);
  assert.match(stage.dial({ entrance, will: WILL }).take().join(), /^CONNACK 9b/);
  assert.match(stage.dial({ clientId: "elsewhere", will: WILL }).take().join(), /^CONNACK 00/);
});

test("maximumPacketSize: a larger packet ends the connection here, and nowhere else", () => {
  const stage = new Stage();
  const small = stage.dial({ clientId: "s", entrance: { limits: { maximumPacketSize: 100 } } });
  assert.match(small.take().join(), /"maximumPacketSize":100[,}]/);
  const large = stage.connect("l");
  for (const client of [small, large]) client.publish("a", "x".repeat(100));
  assert.match(small.take().join(), /^DISCONNECT 95/);
  assert.equal(large.state, "open");
});

test("receiveMaximum, topicAliasMaximum and keepAliveMax: the client is told, and held to them", () => {
  const stage = new Stage();
  const limits = { receiveMaximum: 1, topicAliasMaximum: 2, keepAliveMax: 10 };
  const client = stage.dial({ keepalive: 60, entrance: { limits } });
  const [connack = ""] = client.take();
  assert.match(connack, /"serverKeepAlive":10,"receiveMaximum":1,"topicAliasMaximum":2,/);
  client.publish("a", "", { qos: 2 });
  client.publish("a", "", { qos: 2 });
  assert.match(client.take()[1]!, /^DISCONNECT 93/);
  const other = stage.connect("o", { entrance: { limits } });
  other.publish("a", "", { properties: { topicAlias: 3 } });
  assert.match(other.take().join(), /^DISCONNECT 94/);
  const silent = stage.connect("s", { keepalive: 60, entrance: { limits } });
  stage.advance(15_000);
  assert.match(silent.take().join(), /^DISCONNECT 8d/);
});

test("what a listener allows more of than the broker does not widen the broker", () => {
  const stage = new Stage({ mqtt: { maximumQos: 0, maximumPacketSize: 1000, keepAliveMax: 20, topicAliasMaximum: 0 } });
  const limits = { maximumQos: 2, maximumPacketSize: 2000, keepAliveMax: 30, topicAliasMaximum: 5 } as const;
  assert.match(
    stage.dial({ entrance: { limits }, keepalive: 60 }).take().join(),
    /^CONNACK 00 {"serverKeepAlive":20,"receiveMaximum":1024,"maximumQoS":0,"maximumPacketSize":1000}$/,
  );
});

/** Lets in everybody, by the method that is their user name; the others as nobody in particular. */
const byUserName: Access = {
  authenticate: (_client, { userName, password }) => {
    const limits = {};
    if (userName === undefined) return true;
    const identity = { name: userName, userName, limits, method: userName as AuthMethod };
    return password === undefined ? identity : Promise.resolve(identity);
  },
};

test("authMethods: who proved it otherwise is refused, whoever decided, at once or later", async () => {
  const entrance: Entrance = { authMethods: ["scrypt", "client_cert"] };
  const stage = new Stage({ access: byUserName });
  assert.match(stage.dial({ entrance, username: "scrypt" }).take().join(), /^CONNACK 00/);
  assert.match(stage.dial({ entrance, username: "jwt" }).take().join(), /^CONNACK 87/);
  assert.match(stage.dial({ entrance }).take().join(), /^CONNACK 87/);
  assert.match(
    stage
      .dial({ entrance: { authMethods: ["anonymous"] } })
      .take()
      .join(),
    /^CONNACK 00/,
  );
  const later = ["client_cert", "plain_password"].map((username) =>
    stage.dial({ entrance, clientId: username, username, password: Buffer.from("x") }),
  );
  await stage.settle();
  assert.deepEqual(
    later.map((client) => client.take().join().slice(0, 10)),
    ["CONNACK 00", "CONNACK 87"],
  );
  assert.equal(
    stage.log.of("Connection refused")[0]?.reason,
    "refused: listener test does not let in by the method jwt, only by scrypt, client_cert (Not authorized (0x87))",
  );
});

test("authMethods: hooks let in and refuse as they like, and see what the listener asks", () => {
  const seen: unknown[] = [];
  const stage = new Stage({
    hooks: [
      {
        name: "decides",
        onConnectAuthenticate: ({ entrance }, { userName }) => {
          seen.push(entrance.authMethods);
          return userName === "no" ? refuse(0x86) : true;
        },
      },
    ],
  });
  const entrance: Entrance = { authMethods: ["jwt"] };
  assert.match(stage.dial({ entrance }).take().join(), /^CONNACK 00/);
  assert.match(stage.dial({ entrance, username: "no" }).take().join(), /^CONNACK 86/);
  assert.deepEqual(seen, [["jwt"], ["jwt"]]);
});

test("a client has its entrance also when it gets its user name from the access rules", () => {
  const entrance: Entrance = { mountPoint: "%u/" };
  const stage = new Stage({ access: { authenticate: () => "kim" } });
  const client = stage.connect("c", { entrance });
  client.publish("a", "x", { retain: true });
  assert.equal(stage.broker.sessions.get("c\u0000kim")?.client.entrance, entrance);
  assert.notEqual(stage.broker.retained.get("kim/a"), undefined);
});

test("what nobody can ask is refused, with what there is", () => {
  checkEntrance({});
  checkEntrance({ versions: [3], authMethods: ["psk"], mountPoint: "a/", limits: { clients: 1, maximumQos: 0 } });
  const wrong: [unknown, RegExp][] = [
    [{ version: [5] }, /^TypeError: A listener has no setting called version$/],
    [{ versions: [] }, /^TypeError: versions of a listener must be a list of at least one of 3, 4, 5$/],
    [{ versions: ["5.0"] }, /^TypeError: versions of a listener has 5.0, must be of 3, 4, 5$/],
    [{ authMethods: ["password"] }, /^TypeError: authMethods of a listener has password, must be of sha256, /],
    [{ mountPoint: "a" }, /^TypeError: The mount point "a" must end with \//],
    [{ limits: { maximumQos: 3 } }, /^RangeError: Limit maximumQos of a listener is 3, must be 0 to 2$/],
    [{ limits: { clients: 0 } }, /^RangeError: Limit clients of a listener is 0, must be 1 to 10000000$/],
    [{ limits: { sessions: 1 } }, /^RangeError: A listener has no limit called sessions$/],
    [{ limits: { toString: 1 } }, /^RangeError: A listener has no limit called toString$/],
  ];
  for (const [entrance, error] of wrong) assert.throws(() => checkEntrance(entrance as Entrance), error);
});
