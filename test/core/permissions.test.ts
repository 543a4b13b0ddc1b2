import assert from "node:assert/strict";
import { test } from "node:test";
import type { Access, Identity, Verdict } from "../../src/core/access.ts";
import type { Client } from "../../src/core/client.ts";
import { type Admission, Refusal } from "../../src/core/hooks.ts";
import { Stage } from "./stage.ts";

/** Access rules that a test turns about while the broker runs: every identity is the user name. */
class Rules implements Access {
  verdict: (client: Client, topic: string, write: boolean) => Verdict = () => true;
  explainsToClients = false;
  endsLostSubscriptions = true;
  asked = 0;
  standing: (client: Client) => Identity | Refusal | undefined = () => undefined;
  admission: (client: Client) => Admission | Promise<Admission> = ({ userName }) => identity(userName);
  refusal: Refusal | undefined = undefined;
  change: () => void = () => {};

  authenticate(client: Client): Admission | Promise<Admission> {
    return this.admission(client);
  }

  check(client: Client, topic: string, write: boolean): Verdict {
    this.asked++;
    return this.verdict(client, topic, write);
  }

  why(client: Client, topic: string, write: boolean): string {
    return `a rule denies ${topic} to ${client.identity?.name} (${write ? "publish" : "subscribe"})`;
  }

  review(client: Client): Identity | Refusal | undefined {
    return this.standing(client);
  }

  admits(): Refusal | undefined {
    return this.refusal;
  }

  onChange(changed: () => void): void {
    this.change = changed;
  }
}

function identity(name: string | undefined, more: Partial<Identity> = {}): Identity {
  return { name: name ?? "anonymous", userName: name, limits: {}, ...more };
}

function stageWith(change: (rules: Rules) => void = () => {}, mqtt = {}): { stage: Stage; rules: Rules } {
  const rules = new Rules();
  change(rules);
  return { stage: new Stage({ access: rules, mqtt }), rules };
}

const denies =
  (denied: string) =>
  (_: Client, topic: string): boolean =>
    topic !== denied;

test("a publish that is not allowed goes to nobody: 0x87 at QoS 1 and 2, silence at QoS 0", () => {
  const { stage } = stageWith((rules) => {
    rules.verdict = (_, topic, write) => !write || topic === "open";
  });
  const watcher = stage.connect("w").subscribed("#");
  const client = stage.connect("p");
  client.publish("shut", "0");
  client.publish("shut", "1", { qos: 1 });
  client.publish("shut", "2", { qos: 2 });
  client.publish("open", "3", { qos: 1 });
  assert.deepEqual(client.take(), ["PUBACK #1 87", "PUBREC #2 87", "PUBACK #3"]);
  assert.deepEqual(watcher.takePayloads(), ["3"]);
});

test("3.1.1 [MQTT-3.3.5-2] a 3.1.1 client gets an ordinary acknowledgement for what is not allowed", () => {
  const { stage } = stageWith((rules) => {
    rules.verdict = (_, __, write) => !write;
  });
  const watcher = stage.connect("w").subscribed("#");
  const client = stage.connect("p", { version: 4 });
  client.publish("a", "1", { qos: 1 });
  assert.deepEqual(client.take(), ["PUBACK #1"]);
  assert.deepEqual(watcher.takePayloads(), []);
});

test("a grant bounds QoS and RETAIN of what is published", () => {
  const { stage } = stageWith((rules) => {
    rules.verdict = (_, __, write) => (write ? { maximumQos: 1, retain: false } : true);
  });
  const client = stage.connect("p");
  client.publish("a", "x", { qos: 1 });
  client.publish("a", "x", { qos: 2 });
  client.publish("a", "x", { qos: 1, retain: true });
  assert.deepEqual(client.take(), ["PUBACK #1 10", "PUBREC #2 87", "PUBACK #3 87"]);
  assert.equal(stage.broker.retained.size, 0);
});

test("a grant lowers the QoS of subscriptions, of deliveries and of retained messages", () => {
  const { stage } = stageWith((rules) => {
    rules.verdict = (_, topic, write) => {
      if (write) return true;
      return topic === "a/0" ? { maximumQos: 0, retain: true } : { maximumQos: 1, retain: true };
    };
  });
  const publisher = stage.connect("p");
  publisher.publish("a/0", "kept", { qos: 1, retain: true });
  const client = stage.connect("c");
  client.subscribe("a/+", 2);
  assert.deepEqual(client.take(), ["SUBACK #1 01", 'PUBLISH a/0 "kept" retain']);
  publisher.publish("a/0", "zero", { qos: 2 });
  publisher.publish("a/1", "one", { qos: 2 });
  assert.deepEqual(client.take(), ['PUBLISH a/0 "zero"', 'PUBLISH a/1 "one" qos1 #1']);
});

