import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { afterEach, describe, it } from "node:test";
import type { Link } from "../../src/core/ports.ts";
import { fallbackHost, TcpListener, type TcpListenerOptions } from "../../src/transport/tcp.ts";
import { Turn } from "../../src/transport/turn.ts";
import { Heard, readBytes, send, turns, until } from "./rig.ts";
import { connectTo, portOf, tcpRig } from "./tcp-rig.ts";

describe("TcpListener", () => {
  const listeners: TcpListener[] = [];
  const links: Link[] = [];
  const heards: Heard[] = [];
  const clients: Socket[] = [];

  afterEach(async () => {
    for (const link of links.splice(0)) link.destroy();
    for (const client of clients.splice(0)) client.destroy();
    for (const listener of listeners.splice(0)) await listener.close();
    heards.length = 0;
  });

  function make(options: Partial<TcpListenerOptions> = {}): TcpListener {
    const listener = new TcpListener({ name: "main", host: "127.0.0.1", port: 0, turn: new Turn(), ...options });
    listeners.push(listener);
    return listener;
  }

  async function listen(options: Partial<TcpListenerOptions> = {}): Promise<TcpListener> {
    const listener = make(options);
    await listener.listen((link) => {
      links.push(link);
      const heard = new Heard();
      heards.push(heard);
      return heard;
    });
    return listener;
  }

  async function dial(host: string, listener: TcpListener): Promise<Socket> {
    const before = links.length;
    const client = await connectTo({ host, port: portOf(listener) });
    clients.push(client);
    await until("it was accepted", () => links.length > before);
    return client;
  }

  it("names its address before and its real port after listening", async () => {
    const listener = make({ host: "::", port: 0 });
    assert.equal(listener.url, "tcp://[::]:0");
    await listener.listen(() => new Heard());
    assert.match(listener.url, /^tcp:\/\/\[::\]:[1-9]\d*$/);
  });

  it("shows IPv4 clients of the dual stack as IPv4", async () => {
    const listener = await listen({ host: "::" });
    const client = await dial("127.0.0.1", listener);
    assert.deepEqual(links[0]!.peer, {
      address: `127.0.0.1:${client.localPort}`,
      local: true,
      listener: "main",
      transport: "tcp",
    });
  });

  it("shows IPv6 clients in brackets", async () => {
    const listener = await listen({ host: "::" });
    const client = await dial("::1", listener);
    assert.equal(links[0]!.peer.address, `[::1]:${client.localPort}`);
    assert.equal(links[0]!.peer.local, true);
  });

  it("refuses an address that this host doesn't have", async () => {
    await assert.rejects(
      make({ host: "192.0.2.1", port: 1883 }).listen(() => new Heard()),
      {
        message: "Cannot listen on tcp://192.0.2.1:1883: this host has no such address",
      },
    );
  });

  it("can listen after it failed to", async () => {
    const first = await listen();
    const second = make({ port: portOf(first) });
    await assert.rejects(second.listen(() => new Heard()));
    await first.close();
    await second.listen(() => new Heard());
    assert.equal(portOf(second), portOf(first));
  });

  it("falls back to IPv4 only for the dual stack, and only when there is no IPv6", () => {
    const code = (name: string): NodeJS.ErrnoException => Object.assign(new Error(name), { code: name });
    assert.equal(fallbackHost("::", code("EAFNOSUPPORT")), "0.0.0.0");
    assert.equal(fallbackHost("::", code("EADDRNOTAVAIL")), "0.0.0.0");
    assert.equal(fallbackHost("::", code("EADDRINUSE")), undefined);
    assert.equal(fallbackHost("::1", code("EAFNOSUPPORT")), undefined);
  });

  it("close() frees the port, leaves links alive, and may be called again", async () => {
    const listener = await listen();
    const port = portOf(listener);
    const client = await dial("127.0.0.1", listener);
    await listener.close();
    await listener.close();
    await assert.rejects(connectTo({ host: "127.0.0.1", port }));
    client.write("ping");
    await until("it came", () => heards[0]!.bytes.length === 4);
    send(links[0]!, Buffer.from("pong"));
    assert.equal(String(await readBytes(client, 4)), "pong");
    assert.deepEqual(heards[0]!.closes, []);
    await listen({ port });
  });

  it("close() while the address is looked up leaves nothing listening", async () => {
    const listener = make({ host: "localhost" });
    const listening = listener.listen(() => new Heard());
    await listener.close();
    await listening;
    const port = portOf(listener);
    await assert.rejects(connectTo({ host: "localhost", port }));
  });

  it("shares a port between two listeners that ask for it", async () => {
    const first = await listen({ reusePort: true });
    const second = await listen({ reusePort: true, port: portOf(first) });
    assert.equal(second.url, first.url);
  });

  for (const sharedRead of [true, false]) {
    const how = sharedRead ? "the shared buffer" : "'data' events";

    it(`reports a reset by the peer once, reading by ${how}`, async () => {
      const { connect, close } = await tcpRig({ sharedRead });
      const { link, heard, client } = await connect();
      (client as Socket).resetAndDestroy();
      await until("it was heard", () => heard.closes.length > 0);
      send(link, Buffer.from("too late"));
      await turns(10);
      assert.equal(heard.closes.length, 1);
      assert.equal((heard.closes[0] as NodeJS.ErrnoException).code, "ECONNRESET");
      assert.deepEqual(heard.late, []);
      await close();
    });
  }

  it("sets TCP's own keep-alive and leaves out Nagle's delay as told", async () => {
    const listener = await listen({ keepAliveSeconds: 30, noDelay: false });
    await dial("127.0.0.1", listener);
    const seen: unknown[] = [];
    // What Node.js keeps of the settings is private; that the calls are made is all that can be seen from here.
    const { Socket: SocketClass } = await import("node:net");
    const { setKeepAlive, setNoDelay } = SocketClass.prototype;
    SocketClass.prototype.setKeepAlive = function (...settings) {
      seen.push(["keepAlive", ...settings]);
      return setKeepAlive.apply(this, settings);
    };
    SocketClass.prototype.setNoDelay = function (...settings) {
      seen.push(["noDelay", ...settings]);
      return setNoDelay.apply(this, settings);
    };
    try {
      await dial("127.0.0.1", listener);
      await dial("127.0.0.1", await listen());
    } finally {
      Object.assign(SocketClass.prototype, { setKeepAlive, setNoDelay });
    }
    assert.deepEqual(seen, [
      ["keepAlive", true, 30_000],
      ["noDelay", true],
    ]);
  });

  it("passes accept errors on, and keeps accepting", async () => {
    const errors: string[] = [];
    const listener = await listen({ onError: (error) => errors.push(error.message) });
    const server = (listener as unknown as { server: { emit(name: string, error: Error): void } }).server;
    server.emit("error", new Error("accept EMFILE"));
    assert.deepEqual(errors, ["accept EMFILE"]);
    const client = await dial("127.0.0.1", listener);
    client.end();
    await once(client.resume(), "end");
  });
});
