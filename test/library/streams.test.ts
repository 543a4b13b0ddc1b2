import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect as connectTcp, createServer, type Server } from "node:net";
import { type Duplex, duplexPair } from "node:stream";
import { suite, type TestContext, test } from "node:test";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { type IClientOptions, MqttClient } from "mqtt";
import { allowAll, attachStream, createBroker, type Listener, type RunningBroker } from "../../src/library.ts";
import { connect } from "../support/raw-client.ts";
import { startLibrary } from "./kit.ts";

/** MQTT.js over a stream that somebody else has connected. */
async function clientOver(context: TestContext, stream: Duplex, options: IClientOptions = {}): Promise<MqttClient> {
  const client = new MqttClient(() => stream as never, { protocolVersion: 5, reconnectPeriod: 0, ...options });
  context.after(() => client.endAsync(true));
  await new Promise((resolve, reject) => client.once("connect", resolve).once("error", reject));
  return client;
}

async function echo(client: MqttClient, payload: string): Promise<string> {
  await client.subscribeAsync("echo", { qos: 1 });
  const received = nextMessage(client);
  await client.publishAsync("echo", payload, { qos: 1 });
  return received;
}

function nextMessage(client: MqttClient): Promise<string> {
  return new Promise((resolve) => client.once("message", (_topic, payload) => resolve(String(payload))));
}

async function started(context: TestContext): Promise<RunningBroker> {
  const broker = createBroker();
  await broker.start();
  context.after(() => broker.stop());
  return broker;
}

