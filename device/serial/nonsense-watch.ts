import type { LineSettings } from "./line-spec.ts";

/** Fewer may be the rest of a message, or a bootloader's greeting. */
const BYTES_MIN = 64;
const SPELL_MS = 3000;

/** Notices a line on which bytes come and no message: mostly the baud rate is another one. Complains once a spell. */
export class NonsenseWatch {
  private readonly settings: LineSettings;
  private frames = -1;
  private bytes = 0;
  private sinceMs = 0;
  private hasComplained = false;

  constructor(settings: LineSettings) {
    this.settings = settings;
  }

  /** The device was opened: another one may be at the other end. */
  begin(): void {
    this.frames = -1;
  }

  /** `bytes` have come, and `totals.frames` is the count after them. The complaint, when it is time for one. */
  complaint(totals: { readonly frames: number }, bytes: number, nowMs: number): string | undefined {
    if (totals.frames !== this.frames) {
      this.frames = totals.frames;
      this.bytes = 0;
      this.sinceMs = nowMs;
      this.hasComplained = false;
    }
    this.bytes += bytes;
    const ms = nowMs - this.sinceMs;
    if (this.hasComplained || this.bytes < BYTES_MIN || ms < SPELL_MS) return undefined;
    this.hasComplained = true;
    const { path, baudRate, parity, framing } = this.settings;
    const what = framing === "auto" ? "any framing that is known" : `framing ${framing}`;
    return `${this.bytes} bytes came on ${path} in ${Math.round(ms / 1000)} s and none of them made sense as ${what}: is the baud rate really ${baudRate}, and the parity ${parity}?`;
  }
}
