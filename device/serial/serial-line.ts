import { realpathSync } from "node:fs";
import type { Clock, Log, LogFields } from "../../src/core/ports.ts";
import { type Frame, type Framing, type FramingName, framingOf, type LineCounters } from "./framing/framing.ts";
import { LineReader } from "./line-reader.ts";
import type { LineSettings } from "./line-spec.ts";
import { adviceFor, holdersOf, holdersText, troubleKind, troubleOf } from "./line-trouble.ts";
import { LineWriter } from "./line-writer.ts";
import { goneReason, identityOf, type OpenTty, openTty, type Tty } from "./tty.ts";

/** What hears of lines: one object may serve any number of them. Each `onUp` is followed by one `onDown`. */
export interface LineHandler {
  /** The device is open. With `framing=auto` nothing can be sent before `onFraming`. */
  onUp(line: SerialLine): void;
  /** The device is closed, and looked for from now on. What `send` took and has not written is lost. */
  onDown(line: SerialLine, reason: string): void;
  onFrame(line: SerialLine, frame: Frame): void;
  /** `framing=auto` has decided, for the first time or anew. */
  onFraming(line: SerialLine, name: FramingName): void;
  /** After a `send` that found the line full: everything has been written. */
  onDrain(line: SerialLine): void;
}

export interface LineTools {
  clock: Pick<Clock, "nowMs">;
  log: Log;
  openTty?: OpenTty;
  /** Asked with the device's own path before it is opened; false: another line has it. */
  claim?: (device: string, line: SerialLine) => boolean;
  /** For tests: how long the system may take nothing of what is to be sent, in place of LineWriter's own time. */
  writeTimeoutMs?: number;
}

/** Totals since the line was made. */
export interface LineTotals extends LineCounters {
  /** Times that the device was opened. */
  opens: number;
  /** Messages that were written whole. */
  writes: number;
  /** Times that the line was given up because nothing could be written, or writing failed. */
  writeErrors: number;
  /** Messages that the framing cannot carry. */
  tooLong: number;
  bytesSent: number;
}

/** A line at one moment, for $SYS and people. */
export interface LineState extends Readonly<LineTotals> {
  readonly name: string;
  readonly path: string;
  /** The device that the path leads to, "/dev/ttyUSB0"; "" while there is none. */
  readonly device: string;
  readonly isUp: boolean;
  /** Why it is not up; "" when it is. */
  readonly reason: string;
  readonly framing: FramingName | "auto";
  readonly baudRate: number;
  /** Accepted by `send` and not yet taken by the operating system. */
  readonly pendingBytes: number;
}

/** How long a path that leads nowhere is left alone: twice as long each time. */
const RETRY_MS_MIN = 10;
const RETRY_MS_MAX = 1000;
/** How often it is looked whether the path of an open line still leads to its device. */
const WATCH_MS = 1000;
/** A device that was up so long, or that said something, is looked for at once when it goes. */
const STEADY_MS = 1000;
/** A device that has just appeared may have its final rights some moments later. */
const TROUBLE_MS = 500;

type Phase = "idle" | "waiting" | "opening" | "up" | "closed";

/**
 * A serial line that is kept open: the device is opened, read, and opened again whenever it was gone, for ever. No line
 * needs udev: the path is looked at, at first often, then once a second.
 */
export class SerialLine {
  readonly settings: LineSettings;
  /** As in the settings; else the last part of the path. */
  readonly name: string;
  private readonly handler: LineHandler;
  private readonly tools: LineTools;
  private readonly totals: LineTotals = {
    ...{ frames: 0, bytes: 0, checksumErrors: 0, resyncs: 0, discardedBytes: 0 },
    ...{ opens: 0, writes: 0, writeErrors: 0, tooLong: 0, bytesSent: 0 },
  };
  private readonly reader: LineReader;
  private readonly writer: LineWriter;
  private phase: Phase = "idle";
  private tty: Tty | undefined;
  private closing: Promise<void> | undefined;
  /** What is sent in; undefined until it is known. It outlives the device, which mostly comes back as it was. */
  private framing: Framing | undefined;
  private device = "";
  private reason = "it has not been opened yet";
  private upMs = 0;
  private framesBefore = 0;
  private retryMs = RETRY_MS_MIN;
  private failingMs: number | undefined;
  private told = "";
  private hasLookedForOthers = false;
  private watch: NodeJS.Timeout | undefined;

