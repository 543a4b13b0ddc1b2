import assert from "node:assert/strict";
import { once } from "node:events";
import { after, afterEach, before, describe, it, type TestContext } from "node:test";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import type { Peer } from "../../src/core/ports.ts";
import { ClientCertificates, type KnownTime } from "../../src/transport/tls-clients.ts";
import type { TlsSettings } from "../../src/transport/tls-files.ts";
import { WebSocketListener } from "../../src/transport/websocket.ts";
import { CertificateFolder } from "../support/certificates.ts";
import { AUTHORITY, ChainKit } from "./chain-kit.ts";
import { Heard, until } from "./rig.ts";
import { NotedLog, settingsOf, TlsDoor } from "./tls-rig.ts";
import { opening, request } from "./websocket-rig.ts";

const DAY_MS = 86_400_000;
const VERSIONS = ["TLSv1.2", "TLSv1.3"] as const;

const folder = new CertificateFolder();
before(() => {
  folder.authority("ours");
  folder.authority("another");
  folder.issue("server", "ours", "localhost", "DNS:localhost");
  folder.issue("kim", "ours", "kim", "DNS:kim", 20);
  folder.issue("lost", "ours", "lost");
  folder.issue("stranger", "another", "stranger");
  folder.revoke("ours", "lost");
});
after(() => folder.remove());

/** A clock that the test sets; OpenSSL has the machine's. */
class SetTime implements KnownTime {
  ms = Date.now();
  isWrong = false;
  readonly learned: number[] = [];
  readonly nowMs = (): number => this.ms;
  readonly isBehind = (): boolean => this.isWrong;
  readonly isTrusted = (): boolean => !this.isWrong;
  readonly learn = (ms: number): void => void this.learned.push(ms);
}

const doors: TlsDoor[] = [];
afterEach(async () => {
  for (const door of doors.splice(0)) await door.close();
});

async function open(time: SetTime, clientCert: TlsSettings["clientCert"] = "required"): Promise<TlsDoor> {
  const clientCa = folder.file("ours.crt");
  const settings = settingsOf(folder, { clientCa, clientCrl: folder.file("ours.crl"), clientCert });
  const door = new TlsDoor(settings, {}, time);
  doors.push(door);
  return await door.open();
}

/** What a client with this certificate has, or none, and a session of before. */
function client(name: string | undefined, version: (typeof VERSIONS)[number], session?: Buffer): ConnectionOptions {
  const own = name === undefined ? {} : { cert: folder.text(`${name}.crt`), key: folder.text(`${name}.key`) };
  return { ca: folder.text("ours.crt"), ...own, minVersion: version, maxVersion: version, ...(session && { session }) };
}

/** Connects, and waits until the server has taken it or closed it. */
async function dial(
  door: TlsDoor,
  options: ConnectionOptions,
): Promise<{ isIn: boolean; isReused: boolean; session: Buffer | undefined }> {
  const before = door.peers.length;
  const socket = connect({ host: "127.0.0.1", port: door.port, servername: "localhost", ...options });
  let session: Buffer | undefined;
  let isReused = false;
  let isOver = false;
  socket.once("secureConnect", () => {
    isReused = socket.isSessionReused();
  });
  socket.on("session", (given: Buffer) => {
    session = given;
  });
  socket
    .on("error", () => {})
    .resume()
    .once("close", () => {
      isOver = true;
    });
  await until("it is in or out", () => isOver || door.peers.length > before);
  // Tickets of TLS 1.3 come behind the handshake.
  if (!isOver) await Promise.race([new Promise((resolve) => setTimeout(resolve, 30)), once(socket, "close")]);
  socket.destroy();
  return { isIn: door.peers.length > before, isReused, session };
}

const reasons = (door: TlsDoor): unknown[] =>
  door.log.lines
    .filter(({ message }) => message === "TLS handshake failed")
    .map(({ fields }) => (fields as { reason: string }).reason);

