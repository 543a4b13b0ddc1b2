import { type Path, TextError } from "../../text/document.ts";
import { parseJson5 } from "../../text/json5-document.ts";
import type { Problem } from "../../text/problem.ts";
import { suggest } from "../../text/suggest.ts";
import { parseYaml } from "../../text/yaml-document.ts";
import { readLedgerAt } from "../ledger/ledger-document.ts";
import { Complaints } from "./complaints.ts";
import { Fields, quote } from "./fields.ts";
import { maskText } from "./mask.ts";
import { Names } from "./names.ts";
import type { ReadAuth } from "./read-auth.ts";
import { readGroup, readRule } from "./read-rules.ts";
import { type AuthReading, mayBeBrought, readUser } from "./read-users.ts";
import { reviewRules } from "./review-rules.ts";
import { reviewUsers } from "./review-users.ts";

/** Longest file of rules that is read. */
export const AUTH_BYTES_MAX = 4 * 1024 * 1024;
/** YAML takes several times the memory and time that JSON5 takes. */
const YAML_BYTES_MAX = 1024 * 1024;

const RULE_KEYS = ["authentication", "group", "groups", "authorization"] as const;
const KNOWN_KEYS = [...RULE_KEYS, "ledger", "explainToClients", "whenRevoked"];
const LEDGER_KEYS = ["users", "auth", "acl"];

/** Of what was read; `auth` is undefined when one of the problems is an error. */
export interface AuthAnswer {
  auth: ReadAuth | undefined;
  problems: Problem[];
}

/**
 * Reads a file of rules: YAML when `file` ends with .yaml or .yml, else JSON5 whose comments may begin with `#` too. `file`
 * is its name for messages. Tells all mistakes, not the first only, but for those of syntax. Never throws, whatever
 * the text; what `reading.readFile` throws is a mistake of the entry that names the file.
 */
export function readAuthFile(text: string, file: string, reading: AuthReading): AuthAnswer {
  const isYaml = /\.ya?ml$/i.test(file);
  const most = isYaml ? YAML_BYTES_MAX : AUTH_BYTES_MAX;
  if (text.length > most) {
    const message = `The file has more than ${most / 1024 ** 2} MiB`;
    const hint = `Use groups, %u and %c in place of rules for each${isYaml ? ", or JSON5, of which 4 MiB are read" : ""}`;
    return refuse({ severity: "error", file, line: 0, column: 0, message, hint });
  }
  const plain = text.startsWith("\ufeff") ? text.slice(1) : text;
  try {
    const document = isYaml ? parseYaml(plain, file) : parseJson5(plain, file, true);
    return read(document.value, new Complaints(document), reading);
  } catch (error) {
    if (!(error instanceof TextError)) throw error;
    return refuse(error.in(maskText(plain)).toProblem());
  }
}

/** The same for rules that a program made, perhaps without a type checker. Messages name the entries, and have no places. */
export function readAuthRules(rules: unknown, reading: AuthReading): AuthAnswer {
  return read(rules, new Complaints(undefined), reading);
}

function refuse(problem: Problem): AuthAnswer {
  return { auth: undefined, problems: [problem] };
}

function read(value: unknown, complaints: Complaints, reading: AuthReading): AuthAnswer {
  const auth = readWhole(value, complaints, reading);
  return { auth: complaints.hasErrors ? undefined : auth, problems: complaints.problems };
}

function readWhole(value: unknown, complaints: Complaints, reading: AuthReading): ReadAuth | undefined {
  const whole = Fields.of(complaints, value, [], complaints.document === undefined ? "the rules" : "the file");
  if (whole === undefined) return undefined;
  const settings = {
    file: complaints.document?.file ?? "",
    explainToClients: whole.boolean("explainToClients") ?? false,
    whenRevoked: whole.oneOf("whenRevoked", ["disconnect", "filter"] as const) ?? "disconnect",
  };
  const keys = whole.keys();
  const isBareLedger = keys.length > 0 && keys.every((key) => LEDGER_KEYS.includes(key));
  if (isBareLedger || whole.has("ledger")) {
    const ledger = readLedgerIn(value, whole, isBareLedger);
    return ledger && { ...settings, users: [], groups: [], rules: [], ledger };
  }
  whole.checkKeys(KNOWN_KEYS);
  checkRequired(whole);
  const rules = readRules(whole, reading);
  const auth: ReadAuth = { ...settings, ...rules, ledger: undefined };
  if (!complaints.hasErrors) {
    reviewUsers(auth, reading, complaints);
    reviewRules(auth, complaints);
  }
  return auth;
}

