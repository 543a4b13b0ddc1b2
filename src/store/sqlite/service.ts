import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { StoreTrouble } from "../../core/store.ts";
import { Ballast } from "./ballast.ts";
import { BatchWriter } from "./batch-writer.ts";
import { failureOf, messageOf, Refusal, troubleOf } from "./failure.ts";
import { FolderLock } from "./folder-lock.ts";
import type { ReadKeysRequest, ReadRequest, Reply, Request, Shared } from "./messages.ts";
import { PageReader } from "./page-reader.ts";
import { type Salvage, StoreFile, type Witness } from "./store-file.ts";
import { Upkeep } from "./upkeep.ts";

const TRANSACTION_BYTES_MAX = 16 * 1024 * 1024;
const RETRY_MS = 1_000;
/** New batches are tried at once, but what waits is written anew each time, so not all the time. */
const RETRY_MS_MIN = 20;
/** Failures to read in a row, one a second, until what cannot be read counts as damaged. */
const UNREADABLE_MAX = 3;
/** After it, closing gives up what cannot be written. */
const CLOSE_MS = 2_000;
/** A file that is damaged again and again is not to blame: the machine is. Copies of it would fill the disk. */
const REPLACEMENTS_MAX = 5;

/** The open file with all that works on it. */
interface OpenFile {
  database: DatabaseSync;
  writer: BatchWriter;
  reader: PageReader;
  upkeep: Upkeep;
  begin: StatementSync;
  beginReading: StatementSync;
  commit: StatementSync;
}

/**
 * What the worker does: requests in their order, as many as are there in one transaction. What cannot be written waits
 * here, in order, and is tried again.
 */
export class StoreService {
  isClosed = false;
  private readonly folder: string;
  private readonly shared: Shared;
  private readonly send: (reply: Reply, transfer?: ArrayBuffer[]) => void;
  private readonly storeFile: StoreFile;
  private readonly ballast: Ballast;
  private lock: FolderLock | undefined;
  private file: OpenFile | undefined;
  /** Not durable or not answered yet. Reads that are answered while batches before them wait become undefined. */
  private pending: (Request | undefined)[] = [];
  private durable = 0;
  private commits = 0;
  private records = 0;
  private bytes = 0;
  private trouble: StoreTrouble["kind"] | undefined;
  private nextAttemptMs = 0;
  private unreadable = 0;
  private replacements = 0;
  private isUpkeepTold = false;
  private closeByMs = Number.POSITIVE_INFINITY;

  constructor(
    folder: string,
    shared: Shared,
    salvage: Salvage,
    send: (reply: Reply, transfer?: ArrayBuffer[]) => void,
  ) {
    this.folder = folder;
    this.shared = shared;
    this.send = send;
    this.storeFile = new StoreFile(folder, salvage, this.witness());
    this.ballast = new Ballast(folder);
  }

  /** Throws Refusal. */
  open(): void {
    const lock = new FolderLock(this.folder);
    try {
      try {
        this.file = this.openFile();
      } catch (error) {
        // What a full disk lacks is little: 32 KiB for what readers share.
        if (failureOf(error, this.folder) !== "full" || !this.ballast.release()) throw error;
        this.file = this.openFile();
      }
    } catch (error) {
      lock.release();
      if (error instanceof Refusal) throw error;
      throw new Refusal(`Cannot open ${this.storeFile.path}: ${messageOf(error)}`);
    }
    this.lock = lock;
    this.ballast.restore();
    this.tellFigures();
  }

  /** `nowMs`: monotonic. */
  accept(request: Request, nowMs: number): void {
    if (request instanceof Uint8Array || request.kind !== "close") {
      this.pending.push(request);
      this.nextAttemptMs = Math.min(this.nextAttemptMs, nowMs + RETRY_MS_MIN);
    } else this.closeByMs = nowMs + CLOSE_MS;
  }