  /** `settings.path` is no glob. */
  constructor(settings: LineSettings, handler: LineHandler, tools: LineTools) {
    this.settings = settings;
    this.name = settings.name === "" ? settings.path.slice(settings.path.lastIndexOf("/") + 1) : settings.name;
    this.handler = handler;
    this.tools = tools;
    const { onFrame, onFraming, onNonsense } = this;
    this.reader = new LineReader(settings, this.totals, tools.clock, { onFrame, onFraming, onNonsense });
    this.writer = new LineWriter(settings.baudRate, this.totals, tools.writeTimeoutMs);
    if (settings.framing !== "auto") this.framing = framingOf(settings.framing);
  }

  /** Begins to look for the device. What goes wrong is logged and tried again, never thrown. */
  start(): void {
    if (this.phase !== "idle") return;
    this.phase = "waiting";
    this.look();
  }

  get isUp(): boolean {
    return this.phase === "up";
  }

  get pendingBytes(): number {
    return this.writer.pendingBytes;
  }

  /**
   * Sends a message, to the radio module `nodeId` where the framing has such. false: it was not taken, because the line is
   * down (`onUp` follows), its framing is not known yet (`onFraming`), or it is full (`onDrain`). A message that is too long for the
   * framing is counted and logged, and taken, since no waiting would help.
   */
  send(message: Uint8Array, nodeId?: Uint8Array): boolean {
    if (this.tty === undefined || this.framing === undefined) return false;
    if (this.writer.isFull) return this.writer.refuse();
    let bytes: Uint8Array;
    try {
      bytes = this.framing.encode(message, nodeId);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.totals.tooLong++;
      this.log("warn", "A message is too long for its serial line", { octets: message.length, reason: error.message });
      return true;
    }
    this.writer.add(bytes);
    return true;
  }

  /** They go on counting. */
  get counters(): Readonly<LineCounters> {
    return this.totals;
  }

  state(): LineState {
    return {
      ...this.totals,
      name: this.name,
      path: this.settings.path,
      device: this.device,
      isUp: this.isUp,
      reason: this.isUp ? "" : this.reason,
      framing: this.framing?.name ?? "auto",
      baudRate: this.settings.baudRate,
      pendingBytes: this.pendingBytes,
    };
  }

  /**
   * Resolves when the device is closed. What the system has taken is sent before, unless flow control could hold it up.
   * Nothing is opened any more. Idempotent.
   */
  async close(): Promise<void> {
    this.phase = "closed";
    const { tty } = this;
    this.forget();
    this.device = "";
    this.reason = "it was closed";
    if (tty !== undefined) {
      this.closing = tty.close(this.settings.flow !== "none");
      this.handler.onDown(this, this.reason);
    }
    await this.closing;
  }

  private readonly look = (): void => {
    const { path } = this.settings;
    if (this.phase === "up") {
      const identity = identityOf(path);
      if (identity === this.tty!.identity) {
        this.after(WATCH_MS);
        // Not at once: a device that comes and goes would keep us busy with it.
        if (!this.hasLookedForOthers) void this.warnOfOthers();
      } else this.lose(identity === undefined ? "it was unplugged" : "its path leads to another device now");
    } else if (this.phase === "waiting") {
      this.phase = "opening";
      this.closing = this.open();
    }
  };

  private async open(): Promise<void> {
    const { reader, writer, settings } = this;
    const onGone = (reason: string) => this.lose(reason);
    const events = { onData: reader.push, onWritable: writer.onWritable, onGone };
    let device = settings.path;
    let tty: Tty;
    try {
      device = realpathSync(device);
      if (this.tools.claim?.(device, this) === false) {
        this.reason = `another line has ${device}`;
        this.phase = "waiting";
        return this.again();
      }
      tty = await (this.tools.openTty ?? openTty)(device, settings, events);
    } catch (error) {
      return await this.fail(error, device);
    }
    if (this.phase === "opening") this.begin(tty, device);
    else await tty.close(true);
  }

