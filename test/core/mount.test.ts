import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Access } from "../../src/core/access.ts";
import { type Entrance, mountPointMistake } from "../../src/core/entrance.ts";
import { mountPointFor } from "../../src/core/mount.ts";
import { HeldStore } from "./held-store.ts";
import type { PeerOptions } from "./peer.ts";
import { Stage } from "./stage.ts";

const PLANT: PeerOptions = { entrance: { mountPoint: "plant1/" } };
/** Bytes of the longest name that there can be. */
const LONGEST = 65_535;

describe("publishing", () => {
  test("what a mounted client publishes has its full name outside, and its own inside", () => {
    for (const version of [3, 4, 5] as const) {
      for (const qos of [0, 1, 2] as const) {
        const stage = new Stage();
        const outside = stage.connect("o", { acknowledges: true }).subscribed("#", 2);
        const inside = stage.connect("i", { ...PLANT, version, acknowledges: true }).subscribed("a/+", 2);
        const publisher = stage.connect("p", { ...PLANT, version, acknowledges: true });
        publisher.publish("a/b", "1", { qos });
        const end = qos === 0 ? '"1"' : `"1" qos${qos} #1`;
        assert.equal(outside.take()[0], `PUBLISH plant1/a/b ${end}`);
        assert.equal(inside.take()[0], `PUBLISH a/b ${end}`);
      }
    }
  });

  test("what is published at the full name outside comes in without the mount point", () => {
    const stage = new Stage();
    const inside = stage.connect("i", PLANT).subscribed("#");
    const outside = stage.connect("o");
    for (const topic of [
      "plant1/a",
      "plant2/a",
      "plant1",
      "plant1/",
      "plant1/$a",
      "plant10/a",
      "a",
      "/a",
      "plant1//a",
    ]) {
      outside.publish(topic, topic);
    }
    assert.deepEqual(inside.take(), ['PUBLISH a "plant1/a"', 'PUBLISH /a "plant1//a"']);
  });

  test("receivers of all kinds in one fan-out are each sent their own name", () => {
    const stage = new Stage();
    const other = { entrance: { mountPoint: "plant1/hall/" } };
    const receivers = [
      {},
      PLANT,
      other,
      { version: 4 as const },
      { ...PLANT, version: 4 as const },
      other,
      PLANT,
      {},
    ].map((options, index) => stage.connect(`r${index}`, { ...options, acknowledges: true }).subscribed("#", 1));
    const publisher = stage.connect("p");
    publisher.publish("plant1/hall/b", "x", { qos: 1 });
    publisher.publish("plant1/hall/bb", "yy", { qos: 1 });
    const names = receivers.map((receiver) => receiver.take().map((line) => line.split(" ")[1]));
    const full = ["plant1/hall/b", "plant1/hall/bb"];
    const hall = ["hall/b", "hall/bb"];
    assert.deepEqual(names, [full, hall, ["b", "bb"], full, hall, ["b", "bb"], hall, full]);
  });

  test("what one receiver was sent at once, another gets whole later", () => {
    const stage = new Stage();
    const quick = stage.connect("q", PLANT).subscribed("#");
    const busy = stage.connect("b", { ...PLANT, properties: { receiveMaximum: 1 } }).subscribed("#", 1);
    const publisher = stage.connect("p");
    publisher.publish("plant1/a", "first", { qos: 1 });
    publisher.publish("plant1/a", "second", { qos: 1 });
    assert.deepEqual(quick.takePayloads(), ["first", "second"]);
    assert.deepEqual(busy.takePayloads(), ["first"]);
    busy.acknowledge("puback", 1);
    assert.deepEqual(busy.take(), ['PUBLISH a "second" qos1 #2']);
  });

  test("a Topic Alias stands for the full name, and outgoing aliases for the name inside", () => {
    const stage = new Stage({ mqtt: { autoTopicAlias: true } });
    const outside = stage.connect("o").subscribed("#");
    const inside = stage.connect("i", { ...PLANT, properties: { topicAliasMaximum: 1 } }).subscribed("#");
    const publisher = stage.connect("p", PLANT);
    publisher.publish("a", "1", { properties: { topicAlias: 1 } });
    publisher.publish("", "2", { properties: { topicAlias: 1 } });
    publisher.publish("b", "3", { properties: { topicAlias: 1 } });
    publisher.publish("", "4", { properties: { topicAlias: 1 } });
    assert.deepEqual(outside.take(), [
      'PUBLISH plant1/a "1"',
      'PUBLISH plant1/a "2"',
      'PUBLISH plant1/b "3"',
      'PUBLISH plant1/b "4"',
    ]);
    assert.deepEqual(inside.take(), [
      'PUBLISH a "1" {"topicAlias":1}',
      'PUBLISH - "2" {"topicAlias":1}',
      'PUBLISH b "3" {"topicAlias":1}',
      'PUBLISH - "4" {"topicAlias":1}',
    ]);
  });

  test("a request from inside is answered from outside, and the other way around", () => {
    const stage = new Stage();
    const outside = stage.connect("o").subscribed("plant1/#");
    const inside = stage.connect("i", PLANT).subscribed("#");
    inside.publish("ask", "1", { properties: { responseTopic: "answer/i" } });
    assert.deepEqual(outside.take(), ['PUBLISH plant1/ask "1" {"responseTopic":"plant1/answer/i"}']);
    assert.deepEqual(inside.take(), ['PUBLISH ask "1" {"responseTopic":"answer/i"}']);
    outside.publish("plant1/answer/i", "2");
    assert.deepEqual(inside.take(), ['PUBLISH answer/i "2"']);
    outside.publish("plant1/ask", "3", { properties: { responseTopic: "plant1/answer/o" } });
    outside.publish("plant1/ask", "4", { properties: { responseTopic: "elsewhere" } });
    assert.deepEqual(inside.take(), [
      'PUBLISH ask "3" {"responseTopic":"answer/o"}',
      'PUBLISH ask "4" {"responseTopic":"elsewhere"}',
    ]);
  });

  test("names that begin with $ are refused, and such as only look like a way out stay inside", () => {
    const stage = new Stage({ mqtt: { sys: { enabled: true } } });
    const outside = stage.connect("o").subscribed(["#", "$x/#"]);
    const client = stage.connect("p", PLANT);
    client.publish("$SYS/broker/x", "1", { qos: 1 });
    client.publish("$x/a", "2", { qos: 1 });
    assert.deepEqual(client.take(), ["PUBACK #1 87", "PUBACK #2 87"]);
    for (const topic of ["../a", "/../../a", "./$SYS/a", "/", "plant1/a"]) client.publish(topic, "");
    assert.deepEqual(outside.take(), [
      'PUBLISH plant1/../a ""',
      'PUBLISH plant1//../../a ""',
      'PUBLISH plant1/./$SYS/a ""',
      'PUBLISH plant1// ""',
      'PUBLISH plant1/plant1/a ""',
    ]);
  });

  test("5.0 [MQTT-4.7.3-3] a name that is too long with its mount point is refused with Topic Name invalid", () => {
    const stage = new Stage();
    const outside = stage.connect("o").subscribed("#");
    const client = stage.connect("p", PLANT);
    const fits = "é".repeat((LONGEST - "plant1/".length) / 2);
    client.publish(fits, "", { qos: 1 });
    client.publish(`${fits}é`, "", { qos: 1 });
    client.publish("a", "", { qos: 1, properties: { responseTopic: `${fits}é` } });
    assert.deepEqual(client.take(), ["PUBACK #1", "PUBACK #2 90", "PUBACK #3 90"]);
    assert.deepEqual(outside.take(), [`PUBLISH plant1/${fits} ""`]);
    assert.equal(client.state, "open");
  });
});