test("a grant lowers the QoS of what a share delivers", () => {
  const { stage } = stageWith((rules) => {
    rules.verdict = (_, __, write) => write || { maximumQos: 0, retain: true };
  });
  const client = stage.connect("c").subscribed("$share/g/a", 2);
  stage.connect("p").publish("a", "x", { qos: 1 });
  assert.deepEqual(client.take(), ['PUBLISH a "x"']);
});

test("a wide subscription gets what it may have of it, live and retained, alone and in a share", () => {
  const { stage } = stageWith((rules) => {
    rules.verdict = (client, topic, write) => write || client.clientId !== "c" || topic !== "a/secret";
  });
  const publisher = stage.connect("p");
  publisher.publish("a/secret", "kept secret", { retain: true });
  publisher.publish("a/open", "kept open", { retain: true });
  const client = stage.connect("c").subscribed("x");
  client.subscribe("a/#");
  assert.deepEqual(client.take(), ["SUBACK #1 00", 'PUBLISH a/open "kept open" retain']);
  publisher.publish("a/secret", "1");
  publisher.publish("a/open", "2");
  assert.deepEqual(client.takePayloads(), ["2"]);
  client.unsubscribe("a/#");
  client.subscribed("$share/g/a/#");
  const other = stage.connect("d").subscribed("$share/g/a/#");
  for (const payload of ["3", "4", "5"]) publisher.publish("a/secret", payload);
  assert.deepEqual(client.takePayloads(), []);
  assert.deepEqual(other.takePayloads(), ["3", "4", "5"]);
});

test("a topic alias is no way round the rules", () => {
  const { stage } = stageWith((rules) => {
    rules.verdict = denies("shut");
  });
  const client = stage.connect("p");
  client.publish("shut", "1", { qos: 1, properties: { topicAlias: 1 } });
  client.publish("", "2", { qos: 1, properties: { topicAlias: 1 } });
  assert.deepEqual(client.take(), ["PUBACK #1 87", "PUBACK #2 87"]);
});

test("a will obeys the rules, its QoS and RETAIN too", () => {
  const { stage, rules } = stageWith();
  const watcher = stage.connect("w").subscribed("#");
  const will = { topic: "a", payload: Buffer.from("gone"), qos: 1 as const, retain: true };
  const dies = (): string[] => {
    stage.connect("c", { will }).hangUp();
    return watcher.takePayloads();
  };
  assert.deepEqual(dies(), ["gone"]);
  for (const verdict of [false, { maximumQos: 0, retain: true } as const, { maximumQos: 2, retain: false } as const]) {
    rules.verdict = (_, __, write) => (write ? verdict : true);
    rules.change();
    assert.deepEqual(dies(), []);
  }
});

test("verdicts are remembered until the rules change, and asked for each message when they may always change", () => {
  const { stage, rules } = stageWith();
  const publisher = stage.connect("p");
  const client = stage.connect("c").subscribed("a");
  publisher.publish("a", "1");
  const asked = rules.asked;
  for (let index = 0; index < 10; index++) publisher.publish("a", "x");
  assert.equal(rules.asked, asked);
  rules.verdict = denies("a");
  rules.endsLostSubscriptions = false;
  rules.change();
  publisher.publish("a", "after", { qos: 1 });
  assert.deepEqual(publisher.take(), ["PUBACK #1 87"]);
  assert.equal(client.takePayloads().includes("after"), false);

  let questions = 0;
  const moody = new Stage({
    access: {
      authenticate: () => true,
      check: () => {
        questions++;
        return true;
      },
    },
  });
  moody.connect("c").subscribed("a");
  const before = questions;
  const other = moody.connect("p");
  for (let index = 0; index < 3; index++) other.publish("a", "x");
  assert.equal(questions - before, 6);
});

