import { fstatSync, writeSync } from "node:fs";
import type { Writable } from "node:stream";
import type { Clock, Log, LogFields, LogLevel } from "../core/ports.ts";
import { type JournalWriter, openJournal } from "./journal.ts";
import { LogFlood } from "./log-flood.ts";
import { formatLine, type LineFormat, peopleText } from "./log-line.ts";

/** From least to most; a level is enabled when its rank is not above the chosen one's. */
const RANK: Record<LogLevel, number> = { error: 0, warn: 1, info: 2, debug: 3, trace: 4 };

/** "auto": for the journal under systemd, text on a terminal, JSON otherwise. */
export type LogFormat = "auto" | "text" | "json";

export interface HostLogOptions {
  clock: Clock;
  level: LogLevel;
  format: LineFormat;
  output: Writable;
  /** Lines of one message text a second, for info and warn; what is more is counted. 0 sets no limit. Default 100. */
  linesPerSecondMax?: number;
  /** Of the format "journal": takes lines with their fields; what it does not take goes to `output`. */
  journal?: JournalWriter | undefined;
}

/** Characters that an output too slow for us may hold. What is more is dropped and counted. */
const WAITING_MAX = 4 * 1024 * 1024;

/** Log lines to a stream, gathered and written once per turn of the event loop. */
export class HostLog implements Log {
  private readonly clock: Clock;
  private readonly format: LineFormat;
  private readonly output: Writable;
  private readonly flood: LogFlood;
  private readonly journal: JournalWriter | undefined;
  private rank: number;
  private text = "";
  private dropped = 0;
  private scheduled = false;

  constructor(options: HostLogOptions) {
    this.clock = options.clock;
    this.format = options.format;
    this.output = options.output;
    this.journal = options.format === "journal" ? options.journal : undefined;
    this.rank = RANK[options.level];
    this.flood = new LogFlood(options.clock, options.linesPerSecondMax ?? 100, (level, message) =>
      this.write(level, message, undefined),
    );
    // Whoever read our output has gone (EPIPE). There is nobody left to tell, and no reason to stop.
    this.output.on("error", () => {});
  }

  /** May be called while the broker runs. */
  setLevel(level: LogLevel): void {
    this.rank = RANK[level];
  }

  enabled(level: LogLevel): boolean {
    return RANK[level] <= this.rank;
  }

  error(message: string, fields?: LogFields, below?: readonly string[]): void {
    this.write("error", message, fields, below);
  }

  warn(message: string, fields?: LogFields, below?: readonly string[]): void {
    if (this.rank >= RANK.warn && this.flood.admits("warn", message)) this.write("warn", message, fields, below);
  }

  info(message: string, fields?: LogFields): void {
    if (this.rank >= RANK.info && this.flood.admits("info", message)) this.write("info", message, fields);
  }

  /** Like trace not limited in number: who asks for every packet gets every packet. */
  debug(message: string, fields?: LogFields): void {
    if (this.rank >= RANK.debug) this.write("debug", message, fields);
  }

  trace(message: string, fields?: LogFields): void {
    if (this.rank >= RANK.trace) this.write("trace", message, fields);
  }

  /** What has gathered, for the last moment of the process, when no stream will write any more. */
  takeText(): string {
    this.flood.summarise();
    const { text } = this;
    this.text = "";
    return text;
  }

  private write(level: LogLevel, message: string, fields: LogFields | undefined, below?: readonly string[]): void {
    if (this.output.writableLength + this.text.length > WAITING_MAX) {
      this.dropped++;
      return;
    }
    if (this.dropped > 0) {
      const lines = this.dropped;
      this.dropped = 0;
      this.write("warn", "Log lines were lost, their reader is too slow", { lines });
    }
    const { format } = this;
    const forPeople = format === "json" ? undefined : below;
    this.put(level, message, forPeople === undefined ? fields : undefined, fields);
    // Each begins as the first one does: the journal shows lines, and whoever filters by level gets them all.
    for (const line of forPeople ?? []) this.put(level, line, undefined, undefined);
  }

  /** One line with these `shown` in it; `fields` are for the journal, which keeps them beside it. */
  private put(level: LogLevel, message: string, shown: LogFields | undefined, fields: LogFields | undefined): void {
    if (this.journal?.(level, peopleText(level, message, shown), fields)) return;
    this.text += `${formatLine(this.format, this.clock.wallMs(), level, message, shown)}\n`;
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(this.onImmediate);
  }

  private readonly onImmediate = (): void => {
    this.scheduled = false;
    const { text } = this;
    this.text = "";
    if (text !== "" && this.output.writable) this.output.write(text);
  };
}

/** The process's log on standard output. What has gathered when the process exits, for whatever reason, is written. */
export function openLog(options: { clock: Clock; level: LogLevel; format: LogFormat }): HostLog {
  const toJournal = isJournal(process.env.JOURNAL_STREAM, 1);
  const format = chooseFormat(options.format, process.stdout.isTTY === true, toJournal);
  const journal = format === "journal" ? openJournal() : undefined;
  const log = new HostLog({ clock: options.clock, level: options.level, format, output: process.stdout, journal });
  process.once("exit", () => {
    try {
      writeSync(1, log.takeText());
    } catch {
      // Standard output is closed or full: the process is leaving, so nothing can be done about it.
    }
  });
  return log;
}

export function chooseFormat(format: LogFormat, terminal: boolean, journal: boolean): LineFormat {
  if (format === "json") return "json";
  if (journal) return "journal";
  return format === "text" || terminal ? "text" : "json";
}

/** systemd names the journal's socket; a child of ours may inherit the variable but write elsewhere. */
export function isJournal(journalStream: string | undefined, fd: number): boolean {
  if (!journalStream) return false;
  try {
    const { dev, ino } = fstatSync(fd);
    return journalStream === `${dev}:${ino}`;
  } catch {
    return false;
  }
}
