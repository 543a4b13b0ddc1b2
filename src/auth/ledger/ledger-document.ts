import { type Path, TextError } from "../../text/document.ts";
import { parseJson5 } from "../../text/json5-document.ts";
import { formatProblem, type Problem, problemLine } from "../../text/problem.ts";
import { suggest } from "../../text/suggest.ts";
import { parseYaml } from "../../text/yaml-document.ts";
import { isShared, isTopicFilter } from "../../topic/name.ts";
import { Complaints } from "../reading/complaints.ts";
import { kindOf } from "../reading/fields.ts";
import { maskText } from "../reading/mask.ts";
import type { LedgerAclRule, LedgerAuthRule, LedgerPermission } from "./ledger-rules.ts";

const OPENING_BRACE = 0x7b;
const KEYS = {
  ledger: ["users", "auth", "acl"],
  user: ["username", "password", "disallow", "acl"],
  auth: ["client", "username", "password", "remote", "allow"],
  acl: ["client", "username", "remote", "filters"],
} as const;

/** The rules are not a ledger. The message has one paragraph for each problem. */
export class LedgerError extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join("\n"));
    this.name = "LedgerError";
    this.problems = problems;
  }
}

/** A filter and what it grants, in the order in which they were written. */
export type FilterEntry = readonly [topicFilter: string, permission: LedgerPermission];

/** A ledger as it is used: filters in order, nothing left to check. */
export interface ReadLedger {
  users: Map<string, { password: string; disallow: boolean; filters: FilterEntry[] }>;
  auth: LedgerAuthRule[];
  acl: (Omit<LedgerAclRule, "filters"> & { filters: FilterEntry[] })[];
  /** What is allowed but likely not meant so. */
  warnings: string[];
}

/** Checks rules that a program made, perhaps without a type checker. Throws LedgerError. */
export function readLedger(value: unknown): ReadLedger {
  return readAlone(new Complaints(undefined), value);
}

/** Reads and checks a file. Throws LedgerError. */
export function parseLedger(bytes: Uint8Array, file: string): ReadLedger {
  const text = textOf(bytes, file);
  try {
    const document = bytes[0] === OPENING_BRACE ? parseJson5(text, file) : parseYaml(text, file);
    return readAlone(new Complaints(document), document.value);
  } catch (error) {
    if (!(error instanceof TextError)) throw error;
    throw new LedgerError([error.in(maskText(text)).toProblem()]);
  }
}

function readAlone(complaints: Complaints, value: unknown): ReadLedger {
  const ledger = readLedgerAt(complaints, value, []);
  const { problems } = complaints;
  if (complaints.hasErrors) throw new LedgerError(problems);
  return { ...ledger, warnings: problems.map(problemLine) };
}

/**
 * Reads a ledger that is the value at `path` of a larger document. What is wrong with it, and what is likely not meant so, is
 * told to `complaints`; when that has errors, what is returned is of no use.
 */
export function readLedgerAt(complaints: Complaints, value: unknown, path: Path): ReadLedger {
  return new LedgerReader(complaints, path).read(value);
}

function textOf(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new LedgerError([
      { severity: "error", file, line: 0, column: 0, message: "Is not a text in UTF-8: save it so" },
    ]);
  }
}

type Fields = Readonly<Record<string, unknown>>;

/** Walks through a value, gathers all that is wrong with it, and makes anew what is right. */
class LedgerReader {
  private readonly complaints: Complaints;
  private readonly base: Path;

  constructor(complaints: Complaints, base: Path) {
    this.complaints = complaints;
    this.base = base;
  }