describe("subscribing", () => {
  test("the session has full filters, also behind the name of a share, and UNSUBSCRIBE finds them", () => {
    const stage = new Stage();
    const client = stage.connect("c", PLANT);
    const filters = ["a/b", "#", "+/x", "$share/g/a/#", "/"];
    client.subscribe(filters, 1);
    assert.deepEqual(client.take(), ["SUBACK #1 01 01 01 01 01"]);
    const { subscriptions } = stage.broker.sessions.get("c")!;
    assert.deepEqual(
      [...subscriptions.keys()],
      ["plant1/a/b", "plant1/#", "plant1/+/x", "$share/g/plant1/a/#", "plant1//"],
    );
    client.unsubscribe(...filters, "plant1/a/b");
    assert.deepEqual(client.take(), ["UNSUBACK #2 00 00 00 00 00 11"]);
    assert.equal(subscriptions.size, 0);
  });

  test("filters that begin with $ are refused, and too long ones are", () => {
    const stage = new Stage({ mqtt: { sys: { enabled: true } } });
    const client = stage.connect("c", PLANT);
    const long = "a".repeat(LONGEST - "plant1/".length);
    client.subscribe(["$SYS/#", "$SYS/broker/uptime", "$share/g/$SYS/#", "$", long, `${long}a`]);
    assert.deepEqual(client.take(), ["SUBACK #1 87 87 87 87 00 8f"]);
    stage.advance(60_000);
    assert.deepEqual(client.take(), []);
    client.unsubscribe(`${long}a`);
    assert.deepEqual(client.take(), ["UNSUBACK #2 11"]);
  });

  test("what is no filter stays none with a mount point before it", () => {
    for (const filter of ["", "a#", "$share/g", "$share/g/", "$share//a", "$share/+/a", "#/a"]) {
      const stage = new Stage();
      const client = stage.connect("c", PLANT);
      client.subscribe(filter);
      assert.equal(client.state, "ended", filter);
      const other = stage.connect("d", PLANT);
      other.unsubscribe(filter);
      assert.equal(other.state, "ended", filter);
    }
  });

  test("members of a share at the mount point and outside of it take turns", () => {
    const stage = new Stage();
    const inside = stage.connect("i", PLANT).subscribed("$share/g/a");
    const outside = stage.connect("o").subscribed("$share/g/plant1/a");
    const publisher = stage.connect("p", PLANT);
    for (const text of ["1", "2", "3", "4"]) publisher.publish("a", text);
    assert.deepEqual(inside.take(), ['PUBLISH a "1"', 'PUBLISH a "3"']);
    assert.deepEqual(outside.take(), ['PUBLISH plant1/a "2"', 'PUBLISH plant1/a "4"']);
  });

  test("retained messages are kept by their full names, and found from both sides", () => {
    const stage = new Stage();
    const client = stage.connect("p", PLANT);
    client.publish("a", "in", { retain: true });
    const outside = stage.connect("o");
    for (const topic of ["plant1/b", "plant1", "plant1/", "plant1/$c", "b"])
      outside.publish(topic, "out", { retain: true });
    assert.equal(stage.broker.retained.get("plant1/a")?.payload.toString(), "105,110");
    client.subscribe("#");
    assert.deepEqual(client.take(), ["SUBACK #1 00", 'PUBLISH a "in" retain', 'PUBLISH b "out" retain']);
    assert.deepEqual(stage.log.of("Dropping messages for a client"), []);
    client.publish("b", "", { retain: true });
    assert.equal(stage.broker.retained.get("plant1/b"), undefined);
  });

  test("no Response Information is given: below a mount point it would be no topic of its own", () => {
    const packet = new Stage().dial({ ...PLANT, properties: { requestResponseInformation: true } }).received[0];
    assert.ok(packet?.cmd === "connack" && packet.reasonCode === 0);
    assert.equal(packet.properties?.responseInformation, undefined);
  });
});