function readLedgerIn(value: unknown, whole: Fields, isBare: boolean): ReadAuth["ledger"] {
  const { complaints } = whole;
  if (isBare) {
    const hint = "To get rid of this put it all into ledger: { … }; mqtt-broker auth import --ledger makes rules of it";
    complaints.say("warning", complaints.at([]), "This is a ledger of mochi's server, and read as one", hint);
    return readLedgerAt(complaints, value, []);
  }
  whole.checkKeys(KNOWN_KEYS);
  for (const key of RULE_KEYS) {
    if (!whole.has(key)) continue;
    const message = `${key} stands beside a ledger, and a file has one or the other`;
    whole.say("error", key, message, "Remove one; mqtt-broker auth import --ledger makes rules of a ledger", true);
  }
  return readLedgerAt(complaints, whole.value("ledger"), ["ledger"]);
}

function checkRequired(whole: Fields): void {
  const unknown = whole.keys().filter((key) => !KNOWN_KEYS.includes(key));
  for (const [key, what] of [
    ["authentication", "who may connect"],
    ["authorization", "who may publish and subscribe to what"],
  ] as const) {
    // A misspelt key has been told already.
    if (whole.has(key) || unknown.some((name) => isMeant(name, key))) continue;
    whole.error(
      "",
      `The file has no ${key}, the list that says ${what}`,
      `Add ${key}: [ … ], or ${key}: [] for nobody`,
    );
  }
}

function isMeant(name: string, key: string): boolean {
  return suggest(name, KNOWN_KEYS) === key;
}

function readRules(whole: Fields, reading: AuthReading): Pick<ReadAuth, "users" | "groups" | "rules"> {
  const { complaints } = whole;
  const groupKey = whole.has("groups") ? "groups" : "group";
  if (whole.has("group") && whole.has("groups")) {
    whole.say(
      "error",
      "groups",
      "The file has group and groups, which mean the same",
      "Put all into one of them",
      true,
    );
  }
  const sections = {
    users: section(whole, "authentication"),
    groups: section(whole, groupKey),
    rules: section(whole, "authorization"),
  };
  const bringsNames = sections.users.some(
    (user) => member(user, "name") === "*" && mayBeBrought(member(user, "method")),
  );
  const names = new Names(complaints, sections.users.map(nameOf), sections.groups.map(nameOf), bringsNames);
  const users = each(complaints, sections.users, ["authentication"], "user", (entry, number) =>
    readUser(entry, number, reading),
  );
  const groups = each(complaints, sections.groups, [groupKey], "group", (entry, number) =>
    readGroup(entry, number, names),
  );
  const rules = each(complaints, sections.rules, ["authorization"], "rule", (entry, number) =>
    readRule(entry, number, names, reading.nowMs),
  );
  names.warnOfBrought();
  checkSingle(users, complaints);
  return {
    // "*" may be there for certificates, for keys and for tokens.
    users: withoutDoubles(users, "user", ({ name, method }) => (name === "*" ? `* ${method}` : name), complaints),
    groups: withoutDoubles(groups, "group", ({ name }) => name, complaints),
    rules,
  };
}

function section(whole: Fields, key: string): unknown[] {
  return whole.list(key) ?? [];
}

function nameOf(value: unknown): string {
  return member(value, "name");
}

/** A text, "" when there is none: what is wrong with it is told when its entry is read. */
function member(value: unknown, key: string): string {
  const text: unknown =
    typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined;
  return typeof text === "string" ? text : "";
}

function each<T>(
  complaints: Complaints,
  values: readonly unknown[],
  path: Path,
  word: string,
  readEntry: (entry: Fields, number: number) => T | undefined,
): T[] {
  const entries: T[] = [];
  for (const [index, value] of values.entries()) {
    const fields = Fields.of(complaints, value, [...path, index], `${word} ${index + 1}`);
    const entry = fields && readEntry(fields, index + 1);
    if (entry !== undefined) entries.push(entry);
  }
  return entries;
}

function checkSingle(users: ReadAuth["users"], complaints: Complaints): void {
  for (const method of ["anonymous", "unauthenticated"]) {
    const [first, ...others] = users.filter((user) => user.method === method);
    for (const other of others) {
      const message = `user ${quote(other.name)} is the second with the method ${method}, after ${quote(first!.name)}`;
      complaints.say(
        "error",
        other.place,
        message,
        "There can be one: who connects so has no name of his own to tell them apart. Remove the others",
      );
    }
  }
}

function withoutDoubles<T extends ReadAuth["users"][number] | ReadAuth["groups"][number]>(
  entries: readonly T[],
  word: string,
  keyOf: (entry: T) => string,
  complaints: Complaints,
): T[] {
  const last = new Map(entries.map((entry) => [keyOf(entry), entry]));
  return entries.filter((entry) => {
    const counting = last.get(keyOf(entry))!;
    if (counting === entry) return true;
    const where = counting.place.line === 0 ? "a later one" : `the one in line ${counting.place.line}`;
    const message = `${word} ${quote(entry.name)} is there more than once, and ${where} counts`;
    complaints.say("warning", entry.place, message, "Remove this one, which has no effect");
    return false;
  });
}
