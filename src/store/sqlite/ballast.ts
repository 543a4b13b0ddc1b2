import { closeSync, fsyncSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { roomBytes } from "./failure.ts";

export const BALLAST_FILE = "mqtt-broker.ballast";
export const BALLAST_BYTES = 2 * 1024 * 1024;
/** What has to be free beside the ballast before it is taken: others may need some too, and it shall not come and go. */
const ROOM_LEFT_BYTES = 2 * 1024 * 1024;
const PIECE_BYTES = 64 * 1024;

/**
 * Room that is kept for the time when there is none: given up when the disk is full, so that deletions and small changes
 * still go through, and what was promised can be kept.
 */
export class Ballast {
  private readonly folder: string;
  private readonly path: string;

  constructor(folder: string) {
    this.folder = folder;
    this.path = join(folder, BALLAST_FILE);
  }

  private get isThere(): boolean {
    return statSync(this.path, { throwIfNoEntry: false })?.size === BALLAST_BYTES;
  }

  /** True when that made room. */
  release(): boolean {
    try {
      rmSync(this.path);
      return true;
    } catch {
      return false;
    }
  }

  /** True when it is there, perhaps since long; false when there is no room for it. */
  restore(): boolean {
    if (this.isThere) return true;
    if (roomBytes(this.folder) < BALLAST_BYTES + ROOM_LEFT_BYTES) return false;
    try {
      this.write();
      return true;
    } catch {
      this.release();
      return false;
    }
  }

  /** Noise, since file systems exist that keep zeros in no room at all. */
  private write(): void {
    const piece = new Uint32Array(PIECE_BYTES / 4);
    const descriptor = openSync(this.path, "w", 0o640);
    try {
      let noise = 0x9e3779b9;
      for (let written = 0; written < BALLAST_BYTES; written += PIECE_BYTES) {
        for (let at = 0; at < piece.length; at++) {
          noise ^= noise << 13;
          noise ^= noise >>> 17;
          noise ^= noise << 5;
          piece[at] = noise;
        }
        writeSync(descriptor, piece);
      }
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  }
}
