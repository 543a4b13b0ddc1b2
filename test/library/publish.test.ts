import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { denyAll, type Hook, type Publish } from "../../src/library.ts";
import { startLibrary } from "./kit.ts";

const text = (packet: Publish): string => Buffer.from(packet.payload).toString();

suite("publish", () => {
  test("gives a text or bytes to whoever subscribed, and says to how many", async (context) => {
    const { broker, connect } = await startLibrary(context);
    const [a, b] = [await connect(), await connect({ version: 4 })];
    await a.subscribe("t/+");
    await b.subscribe("#");
    assert.equal(broker.publish("t/1", "häh"), 2);
    assert.equal(broker.publish("t", new Uint8Array([0x61, 0x62])), 1);
    assert.equal(broker.publish("t/1/2", "x"), 1);
    await a.expect("publish", { topic: "t/1", payload: "häh", qos: 0, retain: false });
    await a.expectNothing();
    await b.expect("publish", { topic: "t/1", payload: "häh" });
    await b.expect("publish", { topic: "t", payload: "ab" });
    await b.expect("publish", { topic: "t/1/2", payload: "x" });
  });

  for (const qos of [0, 1, 2] as const) {
    test(`with QoS ${qos} arrives with QoS ${qos} where that was granted`, async (context) => {
      const { broker, connect } = await startLibrary(context);
      const client = await connect();
      await client.subscribe("t", { qos: 2 });
      broker.publish("t", "x", { qos });
      await client.expect("publish", { topic: "t", qos, messageId: qos === 0 ? 0 : 1 });
    });
  }

  test("with retain is there for later subscribers, until an empty payload removes it", async (context) => {
    const { broker, connect } = await startLibrary(context);
    assert.equal(broker.publish("r", "kept", { retain: true, qos: 1 }), 0);
    const first = await connect();
    await first.subscribe("r", { qos: 1 });
    await first.expect("publish", { topic: "r", payload: "kept", retain: true, qos: 1 });
    assert.equal(broker.publish("r", "", { retain: true }), 1);
    const second = await connect();
    await second.subscribe("r");
    await second.expectNothing();
  });

  test("with properties arrives with them, the expiry counted down from the present", async (context) => {
    const { broker, connect } = await startLibrary(context);
    const client = await connect();
    await client.subscribe("p");
    broker.publish("p", "x", {
      properties: { contentType: "text/plain", messageExpiryInterval: 100, userProperties: [["a", "b"]] },
    });
    const { properties } = await client.expect("publish", { topic: "p" });
    assert.equal(properties.contentType, "text/plain");
    assert.equal(properties.messageExpiryInterval, 100);
    assert.deepEqual(properties.userProperties, { a: "b" });
  });

  test("bytes that the program changes afterwards do not change a message that waits", async (context) => {
    const { broker, connect } = await startLibrary(context);
    const properties = { sessionExpiryInterval: 60 };
    const client = await connect({ clientId: "q", properties });
    await client.subscribe("t", { qos: 1 });
    await client.disconnect();
    const payload = Buffer.from("before");
    broker.publish("t", payload, { qos: 1, retain: true });
    payload.write("after!");
    const again = await connect({ clientId: "q", clean: false, properties });
    await again.expect("publish", { payload: "before" });
    await again.subscribe("t");
    await again.expect("publish", { payload: "before", retain: true });
  });

  for (const topicName of ["", "a/#", "+/a", "a\u0000b", "x".repeat(65_536)]) {
    test(`refuses the topic name ${JSON.stringify(topicName.slice(0, 10))} of ${topicName.length}`, async (context) => {
      const { broker } = await startLibrary(context);
      assert.throws(() => broker.publish(topicName, "x"), { name: "TypeError", message: /not a valid Topic Name/ });
    });
  }

  test("refuses a QoS that does not exist, a payload that is none, and what may not be retained", async (context) => {
    const { broker, connect } = await startLibrary(context, { limits: { retainedMessageBytes: 3 } });
    const client = await connect();
    await client.subscribe("#");
    assert.throws(() => broker.publish("a", "x", { qos: 3 as 2 }), { name: "RangeError", message: /no QoS 3/ });
    assert.throws(() => broker.publish("a", { x: 1 } as never), {
      name: "TypeError",
      message: /string or a Uint8Array/,
    });
    assert.throws(() => broker.publish("a", "long", { retain: true }), {
      name: "RangeError",
      message: /retained limits/,
    });
    await client.expectNothing();
  });

  test("passes the access rules and hooks that judge clients", async (context) => {
    const asked: string[] = [];
    const hook: Hook = {
      name: "h",
      onConnectAuthenticate: () => true,
      onACLCheck: (client, topic, write) => {
        asked.push(`${client.clientId} ${write ? "writes" : "reads"} ${topic}`);
        return !write;
      },
      onPublish: () => {
        asked.push("onPublish");
      },
    };
    const { broker, connect } = await startLibrary(context, { hooks: [hook], auth: denyAll() });
    const client = await connect({ clientId: "c" });
    await client.subscribe("t");
    assert.equal(broker.publish("t", "x"), 1);
    await client.expect("publish", { topic: "t" });
    assert.deepEqual(asked, ["c reads t", "c reads t"]);
  });

  test("may write below $SYS, which clients may not", async (context) => {
    const { broker, connect } = await startLibrary(context);
    const client = await connect();
    await client.subscribe("$SYS/mine");
    assert.equal(await client.publish("$SYS/mine", "x", { qos: 1 }), 0x87);
    broker.publish("$SYS/mine", "ours", { retain: true });
    await client.expect("publish", { topic: "$SYS/mine", payload: "ours" });
    const late = await connect();
    await late.subscribe("$SYS/mine");
    await late.expect("publish", { payload: "ours", retain: true });
  });

  test("before the start is retained, and there when clients come", async () => {
    const { createBroker } = await import("../../src/library.ts");
    const broker = createBroker();
    broker.publish("early", "bird", { retain: true });
    await broker.start();
    const seen: string[] = [];
    broker.inlineClient.subscribe("early", (packet) => seen.push(text(packet)));
    assert.deepEqual(seen, ["bird"]);
    await broker.stop();
  });
});