test("a share is not asked about for each message, and is after a change", () => {
  const { stage, rules } = stageWith((given) => {
    given.endsLostSubscriptions = false;
  });
  const publisher = stage.connect("p");
  const member = stage.connect("c").subscribed("$share/g/a", 1);
  publisher.publish("a", "1", { qos: 1 });
  const asked = rules.asked;
  for (let index = 0; index < 10; index++) publisher.publish("a", "x", { qos: 1 });
  assert.equal(rules.asked, asked);
  assert.equal(member.takePayloads().length, 11);
  rules.verdict = (_, __, write) => write;
  rules.change();
  publisher.publish("a", "after", { qos: 1 });
  assert.deepEqual(member.takePayloads(), []);
});

test("a session that goes on as somebody else is judged as that", () => {
  const { stage } = stageWith((rules) => {
    rules.verdict = (client, topic, write) => write || client.protocolVersion === 4 || topic !== "a";
  });
  const publisher = stage.connect("p");
  const first = stage.resume("c", { version: 4 }).subscribed("a", 1);
  publisher.publish("a", "1");
  assert.deepEqual(first.takePayloads(), ["1"]);
  const second = stage.resume("c");
  publisher.publish("a", "2");
  assert.deepEqual(second.takePayloads(), []);
});

test("what waited for a client is judged again when it leaves", () => {
  const { stage, rules } = stageWith((given) => {
    given.endsLostSubscriptions = false;
  });
  stage.resume("c").subscribed("#", 1);
  stage.resume("c").disconnect(0);
  const publisher = stage.connect("p");
  publisher.publish("a", "secret", { qos: 1 });
  publisher.publish("b", "open", { qos: 1 });
  rules.verdict = denies("a");
  rules.change();
  assert.deepEqual(stage.resume("c").takePayloads(), ["open"]);
  assert.equal(stage.counters.droppedBy.notAuthorized, 1);
});

test("retained messages that were still to be sent are judged when they leave", () => {
  const { stage, rules } = stageWith((given) => {
    given.endsLostSubscriptions = false;
  });
  const publisher = stage.connect("p");
  for (const topic of ["a", "b", "c"]) publisher.publish(topic, topic, { retain: true, qos: 1 });
  const client = stage.connect("c", { properties: { receiveMaximum: 1 } });
  client.subscribe("#", 1);
  assert.deepEqual(client.takePayloads(), ["a"]);
  rules.verdict = denies("b");
  rules.change();
  client.acknowledge("puback", 1);
  assert.deepEqual(client.takePayloads(), ["c"]);
});

test("a client whose user is gone is told Not authorized and disconnected", () => {
  const { stage, rules } = stageWith();
  const kim = stage.connect("k", { username: "kim" });
  const lee = stage.connect("l", { username: "lee" });
  rules.standing = (client) =>
    client.userName === "kim" ? new Refusal(0x87, "there is no user kim any more") : undefined;
  rules.change();
  assert.deepEqual(kim.take(), ['DISCONNECT 87 {"reasonString":"there is no user kim any more"}']);
  assert.equal(kim.state, "ended");
  assert.equal(lee.state, "open");
});

test("a client that lost a subscription is disconnected with Administrative action, or merely gets nothing more", () => {
  const { stage, rules } = stageWith();
  const client = stage.connect("c").subscribed(["a", "b"]);
  const other = stage.connect("d").subscribed("$share/g/b");
  rules.verdict = denies("a");
  rules.change();
  assert.deepEqual(client.take(), ['DISCONNECT 98 {"reasonString":"no longer allowed to subscribe to a"}']);
  assert.equal(other.state, "open");

  rules.endsLostSubscriptions = false;
  rules.verdict = denies("b");
  rules.change();
  assert.equal(other.state, "open");
  stage.connect("p").publish("b", "x");
  assert.deepEqual(other.takePayloads(), []);
});

test("twenty thousand clients are reviewed in turns, and those that are not due yet have their new rights at once", () => {
  const { stage, rules } = stageWith();
  const clients = Array.from({ length: 600 }, (_, index) => stage.connect(`c${index}`));
  rules.standing = () => new Refusal(0x87);
  rules.verdict = () => false;
  rules.change();
  const count = (): number => clients.filter(({ state }) => state !== "open").length;
  assert.equal(count(), 256);
  const last = clients.find(({ state }) => state === "open")!;
  last.publish("a", "x", { qos: 1 });
  assert.deepEqual(last.take(), ["PUBACK #1 87"]);
  stage.advance(0);
  assert.equal(count(), 600);
});

test("the identity of a review replaces the one of the login", () => {
  const { stage, rules } = stageWith();
  stage.connect("c", { username: "kim" });
  const renewed = identity("kim");
  rules.standing = () => renewed;
  rules.change();
  assert.equal([...stage.broker.connections][0]!.client.identity, renewed);
});

