import { Client } from "../../core/client.ts";
import type { Book } from "../book.ts";
import type { AnonymousFrom } from "../login/attempt.ts";
import type { Users } from "../login/users.ts";
import { Login } from "../login.ts";
import type { ReadUser } from "../reading/read-auth.ts";
import { quoted } from "./quoted.ts";
import type { TrafficClient, TrafficRefusal } from "./traffic.ts";

/** The book that is tried out. */
export interface Candidate {
  readonly book: Book;
  /** undefined: a ledger, whose own rules say who gets in; it is not asked, since that takes passwords. */
  readonly users: Users | undefined;
  /** The setting auth.allowAnonymous; undefined: the file decides. */
  readonly anonymous: AnonymousFrom;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
}

/** A client as it was recorded. `clientId` in place of its own, where it stands for many. */
export function recordedClient(recorded: TrafficClient | TrafficRefusal, clientId: string): Client {
  const { userName, address, local, listener, transport } = recorded;
  return new Client(clientId, userName, 5, true, 0, { address, local, listener, transport });
}

/**
 * Who the client would be, or why it would not get in, in one clause. Its credentials are believed: they are in no record, so what
 * can be said is that there is an entry for it, whose conditions hold.
 */
export function recordedLogin(candidate: Candidate, recorded: TrafficClient, client: Client): Login | string {
  const { book, users, nowMs } = candidate;
  const { userName } = recorded;
  if (users === undefined) {
    return new Login({ name: recorded.name, userName, user: undefined, groups: [], book });
  }
  // Anonymous clients have no name of their own: whatever the entry is called, it is theirs.
  if (userName === undefined) return anonymousLogin(candidate, client);
  const user = entryFor(users, recorded);
  if (typeof user === "string") return user;
  const obstacle = users.obstacle(user, client, nowMs);
  if (obstacle !== undefined) return `${OBSTACLES[obstacle]}${placeOf(user)}`;
  const name = user.name === "*" ? recorded.name : user.name;
  const tokenGroups = recorded.groups;
  const groups = [...new Set([...users.groupsOf(name), ...tokenGroups.filter((group) => users.hasGroup(group))])];
  return new Login({ name, userName: name, user, groups, tokenGroups, book });
}

/** As `recordedLogin`, for somebody without credentials. */
export function anonymousLogin({ book, users, anonymous, nowMs }: Candidate, client: Client): Login | string {
  const user = users?.anonymous;
  if (anonymous === "none") return "the setting auth.allowAnonymous lets in no anonymous clients";
  if (anonymous === "local" && !client.peer.local) return "the setting auth.allowAnonymous is local";
  if (user === undefined && anonymous === undefined) return "no entry of authentication has the method anonymous";
  const obstacle = user && users?.obstacle(user, client, nowMs, anonymous !== undefined);
  if (user !== undefined && obstacle !== undefined) return `${OBSTACLES[obstacle]}${placeOf(user)}`;
  const name = user?.name ?? "anonymous";
  return new Login({ name, userName: undefined, user, groups: users?.groupsOf(name) ?? [], book });
}

/** What a client has to prove, to tell entries apart that take other proofs. */
const PROOFS: Readonly<Record<string, string>> = {
  sha256: "a password",
  plain_password: "a password",
  scrypt: "a password",
  argon2id: "a password",
  mosquitto: "a password",
  client_cert: "a certificate",
  psk: "a key",
  jwt: "a token",
};

/** What the entry that let a client in before asked for, and this one asks for, when that is not the same. */
export function otherProof({ method }: TrafficClient, { user }: Login): string | undefined {
  if (user === undefined || method === "" || PROOFS[method] === PROOFS[user.method]) return undefined;
  return `would have to show ${PROOFS[user.method] ?? "nothing"} in place of ${PROOFS[method] ?? "nothing"}${placeOf(user)}`;
}

function entryFor(users: Users, { name, method }: TrafficClient): ReadUser | string {
  if (method === "unauthenticated") {
    return users.unauthenticated ?? "no entry of authentication has the method unauthenticated";
  }
  const user = users.byName.get(name) ?? users.wild.find((wild) => wild.method === method);
  return user ?? `no entry of authentication has the name ${quoted(name)}`;
}

const OBSTACLES = {
  method: "may not log in in that way there",
  from: "may not connect from there",
  clientId: "may not have this Client Identifier",
  expires: "its entry has expired",
} as const;

function placeOf({ place: { file, line, column } }: ReadUser): string {
  return line === 0 ? "" : ` (${file}:${line}:${column})`;
}