  private begin(tty: Tty, device: string): void {
    const { framing, baudRate } = this.settings;
    this.phase = "up";
    this.tty = tty;
    this.device = device;
    this.reader.begin();
    this.totals.opens++;
    this.framesBefore = this.totals.frames;
    this.upMs = this.tools.clock.nowMs();
    this.failingMs = undefined;
    this.told = "";
    this.hasLookedForOthers = false;
    this.writer.begin(tty, {
      onDrain: () => this.handler.onDrain(this),
      onStuck: (reason, error) => this.lose(error === undefined ? reason : goneReason(error), true),
    });
    this.log("info", "Serial line open", { device, baud: baudRate, framing });
    this.after(WATCH_MS);
    this.handler.onUp(this);
  }

  private readonly onFrame = (frame: Frame): void => {
    if (this.phase === "up") this.handler.onFrame(this, frame);
  };

  private readonly onNonsense = (complaint: string): void => {
    this.log("warn", complaint, { device: this.device });
  };

  private readonly onFraming = (name: FramingName): void => {
    if (this.phase !== "up") return;
    this.framing = framingOf(name);
    this.log("info", "The framing of a serial line is known", { framing: name });
    this.handler.onFraming(this, name);
  };

  /** `isStuck`: what the system has still to send will never go. */
  private lose(reason: string, isStuck = false): void {
    const { tty, device } = this;
    if (this.phase !== "up" || tty === undefined) return;
    const nowMs = this.tools.clock.nowMs();
    const wasSteady = nowMs - this.upMs >= STEADY_MS || this.totals.frames > this.framesBefore;
    this.phase = "waiting";
    this.forget();
    this.device = "";
    this.reason = reason;
    if (isStuck) this.totals.writeErrors++;
    this.log("warn", "Serial line lost: it is opened again when it can be", { device, reason });
    // A line that never comes to anything is not opened a hundred times a second.
    if (wasSteady) this.retryMs = RETRY_MS_MIN;
    this.closing = tty.close(isStuck).then(() => this.again());
    this.handler.onDown(this, reason);
  }

  private async fail(error: unknown, device: string): Promise<void> {
    if (this.phase !== "opening") return;
    const nowMs = this.tools.clock.nowMs();
    const kind = troubleKind(error);
    this.failingMs ??= nowMs;
    if (kind !== this.told && nowMs - this.failingMs >= TROUBLE_MS) {
      this.told = kind;
      this.reason = await troubleOf(error, this.settings.path, device, this.settings);
      const level = kind === "absent" ? "info" : "warn";
      this.log(level, kind === "absent" ? "Waiting for a serial line" : "A serial line cannot be opened", {
        reason: this.reason,
      });
    }
    if (this.phase !== "opening") return;
    this.phase = "waiting";
    this.again();
  }

  private again(): void {
    if (this.phase !== "waiting") return;
    this.after(this.retryMs);
    this.retryMs = Math.min(RETRY_MS_MAX, this.retryMs * 2);
  }

  private after(delayMs: number): void {
    clearTimeout(this.watch);
    this.watch = setTimeout(this.look, delayMs);
  }

  /** Ends everything that belongs to the open device but the device. */
  private forget(): void {
    clearTimeout(this.watch);
    this.tty = undefined;
    this.reader.end();
    this.writer.end();
  }

  /** Programs that do not lock a device may have it open all the same, and take a part of what comes. */
  private async warnOfOthers(): Promise<void> {
    this.hasLookedForOthers = true;
    const { device } = this;
    const holders = await holdersOf(device);
    if (holders.length === 0 || this.device !== device) return;
    const reason = `${holdersText(holders)} reads it too and takes a part of what comes: ${adviceFor(holders, device)}`;
    this.log("warn", "A serial line is not ours alone", { device, reason });
  }

  private log(level: "info" | "warn", message: string, fields: LogFields): void {
    this.tools.log[level](message, { line: this.name, ...fields });
  }
}
