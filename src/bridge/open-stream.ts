import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect as connectNet, isIP } from "node:net";
import type { Duplex } from "node:stream";
import { type ConnectionOptions, connect as connectTls, getCACertificates } from "node:tls";
import type { UpstreamSettings } from "./settings.ts";
import { openWebSocket } from "./web-socket.ts";

const DEFAULT_PORTS: Readonly<Record<string, number>> = { "mqtt:": 1883, "mqtts:": 8883, "ws:": 80, "wss:": 443 };

/**
 * Connects with the other broker; resolves when bytes of MQTT can go. Rejects with a message for people, also when
 * `signal` aborts. Files are read each time: certificates are renewed while we run.
 */
export async function openStream(settings: UpstreamSettings, signal: AbortSignal): Promise<Duplex> {
  const url = new URL(settings.url);
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = url.port === "" ? DEFAULT_PORTS[url.protocol]! : Number(url.port);
  const isSecure = url.protocol === "mqtts:" || url.protocol === "wss:";
  const isWebSocket = url.protocol.startsWith("ws");
  const tls = isSecure ? await tlsOptions(settings, host) : undefined;
  signal.throwIfAborted();
  const socket = tls === undefined ? connectNet({ host, port }) : connectTls({ host, port, ...tls });
  socket.setNoDelay(true);
  const abort = (): void => void socket.destroy(new Error("it does not answer"));
  signal.addEventListener("abort", abort, { once: true });
  try {
    await once(socket, tls === undefined ? "connect" : "secureConnect");
    return isWebSocket ? await openWebSocket(socket, url) : socket;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
    // Until somebody else listens: an error that nobody hears ends the process.
    socket.on("error", () => {});
  }
}

async function tlsOptions({ ca, cert, key }: UpstreamSettings, host: string): Promise<ConnectionOptions> {
  return {
    ca: ca === undefined ? [...getCACertificates("system"), ...getCACertificates("default")] : await read(ca),
    ...(isIP(host) === 0 && { servername: host }),
    ...(cert !== undefined && { cert: await read(cert) }),
    ...(key !== undefined && { key: await read(key) }),
  };
}

/** Rejects with a message that names the file. */
export async function read(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new Error(`${path} cannot be read: ${(error as Error).message}`);
  }
}
