import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { StoreLoss } from "../../core/store.ts";
import { BALLAST_FILE } from "./ballast.ts";
import { roomBytes } from "./failure.ts";
import { checkFile } from "./file-check.ts";
import { syncFolder } from "./folder-lock.ts";
import { createFile, openFile, SIDE_FILES, STORE_FILE } from "./schema.ts";

/** Reads what it can of a damaged file into a new one, and tells what it cannot. Never throws. */
export type Salvage = (
  path: string,
  target: DatabaseSync,
  onLost: (loss: StoreLoss) => void,
) => { records: number; lostRanges: number };

/** Who hears of losses, and what goes into the log. */
export interface Witness {
  onLost(loss: StoreLoss): void;
  onNote(level: "warn" | "info", message: string): void;
}

/** Names the file that is being saved from, until that is done: so a loss of power in between loses nothing more. */
const MARKER_FILE = "mqtt-broker.salvage";
const NEW_FILE = `${STORE_FILE}.new`;
/** Has to be free beside a copy of the damaged file. */
const ROOM_LEFT_BYTES = 4 * 1024 * 1024;

/** The file of a folder, on disk. Whoever opens it holds the folder's lock. */
export class StoreFile {
  readonly path: string;
  private readonly folder: string;
  private readonly salvage: Salvage;
  private readonly witness: Witness;

  constructor(folder: string, salvage: Salvage, witness: Witness) {
    this.folder = folder;
    this.path = join(folder, STORE_FILE);
    this.salvage = salvage;
    this.witness = witness;
  }

  /**
   * Opens the file, made anew when there is none, or none that can be worked with: such a one is moved aside and kept,
   * and what can be read of it is saved. Throws Refusal, and what SQLite and the file system throw.
   */
  open(): DatabaseSync {
    this.finishReplacing();
    this.setStrangersAside();
    const state = checkFile(this.path);
    if (state.kind === "newer") this.setNewerAside(state.version);
    else if (state.kind === "damaged") this.replace(state.reason);
    else if (state.kind === "absent") this.tellAbsence();
    if (!existsSync(this.path)) this.install(() => undefined);
    return openFile(this.path);
  }

  /** Puts the damaged file aside and another with what can be read of it in its place. Nobody may have it open. */
  replace(reason: string): void {
    const aside = this.damagedName();
    this.witness.onNote(
      "warn",
      `${this.path} is damaged: ${reason}. It is kept as ${aside}; what can be read is saved`,
    );
    writeDurably(join(this.folder, MARKER_FILE), `${aside}\n`);
    syncFolder(this.folder);
    this.finishReplacing();
  }

  /** Each step leaves a state from which the next start goes on. */
  private finishReplacing(): void {
    const marker = join(this.folder, MARKER_FILE);
    if (!existsSync(marker)) return;
    const name = readFileSync(marker, "utf8").trim();
    if (name.startsWith(`${STORE_FILE}.damaged-`) && !name.includes("/")) {
      const aside = join(this.folder, name);
      if (!isThere(aside)) this.moveTo(aside);
      if (!isThere(this.path)) this.install((target) => this.save(aside, target));
    }
    rmSync(marker, { force: true });
    syncFolder(this.folder);
  }

  private save(aside: string, target: DatabaseSync): void {
    // Salvage would take a full disk for the end of what can be read.
    const needed = (lstatSync(aside, { throwIfNoEntry: false })?.size ?? 0) + ROOM_LEFT_BYTES;
    if (roomBytes(this.folder) < needed) {
      const text = `There is no room to save what ${aside} holds: ${Math.ceil(needed / 1024 / 1024)} MiB are needed`;
      throw Object.assign(new Error(text), { code: "ENOSPC" });
    }
    let lost = 0;
    const report = this.salvage(aside, target, (loss) => {
      lost++;
      this.witness.onLost(loss);
    });
    const losses = lost === 0 ? "nothing is known to be lost" : `${lost} losses are told one by one`;
    this.witness.onNote("warn", `${report.records} records were saved from ${aside}; ${losses}`);
  }

  /** Makes a file, fills it, and only then gives it its name. */
  private install(fill: (target: DatabaseSync) => void): void {
    const path = join(this.folder, NEW_FILE);
    for (const ending of ["", ...SIDE_FILES]) rmSync(path + ending, { force: true, recursive: true });
    createFile(path);
    const target = new DatabaseSync(path);
    try {
      // Nothing depends on it before it has its name: one fsync at the end will do.
      target.exec("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF");
      fill(target);
    } finally {
      target.close();
    }
    syncFile(path);
    // A log that lay beside an earlier file would be taken for this one's.
    for (const ending of SIDE_FILES) rmSync(this.path + ending, { force: true, recursive: true });
    renameSync(path, this.path);
    syncFolder(this.folder);
  }

  private setNewerAside(version: number): void {
    const aside = this.freeName(`${STORE_FILE}.version-${version}`);
    this.witness.onNote(
      "warn",
      `${this.path} has the format version ${version}, which a newer mqtt-broker wrote. It is kept as ${aside}, and a new one is begun`,
    );
    this.moveTo(join(this.folder, aside));
  }

  /** What is no file where SQLite would have its own keeps it from reading a file that is whole. */
  private setStrangersAside(): void {
    for (const ending of SIDE_FILES) {
      const found = lstatSync(this.path + ending, { throwIfNoEntry: false });
      if (found === undefined || found.isFile()) continue;
      const aside = this.damagedName() + ending;
      this.witness.onNote("warn", `${this.path}${ending} is no file; it is kept as ${aside}`);
      renameSync(this.path + ending, join(this.folder, aside));
    }
  }

  /** A log without its file cannot be read, but is not thrown away either. */
  private tellAbsence(): void {
    if (!isThere(`${this.path}-wal`)) {
      if (!isThere(join(this.folder, BALLAST_FILE))) return;
      this.witness.onNote("warn", `${this.path} is missing, though this folder was in use: everything begins anew`);
      return;
    }
    const aside = this.damagedName();
    this.witness.onNote("warn", `${this.path} is missing, though its log is there, which is kept as ${aside}-wal`);
    this.moveTo(join(this.folder, aside));
  }

  /** The file last: while it is there, the move is not finished. */
  private moveTo(aside: string): void {
    for (const ending of [...SIDE_FILES, ""]) {
      if (isThere(this.path + ending)) renameSync(this.path + ending, aside + ending);
    }
    syncFolder(this.folder);
  }

  private damagedName(): string {
    return this.freeName(`${STORE_FILE}.damaged-${new Date().toISOString().replace(/[-:]|\.\d+/g, "")}`);
  }

  private freeName(name: string): string {
    let free = name;
    for (let count = 2; isThere(join(this.folder, free)); count++) free = `${name}-${count}`;
    return free;
  }
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function writeDurably(path: string, text: string): void {
  writeFileSync(path, text);
  syncFile(path);
}

function syncFile(path: string): void {
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
