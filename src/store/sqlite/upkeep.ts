import { statSync } from "node:fs";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { BUSY_MS, LOG_BYTES_MAX, PAGE_BYTES } from "./schema.ts";

const MIB = 1024 * 1024;
/** Frames of the write-ahead log that are not in the file yet. Beyond the first it is emptied between commits, beyond the second in a pause. */
const LOG_FRAMES_MAX = (8 * MIB) / PAGE_BYTES;
const LOG_FRAMES_IDLE = (2 * MIB) / PAGE_BYTES;
/** Further frames after which it is tried again when a reader kept the log from being emptied. */
const LOG_FRAMES_STEP = (2 * MIB) / PAGE_BYTES;
/** Beyond this it is worth a line that a reader makes the log grow. */
const LOG_FRAMES_TOLD = (64 * MIB) / PAGE_BYTES;

/**
 * On disk shall be at most twice what is live and 64 MiB, the log included. Freed pages beyond half of the live ones and
 * 24 MiB are given back, until a quarter and 16 MiB are left: a queue that fills again needs them.
 */
const FREE_START = { part: 0.5, pages: (24 * MIB) / PAGE_BYTES };
const FREE_END = { part: 0.25, pages: (16 * MIB) / PAGE_BYTES };
const VACUUM_PAGES = 512;

const PAUSE_MS = 100;
const COMMITS_PER_MEASURE = 16;
const COMMITS_PER_LOOK = 256;

interface Pages {
  live: number;
  free: number;
}

/** Keeps the file in order between commits and in pauses: empties the write-ahead log, and gives freed pages back. */
export class Upkeep {
  /** Of the file and its log, as of the last look. */
  diskBytes = 0;
  private readonly database: DatabaseSync;
  private readonly path: string;
  private readonly onNote: (message: string) => void;
  private readonly logState: StatementSync;
  private readonly emptyLog: StatementSync;
  private readonly cutLog: StatementSync;
  private readonly pageCount: StatementSync;
  private readonly freeCount: StatementSync;
  private lastWorkMs = 0;
  private commits = 0;
  private logFramesNext = LOG_FRAMES_MAX;
  private isVacuuming = false;
  private isRested = false;
  private isGrowthTold = false;

  constructor(database: DatabaseSync, path: string, onNote: (message: string) => void) {
    this.database = database;
    this.path = path;
    this.onNote = onNote;
    this.logState = database.prepare("PRAGMA wal_checkpoint(NOOP)");
    this.emptyLog = database.prepare("PRAGMA wal_checkpoint(PASSIVE)");
    this.cutLog = database.prepare("PRAGMA wal_checkpoint(TRUNCATE)");
    this.pageCount = database.prepare("PRAGMA page_count");
    this.freeCount = database.prepare("PRAGMA freelist_count");
    this.measure();
  }

  /** After each transaction that wrote. Throws what SQLite throws. */
  afterCommit(nowMs: number): void {
    this.lastWorkMs = nowMs;
    this.isRested = false;
    const { log, checkpointed } = this.logState.get() as { log: number; checkpointed: number };
    if (log - checkpointed >= this.logFramesNext) this.empty();
    if (++this.commits % COMMITS_PER_MEASURE === 0) this.measure();
    if (this.commits % COMMITS_PER_LOOK > 0) return;
    // Without a pause too, when nothing else would bound the file.
    this.lookAtFreePages();
    if (this.isVacuuming) this.vacuum();
  }

  /** Does a slice of what a pause is for. Returns the milliseconds until it wants to be called again. */
  rest(nowMs: number): number {
    if (this.isRested) return Number.POSITIVE_INFINITY;
    const leftMs = this.lastWorkMs + PAUSE_MS - nowMs;
    if (leftMs > 0) return leftMs;
    if (!this.isVacuuming) this.lookAtFreePages();
    if (this.isVacuuming) {
      this.vacuum();
      return 0;
    }
    const { log, checkpointed } = this.logState.get() as { log: number; checkpointed: number };
    if (log - checkpointed >= LOG_FRAMES_IDLE) this.empty();
    this.shortenLog();
    this.measure();
    this.isRested = true;
    return Number.POSITIVE_INFINITY;
  }

  /** Something of it failed. What does not depend on it goes on, so the next commit or pause will do to try again. */
  postpone(): void {
    this.isRested = true;
    this.isVacuuming = false;
    this.logFramesNext += LOG_FRAMES_STEP;
  }

  /** Moves what the log holds into the file, as far as readers let it; the next commit begins the log anew. */
  empty(): void {
    const { log, checkpointed } = this.emptyLog.get() as { log: number; checkpointed: number };
    this.logFramesNext = Math.max(LOG_FRAMES_MAX, log - checkpointed + LOG_FRAMES_STEP);
    const isHeld = checkpointed < log;
    if (isHeld && log >= LOG_FRAMES_TOLD && !this.isGrowthTold) {
      this.isGrowthTold = true;
      const size = Math.round((log * PAGE_BYTES) / MIB);
      this.onNote(`${this.path}-wal has grown to ${size} MiB, because another program keeps reading ${this.path}`);
    } else if (log < LOG_FRAMES_TOLD / 2) this.isGrowthTold = false;
  }

  /** A log that has grown beyond what it is cut to when it starts over is cut now. Readers are not waited for. */
  private shortenLog(): void {
    if (sizeOf(`${this.path}-wal`) <= LOG_BYTES_MAX) return;
    this.database.exec("PRAGMA busy_timeout = 0");
    try {
      this.cutLog.get();
    } finally {
      this.database.exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
    }
  }

  private lookAtFreePages(): void {
    const { live, free } = this.pages();
    this.isVacuuming = free > live * FREE_START.part + FREE_START.pages;
  }

  private vacuum(): void {
    this.database.exec(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`);
    const { live, free } = this.pages();
    this.isVacuuming = free > live * FREE_END.part + FREE_END.pages;
    const { log, checkpointed } = this.logState.get() as { log: number; checkpointed: number };
    if (log - checkpointed >= this.logFramesNext) this.empty();
  }

  private pages(): Pages {
    const free = this.freeCount.get()!.freelist_count as number;
    return { free, live: (this.pageCount.get()!.page_count as number) - free };
  }

  private measure(): void {
    this.diskBytes = sizeOf(this.path) + sizeOf(`${this.path}-wal`);
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
