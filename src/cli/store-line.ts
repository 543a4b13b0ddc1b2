import { decodeUtf8, encodeUtf8 } from "../codec/text.ts";

/** A line of an export that cannot be taken, with what is wrong for a person. */
export class LineError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "LineError";
  }
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** Bytes as a person would like to see them: text where they are some, else base64 in an object that says so. */
export function bytesToJson(bytes: Uint8Array): string | { base64: string } {
  try {
    return decodeUtf8(bytes, 0, bytes.length);
  } catch {
    return { base64: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64") };
  }
}

/** Milliseconds, null for never. */
export function timeToJson(ms: number): number | null {
  return ms === Number.POSITIVE_INFINITY ? null : ms;
}

/** An object of a line leaves out what a record has not. */
export function withoutUndefined(members: object): JsonObject {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

/** Takes the members of a line's object one by one, each checked; `end` finds those that nobody took. */
export class Fields {
  private readonly object: JsonObject;
  private readonly place: string;
  private readonly taken = new Set<string>();

  /** `place` stands before the names in messages: "will.". Throws LineError when `object` is none. */
  constructor(object: unknown, place = "") {
    if (typeof object !== "object" || object === null || Array.isArray(object)) {
      throw new LineError(place === "" ? "It is not an object in braces" : `${place.slice(0, -1)} must be an object`);
    }
    this.object = object as JsonObject;
    this.place = place;
  }

  has(name: string): boolean {
    return Object.hasOwn(this.object, name);
  }

  raw(name: string): unknown {
    this.taken.add(name);
    return this.has(name) ? this.object[name] : undefined;
  }

  whole<T extends number = number>(name: string, min: number, max: number): T {
    const value = this.raw(name);
    if (Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max) return value as T;
    throw this.mistake(name, `a whole number from ${min} to ${max}`);
  }

  /** Milliseconds; null stands for never. */
  time(name: string): number {
    return this.raw(name) === null ? Number.POSITIVE_INFINITY : this.whole(name, 0, Number.MAX_SAFE_INTEGER);
  }

  flag(name: string): boolean {
    const value = this.raw(name);
    if (typeof value === "boolean") return value;
    throw this.mistake(name, "true or false");
  }

  /** A text that MQTT can carry, for which `isValid` holds too. */
  text(name: string, what = "a text", isValid: (text: string) => boolean = () => true): string {
    const value = this.raw(name);
    if (isText(value) && isValid(value)) return value;
    throw this.mistake(name, what);
  }

  /** A text for itself, or an object with base64. */
  bytes(name: string): Uint8Array {
    const bytes = bytesOf(this.raw(name));
    if (bytes !== undefined) return bytes;
    throw this.mistake(name, 'a text or {"base64": "…"}');
  }

  /** What `read` makes of a member that may be left out. */
  optional<T>(name: string, read: (name: string) => T): T | undefined {
    return this.has(name) ? read(name) : undefined;
  }

  inside(name: string): Fields {
    return new Fields(this.raw(name), `${this.place}${name}.`);
  }

  mistake(name: string, needed: string): LineError {
    return new LineError(`${this.place}${name} ${this.has(name) ? "must be" : "is missing: it is"} ${needed}`);
  }

  end(): void {
    const unknown = Object.keys(this.object).find((name) => !this.taken.has(name));
    if (unknown !== undefined) throw new LineError(`Unknown member ${JSON.stringify(this.place + unknown)}`);
  }
}

/** U+0000 and lone surrogates are in no text of MQTT. */
export function isText(value: unknown): value is string {
  return typeof value === "string" && value.isWellFormed() && !value.includes("\0") && value.length <= TEXT_LENGTH_MAX;
}

/** No text of MQTT has more bytes, §1.5.4; payloads are not bound by this. */
const TEXT_LENGTH_MAX = 65_535;

function bytesOf(value: unknown): Uint8Array | undefined {
  if (typeof value === "string") return value.isWellFormed() ? encodeUtf8(value) : undefined;
  if (typeof value !== "object" || value === null || Object.keys(value).join() !== "base64") return undefined;
  const { base64 } = value as { base64: unknown };
  if (typeof base64 !== "string") return undefined;
  const bytes = Buffer.from(base64, "base64");
  return bytes.toString("base64") === base64 ? new Uint8Array(bytes) : undefined;
}
