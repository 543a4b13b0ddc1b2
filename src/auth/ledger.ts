import { createHash, timingSafeEqual } from "node:crypto";
import type { Connect } from "../codec/packet.ts";
import type { Access } from "../core/access.ts";
import type { Client } from "../core/client.ts";
import { type Refusal, refuse } from "../core/hooks.ts";
import { type FilterEntry, parseLedger, type ReadLedger, readLedger } from "./ledger-document.ts";
import type { LedgerPermission, LedgerRules } from "./ledger-rules.ts";

const BAD_USER_NAME_OR_PASSWORD = 0x86;
const NOT_AUTHORIZED = 0x87;

/** Access rules from a ledger, and what about it is likely not meant so. `createBroker` logs the warnings. */
export interface LedgerAccess extends Access {
  readonly warnings: readonly string[];
}

/**
 * The access rules of a mochi auth ledger.
 *
 * Who: a user of `users` gives its password and is in, unless `disallow`. Everybody else, also one whose password
 * is wrong, is decided by the first rule of `auth` that matches; none: refused. What: the first filter of the user's own
 * `acl` that matches, else the first rule of `acl` that has something to say; none: allowed, which is warned of.
 *
 * Two things are other than in mochi's server. Filters match as MQTT's do, not as prefixes: `a/b` is that topic
 * alone, and `a/#` has `a` too. And a user with `disallow` stays out, even when the password is wrong and a rule
 * of `auth` would match. As there, `#` has the topics that begin with `$`, so that a rule can deny everything.
 * JavaScript moves keys that are whole numbers to the front of an object; only `ledgerFrom` keeps their place.
 *
 * Throws LedgerError that lists everything wrong with the rules.
 */
export function ledger(rules: LedgerRules): LedgerAccess {
  return compile(readLedger(rules));
}

/**
 * The same from a file's bytes: JSON when the first byte is `{`, else YAML; nothing at all lets nobody in.
 * `file` is the name for messages. Throws LedgerError with line and column of everything that is wrong.
 */
export function ledgerFrom(bytes: Uint8Array, file = "ledger"): LedgerAccess {
  return compile(parseLedger(bytes, file));
}

interface Rules {
  users: ReadonlyMap<string, User>;
  auth: readonly AuthRule[];
  acl: readonly AclRule[];
}

interface User {
  password: Password | undefined;
  disallow: boolean;
  filters: readonly Filter[];
}

interface AuthRule {
  who: Who;
  password: Password;
  allow: boolean;
}

interface AclRule {
  who: Who;
  filters: readonly Filter[];
}

interface Filter {
  levels: readonly string[];
  permission: LedgerPermission;
}

function compile({ users, auth, acl, warnings }: ReadLedger): LedgerAccess {
  const rules: Rules = {
    users: new Map(
      [...users].map(([name, { password, disallow, filters }]) => [
        name,
        // Without a password of its own nobody gets in by being listed, a client that sends none least of all.
        {
          password: password === "" ? undefined : new Password(password, false),
          disallow,
          filters: filtersOf(filters),
        },
      ]),
    ),
    auth: auth.map((rule) => ({
      who: new Who(rule),
      password: new Password(rule.password ?? "", true),
      allow: rule.allow === true,
    })),
    acl: acl.map((rule) => ({ who: new Who(rule), filters: filtersOf(rule.filters) })),
  };
  const checks = acl.length > 0 || [...users.values()].some(({ filters }) => filters.length > 0);
  return {
    warnings,
    authenticate: (client, connect) => authenticate(rules, client, connect),
    // Absent when there is nothing to ask, which is faster.
    check: checks ? (client, topic, write) => mayUse(rules, client, topic, write) : undefined,
  };
}

function authenticate({ users, auth }: Rules, client: Client, connect: Connect): true | Refusal {
  const given = connect.password ?? NO_PASSWORD;
  const user = users.get(connect.userName ?? "");
  if (user?.disallow === true) return refusal(connect);
  if (user?.password?.matches(given) === true) return true;
  const rule = auth.find(({ who, password }) => who.is(client, connect.userName) && password.matches(given));
  return rule?.allow === true ? true : refusal(connect);
}

