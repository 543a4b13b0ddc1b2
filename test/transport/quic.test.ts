import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { mkdtempSync, readdirSync, rmSync, watch } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { after, before, suite, type TestContext, test } from "node:test";
import type { Link } from "../../src/core/ports.ts";
import type { QuicListener, QuicListenerOptions } from "../../src/transport/quic.ts";
import { QuicConnection } from "../../src/transport/quic-connection.ts";
import { loadQuicLibrary, type QuicSession } from "../../src/transport/quic-library.ts";
import type { TlsSettings } from "../../src/transport/tls-files.ts";
import { CertificateFolder } from "../support/certificates.ts";
import { type ClientSession, connectQuic, portOfQuic, QuicClient, QuicDoor } from "./quic-rig.ts";
import { Heard, readToEnd, send, until } from "./rig.ts";
import { settingsOf } from "./tls-rig.ts";

const folder = new CertificateFolder();
before(() => {
  folder.authority("ca");
  folder.authority("another");
  folder.issue("server", "ca", "localhost", "DNS:localhost,IP:127.0.0.1");
  folder.issue("next", "another", "localhost", "DNS:localhost,IP:127.0.0.1");
  folder.issue("sensor-1", "ca", "sensor-1", "DNS:sensor-1.local");
  folder.issue("foreign", "another", "sensor-1");
  folder.issue("expired", "ca", "sensor-1", "DNS:sensor-1", 0);
});
after(() => folder.remove());

interface Open {
  door: QuicDoor;
  links: Link[];
  heards: Heard[];
  dial(options?: object): Promise<ClientSession>;
  listen(listener: QuicListener): Promise<void>;
}

/** A listener, with clients that end with the test. */
async function open(
  context: TestContext,
  settings: Partial<TlsSettings> = {},
  options: Partial<QuicListenerOptions> = {},
): Promise<Open> {
  const door = new QuicDoor(settingsOf(folder, settings), options);
  const links: Link[] = [];
  const heards: Heard[] = [];
  const sessions: ClientSession[] = [];
  const listeners: QuicListener[] = [];
  context.after(async () => {
    for (const session of sessions) await session.close();
    for (const listener of listeners) await listener.close();
  });
  const listen = async (listener: QuicListener): Promise<void> => {
    listeners.push(listener);
    await listener.listen((link) => {
      const heard = new Heard();
      links.push(link);
      heards.push(heard);
      return heard;
    });
  };
  await listen(door.listener);
  return {
    door,
    links,
    heards,
    listen,
    async dial(more = {}) {
      const session = await connectQuic(door.port, { ca: folder.text("ca.crt"), ...more });
      sessions.push(session);
      return session;
    },
  };
}

/** A client that has sent a byte, and its link. */
async function knock(
  { links, heards, dial }: Open,
  options?: object,
): Promise<{ client: QuicClient; heard: Heard; link: Link }> {
  const before = links.length;
  const client = new QuicClient(await dial(options));
  client.on("error", () => {});
  client.write("!");
  await until("it was let in", () => links.length > before);
  return { client, link: links.at(-1)!, heard: heards.at(-1)! };
}

/** Resolves with what the server says at the end of a connection. */
function closed(session: ClientSession): Promise<{ errorCode: number; reason: string }> {
  return new Promise((resolve) => session.on("close", resolve));
}

/** For what must not happen, and for what the other end hears of a little later. */
function moment(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 150));
}

function refusals({ door }: Open): string[] {
  return door.log.lines
    .filter(({ message }) => message === "QUIC refused")
    .map(({ fields }) => (fields as { reason: string }).reason);
}

