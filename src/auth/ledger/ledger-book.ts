import type { Connect } from "../../codec/packet.ts";
import { ReasonCode } from "../../codec/reason.ts";
import { type Client, NO_PEER } from "../../core/client.ts";
import type { Book, Explanation } from "../book.ts";
import { type AnonymousFrom, userCalled } from "../login/attempt.ts";
import { LoginFailure } from "../login/login-failure.ts";
import { Login } from "../login.ts";
import { covers, levelsOf } from "../rules/filter.ts";
import type { FilterEntry, ReadLedger } from "./ledger-document.ts";
import { LedgerPassword, LedgerText } from "./ledger-text.ts";

/**
 * A mochi auth ledger.
 *
 * Who: a user of `users` gives its password and is in, unless `disallow`. Everybody else, also one whose password
 * is wrong, is decided by the first rule of `auth` that matches; none: refused. What: the first filter of the user's own
 * `acl` that matches, else the first rule of `acl` that has something to say; none: allowed, which is warned of.
 *
 * Two things are other than in mochi's server. Filters match as MQTT's do, not as prefixes: `a/b` is that topic
 * alone, and `a/#` has `a` too. And a user with `disallow` stays out, even when the password is wrong and a rule
 * of `auth` would match. As there, `#` has the topics that begin with `$`, so that a rule can deny everything.
 */
export class LedgerBook implements Book {
  readonly nextExpiryMs = Number.POSITIVE_INFINITY;
  /** Some topic may be denied to somebody. */
  readonly hasAcl: boolean;
  private readonly users: ReadonlyMap<string, User>;
  private readonly auth: readonly AuthRule[];
  private readonly acl: readonly AclRule[];
  private readonly anonymous: AnonymousFrom;

  /** `anonymous`: the setting auth.allowAnonymous; undefined: the ledger decides about clients without credentials too. */
  constructor({ users, auth, acl }: ReadLedger, anonymous?: AnonymousFrom) {
    this.users = new Map([...users].map(([name, user]) => [name, userOf(user)]));
    this.auth = auth.map((rule) => ({
      who: new Who(rule),
      password: new LedgerPassword(rule.password ?? "", true),
      allow: rule.allow === true,
    }));
    this.acl = acl.map((rule) => ({ who: new Who(rule), filters: filtersOf(rule.filters) }));
    this.hasAcl = acl.length > 0 || [...this.users.values()].some(({ filters }) => filters.length > 0);
    this.anonymous = anonymous;
  }

  authenticate(client: Client, { userName, password }: Connect): Login | LoginFailure {
    if (userName === undefined && password === undefined && this.anonymous !== undefined) {
      return (
        this.bySetting(client) ??
        failure(userName, "no credentials, and the setting auth.allowAnonymous keeps such clients out")
      );
    }
    const given = password ?? NO_PASSWORD;
    const user = this.users.get(userName ?? "");
    if (user?.disallow === true) return failure(userName, `${userCalled(userName!)} is disallowed by the ledger`);
    if (user?.password?.matches(given) === true) return this.login(userName, user.password);
    const index = this.auth.findIndex((rule) => rule.who.is(client, userName) && rule.password.matches(given));
    const rule = this.auth[index];
    if (rule?.allow === true) return this.login(userName, rule.password);
    const who = userName === undefined ? "a client without user name" : userCalled(userName);
    if (rule !== undefined) return failure(userName, `auth[${index}] of the ledger refuses ${who}`, true);
    return failure(userName, `the password is not that of ${who}, or no rule of the ledger lets in such clients`, true);
  }

  check(login: Login, client: Client, topic: string, write: boolean): boolean {
    for (const { allowed } of this.sayings(login, client, topic, write)) return allowed;
    return true;
  }

  explain(login: Login, client: Client, topic: string, write: boolean): Explanation {
    const explanations: Explanation[] = [];
    for (const { allowed, by, filter } of this.sayings(login, client, topic, write)) {
      const reason = `${by} of the ledger ${allowed ? "allows" : "denies"} ${filter}`;
      explanations.push({ allowed, reason, place: "", text: "", runnerUp: undefined });
    }
    const reason = "the ledger allows what none of its rules is about";
    const [decision, runnerUp] = [...explanations, { allowed: true, reason, place: "", text: "", runnerUp: undefined }];
    return { ...decision!, runnerUp };
  }

