import type { Conditions, RuleEntry, RuleNames, UserEntry } from "../auth-rules.ts";
import type { FilterEntry, ReadLedger } from "../ledger/ledger-document.ts";
import type { LedgerAuthRule, LedgerPermission } from "../ledger/ledger-rules.ts";
import { makeHash } from "../login/password.ts";
import type { AuthDraft, Draft } from "./auth-draft.ts";

const EVERYBODY = "@any";

/**
 * Makes users and rules of mochi's ledger, with the same meaning; where that cannot be, a warning says what is left out.
 *
 * In a ledger the first rule that matches decides and what none matches is allowed; here the last one does and it is
 * denied: so the order is reversed behind a rule that allows everything. Passwords become hashes, by `hash` of argon2id.
 */
export async function ledgerRules(
  ledger: ReadLedger,
  hash = (password: string): Promise<string> => makeHash("argon2id", password),
): Promise<{ draft: AuthDraft; warnings: string[] }> {
  const converter = new LedgerConverter(ledger, hash);
  const users = await converter.users();
  const rules = converter.rules();
  return { draft: { header: HEADER, users, rules }, warnings: converter.warnings };
}

const HEADER = [
  "Made from a mochi ledger by mqtt-broker auth import. mqtt-broker check says what it means.",
  "Of the topics that begin with $, which a ledger's # has too, rules here reach those that they name: $SYS/# is named.",
];

class LedgerConverter {
  readonly warnings: string[] = [];
  private readonly ledger: ReadLedger;
  private readonly hash: (password: string) => Promise<string>;
  private readonly entries = new Map<string, Draft<UserEntry>>();

  constructor(ledger: ReadLedger, hash: (password: string) => Promise<string>) {
    this.ledger = ledger;
    this.hash = hash;
  }

  async users(): Promise<Draft<UserEntry>[]> {
    const comments: Draft<UserEntry>[] = [];
    for (const [name, { password, disallow }] of this.ledger.users) {
      if (!this.demandName(name)) continue;
      if (disallow) comments.push({ comments: [`${name} was disallowed: without an entry nobody gets in`] });
      else if (password !== "") await this.addUser(name, password, [], {});
    }
    await this.authRules();
    return [...this.entries.values(), ...comments];
  }

  /** The first that matches decides: what denies some only would have to stand before what lets in, and there is no such thing. */
  private async authRules(): Promise<void> {
    const denied = new Set<string>();
    let isDoubtful = false;
    for (const [index, rule] of this.ledger.auth.entries()) {
      const where = `auth[${index}]`;
      const { username = "", password = "", allow } = rule;
      const isForAll = isAny(rule.client) && isAny(rule.remote) && isAny(password);
      if (allow !== true) {
        if (isForAll && isAny(username)) return;
        if (isForAll && !username.includes("*")) denied.add(username);
        else {
          isDoubtful = true;
          this.warn(where, "refuses some clients only, which has no equal: rules behind it that let in are left out");
        }
      } else if (isDoubtful) this.warn(where, "is left out, since a rule before it refuses some of its clients");
      else if (!denied.has(username)) await this.allowing(where, rule, denied.size > 0);
    }
  }

  private async allowing(where: string, rule: LedgerAuthRule, someAreDenied: boolean): Promise<void> {
    const { username = "", password = "" } = rule;
    const conditions = this.conditionsOf(where, rule);
    if (conditions === undefined) return;
    if (isAny(username) && isAny(password)) {
      this.open(where, conditions, someAreDenied);
    } else if (username.includes("*") || username === "") {
      this.warn(
        where,
        `is for the user names ${shown(username)}, which has no equal: left out, name the users one by one`,
      );
    } else if (password.includes("*") || password === "") {
      this.warn(where, `lets in ${username} with any password, or any that begins so, which has no equal: left out`);
    } else if (this.ledger.users.get(username)?.disallow === true) {
      this.warn(where, `is left out: ${username} is disallowed`);
    } else if (this.demandName(username)) {
      if (this.entries.has(username))
        this.warn(where, `gives ${username} a second password or place: a user has one, left out`);
      else await this.addUser(username, password, [], conditions);
    }
  }

  /** Everybody, whatever the name and password. */
  private open(where: string, conditions: Conditions, someAreDenied: boolean): void {
    const isDisallowing = someAreDenied || [...this.ledger.users.values()].some(({ disallow }) => disallow);
    for (const method of ["anonymous", "unauthenticated"] as const) {
      if (this.entries.has(method)) {
        this.warn(where, `is left out: there is one entry of the method ${method} at most`);
        return;
      }
      this.entries.set(method, { comments: [], entry: { name: method, method, ...conditions } });
    }
    this.warn(
      where,
      "lets in everybody: who gives no right password is the user unauthenticated here, whatever name it gives" +
        (isDisallowing ? "; that takes in users who are disallowed" : ""),
    );
  }

  private async addUser(name: string, password: string, comments: string[], conditions: Conditions): Promise<void> {
    const hash = await this.hash(password);
    this.entries.set(name, { comments, entry: { name, method: "argon2id", hash, ...conditions } });
  }

  rules(): Draft<RuleEntry>[] {
    const { acl, users } = this.ledger;
    const decisive = acl.findIndex((rule) => {
      const isForAll = isAny(rule.client) && isAny(rule.username) && isAny(rule.remote);
      return isForAll && (rule.filters.length === 0 || rule.filters.some(([topicFilter]) => topicFilter === "#"));
    });
    const counting = decisive < 0 ? acl : acl.slice(0, decisive + 1);
    const rules = decisive < 0 ? everything("What no rule of the ledger matched was allowed.", [EVERYBODY], {}) : [];
    if (decisive < 0)
      this.warn("acl", "allows what no rule matches, and so does the file: remove its first two rules to deny it");
    for (const [fromEnd, rule] of [...counting].reverse().entries()) {
      const where = `acl[${counting.length - 1 - fromEnd}]`;
      rules.push(...this.aclRule(where, rule));
    }
    for (const [name, { filters }] of users) {
      if (filters.length === 0) continue;
      const isLeftOut = !this.entries.has(name);
      const own = [...filters].reverse().flatMap(([topic, permission]) => ruleOf(topic, permission, [name], {}));
      rules.push(...titled(`users.${name}.acl`, own, isLeftOut));
    }
    return rules;
  }