describe("wills", () => {
  const will = { topic: "gone", payload: Buffer.from("x"), qos: 0 as const, retain: false };

  test("a will has its full name, and so has its Response Topic", () => {
    const stage = new Stage();
    const outside = stage.connect("o").subscribed("#");
    stage.connect("c", { ...PLANT, will: { ...will, properties: { responseTopic: "r" } } }).hangUp();
    assert.deepEqual(outside.take(), ['PUBLISH plant1/gone "x" {"responseTopic":"plant1/r"}']);
  });

  test("one that cannot be published there is refused with its CONNECT", () => {
    const connackTo = (topic: string, version: 4 | 5 = 5): string[] =>
      new Stage({ limits: { topicLevels: 2, connectBytes: 80_000 } })
        .dial({ ...PLANT, version, will: { ...will, topic } })
        .take();
    assert.deepEqual(connackTo("a"), [
      'CONNACK 00 {"receiveMaximum":1024,"topicAliasMaximum":64,"maximumPacketSize":2097152}',
    ]);
    assert.match(connackTo("$SYS/x").join(), /^CONNACK 87 .*will topic that cannot be used at this listener/);
    assert.match(connackTo("a".repeat(LONGEST)).join(), /^CONNACK 90 /);
    assert.match(connackTo("a/b").join(), /^CONNACK 90 .*more than 2 levels/);
    assert.deepEqual(connackTo("$SYS/x", 4), ["CONNACK 05"]);
  });
});

