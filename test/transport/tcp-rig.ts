import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type NetConnectOpts, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Link, Listener } from "../../src/core/ports.ts";
import { TcpListener, type TcpListenerOptions } from "../../src/transport/tcp.ts";
import { Turn } from "../../src/transport/turn.ts";
import { Heard, type Pair, type Rig } from "./rig.ts";

/** A TCP listener on a free port, with raw clients. */
export async function tcpRig(options: Partial<TcpListenerOptions> = {}): Promise<Rig & { listener: TcpListener }> {
  const turn = options.turn ?? new Turn();
  const listener = new TcpListener({ name: "main", host: "127.0.0.1", port: 0, ...options, turn });
  const rig = await listenerRig(listener, turn, () => connectTo({ host: "127.0.0.1", port: portOf(listener) }));
  return { ...rig, listener };
}

/** Any listener and a way to dial it. */
export async function listenerRig(listener: Listener, turn: Turn, dial: () => Promise<Duplex>): Promise<Rig> {
  const accepted: { link: Link; heard: Heard }[] = [];
  const open: Pair[] = [];
  let accepting: ((link: Link) => void) | undefined;
  await listener.listen((link) => {
    const heard = new Heard();
    accepted.push({ link, heard });
    accepting?.(link);
    return heard;
  });
  return {
    turn,
    async connect(whenAccepted) {
      accepting = whenAccepted;
      const client = await dial();
      while (accepted.length === 0) await new Promise((resolve) => setImmediate(resolve));
      const { link, heard } = accepted.shift()!;
      const pair = { link, heard, client, stream: streamOf(link) };
      open.push(pair);
      return pair;
    },
    async close() {
      await listener.close();
      for (const { link, client } of open) {
        link.destroy();
        client.destroy();
      }
    },
  };
}

export function portOf(listener: Listener): number {
  const port = Number(new URL(listener.url.replace(/^t[a-z]+:/, "http:")).port);
  assert.ok(port > 0);
  return port;
}

export async function connectTo(options: NetConnectOpts): Promise<Socket> {
  const socket = connect({ ...options, allowHalfOpen: true });
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

function streamOf(link: Link): Duplex {
  return (link as unknown as { stream: Duplex }).stream;
}
