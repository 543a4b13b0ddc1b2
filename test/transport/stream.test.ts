import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Duplex, duplexPair, PassThrough } from "node:stream";
import { describe, it } from "node:test";
import type { Link } from "../../src/core/ports.ts";
import { attachStream, ServerListener } from "../../src/transport/stream.ts";
import { Turn } from "../../src/transport/turn.ts";
import { Heard, readBytes, send, turns, until } from "./rig.ts";

describe("attachStream()", () => {
  it("takes an in-process stream as local, without an address", () => {
    const [stream] = duplexPair();
    const link = attachStream(stream, () => new Heard(), new Turn(), "inner");
    assert.deepEqual(link.peer, { address: "", local: true, listener: "inner", transport: "stream" });
  });

  it("takes a socket that has no other end yet for nobody on this machine", () => {
    const socket = new Socket();
    const link = attachStream(socket, () => new Heard(), new Turn(), "inner");
    assert.deepEqual(link.peer, { address: "", local: false, listener: "inner", transport: "tcp" });
    socket.destroy();
  });

  it("hands on what was waiting in the stream", async () => {
    const [stream, client] = duplexPair();
    client.write("early");
    await turns(3);
    const heard = new Heard();
    attachStream(stream, () => heard, new Turn(), "inner");
    await until("it came", () => heard.bytes.length === 5);
    assert.equal(String(heard.bytes), "early");
  });

  it("refuses streams of objects or strings", () => {
    const attach = (stream: Duplex) => () => attachStream(stream, () => new Heard(), new Turn(), "inner");
    const message = "Cannot attach a stream to inner: it carries strings or objects instead of bytes";
    assert.throws(attach(new PassThrough({ objectMode: true })), { name: "TypeError", message });
    assert.throws(attach(new PassThrough().setEncoding("utf8")), { name: "TypeError", message });
  });

  it("hears at once of a stream that is closed already", async () => {
    const [stream] = duplexPair();
    stream.destroy();
    await turns(3);
    const heard = new Heard();
    attachStream(stream, () => heard, new Turn(), "inner");
    assert.deepEqual(heard.closes, []);
    await turns(1);
    assert.deepEqual(heard.closes, [undefined]);
  });

  it("doesn't reuse a buffer that a stream still holds after it has taken it", async () => {
    const turn = new Turn();
    const through = new PassThrough();
    const chunks: Buffer[] = [];
    const stream = Duplex.from({ writable: through, readable: new PassThrough() });
    const link = attachStream(stream, () => new Heard(), turn, "inner");
    for (const letter of ["a", "b", "c"]) {
      send(link, Buffer.alloc(10, letter));
      await turns(3);
    }
    through.on("data", (chunk: Buffer) => chunks.push(chunk));
    await until("all came", () => Buffer.concat(chunks).length === 30);
    assert.equal(String(Buffer.concat(chunks)), "aaaaaaaaaabbbbbbbbbbcccccccccc");
  });

  it("writes as one piece what gathers behind a blocked write", async () => {
    let finish: (() => void) | undefined;
    let writes = 0;
    const stream = new Duplex({
      read() {},
      write(_chunk, _encoding, done) {
        if (writes++ === 0) done();
        else finish = done;
      },
    });
    const heard = new Heard();
    const link = attachStream(stream, () => heard, new Turn(), "inner");
    for (let index = 0; index < 130; index++) send(link, Buffer.alloc(1024));
    await turns(3);
    assert.deepEqual([writes, heard.drains, link.blocked, link.pendingBytes], [2, 0, true, 66 * 1024]);
    finish?.();
    await turns(3);
    assert.deepEqual([writes, heard.drains, link.blocked, link.pendingBytes], [2, 1, false, 0]);
  });

  it("lets no stream answer before whoever sends has returned", async () => {
    let writes = 0;
    const stream = new Duplex({
      read() {},
      write(_chunk, _encoding, done) {
        writes++;
        done();
      },
      final(done) {
        writes++;
        done();
      },
    });
    const heard = new Heard();
    const link = attachStream(stream, () => heard, new Turn(2048), "inner");
    for (let index = 0; index < 200; index++) send(link, Buffer.alloc(1024));
    link.end();
    assert.equal(writes, 0);
    await turns(3);
    assert.deepEqual([writes, heard.closes, heard.late], [3, [undefined], []]);
  });

  it("closes the link when a stream throws from its write", async () => {
    const failure = new Error("Out of order");
    const stream = new Duplex({
      read() {},
      write() {
        throw failure;
      },
    });
    const heard = new Heard();
    const link = attachStream(stream, () => heard, new Turn(), "inner");
    send(link, Buffer.from("x"));
    await until("it was heard", () => heard.closes.length > 0);
    assert.deepEqual([heard.closes, heard.late], [[failure], []]);
  });

  it("stays closed when a stream closes the link from inside its write", async () => {
    const turn = new Turn(2048);
    const heard = new Heard();
    const stream = new Duplex({
      read() {},
      write(_chunk, _encoding, done) {
        link.destroy();
        done();
      },
    });
    const link = attachStream(stream, () => heard, turn, "inner");
    for (let index = 0; index < 100; index++) send(link, Buffer.alloc(1024));
    await turns(5);
    assert.deepEqual([link.pendingBytes, link.blocked], [0, false]);
    assert.deepEqual([heard.closes, heard.drains, heard.late], [[undefined], 0, []]);
  });

  it("doesn't hear of draining after a stream ended the link from inside its write", async () => {
    let finish: (() => void) | undefined;
    const heard = new Heard();
    const stream = new Duplex({
      read() {},
      write(_chunk, _encoding, done) {
        if (finish === undefined) {
          finish = done;
          return;
        }
        link.end();
        done();
      },
    });
    const link = attachStream(stream, () => heard, new Turn(), "inner");
    send(link, Buffer.from("first"));
    await turns(3);
    send(link, Buffer.from("second"));
    finish?.();
    await turns(5);
    assert.deepEqual([heard.closes, heard.drains, heard.late], [[undefined], 0, []]);
    link.destroy();
  });

  it("sends from a link while another one's stream answers inside the write", async () => {
    const turn = new Turn();
    const [stream, client] = duplexPair();
    const [otherStream, otherClient] = duplexPair();
    const heard = new Heard();
    const other = attachStream(otherStream, () => new Heard(), turn, "inner");
    heard.onData = () => send(other, Buffer.from("relayed"));
    const link = attachStream(stream, () => heard, turn, "inner");
    client.on("data", () => client.write("answer"));
    send(link, Buffer.from("question"));
    assert.equal(String(await readBytes(otherClient, 7)), "relayed");
  });
});