describe("rules, hooks and log", () => {
  test("they are told full names", () => {
    const asked: string[] = [];
    const access: Access = {
      authenticate: () => true,
      check: (client, topic, write) => {
        asked.push(`${client.clientId} ${write ? "writes" : "reads"} ${topic}`);
        return !topic.includes("secret");
      },
    };
    const heard: string[] = [];
    const hook = {
      name: "listens",
      onSubscribe: (_: unknown, { entries }: { entries: readonly { topicFilter: string }[] }) => {
        heard.push(...entries.map(({ topicFilter }) => topicFilter));
      },
      onPublish: (_: unknown, { topicName }: { topicName: string }) => {
        heard.push(topicName);
      },
      onUnsubscribe: (_: unknown, { topicFilters }: { topicFilters: readonly string[] }) => {
        heard.push(...topicFilters);
      },
    };
    const stage = new Stage({ access, hooks: [hook] });
    const client = stage.connect("c", {
      ...PLANT,
      will: { topic: "secret", payload: Buffer.from(""), qos: 0, retain: false },
    });
    client.subscribe(["a", "$share/g/secret"]);
    assert.deepEqual(client.take(), ["SUBACK #1 00 87"]);
    client.publish("a", "");
    client.publish("secret", "");
    client.unsubscribe("a");
    client.hangUp();
    assert.deepEqual(
      [...new Set(asked)],
      ["c reads plant1/a", "c reads plant1/secret", "c writes plant1/a", "c writes plant1/secret"],
    );
    assert.deepEqual(heard, ["plant1/a", "$share/g/plant1/secret", "plant1/a", "plant1/a"]);
    assert.deepEqual(
      stage.log.lines.filter(({ message }) => message.startsWith("Refused to")).map(({ fields }) => fields.topic),
      ["plant1/secret", "plant1/secret"],
    );
  });
});