  read(value: unknown): ReadLedger {
    const { users, auth, acl } = this.known(value ?? {}, [], KEYS.ledger);
    const ledger: ReadLedger = {
      users: new Map(this.entries(users, ["users"]).map(([name, user]) => [name, this.user(user, ["users", name])])),
      auth: this.list(auth, "auth", (fields, path) => ({
        ...this.who(fields, path),
        password: this.text(fields.password, [...path, "password"]),
        allow: this.boolean(fields.allow, [...path, "allow"]),
      })),
      acl: this.list(acl, "acl", (fields, path) => ({
        ...this.who(fields, path),
        filters: this.filters(fields.filters, [...path, "filters"]),
      })),
      warnings: [],
    };
    if (!this.complaints.hasErrors) this.warnOfWhole(ledger);
    return ledger;
  }

  private user(value: unknown, path: Path): { password: string; disallow: boolean; filters: FilterEntry[] } {
    const fields = this.known(value ?? {}, path, KEYS.user);
    const userName = this.text(fields.username, [...path, "username"]);
    if (userName !== "" && userName !== path.at(-1)) {
      this.warn([...path, "username"], `has no effect: the user is called ${JSON.stringify(path.at(-1))}, by its key`);
    }
    return {
      password: this.text(fields.password, [...path, "password"]),
      disallow: this.boolean(fields.disallow, [...path, "disallow"]),
      filters: this.filters(fields.acl, [...path, "acl"]),
    };
  }

  private who(fields: Fields, path: Path): { client: string; username: string; remote: string } {
    const remote = this.text(fields.remote, [...path, "remote"]);
    if (remote !== "" && !remote.includes("*") && !/:\d+$/.test(remote)) {
      this.warn([...path, "remote"], `matches no TCP client, whose port is part of it: write ${remote}:*`);
    }
    return {
      client: this.text(fields.client, [...path, "client"]),
      username: this.text(fields.username, [...path, "username"]),
      remote,
    };
  }

  private filters(value: unknown, path: Path): FilterEntry[] {
    return this.entries(value, path).map(([topicFilter, permission]): FilterEntry => {
      const at = [...path, topicFilter];
      if (!isTopicFilter(topicFilter)) {
        this.complain(at, "is no valid Topic Filter", "# and + stand alone between slashes, and # comes last", true);
      }
      if (isShared(topicFilter)) {
        const hint = "Leave it out: what stands behind $share/NAME/ is judged";
        this.complain(at, "is a shared subscription", hint, true);
      }
      if (typeof permission !== "number" || ![0, 1, 2, 3].includes(permission)) {
        this.complain(at, `must be 0 (deny), 1 (read), 2 (write) or 3 (both), not ${shown(permission)}`);
      } else if (permission === 0 && !topicFilter.endsWith("#")) {
        this.warn(at, `denies this topic alone: for what is below it too, write ${topicFilter}/#`);
      }
      return [topicFilter, permission as LedgerPermission];
    });
  }

  private list<T>(value: unknown, key: "auth" | "acl", read: (fields: Fields, path: Path) => T): T[] {
    if (value === undefined || value === null) return [];
    if (!Array.isArray(value)) {
      this.complain([key], `must be a list of rules, not ${shown(value)}`);
      return [];
    }
    return value.map((rule: unknown, index) => read(this.known(rule, [key, index], KEYS[key]), [key, index]));
  }

  private text(value: unknown, path: Path): string {
    if (value === undefined || value === null) return "";
    if (typeof value === "string") return value;
    // YAML has read a number by now, and 007 would be 7. A password is not shown, not even one that is wrong.
    const what = path.at(-1) === "password" ? kindOf(value) : shown(value);
    this.complain(path, `must be a text, not ${what}`, typeof value === "object" ? undefined : "Put it in quotes");
    return "";
  }

  private boolean(value: unknown, path: Path): boolean {
    if (typeof value === "boolean") return value;
    if (value !== undefined && value !== null) {
      this.complain(path, `must be true or false, not ${shown(value)}`, "Write it without quotes");
    }
    return false;
  }

