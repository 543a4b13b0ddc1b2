/** What a peer costs that nobody knows yet, and how long: whatever it sends, and over every transport. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as openSocket, type Socket } from "node:net";
import { join } from "node:path";
import { after, before, suite, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as openTls } from "node:tls";
import { emptyFolder, type Running, startProgram } from "../smoke/program.ts";
import { CertificateFolder } from "../support/certificates.ts";
import { frame, OPCODE, opening, request } from "../transport/websocket-rig.ts";
import { MEASURED, settledMemory } from "./storm.ts";
import { remainingLength } from "./wire.ts";

const PEERS = 100;
const AT_ONCE = 10;
const KILOBYTE = 1024;
const PLAIN_BYTES_MAX = 64 * KILOBYTE;
const TLS_BYTES_MAX = 128 * KILOBYTE;
/** Of the largest CONNECT that is taken nearly all: the rest never comes. */
const CONNECT_BYTES = 24_400;
const HELLO = "GET /mqtt HTTP/1.1";

type Transport = "tcp" | "unix" | "tls" | "ws" | "wss";
const TRANSPORTS: readonly Transport[] = ["tcp", "unix", "tls", "ws", "wss"];

const folder = new CertificateFolder();
before(() => {
  folder.authority("ca");
  folder.issue("server", "ca", "localhost");
});
after(() => folder.remove());

interface Doors {
  program: Running;
  /** A raw connection, before any handshake. */
  open(transport: Transport): Promise<Socket>;
}

async function start(context: TestContext, connectTimeout: string): Promise<Doors> {
  const cwd = emptyFolder(context);
  const path = join(cwd, "broker.sock");
  const ports = ["--tcp-port", "0", "--tls-port", "0", "--ws-port", "0", "--ws-tls-port", "0", "--unix-socket", path];
  const files = ["--server-crt", folder.file("server.crt"), "--server-key", folder.file("server.key")];
  const limits = ["--limit", `connectTimeout=${connectTimeout}`, "--limit", "connecting=4096"];
  const words = [...ports, ...files, "--bind", "127.0.0.1", ...limits];
  const program = startProgram(context, [...words, "--store", "memory"], { ...MEASURED, cwd });
  const places = new Map<string, number>();
  for (const scheme of ["tcp", "tls", "ws", "wss"]) {
    const { message } = await program.line(new RegExp(`^Listening on ${scheme}://`));
    places.set(scheme, Number(/:(\d+)(?:\/|$)/.exec(message)![1]));
  }
  await program.line(/^Listening on unix:/);
  const sockets: Socket[] = [];
  context.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  const open = async (transport: Transport): Promise<Socket> => {
    const place = transport === "unix" ? { path } : { host: "127.0.0.1", port: places.get(transport)! };
    const socket = openSocket(place).on("error", () => {});
    sockets.push(socket);
    await once(socket, "connect");
    return socket;
  };
  return { program, open };
}

async function secured(socket: Socket): Promise<Socket> {
  const tls = openTls({ socket, rejectUnauthorized: false }).on("error", () => {});
  await once(tls, "secureConnect");
  return tls;
}

/** Up to where MQTT would begin. */
async function arrived(transport: Transport, socket: Socket): Promise<Socket> {
  const carrier = transport === "tls" || transport === "wss" ? await secured(socket) : socket;
  if (transport === "ws" || transport === "wss") assert.equal((await request(carrier, HELLO, opening())).status, 101);
  return carrier;
}

const PART_OF_CONNECT = Buffer.concat([Buffer.from([0x10]), remainingLength(CONNECT_BYTES + 100)]);
const LARGE = Buffer.concat([PART_OF_CONNECT, Buffer.alloc(CONNECT_BYTES, "\u0000\u0004MQTT")]);
/** Of a ClientHello the record's head and a little. */
const PART_OF_HANDSHAKE = Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, ...Buffer.alloc(200)]);
const PART_OF_REQUEST = Buffer.from(`${HELLO}\r\nHost: broker\r\nCookie: ${"x".repeat(15_000)}`);

