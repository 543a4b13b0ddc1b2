import type { X509Certificate } from "node:crypto";
import type { Duplex } from "node:stream";
import { inPrivateFolder } from "./quic-folder.ts";

/** Said here and not taken from the package, which may be missing where this is compiled. */
const PACKAGE = "@currentspace/http3";
const VERSION = "0.9.0";
/** Before what the package's native half says. */
const NATIVE_MARK = "[h3:";

/** A stream of a QUIC connection. What is written goes to a thread of the library, which takes any amount at once. */
export interface QuicStream extends Duplex {
  /** As in RFC 9000, section 2.1: those that a client opened for both directions are divisible by 4. */
  readonly id: number;
  /** Resets both directions with an application error code. */
  close(code?: number): void;
}

/** A client's connection, its handshake done. */
export interface QuicSession {
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Only one that was verified. */
  getPeerCertificate(): X509Certificate | null;
  /** Closes at once: what is on its way is lost. */
  close(code?: number, reason?: string): void;
  ping(): boolean;
  on(event: "stream", listener: (stream: QuicStream) => void): unknown;
  on(event: "close", listener: () => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
}

export interface QuicServer {
  /** `host`: an address. */
  listen(port: number, host: string): Promise<{ address: string; port: number }>;
  /** Ends all connections. */
  close(): Promise<void>;
  on(event: "session", listener: (session: QuicSession) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
}

export interface QuicServerOptions {
  runtimeMode: "portable";
  /** PEM. */
  cert: string;
  key: string;
  ca?: string;
  clientAuth: "none" | "request" | "require";
  alpn: string[];
  maxIdleTimeoutMs: number;
  initialMaxStreamDataBidiLocal: number;
  initialMaxStreamsBidi: number;
  maxConnections: number;
  disableRetry: boolean;
}

/** What is used of the library. */
export interface QuicLibrary {
  createQuicServer(options: QuicServerOptions): QuicServer;
}

/** There is no QUIC here, and why, in words that do for a message. */
export class QuicMissing extends Error {}

/**
 * The library, which few brokers need: it is looked for when a listener is. Rejects with a QuicMissing when it is not
 * installed, or has nothing native for this machine. `load` stands for the import in tests.
 */
export async function loadQuicLibrary(load: () => Promise<unknown> = importPackage): Promise<QuicLibrary> {
  try {
    const library = (await load()) as QuicLibrary;
    await demandNative(library);
    return library;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    // In the executable, which has the package, and says what it lacks.
    if (code === "ERR_NATIVE_MISSING") throw new QuicMissing(`QUIC cannot be used: ${message}`, { cause: error });
    const reason = code === "ERR_MODULE_NOT_FOUND" ? "is not installed" : `cannot be used here (${firstLine(message)})`;
    throw new QuicMissing(
      `QUIC needs the package ${PACKAGE}, which ${reason}: npm install ${PACKAGE}@${VERSION} brings it to Linux with glibc 2.34 or newer on x86-64 and ARM64; or leave the QUIC listener out`,
      { cause: error },
    );
  }
}

/** As a string like any other to the compiler, which then does not look for it; the executable's bundler does. */
function importPackage(): Promise<unknown> {
  return import("@currentspace/http3" as string);
}

/** The native half is loaded by the first server only: one that cannot be, without a certificate, tells whether it is there. */
async function demandNative({ createQuicServer }: QuicLibrary): Promise<void> {
  const server = createQuicServer({
    runtimeMode: "portable",
    cert: "",
    key: "",
    clientAuth: "none",
    alpn: ["mqtt"],
    maxIdleTimeoutMs: 1000,
    initialMaxStreamDataBidiLocal: 1,
    initialMaxStreamsBidi: 1,
    maxConnections: 1,
    disableRetry: true,
  });
  try {
    await inPrivateFolder(() => server.listen(0, "127.0.0.1"));
  } catch (error) {
    if ((error as Error).message.startsWith(NATIVE_MARK)) return;
    throw error;
  }
  await server.close();
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0]!;
}