  /** An object with keys of these alone; an empty one when it is something else. */
  private known(value: unknown, path: Path, keys: readonly string[]): Fields {
    if (value === null) this.complain(path, "must be an object, not null");
    const entries = this.entries(value, path);
    for (const [key] of entries) {
      if (keys.includes(key)) continue;
      const nearest = suggest(key, keys);
      const hint = nearest === undefined ? `Known here: ${keys.join(", ")}` : `Did you mean "${nearest}"?`;
      const position = this.complaints.atKey([...this.base, ...path, key]);
      const owner = pathText([...this.base, ...path]);
      this.complaints.say("error", position, `${owner} has an unknown key ${JSON.stringify(key)}`, hint);
    }
    return Object.fromEntries(entries);
  }

  /** Members in the order of the file: JavaScript moves keys that are whole numbers to the front. */
  private entries(value: unknown, path: Path): [string, unknown][] {
    if (value === undefined || value === null) return [];
    if (typeof value !== "object" || Array.isArray(value)) {
      // Not the value itself: somebody may have written a password in the place of a user.
      this.complain(path, `must be an object, not ${kindOf(value)}`);
      return [];
    }
    const { document } = this.complaints;
    const entries = Object.entries(value);
    if (document === undefined) return entries;
    const placed = entries.map((entry) => ({ entry, start: document.keyStart([...this.base, ...path, entry[0]]) }));
    placed.sort((a, b) => a.start - b.start);
    for (const { entry, start } of placed) {
      if (!isMisread(entry[0], document.text.slice(start, start + entry[0].length))) continue;
      this.complain([...path, entry[0]], "was written otherwise, and read so", "Put the key in quotes", true);
    }
    return placed.map(({ entry }) => entry);
  }

  private complain(path: Path, clause: string, hint?: string, key = false): void {
    const { complaints } = this;
    const full = [...this.base, ...path];
    complaints.say("error", key ? complaints.atKey(full) : complaints.at(full), `${pathText(full)} ${clause}`, hint);
  }

  private warn(path: Path, message: string): void {
    const { complaints } = this;
    const full = [...this.base, ...path];
    complaints.say("warning", complaints.atKey(full), `${pathText(full)} ${message}`);
  }

  private warnOfWhole({ users, auth, acl }: ReadLedger): void {
    const { complaints } = this;
    const position = complaints.atKey(this.base);
    const admits = [...users.values()].some(({ password, disallow }) => password !== "" && !disallow);
    if (!admits && !auth.some(({ allow }) => allow)) {
      const hint = 'Add users: { NAME: { password: "…" } }, or { allow: true } to auth for everybody';
      complaints.say("warning", position, "Nobody is let in: no user and no auth rule does it", hint);
    }
    const decides = acl.some(({ client, username, remote, filters }) => {
      const isForAll = [client, username, remote].every((text) => text === "" || text === "*");
      return isForAll && (filters.length === 0 || filters.some(([topicFilter]) => topicFilter === "#"));
    });
    if (decides) return;
    const hint = 'To deny it, end acl with { filters: { "#": 0 } }';
    complaints.say("warning", position, "What no rule of acl matches is allowed", hint);
  }
}

/** Not texts nor what objects hold: somebody may have written a password in a wrong place. */
function shown(value: unknown): string {
  return typeof value === "number" || typeof value === "boolean" ? String(value) : kindOf(value);
}

/** YAML reads 007 as the number 7 and True as true, also where they are keys, and JavaScript then writes what it read. */
function isMisread(key: string, source: string): boolean {
  if (!/^(?:[-+.\d]|true$|false$|null$|Infinity$|NaN$)/.test(key)) return false;
  return !/^["']/.test(source) && !source.startsWith(key);
}

/** "users.melon.acl", "auth[1].remote"; names that are not plain in brackets. */
function pathText(path: Path): string {
  if (path.length === 0) return "ledger";
  return path
    .map((step, index) => {
      if (typeof step === "number") return `[${step}]`;
      if (!/^[\w-]+$/.test(step)) return `[${JSON.stringify(step)}]`;
      return index === 0 ? step : `.${step}`;
    })
    .join("");
}
