import type { StoreFigures, StoreTrouble } from "../../core/store.ts";
import { Ballast } from "./ballast.ts";
import { failureOf, messageOf, Refusal, troubleOf } from "./failure.ts";
import { FolderLock } from "./folder-lock.ts";
import type { Reply, Request, Shared } from "./messages.ts";
import { OpenFile, type Written } from "./open-file.ts";
import { type Salvage, StoreFile, type Witness } from "./store-file.ts";
import type { Upkeep } from "./upkeep.ts";

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
  private readonly figures: StoreFigures = { commits: 0, records: 0, bytes: 0, diskBytes: 0 };
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
      this.file = this.openAtStart();
    } catch (error) {
      lock.release();
      if (error instanceof Refusal) throw error;
      throw new Refusal(`Cannot open ${this.storeFile.path}: ${messageOf(error)}`);
    }
    this.lock = lock;
    this.ballast.restore();
    this.tellFigures();
  }

  /** What a full disk lacks for it is little: 32 KiB for what readers share. */
  private openAtStart(): OpenFile {
    try {
      return this.openFile();
    } catch (error) {
      if (failureOf(error, this.folder) !== "full" || !this.ballast.release()) throw error;
      return this.openFile();
    }
  }

  /** `nowMs`: monotonic. */
  accept(request: Request, nowMs: number): void {
    this.pending.push(request);
    this.nextAttemptMs = Math.min(this.nextAttemptMs, nowMs + RETRY_MS_MIN);
  }

  /** Closes when all that was accepted is done, or cannot be. */
  end(nowMs: number): void {
    this.closeByMs = nowMs + CLOSE_MS;
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
      const written = this.file.transact(this.pending, count, (id, bytes) =>
        this.send({ kind: "page", id, bytes }, [bytes.buffer]),
      );
      this.pending.splice(0, count);
      if (written.batches > 0) this.tellDurable(written);
      this.unreadable = 0;
      this.endTrouble(nowMs);
      if (written.batches > 0) this.upkeep(nowMs, (upkeep) => upkeep.afterCommit(nowMs));
    } catch (error) {
      this.fail(error, nowMs);
    }
    this.tellFigures();
  }

  private tellDurable({ batches, records, bytes }: Written): void {
    this.durable += batches;
    this.figures.commits++;
    this.figures.records += records;
    this.figures.bytes += bytes;
    // First, so that who hears of the batches finds them counted.
    this.tellFigures();
    this.send(this.durable);
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
    this.rollBack();
    let failure = failureOf(error, this.folder);
    if (failure === "unreadable") failure = ++this.unreadable >= UNREADABLE_MAX ? "damaged" : "unwritable";
    if (failure === "mistake") throw error;
    if (failure !== "damaged") this.beginTrouble(failure as StoreTrouble["kind"], error, nowMs);
    else this.replaceFile(error, nowMs);
  }

  private rollBack(): void {
    try {
      this.file?.rollBack();
    } catch {
      this.closeFile();
    }
  }

  private replaceFile(damage: unknown, nowMs: number): void {
    if (++this.replacements > REPLACEMENTS_MAX) throw damage;
    try {
      this.closeFile();
      this.storeFile.replace(messageOf(damage));
      this.file = this.openFile();
    } catch (error) {
      const failure = failureOf(error, this.folder);
      if (failure === "mistake") throw error;
      this.beginTrouble(failure === "full" ? "full" : "unwritable", error, nowMs);
    }
  }

  private beginTrouble(kind: StoreTrouble["kind"], error: unknown, nowMs: number): void {
    const madeRoom = kind === "full" && this.ballast.release();
    this.nextAttemptMs = madeRoom ? nowMs : nowMs + RETRY_MS;
    if (this.trouble === kind) return;
    this.trouble = kind;
    this.file?.setSpilling(false);
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
    this.file?.setSpilling(true);
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
    const file = new OpenFile(this.storeFile.open(), this.storeFile.path, this.witness());
    file.setSpilling(this.trouble === undefined);
    return file;
  }

  private closeFile(): void {
    const { file } = this;
    this.file = undefined;
    file?.close();
  }

  private witness(): Witness {
    return {
      onLost: (loss) => this.send({ kind: "lost", loss }),
      onNote: (level, message) => this.send({ kind: "note", level, message }),
    };
  }

  private tellFigures(): void {
    this.figures.diskBytes = this.file?.upkeep.diskBytes ?? 0;
    this.shared.setFigures(this.figures);
  }
}
