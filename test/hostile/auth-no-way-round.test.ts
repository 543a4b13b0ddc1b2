import assert from "node:assert/strict";
import { suite, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { emptyFolder } from "../smoke/program.ts";
import { dial, RawClient } from "../support/raw-client.ts";
import { allow, credentials, deny, openStage, rulesFor, type Stage } from "./auth-stage.ts";

const NOT_AUTHORIZED = 0x87;
const READ_AGAIN = /auth\.json5 read again/;
const ANYTHING = allow("#", "sub pub");
const FILTER = 'whenRevoked: "filter",';
const STAYS = { sessionExpiryInterval: 1000 };

/** Kim may do everything, and not hear or send what is closed. */
const CLOSED = [ANYTHING, deny("closed/#", "sub pub", "kim")];

/** All that comes up to a message on `end`, which lee sends now, as "topic payload". */
async function heard(client: RawClient, lee: RawClient, released: number[] = []): Promise<string[]> {
  await lee.publish("end", "", { qos: 1 });
  const topics: string[] = [];
  for (;;) {
    const { cmd, topic, payload, qos, messageId } = await client.next(`a message after ${topics}`);
    if (cmd === "pubrel") {
      released.push(messageId);
      client.send({ cmd: "pubcomp", messageId });
    }
    if (cmd !== "publish") continue;
    if (qos > 0) client.send({ cmd: qos === 1 ? "puback" : "pubrec", messageId });
    if (topic === "end") return topics;
    topics.push(`${topic} ${payload}`);
  }
}

/** The broker is killed, and another one goes on with what it kept, by these rules. */
async function afterCrash(context: TestContext, stage: Stage, text: string, words: string[] = []): Promise<Stage> {
  await stage.program.stop("SIGKILL");
  return await openStage(context, text, { folder: stage.folder, words });
}

suite("no way round the rules", { concurrency: 4 }, () => {
  test("a will is judged when it is published, at once, delayed, and after a crash", async (context) => {
    const open = rulesFor("kim lee", [ANYTHING], FILTER);
    const closed = rulesFor("kim lee", CLOSED, FILTER);
    const folder = emptyFolder(context);
    const stage = await openStage(context, open, { folder });
    const will = (topic: string, delay = 0) => ({
      topic,
      payload: "will",
      qos: 1 as const,
      retain: true,
      properties: { willDelayInterval: delay },
    });
    const now = await stage.as("kim", { clientId: "now", will: will("closed/now") });
    const late = await stage.as("kim", { clientId: "late", will: will("closed/late", 2), properties: STAYS });
    const allowed = await stage.as("kim", { clientId: "allowed", will: will("open/now") });
    await stage.as("kim", { clientId: "cut", will: will("closed/cut") });
    await stage.as("kim", { clientId: "cut-late", will: will("closed/cut-late", 1), properties: STAYS });
    await stage.as("kim", { clientId: "cut-open", will: will("open/cut") });
    await stage.as("lee", { clientId: "of-lee", will: will("open/lee") });
    await stage.as("lee", { clientId: "of-lee-late", will: will("open/lee-late", 1), properties: STAYS });
    await late.drop();
    await stage.after(() => stage.put(closed), READ_AGAIN);
    await now.drop();
    await allowed.drop();
    const watcher = await stage.as("lee", { clientId: "watcher" });
    await watcher.subscribe("+/now");
    await watcher.expect("publish", { topic: "open/now", payload: "will" });
    // In the rules that hold after the crash lee is nobody.
    const after = await afterCrash(context, stage, rulesFor("kim mia", CLOSED, FILTER));
    await sleep(1_500);
    const mia = await after.as("mia");
    const seen = await after.as("mia");
    await seen.subscribe("#", { qos: 1 });
    assert.deepEqual((await heard(seen, mia)).sort(), ["open/cut will", "open/now will"]);
  });

  test("a will that is due while the file cannot be used is published for nobody", async (context) => {
    const stage = await openStage(context, rulesFor("kim lee", [ANYTHING]));
    await stage.as("kim", { clientId: "cut", will: { topic: "a", payload: "will", qos: 1, retain: true } });
    const after = await afterCrash(context, stage, "{ authentication: [");
    await after.after(() => after.put(rulesFor("kim lee", [ANYTHING])), /Users and rules read/);
    const [kim, lee] = [await after.as("kim"), await after.as("lee")];
    await kim.subscribe("#", { qos: 1 });
    assert.deepEqual(await heard(kim, lee), []);
  });

  for (const version of [4, 5] as const) {
    test(`what waits, or is under way, for a user who lost the right is not delivered, MQTT ${version}`, async (context) => {
      const stage = await openStage(context, rulesFor("kim lee", [ANYTHING], FILTER));
      const given = { clientId: "k", clean: false, version, properties: STAYS };
      const kim = await stage.as("kim", given);
      await kim.subscribe([
        { topic: "closed/#", qos: 2 },
        { topic: "open/#", qos: 2 },
        { topic: "end", qos: 1 },
      ]);
      const lee = await stage.as("lee");
      // Under way: they come, and kim does not acknowledge them.
      const identifiers: number[] = [];
      for (const qos of [1, 2] as const) {
        await lee.publish(`closed/under-way-${qos}`, "x", { qos });
        identifiers.push((await kim.expect("publish")).messageId);
        await lee.publish(`open/under-way-${qos}`, "x", { qos });
        await kim.expect("publish");
      }
      await kim.drop();
      for (const qos of [1, 2] as const) {
        await lee.publish(`closed/waiting-${qos}`, "x", { qos });
        await lee.publish(`open/waiting-${qos}`, "x", { qos });
      }
      await stage.after(() => stage.put(rulesFor("kim lee", CLOSED, FILTER)), READ_AGAIN);
      const again = await stage.as("kim", given);
      const released: number[] = [];
      assert.deepEqual(await heard(again, lee, released), [
        "open/under-way-1 x",
        "open/under-way-2 x",
        "open/waiting-1 x",
        "open/waiting-2 x",
      ]);
      for (const round of [1, 2, 3, 4, 5, 6]) await lee.publish("open/more", `${round}`, { qos: 2 });
      const more = await heard(again, lee, released);
      assert.deepEqual(
        more,
        [1, 2, 3, 4, 5, 6].map((round) => `open/more ${round}`),
      );
      // Kim has the denied one, and would take the next message under its identifier for the same one.
      assert.ok(released.includes(identifiers[1]!), `${identifiers} of ${released}`);
    });
  }

  for (const qos of [1, 2] as const) {
    test(`nor after a crash, though its session is restored with the subscription, QoS ${qos}`, async (context) => {
      const stage = await openStage(context, rulesFor("kim lee", [ANYTHING], FILTER));
      const given = { clientId: "k", clean: false, properties: STAYS };
      const kim = await stage.as("kim", given);
      await kim.subscribe("#", { qos });
      const lee = await stage.as("lee");
      await lee.publish("closed/under-way", "x", { qos });
      await kim.expect("publish");
      await kim.drop();
      await lee.publish("closed/waiting", "x", { qos });
      await lee.publish("open/waiting", "x", { qos });
      const after = await afterCrash(context, stage, rulesFor("kim lee", CLOSED, FILTER));
      const another = await after.as("lee");
      await another.publish("closed/after", "x", { qos });
      await another.publish("open/after", "x", { qos });
      const again = await after.as("kim", given);
      assert.equal(again.connack.sessionPresent, true);
      assert.deepEqual(await heard(again, another), ["open/waiting x", "open/after x"]);
      await another.publish("closed/now", "x", { qos });
      for (const round of [1, 2, 3]) await another.publish("open/now", `${round}`, { qos });
      assert.deepEqual(await heard(again, another), ["open/now 1", "open/now 2", "open/now 3"]);
    });
  }

  test("who is gone from the file gets nothing of what waited, nor does who comes in the name", async (context) => {
    const stage = await openStage(context, rulesFor("kim lee", [ANYTHING]));
    const given = { clientId: "k", clean: false, properties: STAYS };
    const kim = await stage.as("kim", given);
    await kim.subscribe("#", { qos: 1 });
    await stage.after(() => stage.put(rulesFor("lee", [ANYTHING])), READ_AGAIN);
    assert.equal((await kim.expect("disconnect")).reasonCode, NOT_AUTHORIZED);
    const lee = await stage.as("lee");
    await lee.publish("secret", "x", { qos: 1 });
    await (await dial(stage.port, { ...given, username: "kim", password: "kim" })).expectConnackRefusal(NOT_AUTHORIZED);
    const stranger = rulesFor("lee", [ANYTHING, deny("secret", "sub", "kim")]).replace(
      "authentication: [",
      'authentication: [ { name: "kim", method: "plain_password", password: "another" },',
    );
    await stage.after(() => stage.put(stranger), READ_AGAIN);
    await (await dial(stage.port, { ...given, username: "kim", password: "kim" })).expectConnackRefusal(NOT_AUTHORIZED);
    const again = await stage.as("kim", { ...given, password: "another" });
    assert.deepEqual(await heard(again, lee), []);
  });

  for (const choice of ["disconnect", "filter"] as const) {
    test(`who is away while the password changes finds what was sent meanwhile, whenRevoked: "${choice}"`, async (context) => {
      const more = `whenRevoked: "${choice}",`;
      const stage = await openStage(context, rulesFor("kim lee", [ANYTHING], more));
      const given = { clientId: "k", clean: false, properties: STAYS };
      const away = await stage.as("kim", given);
      await away.subscribe("#", { qos: 1 });
      await away.drop();
      const will = { topic: "will", payload: "x", qos: 1 as const };
      const connected = await stage.as("kim", { ...given, clientId: "k2", will });
      await connected.subscribe("#", { qos: 1 });
      const changed = rulesFor("kim lee", CLOSED, more).replace('password: "kim"', 'password: "new"');
      await stage.after(() => stage.put(changed), READ_AGAIN);
      const lee = await stage.as("lee");
      if (choice === "disconnect") await connected.expectDisconnect(NOT_AUTHORIZED);
      else {
        // Still there, with the old password: nothing comes, nor is kept for who may come with the new one.
        await lee.publish("open/1", "early", { qos: 1 });
        await connected.expectNothing();
        await connected.drop();
        await stage.program.line("Client disconnected", ({ client }) => client === "k2");
      }
      for (const topic of ["open/1", "closed/1", "open/2"]) await lee.publish(topic, "x", { qos: 1 });
      const expected = ["open/1 x", "open/2 x"];
      for (const clientId of ["k2", "k"]) {
        const again = await stage.as("kim", { ...given, clientId, password: "new" });
        const early = clientId === "k" && choice === "filter" ? ["open/1 early"] : [];
        assert.deepEqual(await heard(again, lee), [...early, ...expected], clientId);
        await again.disconnect();
      }
    });
  }

  test("a session that somebody else takes over gives him what he may have, and no more", async (context) => {
    const stage = await openStage(context, rulesFor("kim lee root", CLOSED), { words: ["--session-key", "client"] });
    const given = { clientId: "shared", clean: false, properties: STAYS };
    const lee = await stage.as("lee", given);
    await lee.subscribe("#", { qos: 1 });
    await lee.drop();
    const root = await stage.as("root");
    await root.publish("closed/waiting", "x", { qos: 1 });
    await root.publish("open/waiting", "x", { qos: 1 });
    const kim = await stage.as("kim", given);
    assert.equal(kim.connack.sessionPresent, true);
    assert.deepEqual(await heard(kim, root), ["open/waiting x"]);
    await root.publish("closed/live", "x", { qos: 0 });
    assert.deepEqual(await heard(kim, root), []);
    // With its own user name in the key nobody meets anybody else's session, whatever the client identifier.
    const apart = await openStage(context, rulesFor("kim lee anonymous", CLOSED));
    await (await apart.as("lee", given)).drop();
    for (const user of ["kim", undefined]) assert.equal((await apart.as(user, given)).connack.sessionPresent, false);
  });

  test("a share passes over members who may not have the message, also of what waited for one that left", async (context) => {
    const stage = await openStage(context, rulesFor("kim lee root", CLOSED, FILTER));
    const [kim, lee] = [await stage.as("kim"), await stage.as("lee")];
    const root = await stage.as("root");
    for (const filter of ["end", "$share/a/+/+/#", "$share/b/+/+"]) await kim.subscribe(filter, { qos: 1 });
    for (let round = 0; round < 4; round++) await root.publish("closed/a", "x", { qos: 1 });
    assert.deepEqual(await heard(kim, root), []);
    await lee.subscribe("$share/a/+/+/#", { qos: 1 });
    for (let round = 0; round < 4; round++) await root.publish("closed/a", "x", { qos: 1 });
    for (let round = 0; round < 4; round++) {
      const { messageId } = await lee.expect("publish", { topic: "closed/a" });
      // Not acknowledged: they go to another member when lee's session ends.
      assert.ok(messageId > 0);
    }
    await lee.disconnect();
    await kim.expectNothing();
    for (const filter of ["$share/g/closed/#", "$share/g/closed/a", "$share/g/$SYS/#"]) {
      assert.deepEqual(await kim.subscribe(filter), [NOT_AUTHORIZED], filter);
    }
  });

  test("retained messages are judged when they are sent, one by one, by the rules that hold then", async (context) => {
    const stage = await openStage(context, rulesFor("kim lee", [ANYTHING], FILTER));
    const lee = await stage.as("lee");
    for (const topic of ["closed/1", "closed/2", "closed/3", "open/1", "open/2"]) {
      await lee.publish(topic, "kept", { qos: 1, retain: true });
    }
    // Takes one at a time: the others are a backlog when the rules change.
    const slow = await stage.as("kim", { properties: { receiveMaximum: 1 } });
    await slow.subscribe("+/+", { qos: 1 });
    const first = await slow.expect("publish");
    await stage.after(() => stage.put(rulesFor("kim lee", CLOSED, FILTER)), READ_AGAIN);
    slow.send({ cmd: "puback", messageId: first.messageId });
    const rest = [first.topic];
    while (rest.filter((topic) => topic.startsWith("open/")).length < 2) {
      const { topic, messageId } = await slow.expect("publish");
      rest.push(topic);
      slow.send({ cmd: "puback", messageId });
    }
    await slow.expectNothing();
    assert.deepEqual(
      rest.slice(1).filter((topic) => topic.startsWith("closed/")),
      [],
    );
    const later = await stage.as("kim");
    assert.deepEqual(await later.subscribe("closed/1"), [NOT_AUTHORIZED]);
    await later.subscribe("#", { qos: 1 });
    assert.deepEqual((await heard(later, lee)).sort(), ["open/1 kept", "open/2 kept"]);
    // Who may not publish may not remove either.
    assert.equal(await later.publish("closed/1", "", { qos: 1, retain: true }), NOT_AUTHORIZED);
    await lee.subscribe("closed/1");
    await lee.expect("publish", { topic: "closed/1", payload: "kept" });
  });

  test("an alias stands for its topic: what it may be used for changes with the rules", async (context) => {
    const stage = await openStage(context, rulesFor("kim lee", [ANYTHING], FILTER));
    const lee = await stage.as("lee");
    await lee.subscribe("closed/#");
    const kim = await stage.as("kim");
    const aliased = (topic: string, topicAlias: number, payload: string) =>
      kim.publish(topic, payload, { qos: 1, properties: { topicAlias } });
    assert.equal(await aliased("closed/a", 1, "before"), 0);
    await stage.after(() => stage.put(rulesFor("kim lee", CLOSED, FILTER)), READ_AGAIN);
    assert.equal(await aliased("", 1, "after"), NOT_AUTHORIZED);
    assert.equal(await aliased("closed/b", 2, "named"), NOT_AUTHORIZED);
    assert.equal(await aliased("", 2, "again"), NOT_AUTHORIZED);
    assert.equal(await aliased("open/a", 1, "moved"), 0x10);
    await lee.expect("publish", { payload: "before" });
    await lee.expectNothing();
  });

  test("topics of the broker's own are reached by no wildcard, empty levels by no other name", async (context) => {
    const rules = [
      ANYTHING,
      deny("secret/#", "sub pub", "kim"),
      deny("/", "sub pub", "kim"),
      deny("/a", "sub pub", "kim"),
      deny("a//b", "sub pub", "kim"),
    ];
    const stage = await openStage(context, rulesFor("kim lee", rules));
    const kim = await stage.as("kim");
    for (const topic of ["$SYS/a", "$SYS", "$a/b", "$", "secret", "secret/", "secret//", "/", "/a", "a//b"]) {
      assert.equal(await kim.publish(topic, "x", { qos: 1 }), NOT_AUTHORIZED, topic);
      assert.deepEqual(await kim.subscribe(topic), [NOT_AUTHORIZED], topic);
    }
    for (const filter of ["$SYS/#", "$SYS/+/+", "$a/#", "secret/+", "secret/#", "secret/+/#"]) {
      assert.deepEqual(await kim.subscribe(filter), [NOT_AUTHORIZED], filter);
    }
    for (const topic of ["a/b", "//", "a", "Secret", " secret", "secret ", "a///b"]) {
      assert.equal(await kim.publish(topic, "x", { qos: 1 }), 0x10, topic);
    }
    const long = `secret/${"x".repeat(65_000)}`;
    assert.equal(await kim.publish(long, "x", { qos: 1 }), NOT_AUTHORIZED);
    assert.deepEqual(await kim.subscribe(long), [NOT_AUTHORIZED]);
    // What is allowed with all that depth is refused for it, or taken: never is the broker harmed.
    const deep = "/".repeat(65_000);
    assert.ok((await kim.publish(deep, "x", { qos: 1 })) >= 0x80);
    await kim.subscribe("#");
    const lee = await stage.as("lee");
    for (const topic of ["secret", "secret/a", "/", "/a", "a//b"]) await lee.publish(topic, "x", { qos: 1 });
    await kim.expectNothing();
  });
});

suite("names that look like something else", { concurrency: 4 }, () => {
  const OWN = [allow("u/%u", "sub pub"), allow("c/%c/#", "sub pub"), allow("end", "sub pub")];

  test("a client identifier with wildcards, slashes or placeholders reaches nobody else's topics", async (context) => {
    const stage = await openStage(context, rulesFor("kim", OWN));
    for (const clientId of ["+", "#", "a/b", "%u", "%c", "a/+", "$SYS", "../c", "c\u0001", "", "%"]) {
      const client = await stage.as("kim", { clientId });
      for (const filter of ["c/#", "c/other/a", "c/+/a", "c/+/#", "c/a/b/c", "c//a"]) {
        // Those with wildcards are taken where some of it is his own: the messages are judged.
        const [code] = await client.subscribe(filter);
        if (!/[+#]/.test(filter)) assert.equal(code, NOT_AUTHORIZED, `${clientId} ${filter}`);
      }
      for (const topic of ["c/other/a", "c/a/b/c", "c//a", "u/lee", "u/%u", "c/%c/a"].filter(
        (name) => name !== `c/${clientId}/a`,
      )) {
        assert.equal(await client.publish(topic, "x", { qos: 1 }), NOT_AUTHORIZED, `${clientId} ${topic}`);
      }
      await client.disconnect();
    }
  });

  test("user names that mean something in rules are the names of nobody", async (context) => {
    const rules = rulesFor("kim anonymous", [...OWN, allow("guests/#", "sub pub", "anonymous")]);
    const stage = await openStage(context, rules, {
      words: ["--limit", "loginDelay=0", "--limit", "connectBytes=128KiB"],
    });
    const refuses = async (version: 4 | 5, userName: string | undefined, password: string | undefined) => {
      const client = await RawClient.open(stage.port, version);
      client.sendBytes(credentials(version, userName, password));
      await client.expectConnackRefusal(version === 5 ? NOT_AUTHORIZED : 5);
    };
    const names = ["+", "#", "a/b", "@any", "*", "", "anonymous", "unauthenticated", "%u", "kim ", "KIM", "kim/../kim"];
    for (const name of names) {
      for (const password of [undefined, "", "kim", "anonymous", name, "x".repeat(65_535)]) {
        await refuses(5, name, password);
        await refuses(4, name, password);
      }
    }
    for (const password of ["", "kim", "anonymous"]) await refuses(5, undefined, password);
    for (const password of [undefined, "", "Kim", "kim ", "ki"]) await refuses(4, "kim", password);
    const nobody = await stage.as(undefined);
    assert.equal(await nobody.publish("guests/a", "x", { qos: 1 }), 0x10);
    assert.equal(await nobody.publish("u/anonymous", "x", { qos: 1 }), NOT_AUTHORIZED);
    // No part of what was tried as a password is in the log.
    assert.ok(!stage.program.stdout.includes("xxxxxxxxxx"));
  });
});