  /** Does what is due. Returns the milliseconds that nothing more will be, if no request comes. */
  work(nowMs: number): number {
    const waits = this.pending.length > 0 || this.trouble !== undefined;
    if (waits && (this.trouble === undefined || nowMs >= this.nextAttemptMs)) this.attempt(nowMs);
    const isEmpty = this.pending.length === 0;
    if (this.closeByMs < Number.POSITIVE_INFINITY && (isEmpty || nowMs >= this.closeByMs)) {
      this.close();
      return 0;
    }
    if (this.trouble !== undefined) return Math.max(0, this.nextAttemptMs - nowMs);
    return isEmpty ? this.rest(nowMs) : 0;
  }

  private attempt(nowMs: number): void {
    try {
      this.file ??= this.openFile();
      const count = this.countForTransaction();
      const batches = this.transact(this.file, count);
      this.pending.splice(0, count);
      if (batches > 0) {
        this.durable += batches;
        this.tellFigures();
        this.send(this.durable);
      }
      this.unreadable = 0;
      this.endTrouble(nowMs);
      if (batches > 0) this.upkeep(nowMs, (upkeep) => upkeep.afterCommit(nowMs));
    } catch (error) {
      this.fail(error, nowMs);
    }
    this.tellFigures();
  }

  /** While nothing can be written all is tried at once, so that reads see what waits before them. */
  private countForTransaction(): number {
    const { pending } = this;
    if (this.trouble !== undefined) return pending.length;
    let bytes = 0;
    for (let count = 0; count < pending.length; count++) {
      const request = pending[count];
      if (request instanceof Uint8Array) bytes += request.length;
      if (bytes > TRANSACTION_BYTES_MAX && count > 0) return count;
    }
    return pending.length;
  }

  /** Returns how many batches it made durable. */
  private transact(file: OpenFile, count: number): number {
    const { pending } = this;
    const { database, writer, begin, beginReading, commit } = file;
    let batches = 0;
    for (let at = 0; at < count; at++) if (pending[at] instanceof Uint8Array) batches++;
    writer.records = 0;
    writer.bytes = 0;
    (batches > 0 ? begin : beginReading).run();
    const damaged: (() => void)[] = [];
    for (let at = 0; at < count; at++) {
      const request = pending[at];
      if (request instanceof Uint8Array) writer.apply(request);
      else if (request !== undefined && request.kind !== "close") {
        const page = this.read(file, request);
        const { table } = request;
        for (const key of file.reader.damaged) {
          if (batches > 0) writer.delete(table, key);
          else damaged.push(() => writer.delete(table, key));
        }
        pending[at] = undefined;
        this.send({ kind: "page", id: request.id, bytes: page }, [page.buffer as ArrayBuffer]);
      }
    }
    if (database.isTransaction) commit.run();
    for (const deleteIt of damaged) deleteIt();
    if (batches === 0) return 0;
    this.commits++;
    this.records += writer.records;
    this.bytes += writer.bytes;
    return batches;
  }

  private read({ reader }: OpenFile, request: ReadRequest | ReadKeysRequest): Uint8Array {
    if (request.kind === "readKeys") return reader.readKeys(request.table, request.keys);
    const { table, first, last, bytesMax, valueBytesMax } = request;
    return reader.read(table, first, last, bytesMax, valueBytesMax);
  }

  private rest(nowMs: number): number {
    const restMs = this.upkeep(nowMs, (upkeep) => upkeep.rest(nowMs)) ?? RETRY_MS;
    this.tellFigures();
    return restMs;
  }

  /** What fails there holds no batch back, so it is only told, and that once. */
  private upkeep<T>(nowMs: number, work: (upkeep: Upkeep) => T): T | undefined {
    if (this.file === undefined) return undefined;
    try {
      return work(this.file.upkeep);
    } catch (error) {
      const failure = failureOf(error, this.folder);
      if (failure === "damaged" || failure === "mistake") this.fail(error, nowMs);
      else {
        this.file.upkeep.postpone();
        if (!this.isUpkeepTold)
          this.witness().onNote("warn", `Cannot tidy ${this.storeFile.path}: ${messageOf(error)}`);
        this.isUpkeepTold = true;
      }
      return undefined;
    }
  }