for (const version of VERSIONS) {
  describe(`a clock that is behind, by ${version}`, () => {
    it("required: lets in who is good by the known time, and tells the broker the name", async () => {
      const time = Object.assign(new SetTime(), { isWrong: true });
      const door = await open(time);
      assert.equal((await dial(door, client("kim", version))).isIn, true);
      assert.deepEqual(door.peers[0]!.certificate, { commonName: "kim", subjectAltNames: ["DNS:kim"] });
    });

    for (const [name, reason] of [
      ["stranger", "the client's certificate is of an authority that is not trusted here"],
      ["lost", "the client's certificate is revoked"],
      [undefined, "the client has no certificate"],
    ] as const) {
      it(`required: refuses ${name ?? "who has none"}; optional: lets in without certificate`, async () => {
        const time = Object.assign(new SetTime(), { isWrong: true });
        const door = await open(time);
        assert.equal((await dial(door, client(name, version))).isIn, false);
        assert.deepEqual(reasons(door), [reason]);
        const lenient = await open(time, "optional");
        assert.equal((await dial(lenient, client(name, version))).isIn, true);
        assert.equal("certificate" in lenient.peers[0]!, false);
      });
    }

    for (const [days, reason] of [
      [10, "the list of revoked certificates has run out: make a new one"],
      // The list too, but that is found last.
      [30, "the client's certificate has expired"],
    ] as const) {
      it(`refuses by a known time in ${days} days what is good by OpenSSL's`, async () => {
        const time = Object.assign(new SetTime(), { isWrong: true, ms: Date.now() + days * DAY_MS });
        const door = await open(time);
        assert.equal((await dial(door, client("kim", version))).isIn, false);
        assert.deepEqual(reasons(door), [reason]);
      });
    }

    it("resumes no session", async () => {
      const door = await open(Object.assign(new SetTime(), { isWrong: true }));
      const { session } = await dial(door, client("kim", version));
      const second = await dial(door, client("kim", version, session));
      assert.deepEqual([second.isIn, second.isReused], [true, false]);
    });
  });

  describe(`a clock that is right, by ${version}`, () => {
    it("resumes sessions, which keep their certificate until that expires", async () => {
      const time = new SetTime();
      const door = await open(time);
      const { session } = await dial(door, client("kim", version));
      const second = await dial(door, client("kim", version, session));
      assert.deepEqual([second.isIn, second.isReused], [true, true]);
      assert.equal(door.peers[1]!.certificate?.commonName, "kim");
      time.ms += 21 * DAY_MS;
      const third = await dial(door, client("kim", version, session));
      assert.deepEqual([third.isIn, third.isReused], [false, true]);
      assert.deepEqual(reasons(door), ["the client's certificate has expired"]);
    });

    it("knows no certificate of a resumed session whose own had failed the check", async () => {
      const door = await open(new SetTime(), "optional");
      const { session } = await dial(door, client("lost", version));
      const second = await dial(door, client("lost", version, session));
      assert.deepEqual([second.isIn, second.isReused], [true, true]);
      assert.deepEqual(
        door.peers.map((peer) => "certificate" in peer),
        [false, false],
      );
    });
  });
}

describe("a clock that is set while the broker runs", () => {
  it("is OpenSSL's from then on, which still lets nobody in whom it has something against", async () => {
    const time = Object.assign(new SetTime(), { isWrong: true, ms: Date.now() + 30 * DAY_MS });
    const door = await open(time);
    time.isWrong = false;
    time.ms = Date.now();
    assert.equal((await dial(door, client("kim", "TLSv1.3"))).isIn, true);
    for (const name of ["stranger", "lost", undefined]) {
      assert.equal((await dial(door, client(name, "TLSv1.3"))).isIn, false, name);
    }
    assert.deepEqual(reasons(door), [
      "the client's certificate is of an authority that is not trusted here",
      "the client's certificate is revoked",
      "the client has no certificate",
    ]);
  });

  it("gives nobody a session who is refused, since OpenSSL calls one without certificate verified", async () => {
    const time = Object.assign(new SetTime(), { isWrong: true });
    const door = await open(time);
    time.isWrong = false;
    // New files: sessions are kept again.
    folder.revoke("ours", "lost", "stranger");
    await door.files.reload();
    const good = await dial(door, client("kim", "TLSv1.3"));
    assert.equal(good.session === undefined, false);
    const { isIn, session } = await dial(door, client(undefined, "TLSv1.3"));
    assert.deepEqual([isIn, session], [false, undefined]);
  });
});

