import type { Path } from "../../text/document.ts";
import type { Problem } from "../../text/problem.ts";
import { parseSize } from "../../text/size.ts";
import { suggest } from "../../text/suggest.ts";
import type { Complaints } from "./complaints.ts";
import { isHidden } from "./mask.ts";
import type { Place } from "./read-auth.ts";

const TEXT_MAX = 160;
const QUOTED_MAX = 64;

/** Members whose values are never shown. */
const SECRETS: ReadonlySet<string> = new Set(["password", "digest", "salt", "hash", "key"]);

/**
 * One object of a file of rules, whose members are read one by one. What is wrong with one is told with its place, and the
 * member counts as absent then: everything else is read all the same.
 */
export class Fields {
  readonly complaints: Complaints;
  readonly path: Path;
  /** How messages call it: 'user "kim"', "rule 3"; "the file". */
  label: string;
  private readonly object: Readonly<Record<string, unknown>>;

  private constructor(complaints: Complaints, path: Path, label: string, object: object) {
    this.complaints = complaints;
    this.path = path;
    this.label = label;
    this.object = object as Record<string, unknown>;
  }

  /** Undefined when the value is no object, which is told. */
  static of(complaints: Complaints, value: unknown, path: Path, label: string): Fields | undefined {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return new Fields(complaints, path, label, value);
    }
    const position = complaints.at(path);
    complaints.say("error", position, capital(`${label} must be an object in braces, not ${kindOf(value)}`));
    return undefined;
  }

  /** The object that is a member of this one. */
  inner(key: string): Fields | undefined {
    const value = this.value(key);
    return value === undefined
      ? undefined
      : Fields.of(this.complaints, value, [...this.path, key], this.memberText(key));
  }

  has(key: string): boolean {
    return this.value(key) !== undefined;
  }

  value(key: string): unknown {
    return Object.hasOwn(this.object, key) ? this.object[key] : undefined;
  }

  keys(): string[] {
    return Object.keys(this.object).filter((key) => this.object[key] !== undefined);
  }

  /** Complains of members that are not among `known`. */
  checkKeys(known: readonly string[]): void {
    for (const key of this.keys()) {
      if (known.includes(key)) continue;
      const nearest = suggest(key, known);
      const hint = nearest === undefined ? `Known here: ${known.join(", ")}` : `Did you mean "${nearest}"?`;
      // What is no name may be something else that slipped in where a key is expected.
      const shown = /^[\w$-]{1,32}$/.test(key) ? ` ${quote(key)}` : "";
      this.say("error", key, capital(`${this.label} has an unknown key${shown}`), hint, true);
    }
  }

  /** A text that is not empty, unless it may be. */
  text(key: string, mayBeEmpty = false): string | undefined {
    const value = this.value(key);
    if (value === undefined) return undefined;
    if (typeof value !== "string") {
      const hint = typeof value === "number" || typeof value === "boolean" ? "Put it in quotes" : undefined;
      return this.refuse(key, "a text in quotes", hint);
    }
    if (value !== "" || mayBeEmpty) return value;
    this.error(key, `${this.label} has an empty ${key}`, "Put something between the quotes");
    return undefined;
  }

  /** A list of texts that are not empty, or where `orOne` one of them. Undefined when there is none, or it is none. */
  texts(key: string, orOne: boolean): string[] | undefined {
    const value = this.value(key);
    if (value === undefined) return undefined;
    const list = orOne && typeof value === "string" ? [value] : value;
    if (!Array.isArray(list)) {
      const one = typeof value === "string" ? `Write ["${shortened(value)}"]` : undefined;
      return this.refuse(key, `a ${orOne ? "text or a " : ""}list of texts in square brackets`, one);
    }
    const texts: string[] = [];
    for (const [index, element] of list.entries()) {
      if (typeof element === "string" && element !== "") {
        texts.push(element);
        continue;
      }
      const found = element === "" ? "an empty text" : kindOf(element);
      const hint = typeof element === "number" ? "Put it in quotes" : undefined;
      this.errorIn(key, index, `${this.memberText(key)} must have only texts in it, not ${found}`, hint);
    }
    return texts;
  }

  /** A list of anything. */
  list(key: string): unknown[] | undefined {
    const value = this.value(key);
    if (value === undefined || Array.isArray(value)) return value;
    return this.refuse(key, "a list in square brackets", value === null ? "Write [] for none" : undefined);
  }

  boolean(key: string): boolean | undefined {
    const value = this.value(key);
    return value === undefined || typeof value === "boolean" ? value : this.refuse(key, "true or false");
  }

  oneOf<T extends string>(key: string, words: readonly T[]): T | undefined {
    const value = this.value(key);
    if (value === undefined) return undefined;
    const word = words.find((each) => each === value);
    if (word !== undefined) return word;
    const nearest = typeof value === "string" ? suggest(value, words) : undefined;
    return this.refuse(key, `one of ${words.join(", ")}`, nearest && `Did you mean "${nearest}"?`);
  }

  /** A number above 0; `whole`: from 1. */
  positive(key: string, whole: boolean): number | undefined {
    const value = this.value(key);
    if (value === undefined) return undefined;
    if (typeof value === "number" && Number.isFinite(value) && value > 0 && (!whole || Number.isSafeInteger(value)))
      return value;
    return this.refuse(
      key,
      whole ? "a whole number from 1" : "a number above 0",
      typeof value === "string" ? "Write it without quotes" : `Leave ${key} out for no limit of its own`,
    );
  }

  /** A number of bytes above 0, or a size such as "64KiB". */
  bytes(key: string): number | undefined {
    const value = this.value(key);
    if (value === undefined) return undefined;
    const bytes = typeof value === "string" ? parseSize(value) : value;
    if (typeof bytes === "number" && Number.isSafeInteger(bytes) && bytes > 0) return bytes;
    const hint = `Leave ${key} out for no limit of its own`;
    return this.refuse(key, 'a number of bytes above 0, or a size such as "64KiB"', hint);
  }

  /** Says that a member is not what it must be; returns undefined. */
  refuse(key: string, wanted: string, hint?: string): undefined {
    const value = this.value(key);
    const shown = SECRETS.has(key) || (typeof value === "object" && value !== null) ? kindOf(value) : show(value);
    this.error(key, `${this.memberText(key)} must be ${wanted}, not ${shown}`, hint);
    return undefined;
  }

  /** "rule 3: topic"; of the whole file the member alone. */
  private memberText(key: string): string {
    return this.path.length === 0 ? key : `${this.label}: ${key}`;
  }

  /** At a member, or with "" at the object. */
  error(key: string, message: string, hint?: string): void {
    this.say("error", key, message, hint);
  }

  say(severity: Problem["severity"], key: string, message: string, hint?: string, isKey = false): void {
    const { complaints } = this;
    const path = [...this.path, key];
    if (key === "") complaints.say(severity, this.place(), message, hint);
    else complaints.say(severity, isKey ? complaints.atKey(path) : complaints.at(path), message, hint);
  }

  /** At an element of a member that is a list, or at the member when it is one text in place of a list. */
  errorIn(key: string, index: number, message: string, hint?: string): void {
    const path = Array.isArray(this.value(key)) ? [...this.path, key, index] : [...this.path, key];
    this.complaints.say("error", this.complaints.at(path), message, hint);
  }

  place(): Place {
    const { line, column } = this.complaints.at(this.path);
    return { file: this.complaints.document?.file ?? "", line, column, text: entryText(this.object) };
  }
}