  /** Throws what is our mistake. */
  private fail(error: unknown, nowMs: number): void {
    if (this.file?.database.isTransaction) this.file.database.exec("ROLLBACK");
    let failure = failureOf(error, this.folder);
    if (failure === "unreadable") failure = ++this.unreadable >= UNREADABLE_MAX ? "damaged" : "unwritable";
    if (failure === "mistake") throw error;
    if (failure !== "damaged") this.beginTrouble(failure as StoreTrouble["kind"], error, nowMs);
    else this.replaceFile(error, nowMs);
  }

  private replaceFile(damage: unknown, nowMs: number): void {
    if (++this.replacements > REPLACEMENTS_MAX) throw damage;
    try {
      this.closeFile();
      this.storeFile.replace(messageOf(damage));
      this.file = this.openFile();
    } catch (error) {
      const failure = failureOf(error, this.folder);
      if (failure === "mistake" && !(error instanceof Refusal)) throw error;
      this.beginTrouble(failure === "full" ? "full" : "unwritable", error, nowMs);
    }
  }

  private beginTrouble(kind: StoreTrouble["kind"], error: unknown, nowMs: number): void {
    const madeRoom = kind === "full" && this.ballast.release();
    this.nextAttemptMs = madeRoom ? nowMs : nowMs + RETRY_MS;
    if (this.trouble === kind) return;
    this.trouble = kind;
    // What waits has to fit into memory, or reads that come after it could not see it.
    this.file?.database.exec("PRAGMA cache_spill = OFF");
    this.send({ kind: "trouble", trouble: troubleOf(kind, error, this.storeFile.path) });
  }

  /** A write worked. A full disk is over only when there is room for the ballast again: until then it is its room that we use. */
  private endTrouble(nowMs: number): void {
    if (this.trouble === undefined) return;
    if (this.trouble === "full" && !this.ballast.restore()) {
      this.nextAttemptMs = nowMs + RETRY_MS;
      // So that the log is used again from its start and takes no more room.
      this.upkeep(nowMs, (upkeep) => upkeep.empty());
      return;
    }
    this.trouble = undefined;
    this.file?.database.exec("PRAGMA cache_spill = ON");
    this.send({ kind: "recovered" });
  }

  private close(): void {
    const left = this.pending.filter((request) => request instanceof Uint8Array).length;
    if (left > 0) this.witness().onNote("warn", `${left} batches could not be written to ${this.storeFile.path}`);
    this.closeFile();
    this.lock?.release();
    this.isClosed = true;
    this.tellFigures();
    this.send({ kind: "closed" });
  }

  private openFile(): OpenFile {
    const database = this.storeFile.open();
    const witness = this.witness();
    return {
      database,
      writer: new BatchWriter(database),
      reader: new PageReader(database, witness.onLost),
      upkeep: new Upkeep(database, this.storeFile.path, (message) => witness.onNote("warn", message)),
      begin: database.prepare("BEGIN IMMEDIATE"),
      beginReading: database.prepare("BEGIN"),
      commit: database.prepare("COMMIT"),
    };
  }

  private closeFile(): void {
    const { file } = this;
    this.file = undefined;
    file?.database.close();
  }

  private witness(): Witness {
    return {
      onLost: (loss) => this.send({ kind: "lost", loss }),
      onNote: (level, message) => this.send({ kind: "note", level, message }),
    };
  }

  private tellFigures(): void {
    const { commits, records, bytes } = this;
    this.shared.setFigures({ commits, records, bytes, diskBytes: this.file?.upkeep.diskBytes ?? 0 });
  }
}
