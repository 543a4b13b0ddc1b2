import { parseDuration } from "../../src/text/duration.ts";
import { parseSize } from "../../src/text/size.ts";
import { suggest } from "../../src/text/suggest.ts";
import type { FramingName } from "./framing/framing.ts";

/** A serial line as somebody wants it. */
export interface LineSettings {
  /** Absolute. With `*` or `?` in its last part it stands for every device that fits, now and later. */
  readonly path: string;
  /** What the line is called in the log and in $SYS; "" for the last part of its path. With a glob both: "garden-ttyACM0". */
  readonly name: string;
  /** Bits a second. */
  readonly baudRate: number;
  readonly parity: "none" | "even" | "odd";
  readonly stopBits: 1 | 2;
  readonly framing: FramingName | "auto";
  readonly flow: "none" | "rts" | "xon";
  /** Silence that ends an unfinished message; undefined: as long as the framing says. */
  readonly gapMs: number | undefined;
  /** Octets of the longest message. */
  readonly maxMessage: number;
  /** As whom those behind the line come in; "" when nobody was named. */
  readonly user: string;
  /** Whether several nodes speak on it, each message encapsulated by a forwarder; "auto": messages of both kinds are taken. */
  readonly forwarder: "auto" | boolean;
}

export interface LineMistake {
  /** What is wrong: "path", or one of the keys; undefined when it is the whole. */
  readonly key: string | undefined;
  /** Says what is needed. */
  readonly message: string;
}

const FRAMINGS: readonly LineSettings["framing"][] = [
  "auto",
  "raw",
  "slip",
  "slip-crc",
  "hdlc",
  "cobs",
  "xbee1",
  "xbee2",
];
const PARITIES: readonly LineSettings["parity"][] = ["none", "even", "odd"];
const FLOWS: readonly LineSettings["flow"][] = ["none", "rts", "xon"];

type Draft = { -readonly [Key in keyof LineSettings]: LineSettings[Key] };

/** Puts a value where it belongs; false: it is not what `needs` says. */
interface Key {
  readonly needs: string;
  readonly take: (draft: Draft, text: string) => boolean;
}

/** Linux divides clocks as near as they go, so rates need not be of a list; a wrong one shows in the log. */
const BAUD_MIN = 50;
const BAUD_MAX = 4_000_000;
const GAP_MS_MAX = 5000;
/** A CONNECT with a client id of 23 characters has 29 octets. */
const MESSAGE_MIN = 32;
const MESSAGE_MAX = 65_535;

