import type { LogFields, LogLevel } from "../core/ports.ts";

/** "journal": text for systemd's journal, which keeps the time itself and takes the level as a prefix. */
export type LineFormat = "text" | "json" | "journal";

/** syslog's severities, as systemd reads them from `<6>` at the start of a line. */
const PRIORITY: Record<LogLevel, number> = { error: 3, warn: 4, info: 6, debug: 7, trace: 7 };
const PADDED: Record<LogLevel, string> = {
  error: "ERROR",
  warn: "WARN ",
  info: "INFO ",
  debug: "DEBUG",
  trace: "TRACE",
};
/** Characters of one value: a client identifier or a topic may have 65,535. */
const VALUE_LENGTH_MAX = 4096;
/** Names that a JSON line has of its own. */
const RESERVED = new Set(["time", "level", "message"]);

/** What people read of a line, without time and priority. */
export function peopleText(level: LogLevel, message: string, fields: LogFields | undefined): string {
  return `${PADDED[level]} ${escapeUnseen(message)}${textFields(fields)}`;
}

export function priorityOf(level: LogLevel): number {
  return PRIORITY[level];
}

/** One line without its line feed. `wallMs`: milliseconds since 1970. */
export function formatLine(
  format: LineFormat,
  wallMs: number,
  level: LogLevel,
  message: string,
  fields: LogFields | undefined,
): string {
  if (format === "json") return jsonLine(wallMs, level, message, fields);
  const text = peopleText(level, message, fields);
  return format === "journal" ? `<${PRIORITY[level]}>${text}` : `${new Date(wallMs).toISOString()} ${text}`;
}

function jsonLine(wallMs: number, level: LogLevel, message: string, fields: LogFields | undefined): string {
  let line = `{"time":"${new Date(wallMs).toISOString()}","level":"${level}","message":${JSON.stringify(message)}`;
  for (const name in fields) {
    const value = fields[name];
    if (value === undefined) continue;
    const key = RESERVED.has(name) ? `${name}_` : name;
    line += `,${JSON.stringify(key)}:${JSON.stringify(typeof value === "string" ? shorten(value) : value)}`;
  }
  return `${line}}`;
}

function textFields(fields: LogFields | undefined): string {
  let text = "";
  for (const name in fields) {
    const value = fields[name];
    if (value !== undefined) text += ` ${escapeUnseen(name)}=${typeof value === "string" ? textValue(value) : value}`;
  }
  return text;
}

/** Bare where that is unmistakable; else in quotes, with quotes and backslashes escaped. */
function textValue(value: string): string {
  const short = shorten(value);
  if (/^[^\s"=\\\p{Cc}\p{Cf}\p{Cs}]+$/u.test(short)) return short;
  return escapeUnseen(JSON.stringify(short));
}

/**
 * Line feeds would let a client forge a line by its identifier, escape sequences reprogram the terminal, and
 * direction marks show something else than what is there.
 */
function escapeUnseen(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = character.codePointAt(0)!;
    return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** What a line shows of a value. */
export function shorten(value: string): string {
  return value.length <= VALUE_LENGTH_MAX ? value : `${value.slice(0, VALUE_LENGTH_MAX)}…`;
}
