import { extname, join } from "node:path";
import { Worker } from "node:worker_threads";
import type { Log } from "../../core/ports.ts";
import { type Store, type StoreEvents, type StoreFigures, StoreInUse, type Table } from "../../core/store.ts";
import { CLOSE, type Reply, type Request, Shared, type WorkerStart } from "./messages.ts";

export interface SqliteStoreOptions {
  /** Made when it is missing. One broker a folder. */
  folder: string;
  /** Hears of a file that is moved aside, and of a log that somebody's reading makes grow. */
  log?: Pick<Log, "warn" | "info">;
}

interface Waiting<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

type State = "new" | "opening" | "open" | "closing" | "ended";

/**
 * The embedded store: an SQLite file in `folder`, written by a thread of its own. This is the broker's side of it: it
 * passes batches and reads on, and tells what came of them. A dying thread is `onFailed`; there is no going on then.
 */
export class SqliteStore implements Store {
  readonly kind = "sqlite";
  private readonly folder: string;
  private readonly log: Pick<Log, "warn" | "info"> | undefined;
  private readonly shared = new Shared();
  private readonly reads = new Map<number, Waiting<Uint8Array>>();
  private state: State = "new";
  /** Of the thread, before it was to open anything. */
  private failure: Error | undefined;
  private events: StoreEvents | undefined;
  private worker: Worker | undefined;
  private nextId = 1;
  /** Of `open`, then of `close`. */
  private turning: Waiting<void> | undefined;

  constructor({ folder, log }: SqliteStoreOptions) {
    this.folder = folder;
    this.log = log;
  }

  /** Starts the thread, which takes a while, and may do so while the broker does other things; it waits for `open`. */
  prepare(): void {
    this.worker ??= this.startWorker();
    // A broker that fails before it opens its store ends.
    this.worker.unref();
  }

  open(events: StoreEvents): Promise<void> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    if (this.state !== "new") return Promise.reject(new Error("This store was opened before"));
    this.events = events;
    this.state = "opening";
    this.worker ??= this.startWorker();
    this.worker.ref();
    this.shared.wake();
    return new Promise((resolve, reject) => {
      this.turning = { resolve, reject };
    });
  }

  private startWorker(): Worker {
    const start: WorkerStart = { folder: this.folder, shared: this.shared.buffer };
    const worker = new Worker(workerPath(), { workerData: start, name: "store" });
    worker.on("message", (reply: Reply) => this.receive(reply));
    worker.on("error", (error) => this.fail(error instanceof Error ? error : new Error(String(error))));
    worker.on("exit", (code) => this.fail(new Error(`The store's thread has ended with ${code}`)));
    return worker;
  }

  commit(batch: Uint8Array): void {
    if (this.state === "ended") return;
    this.demandOpen();
    this.send(batch, batch.buffer);
  }

  read(table: Table, first: number, last: number, bytesMax: number, valueBytesMax?: number): Promise<Uint8Array> {
    return this.ask((id) => ({ kind: "read", id, table, first, last, bytesMax, valueBytesMax }));
  }

  readKeys(table: Table, keys: readonly number[]): Promise<Uint8Array> {
    return this.ask((id) => ({ kind: "readKeys", id, table, keys }));
  }

  figures(): StoreFigures {
    return this.shared.figures;
  }

  close(): Promise<void> {
    if (this.state !== "open") return Promise.resolve();
    this.state = "closing";
    return new Promise((resolve, reject) => {
      this.turning = { resolve, reject };
      this.send(CLOSE);
    });
  }

  private ask(request: (id: number) => Request): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.demandOpen();
      const id = this.nextId++;
      this.reads.set(id, { resolve, reject });
      this.send(request(id));
    });
  }

  private demandOpen(): void {
    if (this.state === "ended") throw new Error("The store has ended");
    if (this.state !== "open") throw new Error(`The store is not open, but ${this.state}`);
  }

  private send(request: Request | typeof CLOSE, memory?: ArrayBufferLike): void {
    if (memory instanceof ArrayBuffer) {
      try {
        this.worker!.postMessage(request, [memory]);
      } catch {
        // Memory that Node.js shares between small buffers does not go away from here: that batch is copied.
        this.worker!.postMessage(request);
      }
    } else this.worker!.postMessage(request);
    this.shared.wake();
  }

  private receive(reply: Reply): void {
    const { events } = this;
    if (this.state === "ended" || events === undefined) return;
    if (typeof reply === "number") events.onDurable(reply);
    else if (reply.kind === "page") {
      this.reads.get(reply.id)?.resolve(reply.bytes);
      this.reads.delete(reply.id);
    } else if (reply.kind === "trouble") events.onTrouble(reply.trouble);
    else if (reply.kind === "recovered") events.onRecovered();
    else if (reply.kind === "lost") events.onLost(reply.loss);
    else if (reply.kind === "note") this.log?.[reply.level](reply.message);
    else this.turn(reply);
  }

  private turn(reply: Extract<Reply, { kind: "opened" | "refused" | "closed" }>): void {
    const { turning } = this;
    this.turning = undefined;
    this.state = reply.kind === "opened" ? "open" : "ended";
    if (reply.kind === "refused") turning?.reject(reply.inUse ? new StoreInUse(reply.reason) : new Error(reply.reason));
    else turning?.resolve();
    // While nothing could be written there may be some that nothing could be read for either.
    if (reply.kind === "closed") this.rejectReads(new Error("The store has ended"));
  }

  private rejectReads(error: Error): void {
    for (const { reject } of this.reads.values()) reject(error);
    this.reads.clear();
  }

  /** Also when the thread ends as it should: then nothing is left to tell. */
  private fail(error: Error): void {
    if (this.state === "ended") return;
    const { state } = this;
    if (state === "new") this.failure = error;
    this.state = "ended";
    this.turning?.reject(error);
    this.rejectReads(error);
    if (state !== "opening") this.events?.onFailed(error);
  }
}

/** The worker lies beside this file, with the same ending: TypeScript, or what was made of it. */
function workerPath(): string {
  return join(import.meta.dirname, `worker${extname(import.meta.filename)}`);
}
