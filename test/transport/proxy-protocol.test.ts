import assert from "node:assert/strict";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterEach, describe, it } from "node:test";
import type { Link } from "../../src/core/ports.ts";
import { ProxyGate, type ProxyOptions } from "../../src/transport/proxy-protocol.ts";
import { TcpListener, type TcpListenerOptions } from "../../src/transport/tcp.ts";
import { Turn } from "../../src/transport/turn.ts";
import { Heard, readBytes, readToEnd, send, turns, until } from "./rig.ts";
import { connectTo, portOf } from "./tcp-rig.ts";

const HOST = "127.0.0.1";
const CLIENT = "PROXY TCP4 192.168.1.7 10.0.0.1 50000 1883\r\n";
const LOCAL = Buffer.from("0d0a0d0a000d0a515549540a20000000", "hex");

/** Waits until the other end has closed, with FIN or a reset. */
async function closed(client: Socket): Promise<void> {
  client.resume();
  await new Promise<void>((resolve) => client.once("end", resolve).once("close", () => resolve()));
}

describe("a listener behind proxies", () => {
  const clients: Socket[] = [];
  /** Noted early: a socket that is closed forgets its own. */
  const addresses = new WeakMap<Socket, string>();
  const listeners: TcpListener[] = [];
  const links: Link[] = [];
  const heards: Heard[] = [];
  const refusals: [address: string, reason: string, more: number][] = [];

  afterEach(async () => {
    for (const link of links.splice(0)) link.destroy();
    for (const client of clients.splice(0)) client.destroy();
    for (const listener of listeners.splice(0)) await listener.close();
    heards.length = 0;
    refusals.length = 0;
  });

  async function listen(proxy: Partial<ProxyOptions> = {}, options: Partial<TcpListenerOptions> = {}) {
    const onRefused: ProxyOptions["onRefused"] = (...refusal) => refusals.push(refusal);
    const whole = { trusted: ["127.0.0.0/8"], headerTimeoutMs: 60_000, waitingMax: 10, onRefused, ...proxy };
    const base = { name: "main", host: HOST, port: 0, turn: new Turn() };
    const listener = new TcpListener({ ...base, ...options, proxy: whole });
    listeners.push(listener);
    await listener.listen((link) => {
      links.push(link);
      heards.push(new Heard());
      return heards.at(-1)!;
    });
    return listener;
  }

  async function dial(listener: TcpListener, host = HOST): Promise<Socket> {
    const client = await connectTo({ host, port: portOf(listener) });
    clients.push(client);
    addresses.set(client, `${HOST}:${client.localPort}`);
    return client;
  }

  /** The connection closes without a link, for this reason. */
  async function refused(client: Socket, reason: string): Promise<void> {
    await closed(client);
    await until("it was told", () => refusals.length > 0);
    assert.deepEqual(refusals, [[addresses.get(client), reason, 0]]);
    assert.equal(links.length, 0);
  }

  for (const sharedRead of [true, false]) {
    it(`hands on what follows the header, wherever it is cut, reading by ${sharedRead ? "one buffer" : "events"}`, async () => {
      const listener = await listen({}, { sharedRead });
      const sent = Buffer.from(`${CLIENT}PROXY and more`);
      for (let cut = 1; cut < sent.length; cut++) {
        const client = await dial(listener);
        client.write(sent.subarray(0, cut));
        await turns(3);
        assert.equal(links.length, cut < CLIENT.length ? 0 : 1, `cut at ${cut}`);
        client.write(sent.subarray(cut));
        await until("all came", () => heards[0]?.size === 14);
        assert.equal(String(heards[0]!.bytes), "PROXY and more");
        assert.deepEqual(links[0]!.peer, {
          address: "192.168.1.7:50000",
          local: false,
          listener: "main",
          transport: "tcp",
        });
        send(links[0]!, Buffer.from("answer"));
        assert.equal(String(await readBytes(client, 6)), "answer");
        links.pop()!.destroy();
        heards.pop();
        client.destroy();
      }
    });
  }

  it("reads a header that comes byte by byte, and one with everything and FIN behind it", async () => {
    const listener = await listen();
    const slow = await dial(listener);
    for (const byte of CLIENT) {
      slow.write(byte);
      await turns(2);
    }
    await until("it was accepted", () => links.length === 1);
    const swift = await dial(listener);
    swift.end(`${CLIENT}${"x".repeat(5000)}`);
    assert.equal(String(await readToEnd(swift)), "");
    assert.equal(heards[1]!.size, 5000);
    assert.deepEqual(heards[1]!.closes, [undefined]);
  });

  for (const [title, header, address, local] of [
    [
      "a client on this machine, behind a proxy here, is local",
      "PROXY TCP4 127.0.0.1 127.0.0.1 5 6\r\n",
      "127.0.0.1:5",
      true,
    ],
    ["so is one by IPv6", "PROXY TCP6 ::1 ::1 5 6\r\n", "[::1]:5", true],
    ["a client elsewhere is not", "PROXY TCP6 ::ffff:10.0.0.9 ::1 5 6\r\n", "10.0.0.9:5", false],
    ["the proxy itself is who it is", LOCAL, undefined, true],
    ["somebody unknown has the proxy's address, and is not local", "PROXY UNKNOWN\r\n", undefined, false],
  ] as const) {
    it(title, async () => {
      const client = await dial(await listen());
      client.write(header);
      await until("it was accepted", () => links.length === 1);
      const { peer } = links[0]!;
      assert.deepEqual([peer.address, peer.local], [address ?? `${HOST}:${client.localPort}`, local]);
    });
  }

  it("does not believe a proxy whom nobody trusts, and does not wait for what it says", async () => {
    const client = await dial(await listen({ trusted: ["10.0.0.0/8", "127.0.0.2", "::1"] }));
    await refused(client, "it is none of the trusted proxies");
  });

  it("trusts IPv4 proxies on the dual stack, and IPv6 ones", async () => {
    const listener = await listen({ trusted: ["127.0.0.1", "::/64"] }, { host: "::" });
    (await dial(listener)).write(CLIENT);
    (await dial(listener, "::1")).write(CLIENT);
    await until("both were accepted", () => links.length === 2);
  });

  for (const [title, sent, reason] of [
    ["MQTT without a header", "\x10\x0c\0\x04MQTT", "it begins without a PROXY header"],
    ["a malformed header", "PROXY TCP4 a b c d\r\n", "its PROXY line is malformed"],
    ["a line without end", `PROXY UNKNOWN${"x".repeat(100_000)}`, "its PROXY line does not end within 107 bytes"],
  ] as const) {
    it(`closes on ${title}`, async () => {
      const client = await dial(await listen());
      client.write(sent);
      await refused(client, reason);
    });
  }

  it("closes on an end within the header, and says nothing of peers that only look", async () => {
    const listener = await listen();
    const looking = await dial(listener);
    looking.end();
    await closed(looking);
    (await dial(listener)).resetAndDestroy();
    await turns(5);
    assert.deepEqual(refusals, []);
    const client = await dial(listener);
    client.end("PROXY");
    await refused(client, "it ended within its PROXY header");
  });

  it("closes when the header is late, however it trickles in", async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const listener = await listen({ headerTimeoutMs: 1000 });
    const swift = await dial(listener);
    swift.write(CLIENT);
    await until("it was accepted", () => links.length === 1);
    links.pop();
    const client = await dial(listener);
    client.write("PROX");
    await turns(10);
    t.mock.timers.tick(999);
    client.write("Y");
    await turns(10);
    assert.deepEqual(refusals, []);
    t.mock.timers.tick(1);
    await refused(client, "its PROXY header did not come in time");
    assert.deepEqual(heards[0]!.closes, []);
    swift.destroy();
  });

  it("bounds how many wait, and counts nobody who is done", async () => {
    const listener = await listen({ waitingMax: 2 });
    for (let round = 0; round < 5; round++) (await dial(listener)).write(CLIENT);
    await until("all were accepted", () => links.length === 5);
    for (let round = 0; round < 5; round++) {
      const gone = await dial(listener);
      gone.destroy();
      await turns(5);
    }
    const first = await dial(listener);
    await dial(listener);
    const third = await dial(listener);
    await closed(third);
    assert.deepEqual(refusals, [[addresses.get(third), "too many wait for their PROXY header", 0]]);
    first.write(CLIENT);
    await until("it was accepted", () => links.length === 6);
  });

  it("reports once a minute, with the number of the others", async (t) => {
    let nowMs = 5_000_000;
    t.mock.method(performance, "now", () => nowMs);
    const listener = await listen();
    for (let round = 0; round < 5; round++) {
      const client = await dial(listener);
      client.write("nonsense");
      await closed(client);
      nowMs += round === 3 ? 60_000 : 10;
    }
    assert.deepEqual(
      refusals.map(([, reason, more]) => [reason, more]),
      [
        ["it begins without a PROXY header", 0],
        ["it begins without a PROXY header", 3],
      ],
    );
  });

  it("close() ends those that still wait, and leaves links alive", async () => {
    const listener = await listen();
    const accepted = await dial(listener);
    accepted.write(CLIENT);
    await until("it was accepted", () => links.length === 1);
    const waiting = await dial(listener);
    await turns(5);
    await listener.close();
    await closed(waiting);
    assert.deepEqual([heards[0]!.closes, refusals], [[], []]);
  });

  it("a proxy elsewhere makes nobody local", async () => {
    const turn = new Turn();
    const gate = new ProxyGate({ trusted: [HOST], headerTimeoutMs: 60_000, waitingMax: 1 }, turn);
    const peer = { address: "192.168.1.2:9", local: false, listener: "main", transport: "tcp" };
    const server = createServer((socket) => {
      const reader = gate.take(socket, peer, (link) => {
        links.push(link);
        return new Heard();
      });
      socket.on("data", (chunk) => reader?.receive(chunk, 0, chunk.length));
    });
    await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
    const client = await connectTo({ host: HOST, port: (server.address() as AddressInfo).port });
    clients.push(client);
    server.close();
    client.write("PROXY TCP4 127.0.0.1 127.0.0.1 5 6\r\n");
    await until("it was accepted", () => links.length === 1);
    assert.deepEqual(links[0]!.peer, { ...peer, address: "127.0.0.1:5" });
  });

  it("refuses to be made with what is no network", () => {
    for (const text of ["", "localhost", "10.0.0.0/33", "10.0.0.0/", "fe80::/129", "10.0.0.0/8/8", "10.0.0.0/x"]) {
      const proxy = { trusted: [text], headerTimeoutMs: 1, waitingMax: 1 };
      assert.throws(() => new TcpListener({ name: "main", host: HOST, port: 0, turn: new Turn(), proxy }), {
        name: "RangeError",
        message: `${JSON.stringify(text)} is no address and no network such as 10.0.0.0/8`,
      });
    }
  });
});
