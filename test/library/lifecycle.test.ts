import assert from "node:assert/strict";
import { createServer, type Server } from "node:net";
import { suite, test } from "node:test";
import { allowAll, createBroker, type Hook, type Listener } from "../../src/library.ts";
import { connect } from "../support/raw-client.ts";
import { portOf, startLibrary, tcpListener } from "./kit.ts";

/** A way in that does nothing but tell what is asked of it. */
class FakeListener implements Listener {
  readonly name: string;
  readonly url: string;
  readonly calls: string[];
  private readonly failure: Error | undefined;

  constructor(name: string, calls: string[], failure?: Error) {
    this.name = name;
    this.url = `fake:${name}`;
    this.calls = calls;
    this.failure = failure;
  }

  async listen(): Promise<void> {
    this.calls.push(`listen ${this.name}`);
    if (this.failure !== undefined) throw this.failure;
  }

  async close(): Promise<void> {
    this.calls.push(`close ${this.name}`);
  }
}

suite("start", () => {
  test("opens the listeners in their order, then tells the hooks", async () => {
    const calls: string[] = [];
    const hook: Hook = { name: "h", onStarted: () => calls.push("started"), onStopped: () => calls.push("stopped") };
    const broker = createBroker({ hooks: [hook] });
    await broker.addListener(new FakeListener("a", calls));
    await broker.addListener(new FakeListener("b", calls));
    assert.deepEqual(calls, []);
    await broker.start();
    assert.deepEqual(calls, ["listen a", "listen b", "started"]);
    await broker.stop();
    assert.deepEqual(calls.slice(3), ["close a", "close b", "stopped"]);
  });

  test("rejects when it was called before", async () => {
    const broker = createBroker();
    await broker.start();
    await assert.rejects(broker.start(), { message: "Cannot start: already started" });
    await broker.stop();
    await assert.rejects(broker.start(), { message: "Cannot start: already stopped" });
  });

  test("rejects when a listener cannot listen, and closes those that could", async () => {
    const calls: string[] = [];
    const broker = createBroker();
    await broker.addListener(new FakeListener("a", calls));
    await broker.addListener(new FakeListener("b", calls, new Error("taken")));
    await broker.addListener(new FakeListener("c", calls));
    await assert.rejects(broker.start(), { message: "taken" });
    assert.deepEqual(calls, ["listen a", "listen b", "close a", "close b", "close c"]);
  });

  test("names the address and the reason when a port is taken", async (context) => {
    const { port } = await startLibrary(context);
    const second = createBroker();
    await second.addListener(tcpListener(second, "test", port));
    await assert.rejects(second.start(), {
      message: `Cannot listen on tcp://127.0.0.1:${port}: the port is in use by another program`,
    });
  });

  test("a broker without listeners works, and its program can end", async () => {
    const broker = createBroker();
    await broker.start();
    assert.deepEqual(broker.urls, []);
    assert.equal(broker.publish("a", "b"), 0);
    await broker.stop();
  });
});

suite("stop", () => {
  test("5.0 tells every client by DISCONNECT 0x8B that the server shuts down", async (context) => {
    const { broker, connect } = await startLibrary(context);
    const clients = [await connect(), await connect()];
    await broker.stop();
    for (const client of clients) await client.expectDisconnect(0x8b);
  });

  test("3.1.1 clients see the connection close", async (context) => {
    const { broker, connect } = await startLibrary(context);
    const client = await connect({ version: 4 });
    await broker.stop();
    await client.expectClose();
  });

  test("writes what was gathered before the DISCONNECT", async (context) => {
    const { broker, connect } = await startLibrary(context);
    const client = await connect();
    await client.subscribe("last");
    broker.publish("last", "words");
    await broker.stop();
    await client.expect("publish", { topic: "last", payload: "words" });
    await client.expectDisconnect(0x8b);
  });

  test("is idempotent: all calls wait for the same end", async () => {
    const calls: string[] = [];
    const broker = createBroker({ hooks: [{ name: "h", onStopped: () => calls.push("stopped") }] });
    await broker.addListener(new FakeListener("a", calls));
    await broker.start();
    await Promise.all([broker.stop(), broker.stop()]);
    await broker.stop();
    assert.deepEqual(calls, ["listen a", "close a", "stopped"]);
  });

  test("is allowed before the start", async () => {
    const broker = createBroker();
    await broker.stop();
    await assert.rejects(broker.start(), { message: "Cannot start: already stopped" });
  });

  test("frees the port", async (context) => {
    const { broker, port } = await startLibrary(context);
    await broker.stop();
    const server: Server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    });
    server.close();
  });

  test("a new broker takes the port of the old one", async (context) => {
    const { broker, port } = await startLibrary(context);
    await broker.stop();
    const next = createBroker({ auth: allowAll() });
    await next.addListener(tcpListener(next, "test", port));
    await next.start();
    context.after(() => next.stop());
    const client = await connect(port);
    await client.disconnect();
  });

  test("while the broker starts, no listener stays open", async () => {
    const calls: string[] = [];
    const broker = createBroker();
    await broker.addListener(new FakeListener("a", calls));
    const started = broker.start();
    await broker.stop();
    await assert.rejects(started, { message: "Cannot listen on fake:a: the broker was stopped" });
    assert.deepEqual(calls, ["listen a", "close a", "close a"]);
  });

  test("an attached stream is refused afterwards", async () => {
    const { duplexPair } = await import("node:stream");
    const broker = createBroker();
    await broker.start();
    await broker.stop();
    const [ours, theirs] = duplexPair();
    const closed = new Promise((resolve) => theirs.once("close", resolve));
    broker.attach(theirs);
    await closed;
    ours.destroy();
  });
});

