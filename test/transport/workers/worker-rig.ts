import { once } from "node:events";
import type { Socket } from "node:net";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import type { PortListenerSettings, TlsSettings } from "../../../src/config/settings.ts";
import { defaultLimits } from "../../../src/core/limits.ts";
import type { Log } from "../../../src/core/ports.ts";
import type { WorkerDoors } from "../../../src/listeners.ts";
import { Turn } from "../../../src/transport/turn.ts";
import { FarListener } from "../../../src/transport/workers/far-listener.ts";
import { Workers } from "../../../src/transport/workers/workers.ts";
import type { CertificateFolder } from "../../support/certificates.ts";
import { connectTo } from "../tcp-rig.ts";
import { NotedLog, settingsOf } from "../tls-rig.ts";
import { opening, RawWebSocket, request } from "../websocket-rig.ts";

const LOOPBACK = "127.0.0.1";
const SOURCES = join(import.meta.dirname, "../../../src");

export type Kind = "tls" | "ws" | "wss";

export interface WorkersGiven {
  count?: number;
  turn?: Turn;
  log?: Log;
  entry?: string;
  doors?: Partial<WorkerDoors>;
}

/** The threads that the broker starts, with its own entry file. */
export function makeWorkers({ count = 1, turn = new Turn(), log = new NotedLog(), entry, doors }: WorkersGiven = {}) {
  const data = (): WorkerDoors => ({
    limits: defaultLimits(),
    maximumPacketSize: 64 * 1024 * 1024,
    clockTrust: "trusted",
    core: { ticketSecret: Buffer.alloc(48, 7), leastMs: 0 },
    ...doors,
  });
  return new Workers({
    count,
    entry: entry ?? join(SOURCES, "listener-worker.ts"),
    data,
    stackBytes: undefined,
    heapBytes: 128 * 1024 * 1024,
    turn,
    log,
  });
}

/** Of the configuration. `certificate`: its name in the folder. */
export function settingsFor(
  kind: Kind,
  folder: CertificateFolder,
  { port = 0, name = "main", certificate = "server" }: { port?: number; name?: string; certificate?: string } = {},
): PortListenerSettings {
  const certificates = [{ cert: folder.file(`${certificate}.crt`), key: folder.file(`${certificate}.key`) }];
  const onPort = { name, host: LOOPBACK, port, noDelay: true, keepAliveSeconds: 0, reusePort: false };
  const webSocket = { path: undefined, origins: [], trustedProxies: [] };
  const tls = settingsOf(folder, { certificates }) as TlsSettings;
  if (kind === "tls") return { ...onPort, type: kind, tls };
  return kind === "ws" ? { ...onPort, type: kind, webSocket } : { ...onPort, type: kind, webSocket, tls };
}

/** A listener served by these threads. */
export function farListener(
  kind: Kind,
  workers: Workers,
  folder: CertificateFolder,
  more: { turn?: Turn; port?: number; name?: string; certificate?: string } = {},
): FarListener {
  const settings = settingsFor(kind, folder, more);
  const url = `${kind}://${LOOPBACK}:${settings.port}${kind === "tls" ? "" : "/mqtt"}`;
  return new FarListener({ settings, url, turn: more.turn ?? new Turn(), workers });
}

/** A client whose handshakes are done, or who was sent away. */
export async function dialFar(
  kind: Kind,
  listener: FarListener,
  folder: CertificateFolder,
): Promise<TLSSocket | RawWebSocket> {
  const raw = await connectTo({ host: LOOPBACK, port: Number(new URL(listener.url.replace("tls:", "http:")).port) });
  if (kind === "ws") return webSocketOver(raw);
  const secure = await secureOver(raw, folder);
  return kind === "tls" ? secure : webSocketOver(secure);
}

/** As the broker sees it: of the connection below all others. */
export function localPortOf(client: TLSSocket | RawWebSocket): number {
  return (client instanceof RawWebSocket ? client.socket : client).localPort!;
}

async function secureOver(raw: Socket, folder: CertificateFolder): Promise<TLSSocket> {
  const socket = connect({ socket: raw, ca: folder.text("ours.crt"), servername: "localhost", maxVersion: "TLSv1.2" });
  socket.on("error", () => {});
  await Promise.race([once(socket, "secureConnect"), once(socket, "close")]);
  return socket;
}

async function webSocketOver(socket: Socket): Promise<RawWebSocket> {
  return new RawWebSocket(socket, await request(socket, "GET /mqtt HTTP/1.1", opening()));
}