function refusal(connect: Connect): Refusal {
  return connect.userName === undefined
    ? refuse(NOT_AUTHORIZED, "not authorized")
    : refuse(BAD_USER_NAME_OR_PASSWORD, "bad user name or password");
}

function mayUse({ users, acl }: Rules, client: Client, topic: string, write: boolean): boolean {
  const wanted = write ? 2 : 1;
  const levels = topic.split("/");
  const own = users.get(client.userName ?? "")?.filters.find((filter) => covers(filter.levels, levels));
  if (own !== undefined) return (own.permission & wanted) !== 0;
  for (const { who, filters } of acl) {
    if (!who.is(client, client.userName)) continue;
    if (filters.length === 0) return true;
    const matching = filters.filter((filter) => covers(filter.levels, levels));
    if (matching.length > 0) return matching.some(({ permission }) => (permission & wanted) !== 0);
  }
  return true;
}

/**
 * Has the filter every name that `levels` stands for: itself, or when it is a Topic Filter, all that match it?
 * What a subscription gets beyond its rules, because it is wider than a filter that denies, the broker asks for
 * by name when it delivers.
 */
function covers(filter: readonly string[], levels: readonly string[]): boolean {
  for (const [depth, wanted] of filter.entries()) {
    if (wanted === "#") return true;
    const level = levels[depth];
    if (level === undefined || (wanted === "+" ? level === "#" : wanted !== level)) return false;
  }
  return filter.length === levels.length;
}

function filtersOf(filters: readonly FilterEntry[]): Filter[] {
  return filters.map(([filter, permission]) => ({ levels: filter.split("/"), permission }));
}

/** Whom a rule is about. */
class Who {
  private readonly client: Text;
  private readonly userName: Text;
  private readonly remote: Text;

  constructor({ client, username, remote }: { client?: string; username?: string; remote?: string }) {
    this.client = new Text(client);
    this.userName = new Text(username);
    this.remote = new Text(remote);
  }

  is(client: Client, userName: string | undefined): boolean {
    return (
      this.client.matches(client.clientId) &&
      this.userName.matches(userName ?? "") &&
      this.remote.matches(client.peer.address)
    );
  }
}

class Text {
  private readonly whole: string;
  /** What stands before the first `*`; "" when there is none, or it comes first. */
  private readonly prefix: string;

  constructor(text = "*") {
    this.whole = text;
    this.prefix = text.slice(0, Math.max(0, text.indexOf("*")));
  }

  matches(given: string): boolean {
    const { whole, prefix } = this;
    if (whole === "" || whole === "*" || whole === given) return true;
    return prefix !== "" && given.length > prefix.length && given.startsWith(prefix);
  }
}

const NO_PASSWORD = new Uint8Array(0);

/** Compared by digest, so that neither the time it takes nor the lengths tell how near a guess was. */
class Password {
  private readonly any: boolean;
  private readonly digest: Buffer;
  private readonly prefix: { digest: Buffer; length: number } | undefined;

  /** `pattern`: `*` and prefixes count as in other texts of rules. */
  constructor(text: string, pattern: boolean) {
    this.any = pattern && (text === "" || text === "*");
    this.digest = digestOf(Buffer.from(text));
    const star = pattern ? text.indexOf("*") : -1;
    const prefix = Buffer.from(text.slice(0, Math.max(0, star)));
    this.prefix = star > 0 ? { digest: digestOf(prefix), length: prefix.length } : undefined;
  }

  matches(given: Uint8Array): boolean {
    const { any, digest, prefix } = this;
    if (any || timingSafeEqual(digest, digestOf(given))) return true;
    if (prefix === undefined || given.length <= prefix.length) return false;
    return timingSafeEqual(prefix.digest, digestOf(given.subarray(0, prefix.length)));
  }
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