suite("removeListener", () => {
  test("closes a way in and leaves its clients and the other ways alone; its name and port are free again", async (context) => {
    const { broker, connect: connectFirst, port } = await startLibrary(context);
    await broker.addListener(tcpListener(broker, "other"));
    const client = await connectFirst();
    assert.equal(await broker.removeListener("test"), true);
    assert.deepEqual(
      broker.urls.map((url) => new URL(url).port),
      [String(portOf(broker))],
    );
    await assert.rejects(connect(port), { code: "ECONNREFUSED" });
    await client.settle();
    await broker.addListener(tcpListener(broker, "test", port));
    (await connect(port)).socket.destroy();
    assert.equal(await broker.removeListener("nobody"), false);
  });

  test("before the start it is merely forgotten", async () => {
    const calls: string[] = [];
    const broker = createBroker();
    await broker.addListener(new FakeListener("a", calls));
    assert.equal(await broker.removeListener("a"), true);
    await broker.start();
    await broker.stop();
    assert.deepEqual(calls, ["close a"]);
  });
});

suite("addListener", () => {
  test("after the start opens at once", async (context) => {
    const { broker } = await startLibrary(context);
    await broker.addListener(tcpListener(broker, "second"));
    const client = await connect(portOf(broker, 1));
    context.after(() => client.socket.destroy());
    assert.equal(broker.sessions[0]?.clientId, client.clientId);
  });

  test("refuses a name that is taken", async () => {
    const broker = createBroker();
    await broker.addListener(new FakeListener("a", []));
    await assert.rejects(broker.addListener(new FakeListener("a", [])), {
      message: "Cannot add the listener a: there is one of that name",
    });
    assert.deepEqual(broker.urls, ["fake:a"]);
  });

  test("a listener that cannot listen after the start is not added, and its name is free", async (context) => {
    const { broker, port } = await startLibrary(context);
    await assert.rejects(broker.addListener(tcpListener(broker, "second", port)), /the port is in use/);
    assert.equal(broker.urls.length, 1);
    await broker.addListener(tcpListener(broker, "second"));
    assert.equal(broker.urls.length, 2);
  });

  test("while the broker starts opens each listener once", async (context) => {
    const calls: string[] = [];
    const broker = createBroker();
    context.after(() => broker.stop());
    await broker.addListener(new FakeListener("a", calls));
    const started = broker.start();
    await broker.addListener(new FakeListener("b", calls));
    await started;
    assert.deepEqual(calls, ["listen a", "listen b"]);
  });

  test("is refused when the broker has stopped", async () => {
    const broker = createBroker();
    await broker.stop();
    await assert.rejects(broker.addListener(new FakeListener("a", [])), {
      message: "Cannot add the listener a: the broker has stopped",
    });
  });
});

suite("two brokers in one process", () => {
  test("share nothing", async (context) => {
    const one = await startLibrary(context);
    const two = await startLibrary(context);
    const [a, b] = [await one.connect({ clientId: "same" }), await two.connect({ clientId: "same" })];
    await a.subscribe("t");
    await b.subscribe("t");
    assert.equal(one.broker.publish("t", "one", { retain: true }), 1);
    await a.expect("publish", { payload: "one" });
    await b.expectNothing();
    await one.broker.stop();
    await a.expectDisconnect(0x8b);
    assert.equal(two.broker.publish("t", "two"), 1);
    await b.expect("publish", { payload: "two" });
    const late = await two.connect();
    await late.subscribe("t");
    await late.expectNothing();
  });
});
