import { Worker } from "node:worker_threads";
import type { Accept, Log } from "../../core/ports.ts";
import type { Turn } from "../turn.ts";
import { FarLink } from "./far-link.ts";
import { FarStream } from "./far-stream.ts";
import { type Opening, type Request, type ToCore, type ToWorker, WAKE, type WorkerStart } from "./messages.ts";
import { Kind, Pipe } from "./pipe.ts";
import { LEVELS } from "./port-log.ts";
import type { ErrorText } from "./relay.ts";
import { makeRing } from "./ring.ts";

/** A thread that has died is started again after this long, then twice as long, up to the maximum. */
const REST_MS = 100;
const REST_MS_MAX = 30_000;
/** A thread that has lived so long has died for another reason than the one before. */
const LIFE_MS = 60_000;

/** What a listener is for a thread. */
export interface Door {
  /** Unique among all that ever were. */
  readonly number: number;
  readonly settings: unknown;
  readonly accept: Accept;
  readonly turn: Turn;
}

export interface ThreadOptions {
  /** From 0 on. */
  index: number;
  /** The file that it runs. */
  entry: string;
  /** Makes what that file is given, when it is started; cloned. */
  data: () => unknown;
  /** Of the stack, in bytes; undefined: as Node.js has it. */
  stackBytes: number | undefined;
  /** Of its heap, in bytes: one that needs more has gone wrong, and dies alone. */
  heapBytes: number;
  turn: Turn;
  log: Log;
}

interface Asked {
  resolve(url: string | undefined): void;
  reject(error: Error): void;
}

/** Without the `id`, of each kind. */
type Question = Request extends infer R ? (R extends Request ? Omit<R, "id"> : never) : never;

const MIB = 1024 * 1024;

/** The core's view of one thread that serves connections. It is started again when it dies, with its listeners. */
export class Thread {
  private readonly options: ThreadOptions;
  private readonly doors = new Map<number, Door>();
  private readonly streams = new Map<number, FarStream>();
  private readonly asked = new Map<number, Asked>();
  private lastId = 0;
  private worker: Worker | undefined;
  private pipe: Pipe | undefined;
  private rest: NodeJS.Timeout | undefined;
  private restMs = REST_MS;
  private startedMs = 0;
  private stopped = false;

  constructor(options: ThreadOptions) {
    this.options = options;
  }

  /** Connections that it serves. */
  get connections(): number {
    return this.streams.size;
  }

  /** Resolves with where it listens. Rejects with the reason when it cannot. */
  async listen(door: Door): Promise<string> {
    if (this.worker === undefined) this.start();
    this.doors.set(door.number, door);
    this.keep();
    try {
      return (await this.ask({ kind: "listen", door: door.number, settings: door.settings })) ?? "";
    } catch (error) {
      this.forget(door.number);
      throw error;
    }
  }

  /** Resolves when nobody is let in there any more. */
  async close(door: number): Promise<void> {
    if (!this.doors.has(door)) return;
    try {
      if (this.worker !== undefined) await this.ask({ kind: "close", door });
    } catch {
      // It died, and so does not listen.
    }
    this.forget(door);
  }

  /** Has it read its files again. */
  async reload(): Promise<void> {
    if (this.worker === undefined) return;
    try {
      await this.ask({ kind: "reload" });
    } catch {
      // It died; the next one reads them as it starts.
    }
  }