  renew(client: Client, before: Login): Login | undefined {
    const { rights: proof, userName } = before;
    // Whom a hook let in is no concern of the entries, and what is known from the store only is known as before.
    if (!before.certain || (before.book instanceof LedgerBook && proof === undefined)) return this.restore(client);
    if (userName === undefined && this.anonymous !== undefined) return this.bySetting(client);
    if (!(proof instanceof LedgerPassword)) return undefined;
    const user = this.users.get(userName ?? "");
    if (user?.disallow === true) return undefined;
    if (user?.password?.isSame(proof) === true) return this.login(userName, proof);
    // What it gave is not known any more, only what that was compared with.
    const rule = this.auth.find(
      ({ who, password }) => who.is(client, userName) && (password.any || password.isSame(proof)),
    );
    return rule?.allow === true ? this.login(userName, rule.password) : undefined;
  }

  restore(client: Client): Login {
    return this.login(client.userName, undefined, client.peer !== NO_PEER);
  }

  private bySetting(client: Client): Login | undefined {
    const isIn = this.anonymous === "all" || (this.anonymous === "local" && client.peer.local);
    return isIn ? this.login(undefined, ANYTHING) : undefined;
  }

  /** `proof`: what its password matched; undefined when nobody asked it for one. */
  private login(userName: string | undefined, proof: LedgerPassword | undefined, certain = true): Login {
    const login = new Login({
      name: userName ?? "anonymous",
      userName,
      user: undefined,
      groups: [],
      book: this,
      certain,
      method: proof === undefined || proof.any ? undefined : "plain_password",
    });
    login.rights = proof;
    return login;
  }

  /** The entries that have something to say, the one that decides first; none: allowed. */
  private *sayings({ certain }: Login, client: Client, topic: string, write: boolean): Generator<Saying> {
    const wanted = write ? 2 : 1;
    const asked = levelsOf(topic);
    const matches = ({ levels }: Filter): boolean => covers(levels, asked, true);
    const own = this.users.get(client.userName ?? "")?.filters ?? [];
    for (const { text, permission } of own.filter(matches)) {
      yield { by: `the acl of ${userCalled(client.userName!)}`, filter: text, allowed: (permission & wanted) !== 0 };
    }
    for (const [index, { who, filters }] of this.acl.entries()) {
      if (!who.is(client, client.userName, !certain)) continue;
      const matching = filters.filter(matches);
      if (matching.length === 0 && filters.length > 0) continue;
      const granting = matching.find(({ permission }) => (permission & wanted) !== 0);
      const allowed = filters.length === 0 || granting !== undefined;
      // Where it will connect from is not known: messages are kept for it, and its will is not trusted.
      if (!certain && who.dependsOnRemote && allowed === write) continue;
      yield { by: `acl[${index}]`, filter: (granting ?? matching[0])?.text ?? "everything", allowed };
    }
  }
}

interface Saying {
  /** The entry, for people. */
  by: string;
  filter: string;
  allowed: boolean;
}

interface User {
  password: LedgerPassword | undefined;
  disallow: boolean;
  filters: readonly Filter[];
}

interface AuthRule {
  who: Who;
  password: LedgerPassword;
  allow: boolean;
}

interface AclRule {
  who: Who;
  filters: readonly Filter[];
}

interface Filter {
  text: string;
  levels: readonly string[];
  permission: FilterEntry[1];
}

/** Whom a rule is about. */
class Who {
  readonly dependsOnRemote: boolean;
  private readonly client: LedgerText;
  private readonly userName: LedgerText;
  private readonly remote: LedgerText;

  constructor({ client, username, remote }: { client?: string; username?: string; remote?: string }) {
    this.client = new LedgerText(client);
    this.userName = new LedgerText(username);
    this.remote = new LedgerText(remote);
    this.dependsOnRemote = !this.remote.any;
  }

  /** `anywhere`: it may come from wherever the rule wants it to. */
  is(client: Client, userName: string | undefined, anywhere = false): boolean {
    return (
      this.client.matches(client.clientId) &&
      this.userName.matches(userName ?? "") &&
      (anywhere || this.remote.matches(client.peer.address))
    );
  }
}

const NO_PASSWORD = new Uint8Array(0);
const ANYTHING = new LedgerPassword("", true);

function userOf({
  password,
  disallow,
  filters,
}: {
  password: string;
  disallow: boolean;
  filters: FilterEntry[];
}): User {
  // Without a password of its own nobody gets in by being listed, a client that sends none least of all.
  const own = password === "" ? undefined : new LedgerPassword(password, false);
  return { password: own, disallow, filters: filtersOf(filters) };
}

function filtersOf(filters: readonly FilterEntry[]): Filter[] {
  return filters.map(([text, permission]) => ({ text, levels: levelsOf(text), permission }));
}

function failure(userName: string | undefined, logReason: string, guess = false): LoginFailure {
  const isNamed = userName !== undefined;
  return new LoginFailure(
    logReason,
    guess && isNamed,
    isNamed ? ReasonCode.BadUserNameOrPassword : ReasonCode.NotAuthorized,
  );
}
