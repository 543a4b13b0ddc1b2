import type { MessagePort } from "node:worker_threads";
import type { Log, LogFields, LogLevel } from "../../core/ports.ts";
import type { LogMessage } from "./messages.ts";

/** From least to most. */
export const LEVELS: readonly LogLevel[] = ["error", "warn", "info", "debug", "trace"];

/** The broker's log as a thread beside it has it. */
export class PortLog implements Log {
  private readonly port: Pick<MessagePort, "postMessage">;
  private readonly level: LogLevel;

  /** `level`: the most talkative that is printed. */
  constructor(port: Pick<MessagePort, "postMessage">, level: LogLevel) {
    this.port = port;
    this.level = level;
  }

  enabled(level: LogLevel): boolean {
    return LEVELS.indexOf(level) <= LEVELS.indexOf(this.level);
  }

  error(message: string, fields?: LogFields, below?: readonly string[]): void {
    this.say("error", message, fields, below);
  }

  warn(message: string, fields?: LogFields, below?: readonly string[]): void {
    this.say("warn", message, fields, below);
  }

  info(message: string, fields?: LogFields): void {
    this.say("info", message, fields);
  }

  debug(message: string, fields?: LogFields): void {
    this.say("debug", message, fields);
  }

  trace(message: string, fields?: LogFields): void {
    this.say("trace", message, fields);
  }

  private say(level: LogLevel, message: string, fields?: LogFields, below?: readonly string[]): void {
    if (!this.enabled(level)) return;
    const line: LogMessage = { kind: "log", level, message, fields, below };
    this.port.postMessage(line);
  }
}
