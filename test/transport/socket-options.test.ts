import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import type { Server, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { after, afterEach, before, describe, it } from "node:test";
import { connect as connectTls } from "node:tls";
import type { Link, Listener } from "../../src/core/ports.ts";
import { TcpListener } from "../../src/transport/tcp.ts";
import { TlsListener } from "../../src/transport/tls.ts";
import { TlsFiles } from "../../src/transport/tls-files.ts";
import { Turn } from "../../src/transport/turn.ts";
import { WebSocketListener } from "../../src/transport/websocket.ts";
import { CertificateFolder } from "../support/certificates.ts";
import { Heard, until } from "./rig.ts";
import { connectTo, portOf } from "./tcp-rig.ts";
import { HandWatch, NotedLog, settingsOf } from "./tls-rig.ts";
import { opening, request } from "./websocket-rig.ts";

const HOST = "127.0.0.1";
/** What the kernel says of sockets that it inherits: TCP_NODELAY, SO_KEEPALIVE, TCP_KEEPIDLE, SO_REUSEPORT. */
const ASK = `
import socket, sys
ip, tcp = socket.SOL_SOCKET, socket.IPPROTO_TCP
for number in range(int(sys.argv[1])):
    s = socket.socket(fileno=3 + number)
    print(*[s.getsockopt(*option) for option in [(tcp, socket.TCP_NODELAY), (ip, socket.SO_KEEPALIVE), (tcp, socket.TCP_KEEPIDLE), (ip, socket.SO_REUSEPORT)]])
`;
/** As a parent does that hands a socket over: its send and receive buffers. */
const SIZE = `
import socket
s = socket.socket(fileno=3)
s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 40000)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 50000)
`;

/** The four as numbers, of each socket. */
function asked(...fds: number[]): number[][] {
  const words = ["-c", ASK, String(fds.length)];
  const { stdout, stderr } = spawnSync("python3", words, {
    stdio: ["ignore", "pipe", "pipe", ...fds],
    encoding: "utf8",
  });
  assert.equal(stderr, "");
  return stdout
    .trim()
    .split("\n")
    .map((line) => line.split(" ").map(Number));
}

type Kind = "tcp" | "tls" | "ws" | "wss";

describe("the options of sockets, as the kernel sees them", () => {
  const folder = new CertificateFolder();
  const log = new NotedLog();
  const listeners: Listener[] = [];
  const clients: Socket[] = [];
  const links: Link[] = [];
  before(() => {
    folder.authority("ours");
    folder.issue("server", "ours", "localhost");
  });
  after(() => folder.remove());
  afterEach(async () => {
    for (const link of links.splice(0)) link.destroy();
    for (const client of clients.splice(0)) client.destroy();
    for (const listener of listeners.splice(0)) await listener.close();
  });

  interface Options {
    noDelay?: boolean;
    keepAliveSeconds?: number;
    reusePort?: boolean;
    sharedRead?: boolean;
  }

  async function open(kind: Kind, options: Options): Promise<Listener> {
    const common = { name: "main", host: HOST, port: 0, turn: new Turn(), ...options };
    const files = new TlsFiles(settingsOf(folder), { log, watch: new HandWatch().watch });
    const tls = kind === "wss" && { tls: { files, log } };
    const listener =
      kind === "tcp"
        ? new TcpListener(common)
        : kind === "tls"
          ? new TlsListener({ ...common, log, files })
          : new WebSocketListener({ ...common, maxPayload: 1000, ...tls });
    listeners.push(listener);
    await listener.listen((link) => {
      links.push(link);
      return new Heard();
    });
    return listener;
  }

  /** A connection, as it serves MQTT: its end here. */
  async function served(kind: Kind, listener: Listener): Promise<Duplex> {
    let client = await connectTo({ host: HOST, port: portOf(listener) });
    clients.push(client);
    if (kind === "tls" || kind === "wss") {
      client = connectTls({ socket: client, ca: folder.text("ours.crt"), servername: "localhost" });
      clients.push(client);
      client.on("error", () => {});
      await new Promise((resolve) => client.once("secureConnect", resolve));
    }
    if (kind === "ws" || kind === "wss") await request(client, "GET /mqtt HTTP/1.1", opening());
    await until("it was accepted", () => links.length === 1);
    const { stream } = links[0] as unknown as { stream: Duplex & { socket?: Duplex } };
    return stream.socket ?? stream;
  }

  function descriptorOf(handled: unknown): number {
    return (handled as { _handle: { fd: number } })._handle.fd;
  }

  for (const kind of ["tcp", "tls", "ws", "wss"] as const) {
    it(`${kind}: --socket-no-delay and --socket-keepalive-time, as they are and as they are asked for`, async () => {
      const usual = await served(kind, await open(kind, {}));
      links.shift();
      const listener = await open(kind, { noDelay: false, keepAliveSeconds: 77 });
      const changed = await served(kind, listener);
      const [first, second] = asked(descriptorOf(usual), descriptorOf(changed));
      assert.deepEqual(
        [first!.slice(0, 2), second!.slice(0, 3)],
        [
          [1, 0],
          [0, 1, 77],
        ],
      );
      usual.destroy();
      const words = ["-Htno", "state", "established", `( sport = :${portOf(listener)} )`];
      // While something is still to be acknowledged, the kernel shows the timer of that.
      await until("the timer is that of the keep-alive", () =>
        /timer:\(keepalive,(?:1min1[0-7]|7[0-7])/.test(execFileSync("ss", words, { encoding: "utf8" })),
      );
    });

    it(`${kind}: --socket-reuseport, and not without`, async () => {
      const fds: number[] = [];
      for (const reusePort of [false, true]) {
        const { server } = (await open(kind, { reusePort })) as unknown as { server: Server };
        fds.push(descriptorOf(server));
      }
      assert.deepEqual(
        asked(...fds).map((options) => options[3]),
        [0, 1],
      );
    });
  }

  it("tcp: the same when it is read by 'data' events", async () => {
    const listener = await open("tcp", { noDelay: false, keepAliveSeconds: 77, sharedRead: false });
    assert.deepEqual(asked(descriptorOf(await served("tcp", listener)))[0]!.slice(0, 3), [0, 1, 77]);
  });

  it("tcp: buffers that are set before are those of each connection, as --socket-send-buf-size advises", async () => {
    const listener = await open("tcp", {});
    const { server } = listener as unknown as { server: Server };
    execFileSync("python3", ["-c", SIZE], { stdio: ["ignore", "pipe", "pipe", descriptorOf(server)] });
    await served("tcp", listener);
    const words = ["-Htnm", "state", "established", `( sport = :${portOf(listener)} )`];
    // The kernel doubles what it is asked for.
    assert.match(execFileSync("ss", words, { encoding: "utf8" }), /skmem:\(r\d+,rb100000,t\d+,tb80000,/);
  });
});
