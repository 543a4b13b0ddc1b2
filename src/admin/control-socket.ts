import { once } from "node:events";
import { lstatSync, unlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { Log } from "../core/ports.ts";
import { isShortEnough } from "./control-path.ts";
import { type Operation, OperationError, prepare } from "./operations.ts";

/** One question is a line of JSON; no answer is so long that it needs more. */
const QUESTION_BYTES_MAX = 64 * 1024;
/** Whoever connects asks, and whoever asked reads, within this; else it is cut off. */
const PATIENCE_MS = 10_000;
const CONNECTIONS_MAX = 8;
/** Items that are put together at a time, before what else the broker has to do. */
const ITEMS_AT_ONCE = 200;
/** Only the user as whom the broker runs, and root. */
const NOT_FOR_OTHERS = 0o177;

/** How long it waits to hear whether a socket file is somebody's. */
const PROBE_MS = 1_000;

export interface ControlSocketOptions {
  /** Absolute, see controlPath; undefined: none is opened. */
  path: string | undefined;
  operations: ReadonlyMap<string, Operation>;
  log: Log;
}

/**
 * The control socket: a Unix socket that takes one line `{"operation": "banned", "arguments": {…}}` a connection, and answers in
 * lines: `{"item": …}` for each item, then `{"done": true}` or `{"error": "…"}`. Nothing that is asked there can harm the broker,
 * and nothing that goes wrong there is an error of the broker.
 */
export class ControlSocket {
  private readonly options: ControlSocketOptions;
  private readonly sockets = new Set<Socket>();
  private server: Server | undefined;

  constructor(options: ControlSocketOptions) {
    this.options = options;
  }

  /** Resolves when it accepts, or when it is known that it cannot, which is warned of. Never rejects. */
  async start(): Promise<void> {
    const { path, log } = this.options;
    // Without a folder of its own a broker keeps nothing, and has no place for it.
    if (path === undefined) return;
    if (!isShortEnough(path)) {
      log.warn("No control socket: its path has more than 107 bytes; a shorter --data-dir helps", { file: path });
      return;
    }
    try {
      await removeStale(path);
      this.server = await listenAt(path, (socket) => this.accept(socket));
      // From here on it may fail to accept, when there are no descriptors, say.
      this.server.on("error", (error) => log.warn("The control socket fails", { file: path, reason: error.message }));
      log.debug("Control socket open", { file: path });
    } catch (error) {
      log.warn("No control socket: what asks the running broker, such as mqtt-broker banned, does not work", {
        file: path,
        reason: (error as Error).message,
      });
    }
  }

  /** Ends it and removes its file. */
  async stop(): Promise<void> {
    const { server } = this;
    if (server === undefined) return;
    this.server = undefined;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  private accept(socket: Socket): void {
    this.sockets.add(socket);
    socket.on("close", () => this.sockets.delete(socket));
    // The asker went away: nobody is left to tell.
    socket.on("error", () => socket.destroy());
    socket.setTimeout(PATIENCE_MS, () => socket.destroy());
    this.serve(socket).catch((error: unknown) => {
      this.options.log.debug("The control socket could not answer", { reason: (error as Error).message });
      socket.destroy();
    });
  }

  private async serve(socket: Socket): Promise<void> {
    try {
      const question = await readQuestion(socket);
      if (question === undefined) {
        // Its side may be closed only, and ours would keep its place.
        socket.end();
        return;
      }
      const items = await this.ask(question);
      await writeItems(socket, items);
      socket.end(`${JSON.stringify({ done: true })}\n`);
    } catch (error) {
      socket.end(`${JSON.stringify({ error: this.messageFor(error) })}\n`);
    }
  }

  private async ask(question: string): Promise<Iterable<unknown>> {
    let value: unknown;
    try {
      value = JSON.parse(question);
    } catch {
      throw new OperationError('Not JSON: ask {"operation": "NAME", "arguments": {}}');
    }
    const { operation, arguments: given } = (value ?? {}) as Record<string, unknown>;
    return await prepare(this.options.operations, operation, given)();
  }

  /** A mistake of ours is for the log. */
  private messageFor(error: unknown): string {
    if (error instanceof OperationError) return error.message;
    this.options.log.error("An operation failed on the control socket", { reason: (error as Error).stack });
    return "The broker could not do it: its log says why";
  }
}

/** The first line; undefined when the asker left without one. Rejects when it is too long. */
async function readQuestion(socket: Socket): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  return await new Promise((resolve, reject) => {
    const onData = (chunk: Buffer): void => {
      const end = chunk.indexOf(0x0a);
      const part = end === -1 ? chunk : chunk.subarray(0, end);
      chunks.push(part);
      bytes += part.length;
      if (bytes > QUESTION_BYTES_MAX) reject(new OperationError(`A question has at most ${QUESTION_BYTES_MAX} bytes`));
      else if (end !== -1) resolve(Buffer.concat(chunks).toString("utf8"));
      else return;
      socket.off("data", onData);
      // What else it sends is not read for, but its going away is noticed.
      socket.resume();
    };
    socket.on("data", onData);
    socket.on("end", () => resolve(bytes === 0 ? undefined : Buffer.concat(chunks).toString("utf8")));
    socket.on("close", () => resolve(undefined));
  });
}

/** As fast as it is read, and no faster. */
async function writeItems(socket: Socket, items: Iterable<unknown>): Promise<void> {
  let lines: string[] = [];
  for (const item of items) {
    lines.push(`${JSON.stringify({ item })}\n`);
    if (lines.length < ITEMS_AT_ONCE) continue;
    await write(socket, lines.join(""));
    lines = [];
  }
  if (lines.length > 0) await write(socket, lines.join(""));
}

async function write(socket: Socket, text: string): Promise<void> {
  if (socket.destroyed) throw new OperationError("The asker has left");
  if (socket.write(text)) {
    // The broker comes first.
    await new Promise((resolve) => setImmediate(resolve));
    return;
  }
  const left = new AbortController();
  const onClose = (): void => left.abort();
  socket.once("close", onClose);
  try {
    await once(socket, "drain", { signal: left.signal });
  } catch {
    throw new OperationError("The asker has left");
  } finally {
    socket.off("close", onClose);
  }
}

/** Removes a socket file that nobody listens at. Rejects when it is somebody's, or something else. */
async function removeStale(path: string): Promise<void> {
  const kind = lstatSync(path, { throwIfNoEntry: false });
  if (kind === undefined) return;
  if (!kind.isSocket()) throw new Error("There is another file of this name, which is not removed");
  if (await isLive(path)) throw new Error("Another broker has it: give each a --data-dir of its own");
  unlinkSync(path);
}

function isLive(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const answer = (live: boolean): void => {
      socket.destroy();
      resolve(live);
    };
    socket.on("connect", () => answer(true));
    // Nobody listens there; whatever else goes wrong, the file may be somebody's.
    socket.on("error", (error: NodeJS.ErrnoException) =>
      answer(error.code !== "ECONNREFUSED" && error.code !== "ENOENT"),
    );
    socket.setTimeout(PROBE_MS, () => answer(true));
  });
}

function listenAt(path: string, accept: (socket: Socket) => void): Promise<Server> {
  // Half-open: an asker may end its side with the question.
  const server = createServer({ allowHalfOpen: true }, accept);
  server.maxConnections = CONNECTIONS_MAX;
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.once("listening", () => {
      server.off("error", reject);
      resolve(server);
    });
    // The file is made before `listen` returns, and nobody else may open it even for a moment.
    const before = process.umask(NOT_FOR_OTHERS);
    try {
      server.listen(path);
    } finally {
      process.umask(before);
    }
    // What is asked never keeps the process alive.
    server.unref();
  });
}