describe("ServerListener", () => {
  it("takes a server that listens later, and closes it", async () => {
    const server = createServer();
    const listener = new ServerListener("mine", server, new Turn());
    const links: Link[] = [];
    await listener.listen((link) => {
      links.push(link);
      return new Heard();
    });
    assert.equal(listener.url, "tcp:");
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    assert.match(listener.url, /^tcp:\/\/127\.0\.0\.1:\d+$/);
    const client = connect(Number(new URL(listener.url.replace("tcp:", "http:")).port), "127.0.0.1");
    await until("it was accepted", () => links.length === 1);
    assert.deepEqual(links[0]!.peer, {
      address: `127.0.0.1:${client.localPort}`,
      local: true,
      listener: "mine",
      transport: "tcp",
    });
    await listener.close();
    await listener.close();
    assert.equal(server.listening, false);
    links[0]!.destroy();
    client.destroy();
  });

  it("takes clients of a Unix socket as local", async () => {
    const folder = await mkdtemp(join(tmpdir(), "mqtt-broker-"));
    const path = join(folder, "mqtt.sock");
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const listener = new ServerListener("inner", server, new Turn());
    assert.equal(listener.url, `unix:${path}`);
    const links: Link[] = [];
    await listener.listen((link) => {
      links.push(link);
      return new Heard();
    });
    const client = connect(path);
    await once(client, "connect");
    await until("it was accepted", () => links.length === 1);
    assert.deepEqual(links[0]!.peer, { address: path, local: true, listener: "inner", transport: "unix" });
    links[0]!.destroy();
    client.destroy();
    await listener.close();
    await rm(folder, { recursive: true });
  });
});