/** A frame that announces `announced` bytes, of which only these come. */
function partOfFrame(announced: number, bytes: Buffer): Buffer {
  const whole = frame(OPCODE.binary, Buffer.concat([bytes, Buffer.alloc(announced - bytes.length)]));
  return whole.subarray(0, whole.length - announced + bytes.length);
}

interface Behaviour {
  transport: Transport;
  title: string;
  begin(socket: Socket): Promise<unknown>;
}

const BEHAVIOURS: Behaviour[] = TRANSPORTS.flatMap((transport) => {
  const isSecure = transport === "tls" || transport === "wss";
  const isWeb = transport === "ws" || transport === "wss";
  const large = isWeb ? partOfFrame(CONNECT_BYTES * 20, LARGE) : LARGE;
  const all: Behaviour[] = [
    { transport, title: "says nothing", begin: async () => {} },
    {
      transport,
      title: "does not end a large CONNECT",
      begin: async (socket) => (await arrived(transport, socket)).write(large),
    },
  ];
  if (isSecure) {
    all.push({
      transport,
      title: "does not end its handshake",
      begin: async (socket) => socket.write(PART_OF_HANDSHAKE),
    });
  }
  if (isWeb) {
    const asked = async (socket: Socket) => (isSecure ? await secured(socket) : socket).write(PART_OF_REQUEST);
    all.push({ transport, title: "does not end its request", begin: asked });
    const silent = (socket: Socket) => arrived(transport, socket);
    all.push({ transport, title: "says nothing by its WebSocket", begin: silent });
  }
  return all;
});

suite("a peer that nobody knows", () => {
  test("costs less than 64 KiB, 128 KiB with TLS, whatever it sends", async (context) => {
    const { program, open } = await start(context, "60s");
    const run = async (behaviours: readonly Behaviour[], peers: number): Promise<Socket[]> => {
      const sockets: Socket[] = [];
      const one = async ({ transport, begin }: Behaviour): Promise<void> => {
        const socket = await open(transport);
        sockets.push(socket);
        await begin(socket);
      };
      for (let count = 0; count < peers; count += AT_ONCE) {
        await Promise.all(behaviours.flatMap((behaviour) => Array.from({ length: AT_ONCE }, () => one(behaviour))));
      }
      await sleep(50);
      return sockets;
    };
    // So that code is not measured, nor what the allocators take once.
    for (const socket of await run(BEHAVIOURS, 10)) socket.destroy();
    await sleep(100);
    let before = await settledMemory(program);
    const failed: string[] = [];
    // They stay, so that nobody is given what another has left behind.
    for (const behaviour of BEHAVIOURS) {
      const { transport, title } = behaviour;
      await run([behaviour], PEERS);
      const now = await settledMemory(program);
      const each = (bytes: keyof typeof now): number => (now[bytes] - before[bytes]) / PEERS;
      const [resident, held] = [each("residentBytes"), each("heldBytes")];
      const show = (bytes: number): string => (bytes / KILOBYTE).toFixed(1);
      const figures = `${transport}, ${title}: ${show(resident)} KiB resident, ${show(held)} KiB held`;
      context.diagnostic(figures);
      const most = transport === "tls" || transport === "wss" ? TLS_BYTES_MAX : PLAIN_BYTES_MAX;
      if (Math.max(resident, held) >= most) failed.push(figures);
      before = now;
    }
    assert.deepEqual(failed, []);
  });

  test("is cut off after connectTimeout, wherever it has stopped", async (context) => {
    const { program, open } = await start(context, "500ms");
    const tookMs = await Promise.all(
      BEHAVIOURS.map(async ({ transport, begin }) => {
        const socket = await open(transport);
        await begin(socket);
        const startedMs = performance.now();
        const gone = Promise.race([once(socket, "close"), once(socket, "end")]);
        socket.resume();
        await Promise.race([gone, sleep(5000, undefined, { ref: false })]);
        return performance.now() - startedMs;
      }),
    );
    for (const [index, { transport, title }] of BEHAVIOURS.entries()) {
      const about = `${transport}, ${title}: ${tookMs[index]} ms`;
      context.diagnostic(about);
      assert.ok(tookMs[index]! > 250 && tookMs[index]! < 2000, about);
    }
    assert.equal((await program.stop()).code, 0);
  });
});