suite("QUIC", () => {
  test("who asks for another protocol than mqtt is not let in", async (context) => {
    const opened = await open(context);
    await assert.rejects(opened.dial({ alpn: ["h3"], connectTimeoutMs: 300 }));
    assert.equal(opened.links.length, 0);
    await knock(opened);
  });

  test("a client that does not trust the server's authority does not go on", async (context) => {
    const opened = await open(context);
    await assert.rejects(opened.dial({ ca: folder.text("another.crt"), connectTimeoutMs: 1000 }));
    assert.equal(opened.links.length, 0);
  });

  for (const clientCert of ["required", "optional"] as const) {
    test(`with client certificates ${clientCert}, one of the authority is known by its names and others are refused`, async (context) => {
      const opened = await open(context, { clientCert, clientCa: folder.file("ca.crt") });
      const shown = (name: string) => ({ cert: folder.text(`${name}.crt`), key: folder.text(`${name}.key`) });
      const { link } = await knock(opened, shown("sensor-1"));
      assert.deepEqual(link.peer.certificate, { commonName: "sensor-1", subjectAltNames: ["DNS:sensor-1.local"] });
      for (const name of ["foreign", "expired"]) {
        const session = await opened.dial(shown(name)).catch(() => undefined);
        if (session !== undefined && !session.closed) assert.notEqual((await closed(session)).errorCode, 0);
      }
      assert.equal(opened.links.length, 1);
      if (clientCert === "optional") {
        assert.equal((await knock(opened)).link.peer.certificate, undefined);
        return;
      }
      const bare = await opened.dial().catch(() => undefined);
      if (bare !== undefined && !bare.closed) assert.equal((await closed(bare)).reason, "client certificate required");
      assert.equal(opened.links.length, 1);
    });
  }

  test("a second stream is reset with a word in the log, a third ends the connection", async (context) => {
    const opened = await open(context);
    const { client, heard } = await knock(opened);
    const offer = async (): Promise<string> => {
      const stream = client.session.openStream();
      const failed = new Promise<string>((resolve) => stream.once("error", ({ message }) => resolve(message)));
      stream.write("another");
      return failed;
    };
    assert.equal(await offer(), "StreamReset(1)");
    client.write("first");
    await until("the first one goes on", () => heard.size === 6);
    const end = closed(client.session);
    await offer();
    assert.deepEqual(await end, { errorCode: 1, reason: "it opens streams that are not for MQTT" });
    await until("it was heard", () => heard.closes.length > 0);
    assert.deepEqual([opened.links.length, heard.closes.length, heard.late], [1, 1, []]);
    assert.deepEqual(refusals(opened), [
      "MQTT has one stream in a connection, and the client opened another one",
      "it opens streams that are not for MQTT",
    ]);
  });

  test("a connection without a stream is closed at its deadline, one with a stream is not", async (context) => {
    const opened = await open(context, {}, { streamDeadlineMs: 150 });
    const { client } = await knock(opened);
    const silent = await opened.dial();
    assert.deepEqual(await closed(silent), { errorCode: 1, reason: "it opened no stream in time" });
    assert.deepEqual([client.session.closed, opened.links.length], [false, 1]);
    assert.deepEqual(refusals(opened), ["it opened no stream in time"]);
  });

  test("connections without a stream are bounded in number", async (context) => {
    const opened = await open(context, {}, { waitingMax: 2 });
    const first = await opened.dial();
    await opened.dial();
    const third = await opened.dial().catch(() => undefined);
    if (third !== undefined && !third.closed) assert.equal((await closed(third)).errorCode, 1);
    assert.deepEqual(refusals(opened), ["too many clients have opened no stream yet"]);
    await first.close();
    await moment();
    await knock(opened);
  });

  test("the connection ends with its stream: at once, or after a moment for the last bytes", async (context) => {
    const opened = await open(context);
    const one = await knock(opened);
    const end = closed(one.client.session);
    one.link.destroy();
    assert.equal((await end).errorCode, 0);
    const other = await knock(opened);
    const otherEnd = closed(other.client.session);
    send(other.link, Buffer.from("last words"));
    other.link.end();
    assert.equal(String(await readToEnd(other.client)), "last words");
    assert.equal((await otherEnd).errorCode, 0);
  });

  test("who sends without end while it is not read from is cut off", async (context) => {
    const opened = await open(context, {}, { maximumPacketSize: 1 });
    const { client, link, heard } = await knock(opened);
    link.pauseReading();
    client.write(Buffer.alloc(12 * 1024 * 1024));
    await until("it was cut off", () => heard.closes.length > 0);
    assert.match(String(heard.closes[0]), /sent more than 8388609 bytes while it was not read from/);
  });

  test("a new certificate waits for the last connection, and is shown from then on", async (context) => {
    for (const kind of ["crt", "key"]) folder.write(`live.${kind}`, folder.text(`server.${kind}`));
    const files = { certificates: [{ cert: folder.file("live.crt"), key: folder.file("live.key") }] };
    const opened = await open(context, files);
    const { door } = opened;
    const { client, heard } = await knock(opened);
    const { port } = door;
    for (const kind of ["crt", "key"]) folder.replace(`live.${kind}`, `next.${kind}`);
    door.hand.changed();
    await until("it was said", () => door.log.messages("warn").length > 0);
    assert.match(door.log.messages("warn")[0]!, /^QUIC shows the certificate of before until no QUIC client/);
    await moment();
    client.write("still");
    await until("it stands", () => heard.size === 6);
    client.destroy();
    await until("it was replaced", () =>
      door.log.messages("info").includes("New QUIC connections use the new certificate"),
    );
    assert.equal(door.port, port);
    await knock(opened, { ca: folder.text("another.crt") });
    await assert.rejects(opened.dial({ connectTimeoutMs: 1000 }));
  });

  test("a closed listener with a client holds its port until another one wants it", async (context) => {
    const retired = new Set<QuicListener>();
    const opened = await open(context, {}, { retired });
    const { client, heard } = await knock(opened);
    await opened.door.listener.close();
    client.write("still");
    await until("it stands", () => heard.size === 6);
    const end = closed(client.session);
    const next = opened.door.at(opened.door.port);
    await opened.listen(next);
    assert.equal((await end).errorCode, 0);
    assert.deepEqual([portOfQuic(next), heard.closes.length, retired.size], [opened.door.port, 1, 0]);
    await knock(opened);
  });

  test("the private key is nowhere where others could read it", async (context) => {
    const place = mkdtempSync(join(tmpdir(), "mqtt-broker-key-"));
    const before = process.env.TMPDIR;
    process.env.TMPDIR = place;
    const made = new Set<string>();
    const watcher = watch(place, (_kind, name) => void made.add(String(name)));
    context.after(() => {
      watcher.close();
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
      rmSync(place, { recursive: true });
    });
    await open(context);
    await moment();
    assert.ok(made.size > 0);
    assert.equal(process.env.TMPDIR, place);
    const names = [...made];
    for (const name of names) assert.match(name, /^mqtt-broker-quic-\w{6}$/);
    assert.deepEqual(readdirSync(place), []);
  });

  test("a host by its name, and one that there is not", async (context) => {
    const { door } = await open(context, {}, { host: "localhost" });
    assert.match(door.listener.url, /^quic:\/\/(127\.0\.0\.1|\[::1\]):[1-9]\d*$/);
    const away = new QuicDoor(settingsOf(folder), { host: "203.0.113.1" });
    const message = "Cannot listen on quic://203.0.113.1:0: this host has no such address";
    await assert.rejects(
      away.listener.listen(() => new Heard()),
      { message },
    );
  });

  for (const [title, close] of [
    ["is destroyed", (connection) => connection.destroy()],
    ["is refused", (connection) => connection.refuse("there are too many")],
  ] as const satisfies [string, (connection: QuicConnection) => void][]) {
    test(`a stream that comes while its connection ${title} is nobody's`, () => {
      const session = Object.assign(new EventEmitter(), { remoteAddress: "127.0.0.1", remotePort: 1, close: () => {} });
      const opened: unknown[] = [];
      const events = { opened: (bytes: unknown) => opened.push(bytes), refused: () => {}, gone: () => {} };
      const connection = new QuicConnection(session as unknown as QuicSession, 60_000, 1000, events);
      close(connection);
      session.emit("stream", Object.assign(new PassThrough(), { id: 0 }));
      session.emit("close");
      assert.deepEqual(opened, []);
    });
  }

  test("without the library it says what to do, whether it is missing or not for this machine", async () => {
    const absent = () => loadQuicLibrary(() => import(String("no-such-package")));
    const without = new QuicDoor(settingsOf(folder), { load: absent }).listener;
    const hint =
      "npm install @currentspace/http3@0.9.0 brings it to Linux with glibc 2.34 or newer on x86-64 and ARM64; or leave the QUIC listener out";
    const missing = `QUIC needs the package @currentspace/http3, which is not installed: ${hint}`;
    await assert.rejects(
      without.listen(() => new Heard()),
      { message: `Cannot listen on quic://127.0.0.1:0: ${missing}` },
    );
    await without.close();
    const foreign = {
      createQuicServer: () => ({ listen: () => Promise.reject(new Error("GLIBC_2.34 not found\nat /lib")) }),
    };
    const unusable = `QUIC needs the package @currentspace/http3, which cannot be used here (GLIBC_2.34 not found): ${hint}`;
    await assert.rejects(
      loadQuicLibrary(async () => foreign),
      { message: unusable },
    );
  });
});
