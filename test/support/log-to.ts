import type { Log, LogFields, LogLevel } from "../../src/core/ports.ts";

type Write = (level: LogLevel, message: string, fields?: LogFields, below?: readonly string[]) => void;

/** A log of all levels that hands each line to `write`. */
export function logTo(write: Write): Log {
  const at =
    (level: LogLevel) =>
    (...line: [message: string, fields?: LogFields, below?: readonly string[]]) =>
      write(level, ...line);
  return {
    enabled: () => true,
    error: at("error"),
    warn: at("warn"),
    info: at("info"),
    debug: at("debug"),
    trace: at("trace"),
  };
}