describe("sessions", () => {
  test("what waited keeps its full name, whichever listener its client comes back by", () => {
    const stage = new Stage();
    stage.resume("c", PLANT).subscribed("a/#", 1).hangUp();
    const publisher = stage.connect("p");
    publisher.publish("plant1/a/1", "1", { qos: 1 });
    const plain = stage.resume("c");
    assert.deepEqual(plain.take(), ['PUBLISH plant1/a/1 "1" qos1 #1']);
    plain.hangUp();
    publisher.publish("plant1/a/2", "2", { qos: 1 });
    // What was under way comes again, under the name that it has here.
    const hall = stage.resume("c", { entrance: { mountPoint: "plant1/a/" }, acknowledges: true });
    assert.deepEqual(hall.take(), ['PUBLISH 1 "1" qos1 #1 dup', 'PUBLISH 2 "2" qos1 #2']);
    hall.unsubscribe("#");
    assert.deepEqual(hall.take(), ["UNSUBACK #2 00"]);
  });

  test("what lies outside of the mount point is neither sent nor kept when a client comes back there", () => {
    for (const qos of [1, 2] as const) {
      const stage = new Stage();
      stage.resume("c").subscribed("#", 2).hangUp();
      const publisher = stage.connect("p", { acknowledges: true });
      for (const topic of ["plant1/a", "plant2/b", "plant1/c"]) publisher.publish(topic, "x", { qos });
      const back = stage.resume("c", { ...PLANT, acknowledges: true });
      const names = back.take().filter((line) => line.startsWith("PUBLISH"));
      assert.deepEqual(names, [`PUBLISH a "x" qos${qos} #1`, `PUBLISH c "x" qos${qos} #2`]);
      publisher.publish("plant2/d", "y", { qos });
      assert.deepEqual(back.take(), []);
      assert.equal(stage.counters.droppedBy.notAuthorized, 1);
      assert.equal(stage.broker.sessions.get("c")!.delivery.isEmpty, true);
    }
  });

  test("a QoS 2 message that was under way outside is given up with PUBREL", () => {
    const stage = new Stage();
    const before = stage.resume("c").subscribed("#", 2);
    stage.connect("p", { acknowledges: true }).publish("plant2/a", "x", { qos: 2 });
    assert.deepEqual(before.take(), ['PUBLISH plant2/a "x" qos2 #1']);
    before.hangUp();
    const back = stage.resume("c", PLANT);
    assert.deepEqual(back.take(), ["PUBREL #1"]);
    back.acknowledge("pubcomp", 1);
    assert.equal(stage.broker.sessions.get("c")!.delivery.isEmpty, true);
  });

  test("after a cut, subscriptions, queue, will and retained messages are where they were", async () => {
    const store = new HeldStore();
    const before = await Stage.load(store);
    const settle = async (stage: Stage, held: HeldStore): Promise<void> => {
      for (let round = 0; round < 4; round++) {
        held.sync();
        await stage.settle();
      }
    };
    const properties = { sessionExpiryInterval: 3600 };
    const will = { topic: "gone", payload: Buffer.from("x"), qos: 1 as const, retain: true };
    const sleeper = before.dial({ ...PLANT, clientId: "s", clean: false, properties });
    const doomed = before.dial({ ...PLANT, clientId: "d", clean: false, properties, will });
    await settle(before, store);
    sleeper.subscribe("#", 1);
    await settle(before, store);
    sleeper.hangUp();
    doomed.publish("kept", "1", { qos: 1, retain: true });
    await settle(before, store);
    const again = new HeldStore(store.disk);
    const after = await Stage.load(again);
    await settle(after, again);
    const back = after.dial({ ...PLANT, clientId: "s", clean: false, properties, acknowledges: true });
    await settle(after, again);
    assert.deepEqual(
      back.take().map((line) => line.replace(/ \{.*/, "")),
      ["CONNACK 00 present", 'PUBLISH kept "1" qos1 #1'],
    );
    back.unsubscribe("#");
    await settle(after, again);
    assert.deepEqual(back.take(), ["UNSUBACK #2 00"]);
    after.advance(3_600_000);
    await settle(after, again);
    assert.deepEqual(
      after.broker.retained
        .match("#")
        .map(({ topicName }) => topicName)
        .sort(),
      ["plant1/gone", "plant1/kept"],
    );
  });
});

describe("the mount point", () => {
  const at = (mountPoint: string): PeerOptions => ({ entrance: { mountPoint } });

  test("%c and %u stand for the client's own names", () => {
    const stage = new Stage({ access: { authenticate: (_client, { userName }) => userName ?? "" } });
    const outside = stage.connect("o", { username: "o" }).subscribed("#");
    stage.connect("c1", { ...at("%u/x-%c/"), username: "kim" }).publish("a", "");
    assert.deepEqual(outside.take(), ['PUBLISH kim/x-c1/a ""']);
    const own: Entrance = { mountPoint: "dev/%c/" };
    const first = stage.connect("c1", { entrance: own, username: "a" }).subscribed("#");
    const second = stage.connect("c2", { entrance: own, username: "a" }).subscribed("#");
    first.publish("x", "1");
    second.publish("x", "2");
    assert.deepEqual(first.take(), ['PUBLISH x "1"']);
    assert.deepEqual(second.take(), ['PUBLISH x "2"']);
  });

  test("names that are no level of a topic are refused, or a client would choose its mount point", () => {
    const stage = new Stage();
    for (const clientId of ["a/b", "+", "#", "$SYS"]) {
      assert.match(
        stage
          .dial({ ...at("%c/"), clientId })
          .take()
          .join(),
        /^CONNACK 87/,
      );
    }
    assert.deepEqual(stage.dial({ ...at("%u/"), version: 4 }).take(), ["CONNACK 05"]);
    assert.equal(
      stage.log.of("Connection refused")[0]?.reason,
      "refused: the mount point %c/ of its listener needs names without /, + and # that do not begin with $ (Not authorized (0x87))",
    );
    assert.equal(mountPointFor("%c-%u/", "c", ""), undefined);
    assert.equal(mountPointFor("a/%c-%u/", "$c", "u"), "a/$c-u/");
  });

  test("what cannot stand before topics is no mount point", () => {
    assert.equal(mountPointMistake("plant1/"), undefined);
    assert.equal(mountPointMistake("/%c/%u/"), undefined);
    for (const wrong of ["", "plant1", "+/", "a/#/", "$SYS/", "$share/g/", "a\0/", `${"a".repeat(1024)}/`]) {
      assert.notEqual(mountPointMistake(wrong), undefined, wrong);
    }
  });
});