test("who was still being asked for when the rules changed is not let in by the old ones", async () => {
  let answer: (admission: Admission) => void = () => {};
  const { stage, rules } = stageWith((given) => {
    given.admission = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
  });
  const client = stage.dial({ clientId: "c" });
  rules.change();
  answer(identity("kim"));
  await stage.settle();
  assert.deepEqual(client.take(), ['CONNACK 89 {"reasonString":"the access rules have changed: connect again"}']);
});

test("an identity names the session and the log line, and anonymous clients keep the sessions of nobody", () => {
  const { stage } = stageWith((rules) => {
    rules.admission = ({ clientId }) => (clientId === "a" ? identity(undefined) : identity("unauthenticated"));
  });
  stage.connect("a");
  stage.connect("b", { username: "kim", password: Buffer.from("wrong") });
  assert.deepEqual([...stage.broker.sessions.keys()], ["a", "b\u0000unauthenticated"]);
  assert.deepEqual(
    stage.log.of("Client connected").map(({ user }) => user),
    ["anonymous", "unauthenticated"],
  );
});

test("a right that ends disconnects the client then, by the wall clock as it stands by that time", () => {
  const { stage } = stageWith((rules) => {
    rules.admission = () => identity("kim", { expiresMs: 1_700_000_060_000 });
  });
  const client = stage.connect("c");
  stage.wallMs -= 10_000;
  stage.advance(60_000);
  assert.equal(client.state, "open");
  stage.advance(9_999);
  assert.equal(client.state, "open");
  stage.advance(1);
  assert.deepEqual(client.take(), ['DISCONNECT 87 {"reasonString":"its right to be here has expired"}']);
});

test("an address that may not connect is told so at CONNECT, whoever it says it is", () => {
  const { stage, rules } = stageWith((given) => {
    given.refusal = new Refusal(0x8a, "banned", "192.0.2.1 is banned for 60 s");
  });
  assert.deepEqual(stage.dial({ clientId: "a" }).take(), ['CONNACK 8a {"reasonString":"banned"}']);
  assert.deepEqual(stage.dial({ clientId: "a", version: 4 }).take(), ["CONNACK 05"]);
  assert.deepEqual(
    stage.log.of("Connection refused").map(({ reason }) => reason),
    ["refused: 192.0.2.1 is banned for 60 s (Banned (0x8a))"],
  );
  rules.refusal = undefined;
  stage.connect("a");
});

test("a denial is logged with its rule, once a minute for each user, topic and operation, and anew after a change", () => {
  const { stage, rules } = stageWith((given) => {
    given.verdict = (_, topic) => topic === "open";
  });
  const first = stage.connect("c1", { username: "kim" });
  const second = stage.connect("c2", { username: "kim" });
  for (const client of [first, second, first]) client.publish("shut", "x");
  first.subscribe("shut");
  assert.deepEqual(
    stage.log.of("Refused to publish").map(({ client, rule }) => [client, rule]),
    [["c1", "a rule denies shut to kim (publish)"]],
  );
  assert.deepEqual(
    stage.log.of("Refused to subscribe").map(({ rule }) => rule),
    ["a rule denies shut to kim (subscribe)"],
  );
  stage.advance(60_000);
  second.publish("shut", "x");
  assert.equal(stage.log.of("Refused to publish").length, 2);
  rules.change();
  second.publish("shut", "x");
  assert.equal(stage.log.of("Refused to publish").length, 3);
});

test("clients are told why only when that is wanted, and those that want no reasons are not", () => {
  const { stage, rules } = stageWith((given) => {
    given.verdict = () => false;
  });
  const client = stage.connect("c", { username: "kim" });
  const quiet = stage.connect("q", { username: "kim", properties: { requestProblemInformation: false } });
  client.publish("a", "x", { qos: 1 });
  assert.deepEqual(client.take(), ["PUBACK #1 87"]);
  rules.explainsToClients = true;
  for (const each of [client, quiet]) {
    each.publish("a", "x", { qos: 1 });
    each.subscribe(["$share/g/a", "b"]);
  }
  assert.deepEqual(client.take(), [
    'PUBACK #2 87 {"reasonString":"a rule denies a to kim (publish)"}',
    'SUBACK #1 87 87 {"reasonString":"a rule denies a to kim (subscribe)"}',
  ]);
  assert.deepEqual(quiet.take(), ["PUBACK #1 87", "SUBACK #1 87 87"]);
});