  /** Ends it, with its connections. */
  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.rest);
    await this.worker?.terminate();
  }

  /** Also in place of one that has died, with the listeners that it had. */
  private start(): void {
    clearTimeout(this.rest);
    const { index, entry, data, stackBytes, heapBytes, turn, log } = this.options;
    const toCore = makeRing();
    const toWorker = makeRing();
    const level = LEVELS.findLast((one) => log.enabled(one)) ?? "error";
    const start: WorkerStart = { toCore, toWorker, level, data: data() };
    const worker = new Worker(entry, {
      workerData: start,
      name: `connections ${index + 1}`,
      resourceLimits: {
        maxOldGenerationSizeMb: Math.ceil(heapBytes / MIB),
        ...(stackBytes !== undefined && { stackSizeMb: stackBytes / MIB }),
      },
    });
    const send = (message: ToWorker): void => worker.postMessage(message);
    const pipe = new Pipe(toWorker, toCore, turn, () => send(WAKE), this.onFrame);
    let reason = "it ended by itself";
    worker.on("message", (message: ToCore) => {
      if (message === WAKE) pipe.onWake();
      else this.receive(message);
    });
    worker.on("error", (error) => {
      reason = error instanceof Error ? error.message : String(error);
    });
    worker.on("exit", () => {
      // What it sent before it died still counts.
      pipe.onWake();
      pipe.close();
      this.died(reason);
    });
    this.worker = worker;
    this.pipe = pipe;
    this.startedMs = performance.now();
    pipe.onWake();
    for (const door of this.doors.values()) this.listenAgain(door);
    this.keep();
  }

  private receive(message: Exclude<ToCore, typeof WAKE>): void {
    if (message.kind === "log") {
      const { level, message: text, fields, below } = message;
      this.options.log[level](text, fields, below);
      return;
    }
    const asked = this.asked.get(message.id);
    this.asked.delete(message.id);
    if (message.failure === undefined) asked?.resolve(message.url);
    else asked?.reject(new Error(message.failure));
  }

  private ask(question: Question): Promise<string | undefined> {
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      this.asked.set(id, { resolve, reject });
      this.worker!.postMessage({ ...question, id });
    });
  }

  private readonly onFrame = (connection: number, kind: number, bytes: Uint8Array, length: number): void => {
    if (kind === Kind.OPEN) {
      this.opened(connection, JSON.parse(textOf(bytes, length)) as Opening);
      return;
    }
    const stream = this.streams.get(connection);
    if (stream === undefined) return;
    if (kind === Kind.DATA) stream.receive(bytes, length);
    else if (kind === Kind.TAKEN) stream.grant(length);
    else if (kind === Kind.END) stream.ended();
    else if (kind === Kind.CLOSED) {
      this.streams.delete(connection);
      stream.lost(length === 0 ? undefined : errorOf(JSON.parse(textOf(bytes, length)) as ErrorText));
      this.keep();
    }
  };

  private opened(connection: number, { door: number, peer }: Opening): void {
    const stream = new FarStream(this.pipe!, connection);
    const door = this.doors.get(number);
    this.streams.set(connection, stream);
    if (door === undefined) stream.destroy();
    else new FarLink(stream, peer, door.turn).open(door.accept);
  }

  private died(reason: string): void {
    const error = new Error(`the thread that served the connection has died: ${reason}`);
    this.worker = undefined;
    for (const { reject } of this.asked.values()) reject(error);
    this.asked.clear();
    const connections = this.streams.size;
    for (const stream of this.streams.values()) stream.lost(error);
    this.streams.clear();
    if (this.stopped) return;
    if (performance.now() - this.startedMs > LIFE_MS) this.restMs = REST_MS;
    const seconds = this.restMs / 1000;
    const fields = { thread: this.options.index + 1, reason, connections };
    this.options.log.error(`A thread that serves connections has died: another one starts in ${seconds} s`, fields);
    this.rest = setTimeout(() => this.doors.size > 0 && this.start(), this.restMs);
    this.restMs = Math.min(REST_MS_MAX, this.restMs * 2);
  }

  /** What it needs may be missing for now: a file that is being exchanged. */
  private listenAgain(door: Door): void {
    if (this.worker === undefined || this.doors.get(door.number) !== door) return;
    this.ask({ kind: "listen", door: door.number, settings: door.settings }).catch((error: Error) => {
      if (this.worker === undefined) return;
      const fields = { thread: this.options.index + 1, seconds: REST_MS_MAX / 1000 };
      this.options.log.error(`${error.message}: tried again later`, fields);
      setTimeout(() => this.listenAgain(door), REST_MS_MAX).unref();
    });
  }

  private forget(door: number): void {
    this.doors.delete(door);
    this.keep();
  }

  /** A thread without listeners and connections is no reason for the process to go on. */
  private keep(): void {
    if (this.doors.size > 0 || this.streams.size > 0) this.worker?.ref();
    else this.worker?.unref();
  }
}

function textOf(bytes: Uint8Array, length: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, length).toString();
}

function errorOf({ message, code }: ErrorText): Error {
  return Object.assign(new Error(message), code !== undefined && { code });
}