/** Everything that can be said of a line beside its path: on the command line behind commas, in the file as keys. */
const KEYS: ReadonlyMap<string, Key> = new Map<string, Key>([
  [
    "baud",
    {
      needs: `a whole number from ${BAUD_MIN} to ${BAUD_MAX}, such as 9600 or 115200`,
      take: (draft, text) => {
        draft.baudRate = Number(text);
        return /^\d+$/.test(text) && draft.baudRate >= BAUD_MIN && draft.baudRate <= BAUD_MAX;
      },
    },
  ],
  ["framing", oneOf(FRAMINGS, (draft, value) => (draft.framing = value))],
  ["flow", oneOf(FLOWS, (draft, value) => (draft.flow = value))],
  ["parity", oneOf(PARITIES, (draft, value) => (draft.parity = value))],
  ["stop", oneOf(["1", "2"], (draft, value) => (draft.stopBits = value === "1" ? 1 : 2))],
  // With fewer bits a character there is no octet left, so 8 is all that can be said.
  ["data", { needs: "8: a message is made of octets, and fewer data bits would cut each of them", take: isEight }],
  [
    "gap",
    {
      needs: `a duration from 1ms to ${GAP_MS_MAX / 1000}s, such as 20ms`,
      take: (draft, text) => {
        draft.gapMs = parseDuration(text);
        return draft.gapMs !== undefined && draft.gapMs >= 1 && draft.gapMs <= GAP_MS_MAX;
      },
    },
  ],
  [
    "max",
    {
      needs: `the octets of the longest message, a whole number from ${MESSAGE_MIN} to ${MESSAGE_MAX}`,
      take: (draft, text) => {
        draft.maxMessage = parseSize(text) ?? 0;
        return draft.maxMessage >= MESSAGE_MIN && draft.maxMessage <= MESSAGE_MAX;
      },
    },
  ],
  [
    "name",
    {
      // It becomes one level of a topic.
      needs: "a text without /, + and #",
      take: (draft, text) => {
        draft.name = text;
        return isText(text) && !/[/+#]/.test(text);
      },
    },
  ],
  [
    "user",
    {
      needs: "the name of a user of the auth file",
      take: (draft, text) => {
        draft.user = text;
        return isText(text);
      },
    },
  ],
  [
    "forwarder",
    oneOf(["auto", "true", "false"], (draft, value) => (draft.forwarder = value === "auto" ? value : value === "true")),
  ],
]);

/** The keys of an entry in the configuration file. */
export const LINE_KEYS: readonly string[] = ["path", ...KEYS.keys()];

/**
 * Reads `PATH[:BAUD][,KEY=VALUE]…` as `--serial` takes it. A number behind the last colon is always the baud rate, so that
 * the colons of /dev/serial/by-path stay in the path. undefined when something is wrong: `mistakes` says all that is.
 */
export function parseLine(text: string, mistakes: LineMistake[]): LineSettings | undefined {
  const before = mistakes.length;
  const [head = "", ...parts] = text.split(",");
  const [, path = head, baud] = /^(.*):(\d+)$/.exec(head) ?? [];
  const given: [key: string, value: unknown][] = [["path", path]];
  if (baud !== undefined) given.push(["baud", baud]);
  for (const part of parts) {
    const equals = part.indexOf("=");
    if (equals === -1) {
      const message = `${quote(part)} is no setting of a serial line: write KEY=VALUE with one of ${names()}`;
      mistakes.push({ key: undefined, message });
    } else given.push([part.slice(0, equals).trim(), part.slice(equals + 1).trim()]);
  }
  const line = lineOf(given, mistakes);
  return mistakes.length === before ? line : undefined;
}

/** Reads an entry of the configuration file: an object with a `path` and the keys of `--serial`. Else as `parseLine`. */
export function readLine(entry: unknown, mistakes: LineMistake[]): LineSettings | undefined {
  if (typeof entry === "string") return parseLine(entry, mistakes);
  if (typeof entry !== "object" || entry === null || Array.isArray(entry)) {
    const message = `A serial line is an object such as { path: "/dev/ttyUSB0", baud: 115200 }, or a text as --serial takes it, not ${quote(entry)}`;
    mistakes.push({ key: undefined, message });
    return undefined;
  }
  return lineOf(Object.entries(entry), mistakes);
}

/** Whether a path stands for any number of devices. */
export function isGlob(path: string): boolean {
  return /[*?]/.test(path);
}

function lineOf(given: readonly [key: string, value: unknown][], mistakes: LineMistake[]): LineSettings | undefined {
  const before = mistakes.length;
  const draft: Draft = {
    path: "",
    name: "",
    baudRate: 115_200,
    parity: "none",
    stopBits: 1,
    framing: "auto",
    flow: "none",
    gapMs: undefined,
    maxMessage: 1024,
    user: "",
    forwarder: "auto",
  };
  const seen = new Set<string>();
  for (const [key, value] of given) {
    const message = seen.has(key) ? `${key} is given twice` : mistakeOf(draft, key, value);
    if (message !== undefined) mistakes.push({ key, message });
    seen.add(key);
  }
  if (!seen.has("path")) mistakes.push({ key: undefined, message: `A serial line needs a path, such as ${EXAMPLE}` });
  if (draft.flow === "xon" && draft.framing !== "xbee2") {
    // The driver keeps 0x11 and 0x13 to itself: every message that has one of them would be damaged.
    const message = `flow=xon takes two characters out of the stream, which only framing=xbee2 does without: use flow=rts or flow=none, or framing=xbee2 if it is an XBee in API mode 2`;
    mistakes.push({ key: "flow", message });
  }
  return mistakes.length === before ? draft : undefined;
}

const EXAMPLE = "/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0, /dev/ttyUSB0 or /dev/ttyACM*";

function mistakeOf(draft: Draft, name: string, value: unknown): string | undefined {
  if (name === "path") return mistakeOfPath(draft, value);
  const key = KEYS.get(name);
  if (key === undefined) {
    const meant = suggest(name, LINE_KEYS);
    const hint = meant === undefined ? `the keys are ${names()}` : `did you mean ${meant}?`;
    return `${quote(name)} is nothing that a serial line has: ${hint}`;
  }
  const text = typeof value === "number" || typeof value === "boolean" ? String(value) : value;
  if (typeof text === "string" && key.take(draft, text)) return undefined;
  return `${name} of a serial line must be ${key.needs}, not ${quote(value)}`;
}

function mistakeOfPath(draft: Draft, path: unknown): string | undefined {
  if (typeof path !== "string" || !/^\/.*[^/]$/.test(path) || path.includes("\0")) {
    return `The path of a serial line must be absolute, such as ${EXAMPLE}, not ${quote(path)}`;
  }
  draft.path = path;
  if (!isGlob(path.slice(0, path.lastIndexOf("/")))) return undefined;
  return `${quote(path)} has * or ? in a folder: only the last part of a serial line's path may have them, as in /dev/ttyACM*`;
}

function oneOf<Value extends string>(values: readonly Value[], put: (draft: Draft, value: Value) => void): Key {
  return {
    needs: values.join(", ").replace(/, ([^,]*)$/, " or $1"),
    take: (draft, text) => {
      const value = values.find((one) => one === text);
      if (value !== undefined) put(draft, value);
      return value !== undefined;
    },
  };
}

function isEight(_: Draft, text: string): boolean {
  return text === "8";
}

function isText(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones that are refused
  return text !== "" && !/[\u0000-\u001f\u007f]/.test(text);
}

function names(): string {
  return [...KEYS.keys()].join(", ");
}

function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 80 ? text : `${text.slice(0, 80)}…`;
}
