import type { Problem } from "../../text/problem.ts";
import { isTopicFilter } from "../../topic/name.ts";
import { checkHash, makeHash } from "../login/password.ts";

/** A line of Mosquitto's password_file. */
export interface MosquittoUser {
  name: string;
  /** "$6$…", "$7$…" or "$argon2id$…"; else the password itself, as in a file that mosquitto_passwd -U has not been over. */
  password: string;
  /** From 1. */
  line: number;
}

export type MosquittoAccess = "read" | "write" | "readwrite" | "deny";

/** A `topic` or `pattern` line of Mosquitto's acl_file. */
export interface MosquittoTopic {
  access: MosquittoAccess;
  topicFilter: string;
  /** From 1. */
  line: number;
}

/** An acl_file as Mosquitto 2.0 takes it: what stands under a user's name twice is one list. */
export interface MosquittoAcl {
  /** For messages. */
  file: string;
  anonymous: MosquittoTopic[];
  users: Map<string, MosquittoTopic[]>;
  /** For everybody, asked after the lists above. */
  patterns: MosquittoTopic[];
}

/** Reads a password_file. Of users with the same name the last one counts. Lines that are none are warned of, as Mosquitto does. */
export function readPasswordFile(text: string, file: string): { users: MosquittoUser[]; problems: Problem[] } {
  const users = new Map<string, MosquittoUser>();
  const problems: Problem[] = [];
  for (const [index, raw] of linesOf(text).entries()) {
    const line = index + 1;
    if (raw.startsWith("#") || raw.trim() === "") continue;
    const [, name, password] = /^([^:]*):(.*)$/.exec(raw) ?? [];
    if (name === undefined || password === undefined || name.trim() === "" || password.trim() === "") {
      // The line is not shown: it may be a password.
      problems.push(problemAt("warning", file, line, "Not of the form NAME:HASH: left out"));
      continue;
    }
    const user = { name: name.trim(), password: password.trim(), line };
    const before = users.get(user.name);
    if (before !== undefined) {
      const message = `${user.name} is listed before, in line ${before.line}: this line counts`;
      problems.push(problemAt("warning", file, line, message));
    }
    users.set(user.name, user);
  }
  return { users: [...users.values()], problems };
}

/** The method of a hash; undefined when it is a password. */
export function hashMethod({ password }: MosquittoUser): "mosquitto" | "argon2id" | undefined {
  if (/^\$[67]\$/.test(password)) return "mosquitto";
  return password.startsWith("$argon2id$") ? "argon2id" : undefined;
}

/** How an entry of ours keeps the password: a hash as it is, and of a password a new one. */
export async function secretOf(user: MosquittoUser): Promise<{ method: "mosquitto" | "argon2id"; hash: string }> {
  const method = hashMethod(user);
  if (method !== undefined) return { method, hash: user.password };
  return { method: "argon2id", hash: await makeHash("argon2id", user.password) };
}

/** Why a user cannot be taken over, to be read behind its name; undefined: nothing is in the way. */
export function checkMosquittoUser(user: MosquittoUser): string | undefined {
  if (user.name.startsWith("@")) return 'has a name that begins with "@", as only groups here have';
  if (user.name === "*") return "has the name that stands for everybody here";
  const method = hashMethod(user);
  const mistake = method === undefined ? undefined : checkHash(method, user.password);
  return mistake === undefined ? undefined : `has no usable hash: ${mistake}`;
}

/** Reads an acl_file. With errors among the problems Mosquitto would not start with it either. */
export function readAclFile(text: string, file: string): { acl: MosquittoAcl; problems: Problem[] } {
  const acl: MosquittoAcl = { file, anonymous: [], users: new Map(), patterns: [] };
  const problems: Problem[] = [];
  let list = acl.anonymous;
  for (const [index, raw] of linesOf(text).entries()) {
    const line = index + 1;
    if (raw.startsWith("#") || raw.trim() === "") continue;
    const complain = (message: string, hint?: string): void => {
      problems.push({ ...problemAt("error", file, line, message, hint), column: 1, sourceLine: raw });
    };
    const [, keyword = "", rest = ""] = /^ *([^ ]+)(.*)$/.exec(raw.trimEnd()) ?? [];
    if (keyword === "user") {
      const name = rest.trim();
      if (name === "") complain("A user has no name", "Write: user NAME");
      list = acl.users.get(name) ?? [];
      acl.users.set(name, list);
    } else if (keyword === "topic" || keyword === "pattern") {
      const topic = readTopic(rest, line, complain);
      if (topic !== undefined) (keyword === "topic" ? list : acl.patterns).push(topic);
    } else {
      complain(
        `Not a line of an acl_file: ${JSON.stringify(keyword)}`,
        "Lines begin with topic, user, pattern or #, and a space",
      );
    }
  }
  return { acl, problems };
}

function readTopic(
  rest: string,
  line: number,
  complain: (message: string, hint?: string) => void,
): MosquittoTopic | undefined {
  const [, first = "", behind = ""] = /^ *([^ ]*)(.*)$/.exec(rest) ?? [];
  const named = behind.trim();
  const access = named === "" ? "readwrite" : first;
  const topicFilter = named === "" ? first : named;
  if (topicFilter === "") complain("The topic is missing", "Write: topic [read|write|readwrite|deny] TOPIC");
  else if (!isAccess(access)) {
    complain(
      `Not an access: ${JSON.stringify(access)}`,
      "Write read, write, readwrite or deny before a topic with spaces",
    );
  } else if (!isTopicFilter(topicFilter)) {
    complain(
      `Not a valid Topic Filter: ${JSON.stringify(topicFilter)}`,
      "# and + stand alone between slashes, and # comes last: home/+/door, home/#",
    );
  } else return { access, topicFilter, line };
  return undefined;
}

function isAccess(word: string): word is MosquittoAccess {
  return word === "read" || word === "write" || word === "readwrite" || word === "deny";
}

function linesOf(text: string): string[] {
  return text.split(/\r\n|\n/);
}

function problemAt(severity: Problem["severity"], file: string, line: number, message: string, hint?: string): Problem {
  return { severity, file, line, column: 0, message, ...(hint === undefined ? {} : { hint }) };
}
