import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { after, afterEach, before, describe, it } from "node:test";
import { connect as connectTls } from "node:tls";
import type { Link, Listener } from "../../src/core/ports.ts";
import type { ProxyOptions } from "../../src/transport/proxy-protocol.ts";
import { TlsListener } from "../../src/transport/tls.ts";
import { TlsFiles } from "../../src/transport/tls-files.ts";
import { Turn } from "../../src/transport/turn.ts";
import { WebSocketListener } from "../../src/transport/websocket.ts";
import { CertificateFolder } from "../support/certificates.ts";
import { Heard, readBytes, send, turns, until } from "./rig.ts";
import { connectTo, portOf } from "./tcp-rig.ts";
import { HandWatch, NotedLog, settingsOf } from "./tls-rig.ts";
import { frame, OPCODE, opening, request } from "./websocket-rig.ts";

const HOST = "127.0.0.1";
const CLIENT = "PROXY TCP4 192.168.1.7 10.0.0.1 50000 1883\r\n";
const HERE = "PROXY TCP4 127.0.0.9 10.0.0.1 50000 1883\r\n";
/** Version 2, 192.168.1.7:50000, with a TLV (PP2_TYPE_SSL) that says the client's certificate was verified, and is "root"'s. */
const WITH_CN = Buffer.concat([
  Buffer.from("0d0a0d0a000d0a515549540a2111001f", "hex"),
  Buffer.from("c0a801070a000001c350075b", "hex"),
  Buffer.from("20000f07000000002200047261", "hex"),
  Buffer.from("6f7400000000", "hex"),
]);

