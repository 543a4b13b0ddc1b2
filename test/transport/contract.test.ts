import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Duplex, duplexPair } from "node:stream";
import { connect, createServer as createTlsServer } from "node:tls";
import type { Peer } from "../../src/core/ports.ts";
import { attachStream, ServerListener } from "../../src/transport/stream.ts";
import { TcpListener } from "../../src/transport/tcp.ts";
import { Turn } from "../../src/transport/turn.ts";
import { UnixListener } from "../../src/transport/unix.ts";
import { linkSuite } from "./link-suite.ts";
import { Heard, type Rig } from "./rig.ts";
import { listenerSuite, type Opened } from "./suite.ts";
import { connectTo, portOf } from "./tcp-rig.ts";

const LOOPBACK = "127.0.0.1";
const TCP_URL = /^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/;

linkSuite("an in-process stream", async () => duplexRig());
for (const sharedRead of [true, false]) {
  const how = sharedRead ? "the shared buffer" : "'data' events";
  listenerSuite(`TCP, read by ${how}`, async () => tcp(sharedRead));
  listenerSuite(`a Unix socket, read by ${how}`, async () => unix(sharedRead));
}
listenerSuite("an abstract Unix socket", async () => abstract());
listenerSuite("a server of the user's", server);
listenerSuite("a TLS server of the user's", tlsServer);

function duplexRig(): Rig {
  const turn = new Turn();
  const ends: Duplex[] = [];
  return {
    turn,
    async connect(accepting) {
      const [stream, client] = duplexPair();
      ends.push(stream, client);
      const heard = new Heard();
      const link = attachStream(
        stream,
        (accepted) => {
          accepting?.(accepted);
          return heard;
        },
        turn,
        "attached",
      );
      return { link, stream, heard, client };
    },
    async close() {
      for (const end of ends) end.destroy();
    },
  };
}

function tcp(sharedRead: boolean): Opened {
  const turn = new Turn();
  const options = { name: "main", host: LOOPBACK, turn, sharedRead };
  const listener = new TcpListener({ ...options, port: 0 });
  return {
    listener,
    turn,
    dial: () => connectTo({ host: LOOPBACK, port: portOf(listener) }),
    url: TCP_URL,
    peer: (client) => peerOf(client as Socket, "tcp"),
    rival: () => ({
      listener: new TcpListener({ ...options, port: portOf(listener) }),
      message: `Cannot listen on ${listener.url}: the port is in use by another program`,
    }),
  };
}

function unix(sharedRead: boolean): Opened {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-contract-"));
  const path = join(folder, "mqtt.sock");
  return { ...unixAt(path, path, sharedRead), close: async () => rmSync(folder, { recursive: true, force: true }) };
}

let abstractCount = 0;
function abstract(): Opened {
  const name = `mqtt-contract-${process.pid}-${abstractCount++}`;
  return unixAt(`@${name}`, `\0${name}`, true);
}

function unixAt(path: string, address: string, sharedRead: boolean): Opened {
  const turn = new Turn();
  const listener = new UnixListener({ name: "main", path, turn, sharedRead });
  return {
    listener,
    turn,
    dial: () => connectTo({ path: address }),
    url: `unix:${path}`,
    peer: () => ({ address: path, local: true, listener: "main", transport: "unix" }),
    rival: () => ({
      listener: new UnixListener({ name: "rival", path, turn }),
      message: `Cannot listen on unix:${path}: another program listens there: stop it, or give another path`,
    }),
  };
}

async function server(): Promise<Opened> {
  const turn = new Turn();
  const made = await listening(createServer({ allowHalfOpen: true }));
  const listener = new ServerListener("main", made, turn);
  const port = portOf(listener);
  return {
    listener,
    turn,
    dial: () => connectTo({ host: LOOPBACK, port }),
    url: TCP_URL,
    peer: (client) => peerOf(client as Socket, "tcp"),
    close: async () => void made.close(),
  };
}

/** With a key both ends know beforehand, so that the test needs no certificate. */
async function tlsServer(): Promise<Opened> {
  const psk = Buffer.from("0123456789abcdef");
  const options = { ciphers: "PSK", minVersion: "TLSv1.2", maxVersion: "TLSv1.2" } as const;
  const made = await listening(createTlsServer({ ...options, pskCallback: () => psk, allowHalfOpen: true }));
  const turn = new Turn();
  const listener = new ServerListener("main", made, turn);
  const port = portOf(listener);
  return {
    listener,
    turn,
    async dial() {
      const raw = await connectTo({ host: LOOPBACK, port });
      const socket = connect({
        ...options,
        socket: raw,
        pskCallback: () => ({ psk, identity: "test" }),
        checkServerIdentity: () => undefined,
      });
      socket.on("error", () => {});
      // A link refused at once closes before the handshake is complete at this end.
      await new Promise<void>((resolve) => socket.once("secureConnect", resolve).once("close", resolve));
      return socket;
    },
    url: /^tls:\/\/127\.0\.0\.1:[1-9]\d*$/,
    peer: (client) => peerOf(client as Socket, "tls"),
    close: async () => void made.close(),
  };
}

async function listening<T extends Server>(made: T): Promise<T> {
  await new Promise<void>((resolve) => made.listen(0, LOOPBACK, resolve));
  return made;
}

function peerOf(client: Socket, transport: string): Peer {
  return { address: `${LOOPBACK}:${client.localPort}`, local: true, listener: "main", transport };
}
