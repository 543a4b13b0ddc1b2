import type { Client } from "../../core/client.ts";
import { hostOf, type Peer } from "../../core/ports.ts";
import type { Book } from "../book.ts";
import { Login } from "../login.ts";
import type { ReadUser } from "../reading/read-auth.ts";
import type { HashQueue } from "./hash-queue.ts";
import { LoginFailure } from "./login-failure.ts";
import { shownName } from "./user-name.ts";
import type { Condition, Users } from "./users.ts";

/** Where anonymous clients may come from, in place of the entry's `from`; undefined: the file decides. */
export type AnonymousFrom = "all" | "local" | "none" | undefined;

export interface LoginTools {
  readonly verifier: HashQueue;
  /** Milliseconds since 1970. */
  wallMs(): number;
  /** Whose Login it becomes. */
  readonly book: Book;
  readonly anonymous: AnonymousFrom;
}

/** What a token gives beside the name, or a login that failed. */
type Extra = Partial<Pick<Login, "tokenGroups" | "expiresMs" | "failure">>;

/** One client, and those by whom it may be let in. */
export class Attempt {
  readonly users: Users;
  readonly client: Client;
  readonly tools: Omit<LoginTools, "verifier">;

  constructor(users: Users, client: Client, tools: Omit<LoginTools, "verifier">) {
    this.users = users;
    this.client = client;
    this.tools = tools;
  }

  /** It has proved to be this: lets it in when the conditions of the entry hold. */
  admit(user: ReadUser, name: string, extra: Extra = {}): Login | LoginFailure {
    return this.objection(user, name) ?? this.login(user, name, extra);
  }

  /** Why an entry does not let it in whatever it proves; undefined: nothing speaks against it. */
  objection(user: ReadUser, name: string): LoginFailure | undefined {
    const obstacle = this.obstacle(user);
    return obstacle === undefined ? undefined : new LoginFailure(this.because(obstacle, user, userCalled(name)), false);
  }

  /** The first condition of the entry that does not hold. `anywhere`: its `from` does not count. */
  obstacle(user: ReadUser, anywhere = false): Condition | undefined {
    return this.users.obstacle(user, this.client, this.tools.wallMs(), anywhere);
  }

  login(user: ReadUser, name: string, { tokenGroups = [], ...extra }: Extra = {}): Login {
    const { users, tools } = this;
    const known = tokenGroups.filter((group) => users.hasGroup(group));
    const groups = users.groupsOf(name);
    return new Login({
      name,
      userName: user.method === "anonymous" ? undefined : name,
      user,
      groups: known.length === 0 ? groups : [...new Set([...groups, ...known])],
      tokenGroups,
      book: tools.book,
      ...extra,
    });
  }

  /** "user kim may not connect from 192.168.1.9, only from local (auth.json5:7:5)". */
  because(obstacle: Condition, user: ReadUser, who: string): string {
    const { peer, entrance } = this.client;
    switch (obstacle) {
      case "method":
        return `${who} would get in by the method ${user.method}${placeOf(user)}, and listener ${peer.listener} lets in by ${listed(entrance.authMethods ?? [])} only`;
      case "from":
        return `${who} may not connect from ${whence(peer)}, only from ${listed(user.from)}${placeOf(user)}`;
      case "clientId":
        return `${who} may not connect as client ${shownName(this.client.clientId)}, only as ${listed(user.clientIds)}${placeOf(user)}`;
      case "expires":
        return `the entry of ${who} expired at ${dateOf(user.expiresMs)}${placeOf(user)}: a later expires lets it in again`;
    }
  }
}

/** As in the file, for people. */
function listed(conditions: readonly string[]): string {
  const shown = conditions.slice(0, 3).join(" or ");
  return conditions.length > 3 ? `${shown} or ${conditions.length - 3} more` : shown;
}

/** "user kim", of a name that a client gave. */
export function userCalled(name: string): string {
  return `user ${shownName(name)}`;
}

/** " (auth.json5:7:5)"; nothing for rules made by a program. */
export function placeOf({ place: { file, line, column } }: ReadUser): string {
  return file === "" ? "" : ` (${file}:${line}:${column})`;
}

function whence(peer: Peer): string {
  if (peer.transport === "unix") return `the Unix socket ${peer.address}`;
  return hostOf(peer.address) || `listener ${peer.listener}`;
}

function dateOf(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? "a time out of range" : date.toISOString();
}