/** A text in quotes for a message, shortened. */
export function quote(text: string): string {
  return JSON.stringify(shortened(text));
}

function shortened(text: string): string {
  return text.length > QUOTED_MAX ? `${text.slice(0, QUOTED_MAX - 1)}…` : text;
}

/** At the beginning of a sentence: "The file has …", but 'user "kim" has …', which is how the file has it. */
function capital(text: string): string {
  return text.replace(/^the /, "The ");
}

/** What kind of value it is, without its content. */
export function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : typeof value === "string" ? "a text" : `a ${typeof value}`;
}

function show(value: unknown): string {
  return typeof value === "string" ? quote(value) : String(value);
}

/** `{ topic: "kitchen/#", deny: { sub: ["@guests"] } }`, without secrets. */
function entryText(object: Readonly<Record<string, unknown>>): string {
  const text = written(object, TEXT_MAX);
  return text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX - 1)}…`;
}

/** Stops when it is longer than `most`: groups may have thousands of members, and a program's objects themselves in them. */
function written(value: unknown, most: number): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, most + 1));
  if (typeof value !== "object" || value === null) return String(value);
  if (most <= 0) return "…";
  const isList = Array.isArray(value);
  let text = isList ? "[" : "{ ";
  let separator = "";
  for (const key in value) {
    const member: unknown = (value as Record<string, unknown>)[key];
    if (member === undefined) continue;
    if (text.length > most) break;
    text += isList ? separator : `${separator}${isPlain(key) ? key : JSON.stringify(key)}: `;
    text += !isList && isHidden(key, member) ? '"…"' : written(member, most - text.length);
    separator = ", ";
  }
  return text + (isList ? "]" : " }");
}

function isPlain(key: string): boolean {
  return /^[A-Za-z_]\w*$/.test(key);
}
