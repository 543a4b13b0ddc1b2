// A store of your own: sessions, queues and retained messages go wherever you can keep bytes, such as a database that
// you run anyway. This one appends every batch of changes to a file and reads all of it when it opens. A real one would
// also check what it reads, keep a second broker out, and throw away what is obsolete: this file grows for ever.
//
// log-store.test.ts runs the contract suite of the package against it, own-store.ts is a broker that uses it.
import { type FileHandle, open } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { MemoryStore, type Store, type StoreEvents, type StoreFigures, type Table } from "mqtt-broker";

const RETRY_MS = 500;
const RETRIES_MAX_WHEN_CLOSING = 4;
const LENGTH_BYTES = 4;

export class LogStore implements Store {
  readonly kind = "log";
  private readonly path: string;
  /** Answers what is read. */
  private readonly memory = new MemoryStore();
  private file!: FileHandle;
  private events!: StoreEvents;
  private size = 0;
  private atOpen!: StoreFigures;
  private commits = 0;
  private durable = 0;
  private waiting: Uint8Array[] = [];
  private working: Promise<void> | undefined;
  private isClosing = false;

  constructor(path: string) {
    this.path = path;
  }

  async open(events: StoreEvents): Promise<void> {
    this.events = events;
    this.file = await open(this.path, "a+");
    const log = new Uint8Array(await this.file.readFile());
    const lengths = new DataView(log.buffer);
    for (let at = 0; at + LENGTH_BYTES <= log.length; at = this.size) {
      const end = at + LENGTH_BYTES + lengths.getUint32(at);
      if (end > log.length) break;
      this.memory.commit(log.subarray(at + LENGTH_BYTES, end));
      this.size = end;
    }
    // What was being written when the power was cut had not been promised to anybody.
    await this.file.truncate(this.size);
    this.atOpen = this.memory.figures();
  }

  commit(batch: Uint8Array): void {
    this.memory.commit(batch);
    this.waiting.push(batch);
    this.working ??= this.work();
  }

  read(table: Table, first: number, last: number, bytesMax: number, valueBytesMax?: number): Promise<Uint8Array> {
    return this.memory.read(table, first, last, bytesMax, valueBytesMax);
  }

  readKeys(table: Table, keys: readonly number[]): Promise<Uint8Array> {
    return this.memory.readKeys(table, keys);
  }

  figures(): StoreFigures {
    const { records, bytes } = this.memory.figures();
    const { atOpen, commits, size } = this;
    return { commits, records: records - atOpen.records, bytes: bytes - atOpen.bytes, diskBytes: size };
  }

  async close(): Promise<void> {
    this.isClosing = true;
    await this.working;
    await this.memory.close();
    await this.file.close();
  }

  /** One write and one sync for all that came in while the last one was under way. */
  private async work(): Promise<void> {
    while (this.waiting.length > 0) {
      const batches = this.waiting;
      this.waiting = [];
      if (!(await this.append(batches))) return;
      this.commits++;
      this.durable += batches.length;
      this.events.onDurable(this.durable);
    }
    this.working = undefined;
  }

  /** Tries until it succeeds. False: it did not, and the store is being closed. */
  private async append(batches: readonly Uint8Array[]): Promise<boolean> {
    const pieces = batches.flatMap((batch) => {
      const length = new DataView(new ArrayBuffer(LENGTH_BYTES));
      length.setUint32(0, batch.length);
      return [length, batch];
    });
    for (let failures = 0; ; failures++) {
      try {
        await this.file.truncate(this.size);
        const { bytesWritten } = await this.file.writev(pieces);
        await this.file.datasync();
        const expected = pieces.reduce((size, piece) => size + piece.byteLength, 0);
        if (bytesWritten < expected) throw new Error("the disk took a part only");
        this.size += expected;
        if (failures > 0) this.events.onRecovered();
        return true;
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        const kind = code === "ENOSPC" ? "full" : "unwritable";
        if (failures === 0) this.events.onTrouble({ kind, reason: `${this.path}: ${message}` });
        if (this.isClosing && failures >= RETRIES_MAX_WHEN_CLOSING) return false;
        await sleep(RETRY_MS);
      }
    }
  }
}