suite("inlineClient.subscribe", () => {
  test("gives the retained messages at once, then every message, until it is ended", async (context) => {
    const { broker, connect } = await startLibrary(context);
    broker.publish("t/old", "1", { retain: true });
    const seen: string[] = [];
    const end = broker.inlineClient.subscribe("t/+", (packet) => {
      seen.push(`${packet.topicName} ${text(packet)} ${packet.qos} ${packet.retain}`);
    });
    assert.deepEqual(seen, ["t/old 1 0 true"]);
    const client = await connect();
    assert.equal(await client.publish("t/new", "2", { qos: 2 }), 0);
    broker.publish("t/own", "3");
    assert.deepEqual(seen.slice(1), ["t/new 2 2 false", "t/own 3 0 false"]);
    end();
    end();
    assert.equal(broker.publish("t/own", "4"), 0);
    assert.equal(seen.length, 3);
  });

  test("several subscriptions get each message, also of the same filter", async (context) => {
    const { broker } = await startLibrary(context);
    const seen: string[] = [];
    const ends = ["a", "#", "a"].map((filter, index) =>
      broker.inlineClient.subscribe(filter, ({ topicName }) => {
        if (topicName === "a") seen.push(`${index} ${filter}`);
      }),
    );
    assert.equal(broker.publish("a", "x"), 3);
    assert.deepEqual(seen.sort(), ["0 a", "1 #", "2 a"]);
    ends[0]!();
    assert.equal(broker.publish("a", "x"), 2);
  });

  test("passes the access rules, and sees $SYS", async (context) => {
    const { broker } = await startLibrary(context, { auth: denyAll() });
    const versions: string[] = [];
    broker.inlineClient.subscribe("$SYS/broker/version", (packet) => versions.push(text(packet)));
    assert.deepEqual(versions, ["mqtt-broker 0.1.0"]);
  });

  test("refuses a filter that is none", async (context) => {
    const { broker } = await startLibrary(context);
    assert.throws(() => broker.inlineClient.subscribe("a/#/b", () => {}), {
      name: "TypeError",
      message: "Not a valid Topic Filter: a/#/b",
    });
  });

  test("a handler that throws is logged, and harms neither the publisher nor other handlers", async (context) => {
    const errors: string[] = [];
    const nothing = () => {};
    const log = {
      enabled: () => false,
      error: (message: string) => errors.push(message),
      warn: nothing,
      info: nothing,
      debug: nothing,
      trace: nothing,
    };
    const { broker, connect } = await startLibrary(context, { log });
    const seen: string[] = [];
    broker.inlineClient.subscribe("t", () => {
      throw new Error("mine");
    });
    broker.inlineClient.subscribe("t", ({ topicName }) => seen.push(topicName));
    const client = await connect();
    assert.equal(await client.publish("t", "x", { qos: 1 }), 0);
    assert.deepEqual(seen, ["t"]);
    assert.deepEqual(errors, ["An inline subscription threw"]);
  });

  test("a handler may publish, subscribe and end its own subscription", async (context) => {
    const { broker, connect } = await startLibrary(context);
    const client = await connect();
    await client.subscribe("answer");
    const end = broker.inlineClient.subscribe("question", (packet) => {
      end();
      broker.inlineClient.subscribe("question", () => broker.publish("answer", "again"));
      broker.publish("answer", text(packet).toUpperCase());
    });
    await client.publish("question", "one");
    await client.publish("question", "two");
    await client.expect("publish", { payload: "ONE" });
    await client.expect("publish", { payload: "again" });
    await client.expectNothing();
  });
});
