import type { Path } from "../text/document.ts";
import { parseJson5 } from "../text/json5-document.ts";
import { appendElements, insertMember, removeAt, replaceValue } from "../text/json5-edit.ts";
import { suggest } from "../text/suggest.ts";

/** A user's entry as `passwd` writes it. */
export interface NewUser {
  name: string;
  method: "argon2id" | "scrypt" | "mosquitto";
  hash: string;
  admin?: "read" | "all" | undefined;
  note?: string | undefined;
}

/** What a file of users and rules is made of that nobody has written yet: it changes nothing for clients on this machine. */
export const NEW_FILE = `// Who may connect to this broker, and who may do what. The running broker takes changes up within a second.
// mqtt-broker check says what is wrong with this file, mqtt-broker passwd add NAME adds a user.
{
  authentication: [
    // Clients on this machine need no password; remove this line if they shall.
    { name: "anonymous", method: "anonymous", from: "local" },
  ],

  // Users that belong together: { name: "@family", members: ["kim", "pat"] }
  group: [],

  // From wide to narrow: of the rules that match, the last one wins. What no rule matches is denied.
  authorization: [
    { topic: "#", allow: { sub: ["@any"], pub: ["@any"] } },
    { topic: "$SYS/#", allow: { sub: ["@any"] } },
  ],
}
`;

interface Found {
  path: Path;
  entry: Readonly<Record<string, unknown>>;
}

/** How a file says who its users are, to those who have found it right before. */
export interface UserLine {
  name: string;
  method: string;
  /** With "@". */
  groups: readonly string[];
  admin: string | undefined;
  expires: string | undefined;
  note: string | undefined;
}

export function addUsers(text: string, users: readonly NewUser[]): string {
  const entries = users.map(({ name, method, hash, admin, note }) => ({ name, method, note, admin, hash }));
  return appendElements(text, ["authentication"], entries);
}

/** A new secret for the entry that counts; what else it says stays. */
export function replaceSecret(text: string, { name, method, hash, admin, note }: NewUser): string {
  const { path, entry } = findUser(text, name)!;
  let edited = replaceValue(text, [...path, "method"], method);
  edited = setMember(edited, path, "hash", hash, entry);
  for (const key of ["digest", "salt", "password"]) if (key in entry) edited = removeAt(edited, [...path, key]);
  if (admin !== undefined) edited = setMember(edited, path, "admin", admin, entry);
  return note === undefined ? edited : setMember(edited, path, "note", note, entry);
}

function setMember(text: string, path: Path, key: string, value: unknown, entry: Found["entry"]): string {
  return key in entry ? replaceValue(text, [...path, key], value) : insertMember(text, path, key, value);
}

/** The entry of this name that counts. */
export function findUser(text: string, name: string): Found | undefined {
  const index = entriesOf(text, "authentication").findLastIndex((entry) => entry.name === name);
  if (index < 0) return undefined;
  return { path: ["authentication", index], entry: entriesOf(text, "authentication")[index]! };
}

/** `isNew`: there was no such group. A group that is probably another one, mistyped, is not made: see `meantGroup`. */
export function joinGroup(text: string, user: string, group: string): { text: string; isNew: boolean } {
  const key = groupKey(text);
  if (key === undefined) {
    return { text: insertMember(text, [], "group", [{ name: group, members: [user] }]), isNew: true };
  }
  const groups = entriesOf(text, key);
  const index = groups.findLastIndex(({ name }) => name === group);
  if (index < 0) return { text: appendElements(text, [key], [{ name: group, members: [user] }]), isNew: true };
  const { members } = groups[index]!;
  if (members === undefined) return { text: insertMember(text, [key, index], "members", [user]), isNew: false };
  if ((members as unknown[]).includes(user)) return { text, isNew: false };
  return { text: appendElements(text, [key, index, "members"], [user]), isNew: false };
}