async function listening(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

suite("attach", () => {
  test("serves MQTT.js over a pair of streams, without any port", async (context) => {
    const broker = await started(context);
    const [ours, theirs] = duplexPair();
    broker.attach(ours, "pair");
    const client = await clientOver(context, theirs, { clientId: "c" });
    assert.equal(await echo(client, "x".repeat(100_000)), "x".repeat(100_000));
    assert.equal(broker.sessions[0]?.clientId, "c");
    assert.equal(broker.sessions[0]?.address, "");
  });

  test("each stream is a client of its own", async (context) => {
    const broker = await started(context);
    const clients: MqttClient[] = [];
    for (const clientId of ["a", "b"]) {
      const [ours, theirs] = duplexPair();
      broker.attach(ours);
      clients.push(await clientOver(context, theirs, { clientId }));
    }
    assert.deepEqual(broker.sessions.map(({ clientId }) => clientId).sort(), ["a", "b"]);
    const received = nextMessage(clients[0]!);
    await clients[0]!.subscribeAsync("t");
    await clients[1]!.publishAsync("t", "from b");
    assert.equal(await received, "from b");
  });

  test("the name stands for the listener", async (context) => {
    const names: string[] = [];
    const auth = {
      authenticate: (client: { peer: { listener: string; transport: string; local: boolean } }) => {
        const { listener, transport, local } = client.peer;
        names.push(`${listener} ${transport} ${local}`);
        return true;
      },
    };
    const broker = createBroker({ auth });
    await broker.start();
    context.after(() => broker.stop());
    for (const name of ["tunnel", undefined]) {
      const [ours, theirs] = duplexPair();
      broker.attach(ours, name);
      await clientOver(context, theirs);
    }
    assert.deepEqual(names, ["tunnel stream true", "attached stream true"]);
  });

  test("stop tells the client, and ends the stream", async (context) => {
    const broker = await started(context);
    const [ours, theirs] = duplexPair();
    broker.attach(ours);
    const client = await clientOver(context, theirs);
    const told = new Promise<number | undefined>((resolve) => {
      client.once("disconnect", ({ reasonCode }) => resolve(reasonCode));
    });
    const ended = once(theirs, "end");
    await broker.stop();
    assert.equal(await told, 0x8b);
    await ended;
  });

  test("refuses a stream of objects or texts", async (context) => {
    const broker = await started(context);
    const [objects] = duplexPair({ objectMode: true });
    assert.throws(() => broker.attach(objects), { name: "TypeError", message: /strings or objects/ });
    const [texts] = duplexPair();
    texts.setEncoding("utf8");
    assert.throws(() => broker.attach(texts), { name: "TypeError" });
  });
});

suite("listen", () => {
  test("serves a net.Server that listens already", async (context) => {
    const broker = createBroker();
    const server = createServer();
    const port = await listening(server);
    await broker.listen(server);
    await broker.start();
    context.after(() => broker.stop());
    assert.deepEqual(broker.urls, [`tcp://127.0.0.1:${port}`]);
    const client = await clientOver(context, connectTcp(port, "127.0.0.1"));
    assert.equal(await echo(client, "hello"), "hello");
  });

  test("serves a net.Server that listens later, added after the start", async (context) => {
    const broker = await started(context);
    const server = createServer();
    await broker.listen(server, "mine");
    const client = await clientOver(context, connectTcp(await listening(server), "127.0.0.1"));
    assert.equal(await echo(client, "hello"), "hello");
  });

  test("serves a tls.Server", async (context) => {
    const broker = await started(context);
    // A key that both know needs no certificate.
    const psk = Buffer.from("0123456789abcdef");
    const ciphers = "PSK-AES128-GCM-SHA256";
    const server = createTlsServer({ ciphers, maxVersion: "TLSv1.2", pskCallback: () => psk });
    await broker.listen(server);
    const port = await listening(server);
    assert.deepEqual(broker.urls, [`tls://127.0.0.1:${port}`]);
    const socket = connectTls({
      port,
      host: "127.0.0.1",
      ciphers,
      maxVersion: "TLSv1.2",
      pskCallback: () => ({ psk, identity: "client" }),
      checkServerIdentity: () => undefined,
    });
    const client = await clientOver(context, socket);
    assert.equal(await echo(client, "secret"), "secret");
    assert.equal(broker.sessions[0]?.address, `127.0.0.1:${socket.localPort}`);
  });

  test("servers without a name get one each; a name that is taken is refused", async (context) => {
    const broker = createBroker();
    const servers = [createServer(), createServer(), createServer()];
    await broker.listen(servers[0]!);
    await broker.listen(servers[1]!);
    await assert.rejects(broker.listen(servers[2]!, "server-2"), {
      message: "Cannot add the listener server-2: there is one of that name",
    });
    await broker.start();
    context.after(() => broker.stop());
    for (const server of servers.slice(0, 2)) {
      const client = await clientOver(context, connectTcp(await listening(server), "127.0.0.1"));
      assert.equal(await echo(client, "x"), "x");
    }
  });

  test("stop closes the server", async () => {
    const broker = createBroker();
    const server = createServer();
    await listening(server);
    await broker.listen(server);
    await broker.start();
    await broker.stop();
    assert.equal(server.listening, false);
  });
});

suite("a listener of one's own", () => {
  class OwnListener implements Listener {
    readonly name = "own";
    url = "own:";
    private readonly broker: RunningBroker;
    private readonly server = createServer({ allowHalfOpen: true });

    constructor(broker: RunningBroker) {
      this.broker = broker;
    }

    async listen(accept: Parameters<Listener["listen"]>[0]): Promise<void> {
      this.server.on("connection", (socket) => attachStream(socket, accept, this.broker.turn, this.name));
      this.url = `own://127.0.0.1:${await listening(this.server)}`;
    }

    async close(): Promise<void> {
      this.server.close();
    }
  }

  test("added before the start", async (context) => {
    const broker = createBroker({ auth: allowAll() });
    const listener = new OwnListener(broker);
    await broker.addListener(listener);
    assert.deepEqual(broker.urls, ["own:"]);
    await broker.start();
    context.after(() => broker.stop());
    const client = await connect(Number(new URL(listener.url).port));
    await client.subscribe("t");
    broker.publish("t", "x");
    await client.expect("publish", { topic: "t", payload: "x" });
    await broker.stop();
    await client.expectDisconnect(0x8b);
  });

  test("added after the start", async (context) => {
    const { broker } = await startLibrary(context);
    const listener = new OwnListener(broker);
    await broker.addListener(listener);
    const client = await connect(Number(new URL(listener.url).port), { version: 4 });
    context.after(() => client.socket.destroy());
    await client.expectNothing();
  });
});