describe("a certificate that Node.js fails to read", () => {
  const fail = (): never => {
    throw new Error("error:0680007B:asn1 encoding routines::header too long");
  };
  for (const [what, socket] of [
    ["at all", { getPeerX509Certificate: fail }],
    [
      "for its names",
      {
        getPeerX509Certificate: () => ({ validTo: "Jan  1 00:00:00 2040 GMT" }),
        authorized: true,
        getPeerCertificate: fail,
      },
    ],
  ] as [string, object][]) {
    it(`${what}, does not count and ends nothing`, () => {
      for (const mode of ["required", "optional"] as const) {
        const clients = new ClientCertificates(mode, new SetTime(), new NotedLog());
        const verdict = clients.judge(socket as TLSSocket);
        assert.deepEqual(verdict, { problem: "CERT_REJECTED", isRefused: mode === "required" });
        assert.equal(clients.of(socket), undefined);
      }
    });
  }
});

describe("WebSocket over TLS by a clock that is behind", () => {
  /** The status that an upgrade is answered with, and what the broker knows of the client; undefined: it was closed. */
  async function upgrade(context: TestContext, name: string, clientCert: "optional" | "required") {
    const time = Object.assign(new SetTime(), { isWrong: true });
    const clientCa = folder.file("ours.crt");
    const settings = settingsOf(folder, { clientCa, clientCrl: folder.file("ours.crl"), clientCert });
    const { files, log, turn } = new TlsDoor(settings, {}, time);
    const tls = { files, log };
    const listener = new WebSocketListener({ name: "wss", host: "127.0.0.1", port: 0, turn, maxPayload: 1000, tls });
    const peers: Peer[] = [];
    await listener.listen((link) => {
      peers.push(link.peer);
      return new Heard();
    });
    context.after(() => listener.close());
    const { port } = new URL(listener.url);
    const options = client(name, "TLSv1.3");
    const socket = connect({ host: "127.0.0.1", port: Number(port), servername: "localhost", ...options });
    context.after(() => void socket.destroy());
    socket.on("error", () => {});
    await once(socket, "secureConnect");
    const answer = await request(socket, "GET /mqtt HTTP/1.1", opening()).catch(() => undefined);
    return { status: answer?.status, names: peers.map(({ certificate }) => certificate?.commonName) };
  }

  it("lets in who is good by the known time, with the name", async (context) => {
    assert.deepEqual(await upgrade(context, "kim", "required"), { status: 101, names: ["kim"] });
  });

  it("required: closes the connections of others before they can ask", async (context) => {
    assert.deepEqual(await upgrade(context, "lost", "required"), { status: undefined, names: [] });
  });

  it("optional: lets others in without certificate", async (context) => {
    assert.deepEqual(await upgrade(context, "lost", "optional"), { status: 101, names: [undefined] });
  });
});

describe("the log", () => {
  it("says once at the start that certificates are checked by another time, and with each refusal by which", async () => {
    const time = Object.assign(new SetTime(), { isWrong: true, ms: Date.UTC(2027, 0, 1) });
    const door = await open(time);
    await dial(door, client("stranger", "TLSv1.3"));
    const told = door.log.lines.filter(({ fields }) => "known" in fields);
    assert.deepEqual(
      told.map(({ level, message, fields }) => [level, message.slice(0, 53), (fields as { known: string }).known]),
      [
        ["warn", "This machine's clock is behind the last known time: c", "2027-01-01T00:00:00.000Z"],
        ["info", "TLS handshake failed", "2027-01-01T00:00:00.000Z"],
      ],
    );
  });

  it("says why a client is let in without its certificate", async () => {
    const door = await open(Object.assign(new SetTime(), { isWrong: true }), "optional");
    await dial(door, client("lost", "TLSv1.3"));
    const told = door.log.lines.filter(({ message }) => message === "A client is let in without its certificate");
    assert.deepEqual(
      told.map(({ fields }) => (fields as { reason: string }).reason),
      ["the client's certificate is revoked"],
    );
  });
});

it("what serves has begun, but not every authority that is in the file for later", async (context) => {
  const kit = new ChainKit();
  context.after(() => kit.remove());
  kit.certificate("later", { extensions: AUTHORITY, from: 2045, until: 2060 });
  const time = new SetTime();
  const clientCa = folder.write("both.crt", folder.text("ours.crt") + kit.text("later.crt"));
  const door = new TlsDoor(settingsOf(folder, { clientCa, clientCert: "optional" }), {}, time);
  doors.push(door);
  await door.open();
  assert.deepEqual(time.learned.length, 1);
  assert.ok(Math.abs(time.learned[0]! - Date.now()) < 60_000);
});