  private aclRule(where: string, rule: ReadLedger["acl"][number]): Draft<RuleEntry>[] {
    const { username = "", filters } = rule;
    const conditions = this.conditionsOf(where, rule);
    if (conditions === undefined) return [];
    const isKnown = isAny(username) || this.entries.has(username);
    if (!isKnown)
      this.warn(where, `is for ${shown(username)}, who is no single user of the file: its rules are comments`);
    const names = isAny(username) ? [EVERYBODY] : [username];
    if (filters.length === 0)
      return titled(
        where,
        everything("", names, conditions).map(({ entry }) => entry!),
        !isKnown,
      );
    return titled(where, filtersOf(filters, names, conditions), !isKnown);
  }

  /** undefined: they have no equal, which is warned of. */
  private conditionsOf(
    where: string,
    { client = "", remote = "" }: { client?: string; remote?: string },
  ): Conditions | undefined {
    const from = isAny(remote) ? undefined : fromOf(remote);
    if (from === undefined && !isAny(remote)) {
      this.warn(where, `is for clients at ${shown(remote)}, which has no equal in from: left out`);
      return undefined;
    }
    const star = client.indexOf("*");
    // What follows the first star counted for nothing.
    const clientId = star < 0 ? client : client.slice(0, star + 1);
    if (star > 0)
      this.warn(where, `is for client ids that begin with ${client.slice(0, star)}, and now for that one alone too`);
    return { ...(from === undefined ? {} : { from }), ...(isAny(client) ? {} : { clientId }) };
  }

  private demandName(name: string): boolean {
    if (name !== "" && !name.startsWith("@") && name !== "*") return true;
    this.warn("users", `${shown(name)} cannot be the name of a user here: left out`);
    return false;
  }

  private warn(where: string, message: string): void {
    this.warnings.push(`${where} ${message}`);
  }
}

/** Of a rule's filters one that grants wins: denials first, what allows behind them. */
function filtersOf(filters: readonly FilterEntry[], names: readonly string[], conditions: Conditions): RuleEntry[] {
  if (filters.length === 1) return ruleOf(filters[0]![0], filters[0]![1], names, conditions);
  const denying = filters.flatMap(([topic, permission]) => {
    return permission === 3 ? [] : [{ topic, deny: sidesOf(3 ^ permission, names), ...conditions }];
  });
  const allowing = filters.flatMap(([topic, permission]) => {
    if (permission === 0) return [];
    return [
      { topic, allow: sidesOf(permission, names), ...conditions },
      ...reserved(topic, permission, names, conditions),
    ];
  });
  return [...denying, ...allowing];
}

/** What a filter grants is allowed, the rest denied: it decides alone. */
function ruleOf(
  topic: string,
  permission: LedgerPermission,
  names: readonly string[],
  conditions: Conditions,
): RuleEntry[] {
  const allow = permission === 0 ? {} : { allow: sidesOf(permission, names) };
  const deny = permission === 3 ? {} : { deny: sidesOf(3 ^ permission, names) };
  return [{ topic, ...allow, ...deny, ...conditions }, ...reserved(topic, permission, names, conditions)];
}

/** A ledger's # has the topics that begin with "$" too, and of those clients read $SYS. */
function reserved(topic: string, permission: number, names: readonly string[], conditions: Conditions): RuleEntry[] {
  return topic === "#" && (permission & 1) !== 0 ? [{ topic: "$SYS/#", allow: { sub: names }, ...conditions }] : [];
}

function everything(comment: string, names: readonly string[], conditions: Conditions): Draft<RuleEntry>[] {
  const [first, ...others] = ruleOf("#", 3, names, conditions).map(
    (entry): Draft<RuleEntry> => ({ comments: [], entry }),
  );
  return [{ ...first!, comments: comment === "" ? [] : [comment] }, ...others];
}

function titled(title: string, rules: readonly RuleEntry[], isLeftOut: boolean): Draft<RuleEntry>[] {
  return rules.map((entry, index) => ({ comments: index === 0 ? [title] : [], entry, isLeftOut }));
}

/** 1: subscribing, 2: publishing. */
function sidesOf(permission: number, names: readonly string[]): RuleNames {
  return { ...((permission & 1) !== 0 ? { sub: names } : {}), ...((permission & 2) !== 0 ? { pub: names } : {}) };
}

function isAny(text: string | undefined): boolean {
  return text === undefined || text === "" || text === "*";
}

/** "192.168.1.7:*" is that host, "192.168.1.*" its network; a port, or half a number, has no equal. */
function fromOf(remote: string): string | undefined {
  const host = /^(?:\[([\da-fA-F:]+)\]|(\d+\.\d+\.\d+\.\d+)):\*$/.exec(remote);
  if (host !== null) return host[1] ?? host[2];
  const network = /^((?:\d+\.){1,3})\*/.exec(remote)?.[1];
  if (network === undefined) return undefined;
  const parts = network.split(".").filter((part) => part !== "");
  return `${[...parts, "0", "0", "0"].slice(0, 4).join(".")}/${parts.length * 8}`;
}

function shown(text: string): string {
  return JSON.stringify(text);
}
