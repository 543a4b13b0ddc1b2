import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import type { NetConnectOpts, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { after, before, describe, it } from "node:test";
import { connect } from "node:tls";
import { promisify } from "node:util";
import type { Listener, Peer } from "../../src/core/ports.ts";
import { GivenListener } from "../../src/transport/given.ts";
import { type GivenPlace, GivenSockets } from "../../src/transport/given-socket.ts";
import { TlsListener } from "../../src/transport/tls.ts";
import { TlsFiles } from "../../src/transport/tls-files.ts";
import { Turn } from "../../src/transport/turn.ts";
import { WebSocketListener } from "../../src/transport/websocket.ts";
import { CertificateFolder } from "../support/certificates.ts";
import { withSockets } from "../support/given-sockets.ts";
import { Heard, until } from "./rig.ts";
import { listenerSuite, type Opened } from "./suite.ts";
import { connectTo } from "./tcp-rig.ts";
import { HandWatch, NotedLog, settingsOf } from "./tls-rig.ts";
import { opening, RawWebSocket, request } from "./websocket-rig.ts";

const HOST = "127.0.0.1";
const ADVICE = "start the broker by a .socket unit of systemd, or give the number that its parent left open";
/** More than the suites open in one run. */
const SOCKETS = 280;
const OWN = "MQTT_GIVEN_SUITE";
const TRANSPORTS = { tls: "tls", ws: "websocket", wss: "websocket-tls" } as const;

type Kind = "shared" | "data" | "tls" | "ws" | "wss";

const suite = process.env[OWN];
if (suite === undefined) runsHere();
else runsInside(suite);

/** This file again, in a process that was started with the sockets: of TCP, or the Unix ones of a folder. */
function runsInside(which: string): void {
  const folder = new CertificateFolder();
  before(() => {
    folder.authority("ca");
    folder.issue("server", "ca", "localhost");
  });
  after(() => folder.remove());
  let fd = 3;
  const kinds: Kind[] = which === "tcp" ? ["shared", "data", "tls", "ws"] : ["shared", "wss"];
  for (const kind of kinds) {
    const title = `a given ${which === "tcp" ? "TCP" : "Unix"} socket, ${kind}`;
    listenerSuite(title, async () => given(which, fd++, kind, folder));
  }
  if (which === "tcp") describe("a given socket", () => handsOn(() => fd++, folder));
  else describe("a given Unix socket", () => speaksTls(which, () => fd++, folder));
}

function made(kind: Kind, place: GivenPlace, turn: Turn, folder: CertificateFolder): Listener {
  const common = { name: "main", given: place, turn };
  if (kind === "shared" || kind === "data") return new GivenListener({ ...common, sharedRead: kind === "shared" });
  const nowhere = { host: "192.0.2.1", port: 1 };
  const log = new NotedLog();
  const files = new TlsFiles(settingsOf(folder), { log, watch: new HandWatch().watch });
  if (kind === "tls") return new TlsListener({ ...common, ...nowhere, log, files });
  const tls = kind === "wss" ? { tls: { files, log } } : {};
  return new WebSocketListener({ ...common, ...nowhere, ...tls, maxPayload: 64 * 1024 * 1024 });
}

async function dial(kind: Kind, where: NetConnectOpts): Promise<Duplex> {
  const raw = await connectTo(where);
  if (kind === "shared" || kind === "data") return raw;
  if (kind === "ws") return webSocketOver(raw);
  const options = { socket: raw, rejectUnauthorized: false, allowHalfOpen: true, maxVersion: "TLSv1.2" } as const;
  const secure = connect(options);
  secure.on("error", () => {});
  if (kind === "wss") return webSocketOver(secure);
  // A link refused at once closes before the handshake is complete at this end.
  await new Promise<void>((resolve) => secure.once("secureConnect", resolve).once("close", resolve));
  return secure;
}

async function webSocketOver(socket: Socket): Promise<RawWebSocket> {
  return new RawWebSocket(socket, await request(socket, "GET /mqtt HTTP/1.1", opening()));
}

function given(which: string, fd: number, kind: Kind, folder: CertificateFolder): Opened {
  const turn = new Turn();
  const sockets = new GivenSockets();
  const listener = made(kind, sockets.place({ fd }), turn, folder);
  assert.equal(listener.url, `fd:${fd}`);
  // Without the sockets' end they would be kept for the next listener.
  const ending: Listener = {
    name: listener.name,
    get url() {
      return listener.url;
    },
    listen: (accept) => listener.listen(accept),
    close: async () => {
      await listener.close();
      sockets.close();
    },
  };
  const secure = kind === "tls" || kind === "ws" || kind === "wss" ? kind : undefined;
  const own = { local: true, listener: "main" };
  const end = kind === "ws" || kind === "wss" ? "/mqtt" : "";
  if (which === "tcp") {
    const peer = (client: Duplex): Peer => {
      const { localPort } = client instanceof RawWebSocket ? client.socket : (client as Socket);
      return { ...own, address: `${HOST}:${localPort}`, transport: secure ? TRANSPORTS[secure] : "tcp" };
    };
    const url = new RegExp(`^${secure ?? "tcp"}://127\\.0\\.0\\.1:[1-9]\\d*${end}$`);
    return { listener: ending, turn, dial: () => dial(kind, { host: HOST, port: portAt(listener) }), url, peer };
  }
  const path = join(which, `${fd}.sock`);
  return {
    listener: ending,
    turn,
    dial: () => dial(kind, { path }),
    url: secure === undefined ? `unix:${path}` : `${secure}+unix:${path}${end && `:${end}`}`,
    peer: () => ({ ...own, address: path, transport: secure ? TRANSPORTS[secure] : "unix" }),
  };
}

function portAt({ url }: Listener): number {
  return Number(/:(\d+)(?:\/|$)/.exec(url)?.[1]);
}

function speaksTls(which: string, nextFd: () => number, folder: CertificateFolder): void {
  it("speaks TLS with many at once, and the log names its path when one fails", async () => {
    const fd = nextFd();
    const path = join(which, `${fd}.sock`);
    const sockets = new GivenSockets();
    const log = new NotedLog();
    const files = new TlsFiles(settingsOf(folder), { log, watch: new HandWatch().watch });
    const common = { name: "main", host: "192.0.2.1", port: 1, turn: new Turn(), log, files, handshakesMax: 2 };
    const listener = new TlsListener({ ...common, given: sockets.place({ fd }) });
    const peers: Peer[] = [];
    await listener.listen(({ peer }) => {
      peers.push(peer);
      return new Heard();
    });
    assert.equal(listener.url, `tls+unix:${path}`);
    // More than may be at their handshake together: each has left that number when it is done.
    const clients: Duplex[] = [];
    for (let count = 0; count < 4; count++) clients.push(await dial("tls", { path }));
    await until("all were let in", () => peers.length === 4);
    assert.deepEqual(
      peers,
      new Array(4).fill({ address: path, local: true, listener: "main", transport: "tls" } satisfies Peer),
    );
    const plain = await connectTo({ path });
    plain.end("GET / HTTP/1.1\r\n\r\n");
    plain.resume();
    await until("it was said", () => log.messages("info").length === 1);
    const reason = "the client does not speak TLS but HTTP";
    const fields = { listener: "main", address: path, reason };
    assert.deepEqual(log.lines.at(-1), { level: "info", message: "TLS handshake failed", fields });
    for (let count = 0; count < 3; count++) clients.push(await connectTo({ path }));
    await until("one was too many", () => log.messages("warn").length === 1);
    const message = "Connection turned away: too many clients are at their TLS handshake";
    assert.deepEqual(log.lines.at(-1), { level: "warn", message, fields: { listener: "main", address: path } });
    for (const client of clients) client.destroy();
    await listener.close();
    sockets.close();
  });
}

function handsOn(nextFd: () => number, folder: CertificateFolder): void {
  it("goes from one listener to the next, of whatever kind, and meanwhile cuts off who connects", async () => {
    const fd = nextFd();
    const sockets = new GivenSockets([{ fd, name: "door" }]);
    let port = 0;
    for (const kind of ["shared", "tls", "ws", "shared", "wss", "data"] as const) {
      const listener = made(kind, sockets.place({ fdName: "door" }), new Turn(), folder);
      assert.equal(listener.url, "fd:door");
      const heard = new Heard();
      await listener.listen(() => heard);
      if (port !== 0) assert.equal(portAt(listener), port);
      port = portAt(listener);
      const client = await dial(kind, { host: HOST, port });
      client.write("before");
      await until("it came", () => heard.size === 6);
      await listener.close();
      const cutOff = await connectTo({ host: HOST, port });
      cutOff.resume();
      await once(cutOff, "end");
      client.write(" and after");
      await until("the rest came", () => heard.size === 16);
      assert.equal(String(heard.bytes), "before and after");
      client.destroy();
      await until("it was gone", () => heard.closes.length === 1);
    }
    sockets.close();
    await assert.rejects(connectTo({ host: HOST, port }), { code: "ECONNREFUSED" });
  });

  it("serves one listener at a time, and names the trouble", async () => {
    const fd = nextFd();
    const sockets = new GivenSockets();
    const turn = new Turn();
    const first = made("shared", sockets.place({ fd }), turn, folder);
    await first.listen(() => new Heard());
    for (const kind of ["shared", "tls", "ws"] as const) {
      const second = made(kind, sockets.place({ fd }), turn, folder);
      await assert.rejects(
        second.listen(() => new Heard()),
        { message: `Cannot listen on fd:${fd}: another listener has this socket: give each to one only` },
      );
      await second.close();
    }
    const client = await dial("shared", { host: HOST, port: portAt(first) });
    client.destroy();
    sockets.close();
    const last = await dial("shared", { host: HOST, port: portAt(first) });
    last.destroy();
    await first.close();
    await assert.rejects(connectTo({ host: HOST, port: portAt(first) }), { code: "ECONNREFUSED" });
  });
}

function runsHere(): void {
  describe("listeners on given sockets", { concurrency: true }, () => {
    it("keeps the contract of listeners over inherited TCP sockets", async () => {
      await runSuite("tcp", `${HOST}:0`);
    });

    it("keeps it over inherited Unix sockets", async () => {
      const folder = mkdtempSync(join(tmpdir(), "mqtt-given-"));
      try {
        await runSuite(folder, (fd) => join(folder, `${fd}.sock`));
      } finally {
        rmSync(folder, { recursive: true });
      }
    });

    for (const [title, fd, reason] of [
      ["is not open", 60_000, `no such file descriptor is open: ${ADVICE}`],
      ["is no socket", "file", `it is no socket: ${ADVICE}`],
    ] as const) {
      it(`refuses a descriptor that ${title}, and leaves it alone`, async () => {
        const file = openSync("/dev/null", "r");
        const number = fd === "file" ? file : fd;
        const listener = new GivenListener({
          name: "main",
          given: new GivenSockets().place({ fd: number }),
          turn: new Turn(),
        });
        await assert.rejects(
          listener.listen(() => new Heard()),
          { message: `Cannot listen on fd:${number}: ${reason}` },
        );
        await listener.close();
        closeSync(file);
      });
    }

    for (const [names, reason] of [
      [[], "systemd handed over no sockets: FileDescriptorName= of a .socket unit gives a name"],
      [
        ["a", "b"],
        "of systemd's sockets none is called so, but a, b: FileDescriptorName= of a .socket unit gives a name",
      ],
      [["mqtt", "mqtt"], "systemd handed over 2 sockets of that name: give their numbers as fd instead"],
      [["a", "mqtt"], `no such file descriptor is open: ${ADVICE}`],
    ] as const) {
      it(`looks for the name mqtt among [${names.join(", ")}]`, async () => {
        const sockets = names.map((name, index) => ({ fd: 50_000 + index, name }));
        const place = new GivenSockets(sockets).place({ fdName: "mqtt" });
        const listener = new GivenListener({ name: "main", given: place, turn: new Turn() });
        await assert.rejects(
          listener.listen(() => new Heard()),
          { message: `Cannot listen on fd:mqtt: ${reason}` },
        );
      });
    }
  });
}

async function runSuite(which: string, address: string | ((fd: number) => string)): Promise<void> {
  const addresses = Array.from({ length: SOCKETS }, (_, index) =>
    typeof address === "string" ? address : address(3 + index),
  );
  const [python, ...words] = withSockets(addresses);
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
  const env = { ...environment, [OWN]: which };
  const command = [process.execPath, "--test-reporter=tap", import.meta.filename];
  const { stdout } = await promisify(execFile)(python!, [...words, ...command], { env, maxBuffer: 2 ** 26 });
  assert.match(stdout, /^# fail 0$/m);
  const passed = Number(/^# pass (\d+)$/m.exec(stdout)?.[1]);
  assert.ok(passed >= 80, `${passed} passed`);
}