/** The group that was probably meant by the name of one that there is not. */
export function meantGroup(text: string, group: string): string | undefined {
  const key = groupKey(text);
  const names = key === undefined ? [] : entriesOf(text, key).map(({ name }) => String(name));
  return names.includes(group) ? undefined : suggest(group, names);
}

/** Removes the user's entries, its memberships, and its name from rules; rules that then name nobody go too. */
export function deleteUser(text: string, name: string): string {
  let edited = text;
  for (const index of indexesOf(edited, "authentication", (entry) => entry.name === name)) {
    edited = removeAt(edited, ["authentication", index]);
  }
  const key = groupKey(text);
  const isIn = ({ members }: Found["entry"]): boolean => Array.isArray(members) && members.includes(name);
  for (const index of key === undefined ? [] : indexesOf(edited, key, isIn)) {
    edited = removeName(edited, [key!, index, "members"], name);
  }
  const rules = indexesOf(edited, "authorization", (rule) => SIDES.some((side) => namesOf(rule, side).includes(name)));
  for (const index of rules) edited = removeFromRule(edited, index, name);
  return edited;
}

const SIDES = [
  ["allow", "sub"],
  ["allow", "pub"],
  ["deny", "sub"],
  ["deny", "pub"],
] as const;

function namesOf(rule: Found["entry"], [way, side]: (typeof SIDES)[number]): readonly unknown[] {
  const names = (rule[way] as Found["entry"] | undefined)?.[side];
  return Array.isArray(names) ? names : [];
}

/** What is left without a name is taken away, up to the rule. */
function removeFromRule(text: string, index: number, name: string): string {
  const rule: Path = ["authorization", index];
  let edited = text;
  for (const [way, side] of SIDES) {
    const without = removeName(edited, [...rule, way, side], name);
    if (without === edited) continue;
    edited = without;
    if (isEmpty(valueAt(edited, [...rule, way, side]))) edited = removeAt(edited, [...rule, way, side]);
    if (isEmpty(valueAt(edited, [...rule, way]))) edited = removeAt(edited, [...rule, way]);
  }
  const { allow, deny } = valueAt(edited, rule) as Record<string, unknown>;
  return allow === undefined && deny === undefined ? removeAt(edited, rule) : edited;
}

function isEmpty(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

function removeName(text: string, path: Path, name: string): string {
  const names = valueAt(text, path);
  if (!Array.isArray(names)) return text;
  const remove = (edited: string, one: unknown, index: number): string =>
    one === name ? removeAt(edited, [...path, index]) : edited;
  return names.reduceRight(remove, text);
}

/** The users in the order of the file, each once. */
export function listUsers(text: string): UserLine[] {
  const key = groupKey(text);
  const groups = key === undefined ? [] : entriesOf(text, key);
  const users = new Map(entriesOf(text, "authentication").map((entry) => [String(entry.name), entry]));
  return [...users].map(([name, { method, admin, expires, note }]) => ({
    name,
    method: String(method),
    groups: groups
      .filter(({ members }) => Array.isArray(members) && members.includes(name))
      .map((group) => String(group.name)),
    admin: textOrNothing(admin),
    expires: textOrNothing(expires),
    note: textOrNothing(note),
  }));
}

function textOrNothing(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function groupKey(text: string): "group" | "groups" | undefined {
  const root = valueAt(text, []) as Record<string, unknown>;
  return "group" in root ? "group" : "groups" in root ? "groups" : undefined;
}

/** From the last to the first, so that removing one leaves the others where they are. */
function indexesOf(text: string, key: string, isWanted: (entry: Found["entry"]) => boolean): number[] {
  return entriesOf(text, key)
    .map((entry, index) => (isWanted(entry) ? index : -1))
    .filter((index) => index >= 0)
    .reverse();
}

function entriesOf(text: string, key: string): Found["entry"][] {
  return (valueAt(text, [key]) ?? []) as Found["entry"][];
}

function valueAt(text: string, path: Path): unknown {
  let value = parseJson5(text, "", true).value;
  for (const step of path) value = (value as Record<string | number, unknown> | undefined)?.[step];
  return value;
}
