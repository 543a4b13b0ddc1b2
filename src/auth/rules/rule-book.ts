import type { Connect } from "../../codec/packet.ts";
import type { Verdict } from "../../core/access.ts";
import { type Client, NO_PEER } from "../../core/client.ts";
import type { Book, Explanation } from "../book.ts";
import type { AnonymousFrom } from "../login/attempt.ts";
import type { HashQueue } from "../login/hash-queue.ts";
import { logIn, mayStill } from "../login/log-in.ts";
import type { LoginFailure } from "../login/login-failure.ts";
import { Users } from "../login/users.ts";
import { Login } from "../login.ts";
import type { ReadAuth, ReadUser } from "../reading/read-auth.ts";
import { explainByRules, unplaced } from "./reasons.ts";
import { Rights } from "./rights.ts";
import { listRights, type RightsLine } from "./rights-list.ts";
import { RuleSet } from "./rule-set.ts";

/** Rights that are the same for all clients of a user, kept for as many users at most. */
const SHARED_RIGHTS_MAX = 1024;

export interface RuleBookTools {
  /** Checks passwords; books that follow each other have the same one. */
  readonly verifier: HashQueue;
  /** Milliseconds since 1970. */
  wallMs(): number;
  /** The setting auth.allowAnonymous; undefined: the file decides. */
  readonly anonymous: AnonymousFrom;
}

/** A file of users, groups and rules. */
export class RuleBook implements Book {
  readonly auth: ReadAuth;
  readonly users: Users;
  readonly nextExpiryMs: number;
  private readonly rules: RuleSet;
  private readonly tools: RuleBookTools & { readonly book: Book };
  private readonly shared = new Map<string, Rights>();

  constructor(auth: ReadAuth, { verifier, wallMs, anonymous }: RuleBookTools) {
    this.auth = auth;
    this.users = new Users(auth);
    const nowMs = wallMs();
    this.rules = new RuleSet(auth.rules, nowMs);
    const ends = [...auth.users, ...auth.rules].map(({ expiresMs }) => expiresMs).filter((ms) => ms > nowMs);
    this.nextExpiryMs = ends.reduce((first, ms) => Math.min(first, ms), Number.POSITIVE_INFINITY);
    this.tools = { verifier, wallMs, anonymous, book: this };
  }

  authenticate(client: Client, connect: Connect): Login | LoginFailure | Promise<Login | LoginFailure> {
    return logIn(this.users, client, connect, this.tools);
  }

  check(login: Login, client: Client, topic: string, write: boolean): Verdict {
    if (write && this.isGone(login, client)) return false;
    return this.rightsOf(login, client).verdict(topic, write);
  }

  explain(login: Login, client: Client, topic: string, write: boolean): Explanation {
    if (write && this.isGone(login, client))
      return unplaced(`${login.name || "an anonymous client"} is not let in any more`);
    return explainByRules(this.rules, this.rightsOf(login, client), topic, write);
  }

  renew(client: Client, before: Login): Login | undefined {
    // Whom a hook let in is no concern of the entries, and what is known from the store only is known as before.
    const isOfHook = before.user === undefined && before.book instanceof RuleBook;
    return isOfHook || !before.certain ? this.restore(client) : mayStill(this.users, client, before, this.tools);
  }

  /** Also for connected clients that a hook let in: their user name is what the rules go by. */
  restore(client: Client): Login {
    const { users } = this;
    const user = client.userName === undefined ? users.anonymous : users.byName.get(client.userName);
    return this.loginAs(user, user?.name ?? client.userName ?? "", client.userName, client.peer !== NO_PEER);
  }

  /**
   * The Login that `userName` would get, without credentials: for `explain`. Undefined: anonymous. An entry "*" takes the names
   * that are in no entry. Whether the conditions of the entry hold is another question: ask `renew` with the answer.
   * Undefined when no entry could let in such a user.
   */
  loginFor(userName: string | undefined, groups: readonly string[] = []): Login | undefined {
    const { users } = this;
    if (userName === undefined) {
      return users.anonymous && this.loginAs(users.anonymous, users.anonymous.name, undefined, true);
    }
    const user = users.byName.get(userName) ?? users.wild[0];
    return user && this.loginAs(user, userName, userName, true, groups);
  }

  /** All that a user may do and may not, rule by rule: for `explain --all`. */
  list(login: Login, client: Client): RightsLine[] {
    return listRights(this.rules, this.rightsOf(login, client));
  }

  private loginAs(
    user: ReadUser | undefined,
    name: string,
    userName: string | undefined,
    certain: boolean,
    tokenGroups: readonly string[] = [],
  ): Login {
    const groups = [...new Set([...this.users.groupsOf(name), ...tokenGroups])];
    return new Login({ name, userName, user, groups, tokenGroups, book: this, certain });
  }

  private rightsOf(login: Login, client: Client): Rights {
    if (login.rights instanceof Rights) return login.rights;
    const rights = this.makeRights(login, client);
    login.rights = rights;
    return rights;
  }

  private makeRights(login: Login, client: Client): Rights {
    const { rules, shared } = this;
    if (!rules.sameForAllClients || !login.certain) {
      return new Rights(rules, login, client, !login.certain && this.mayHaveGroups(login));
    }
    const key = [login.userName ?? "", login.name, ...login.groups].join("\u0000");
    const known = shared.get(key);
    if (known !== undefined) return known;
    const rights = new Rights(rules, login, client, false);
    if (shared.size >= SHARED_RIGHTS_MAX) shared.clear();
    shared.set(key, rights);
    return rights;
  }

  /** Could it be in groups that only its token would tell? */
  private mayHaveGroups({ user }: Login): boolean {
    const entries = user === undefined ? this.users.wild : [user];
    return entries.some(({ jwt }) => jwt?.groupsClaim !== undefined);
  }

  /** Is it known from the store only, and no entry would let it in now? */
  private isGone({ user, userName, certain }: Login, client: Client): boolean {
    if (certain) return false;
    const { users, tools } = this;
    if (user !== undefined) return users.obstacle(user, client, tools.wallMs(), true) !== undefined;
    if (userName !== undefined) return users.wild.length === 0;
    return tools.anonymous === undefined || tools.anonymous === "none";
  }
}