describe("behind proxies", () => {
  const folder = new CertificateFolder();
  const log = new NotedLog();
  const listeners: Listener[] = [];
  const servers: Server[] = [];
  const sockets: Socket[] = [];
  const links: Link[] = [];
  const heards: Heard[] = [];
  const refusals: string[] = [];
  before(() => {
    folder.authority("ours");
    folder.issue("server", "ours", "localhost");
  });
  after(() => folder.remove());
  afterEach(async () => {
    for (const link of links.splice(0)) link.destroy();
    for (const socket of sockets.splice(0)) socket.destroy();
    for (const server of servers.splice(0)) server.close();
    for (const listener of listeners.splice(0)) await listener.close();
    heards.length = 0;
    refusals.length = 0;
    log.lines.length = 0;
  });

  function make(type: "tls" | "ws" | "wss", more: Partial<ProxyOptions>, trustedProxies: string[]): Listener {
    const turn = new Turn();
    const onRefused = (_address: string, reason: string): void => void refusals.push(reason);
    const proxy = { trusted: ["127.0.0.0/8"], headerTimeoutMs: 60_000, waitingMax: 10, onRefused, ...more };
    const common = { name: "main", host: HOST, port: 0, turn, proxy };
    const files = new TlsFiles(settingsOf(folder), { log, watch: new HandWatch().watch });
    if (type === "tls") return new TlsListener({ ...common, log, files });
    const tls = type === "wss" && { tls: { files, log } };
    return new WebSocketListener({ ...common, maxPayload: 1_000_000, trustedProxies, ...tls });
  }

  async function open(
    type: "tls" | "ws" | "wss",
    more: Partial<ProxyOptions> = {},
    trustedProxies: string[] = [],
  ): Promise<Listener> {
    const listener = make(type, more, trustedProxies);
    listeners.push(listener);
    await listener.listen((link) => {
      links.push(link);
      heards.push(new Heard());
      return heards.at(-1)!;
    });
    return listener;
  }

  /** A proxy that sends the parts one after the other, and with the last of them the first that its client says. */
  async function proxyTo(listener: Listener, parts: readonly (string | Buffer)[]): Promise<number> {
    const server = createServer((client) => {
      const upstream = connect(portOf(listener), HOST);
      sockets.push(client, upstream);
      for (const socket of [client, upstream]) socket.on("error", () => {});
      upstream.pipe(client);
      client.once("data", async (first: Buffer) => {
        client.pause();
        for (const part of parts.slice(0, -1)) {
          upstream.write(part);
          await turns(3);
        }
        upstream.write(Buffer.concat([Buffer.from(parts.at(-1)!), first]));
        client.pipe(upstream);
      });
    });
    servers.push(server);
    server.listen(0, HOST);
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  }

  /** A client whose handshake is done, of the types with TLS. */
  async function dial(type: "tls" | "ws" | "wss", port: number): Promise<Socket> {
    const plain = await connectTo({ host: HOST, port });
    sockets.push(plain);
    if (type === "ws") return plain;
    const client = connectTls({ socket: plain, ca: folder.text("ours.crt"), servername: "localhost" });
    sockets.push(client);
    client.on("error", () => {});
    await once(client, "secureConnect");
    return client;
  }

  /** Makes a WebSocket of it where the listener speaks that. Returns how bytes are sent to it. */
  async function greet(type: "tls" | "ws" | "wss", client: Socket, headers: Record<string, string> = {}) {
    if (type === "tls") return (bytes: Buffer) => void client.write(bytes);
    assert.equal((await request(client, "GET /mqtt HTTP/1.1", opening(headers))).status, 101);
    return (bytes: Buffer) => void client.write(frame(OPCODE.binary, bytes));
  }

  for (const type of ["tls", "ws", "wss"] as const) {
    for (const [how, parts] of [
      ["in one piece with what follows", [CLIENT]],
      ["in three pieces", [CLIENT.slice(0, 3), CLIENT.slice(3, 20), CLIENT.slice(20)]],
      ["by itself", [CLIENT, ""]],
    ] as const) {
      it(`${type} begins behind a header that comes ${how}`, async () => {
        const client = await dial(type, await proxyTo(await open(type), parts));
        const say = await greet(type, client);
        await until("it was accepted", () => links.length === 1);
        const { address, local } = links[0]!.peer;
        assert.deepEqual([address, local], ["192.168.1.7:50000", false]);
        const sent = Buffer.alloc(300_000, "x");
        say(sent);
        await until("all came", () => heards[0]!.size === sent.length);
        assert.ok(heards[0]!.bytes.equals(sent));
        send(links[0]!, Buffer.from("answer"));
        const answer = type === "tls" ? "answer" : "\x82\x06answer";
        assert.equal((await readBytes(client, answer.length)).toString("latin1"), answer);
      });
    }

    it(`${type}: a client on this machine, behind a proxy here, is local`, async () => {
      const client = await dial(type, await proxyTo(await open(type), [HERE]));
      await greet(type, client);
      await until("it was accepted", () => links.length === 1);
      assert.deepEqual([links[0]!.peer.address, links[0]!.peer.local], ["127.0.0.9:50000", true]);
    });

    it(`${type}: somebody whom the proxy does not name has its address, and is not local`, async () => {
      const client = await dial(type, await proxyTo(await open(type), ["PROXY UNKNOWN\r\n"]));
      await greet(type, client);
      await until("it was accepted", () => links.length === 1);
      assert.match(links[0]!.peer.address, /^127\.0\.0\.1:\d+$/);
      assert.equal(links[0]!.peer.local, false);
    });

    it(`${type}: no TLV makes a certificate, since nobody here has verified it`, async () => {
      const client = await dial(type, await proxyTo(await open(type), [WITH_CN]));
      await greet(type, client);
      await until("it was accepted", () => links.length === 1);
      const { address, certificate } = links[0]!.peer;
      assert.deepEqual([address, certificate], ["192.168.1.7:50000", undefined]);
    });

    it(`${type}: who is no trusted proxy is closed before it is heard`, async () => {
      const listener = await open(type, { trusted: ["10.0.0.0/8"] });
      const client = await connectTo({ host: HOST, port: portOf(listener) });
      sockets.push(client);
      client.write(CLIENT);
      await new Promise<void>((resolve) =>
        client
          .resume()
          .once("close", () => resolve())
          .once("end", resolve),
      );
      assert.deepEqual([refusals, links.length], [["it is none of the trusted proxies"], 0]);
    });

    it(`${type}: what begins without a header is closed`, async () => {
      const listener = await open(type);
      const client = await connectTo({ host: HOST, port: portOf(listener) });
      sockets.push(client);
      client.write("GET /mqtt HTTP/1.1\r\n\r\n");
      await new Promise<void>((resolve) =>
        client
          .resume()
          .once("close", () => resolve())
          .once("end", resolve),
      );
      assert.deepEqual(refusals, ["it begins without a PROXY header"]);
    });

    it(`${type}: close() ends those whose header has not come, and leaves links alive`, async () => {
      const listener = await open(type);
      await greet(type, await dial(type, await proxyTo(listener, [CLIENT])));
      await until("it was accepted", () => links.length === 1);
      const waiting = await connectTo({ host: HOST, port: portOf(listener) });
      sockets.push(waiting);
      await turns(5);
      await listener.close();
      await new Promise<void>((resolve) =>
        waiting
          .resume()
          .once("close", () => resolve())
          .once("end", resolve),
      );
      assert.deepEqual(heards[0]!.closes, []);
    });
  }

  for (const type of ["ws", "wss"] as const) {
    for (const [title, trusted, expected] of [
      [
        "whom the header names is not believed with X-Forwarded-For when only the proxy is trusted",
        HOST,
        "192.168.1.7:50000",
      ],
      ["whom the header names is believed when it is trusted itself", "192.168.1.0/24", "203.0.113.9"],
    ] as const) {
      it(`${type}: ${title}`, async () => {
        const client = await dial(type, await proxyTo(await open(type, {}, [trusted]), [CLIENT]));
        await greet(type, client, { "X-Forwarded-For": "203.0.113.9" });
        await until("it was accepted", () => links.length === 1);
        assert.deepEqual([links[0]!.peer.address, links[0]!.peer.local], [expected, false]);
      });
    }
  }

  it("names the proxy's client in the log when the TLS handshake fails", async () => {
    const port = await proxyTo(await open("tls"), [CLIENT]);
    const plain = await connectTo({ host: HOST, port });
    sockets.push(plain);
    plain.write("GET / HTTP/1.1\r\n\r\n");
    await until("it was told", () => log.lines.length > 0);
    const [line] = log.lines;
    assert.equal(line!.message, "TLS handshake failed");
    assert.equal((line!.fields as { address: string }).address, "192.168.1.7:50000");
  });
});
