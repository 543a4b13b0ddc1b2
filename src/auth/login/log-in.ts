import { isDeepStrictEqual } from "node:util";
import type { Connect } from "../../codec/packet.ts";
import { ReasonCode } from "../../codec/reason.ts";
import type { Client } from "../../core/client.ts";
import { Login } from "../login.ts";
import type { ReadUser } from "../reading/read-auth.ts";
import { Attempt, type LoginTools, userCalled } from "./attempt.ts";
import { type Certified, certified } from "./certificate.ts";
import { byCredentials } from "./credentials.ts";
import { LoginFailure } from "./login-failure.ts";
import { keyHolder } from "./pre-shared-key.ts";
import { counts, type Users } from "./users.ts";

type Answer = Login | LoginFailure;

/**
 * Who is it? The first that applies:
 *
 * 1. A verified certificate or a proved key (TLS-PSK) that names a user, when the client gives no credentials or that user's name: who has proved to
 *    be kim need not know her password. Other credentials must hold by themselves.
 * 2. Without credentials (user name and password absent, not empty): whom the settings of its serial line name, and nobody
 *    else; else whom the connection names (serial, mqtt_sn, unix_socket), else anonymous.
 * 3. The user name's entry, by its password or token; for names that are in no entry, a token that an entry "*" takes.
 * 4. unauthenticated, where 1 to 3 failed; but not where they could not be decided.
 *
 * The conditions of the entry must hold, else it is as if the login had failed. A promise only where a slow hash or a token
 * is to be checked; it never rejects.
 */
export function logIn(users: Users, client: Client, connect: Connect, tools: LoginTools): Answer | Promise<Answer> {
  const attempt = new Attempt(users, client, tools);
  const answer = identify(attempt, connect, tools);
  if (answer instanceof Promise) return answer.then((later) => orUnauthenticated(attempt, later));
  return orUnauthenticated(attempt, answer);
}

/**
 * The Login of a client that logged in by earlier rules, or undefined when it would not get in any more: its entry is gone,
 * has another method, secret or key, or a condition does not hold. Credentials are not at hand any more: who gave the right
 * ones then is believed for as long as the same ones are right. Not for a Login without `user`.
 */
export function mayStill(
  users: Users,
  client: Client,
  before: Login,
  tools: Omit<LoginTools, "verifier">,
): Login | undefined {
  const again = identifyAgain(new Attempt(users, client, tools), before);
  // Its session is that user's and cannot change hands.
  return again instanceof Login && again.userName === before.userName ? again : undefined;
}

function identify(attempt: Attempt, connect: Connect, { verifier }: LoginTools): Answer | Promise<Answer> {
  const { userName, password } = connect;
  const given = userName !== undefined || password !== undefined;
  const holder = provedHolder(attempt);
  if (typeof holder === "object" && (!given || userName === holder.name))
    return attempt.admit(holder.user, holder.name);
  if (given) return byCredentials(attempt, { userName, password }, verifier);
  const answer = byConnection(attempt) ?? asAnonymous(attempt);
  if (answer instanceof Login || typeof holder !== "string") return answer;
  return new LoginFailure(`${answer.logReason}; ${holder}`, false);
}

function orUnauthenticated(attempt: Attempt, answer: Answer): Answer {
  const { unauthenticated: user } = attempt.users;
  if (user === undefined || answer instanceof Login || answer.reasonCode !== ReasonCode.NotAuthorized) return answer;
  return attempt.obstacle(user) === undefined ? attempt.login(user, user.name, { failure: answer }) : answer;
}

/** Where rules ask for certificates or keys: whom the client's names, or why nobody. A connection has one of them. */
function provedHolder({ users, client }: Attempt): Certified | string | undefined {
  const { certificate, pskIdentity } = client.peer;
  if (certificate !== undefined && users.certified.length > 0 && counts("client_cert", client)) {
    return certified(users, certificate);
  }
  const isAsked = users.keyed.length > 0 && counts("psk", client);
  return pskIdentity === undefined || !isAsked ? undefined : keyHolder(users, pskIdentity);
}

function byConnection(attempt: Attempt): Answer | undefined {
  const { users, client, tools } = attempt;
  const { line, lineUser } = client.peer;
  if (lineUser !== undefined) {
    const named = users.byName.get(lineUser);
    if (named !== undefined) return attempt.admit(named, lineUser);
    // Somebody else than was meant is worse than nobody.
    const why = `${userCalled(lineUser)}, whose the serial line ${line} is, is not in ${users.file || "the rules"}`;
    return new LoginFailure(`${why}: mqtt-broker passwd add ${lineUser} makes this user`, false);
  }
  const user = users.lineUser(client, tools.wallMs());
  return user === undefined ? undefined : attempt.login(user, user.name);
}

function asAnonymous(attempt: Attempt): Answer {
  const { users, client, tools } = attempt;
  const { anonymous: setting } = tools;
  if (setting === "none") return noCredentials("anonymous clients are not let in (--allow-anonymous=none)");
  const entry = users.anonymous ?? (setting === undefined ? undefined : madeUp(users));
  if (entry === undefined) return noCredentials(`no entry of ${users.file || "the rules"} has the method anonymous`);
  if (setting === "local" && !client.peer.local) return noCredentials(LOCAL_ONLY);
  const obstacle = attempt.obstacle(entry, setting !== undefined);
  if (obstacle === undefined) return attempt.login(entry, entry.name);
  const local = obstacle === "from" && entry.from.every((from) => from === "local");
  return noCredentials(local ? LOCAL_ONLY : attempt.because(obstacle, entry, "anonymous clients"));
}

const LOCAL_ONLY = "anonymous clients are let in from this machine only";

function noCredentials(why: string): LoginFailure {
  const how = "mqtt-broker passwd add NAME makes a user, --allow-anonymous opens to everybody";
  return new LoginFailure(`no credentials, and ${why}: ${how}`, false);
}

/** The anonymous entry of a file that has none, where the setting wants one. It must not have a listed user's rights. */
function madeUp({ byName }: Users): ReadUser {
  let name = "anonymous";
  while (byName.has(name)) name = `_${name}`;
  return {
    name,
    method: "anonymous",
    from: [],
    clientIds: [],
    expiresMs: Number.POSITIVE_INFINITY,
    secret: undefined,
    verifyField: "CN",
    jwt: undefined,
    port: "*",
    nodeId: "*",
    admin: "none",
    limits: {},
    place: { file: "", line: 0, column: 0, text: "" },
  };
}

function identifyAgain(attempt: Attempt, before: Login): Answer | undefined {
  const { users } = attempt;
  const { user, name, tokenGroups, expiresMs, failure } = before;
  if (user === undefined) return undefined;
  if (name === attempt.client.peer.lineUser) return byConnection(attempt);
  switch (user.method) {
    case "client_cert":
    case "psk": {
      const holder = provedHolder(attempt);
      return typeof holder === "object" && holder.name === name ? attempt.admit(holder.user, name) : undefined;
    }
    case "serial":
    case "mqtt_sn":
    case "unix_socket":
      return byConnection(attempt);
    case "anonymous":
      return asAnonymous(attempt);
    case "unauthenticated":
      return users.unauthenticated && attempt.admit(users.unauthenticated, users.unauthenticated.name, { failure });
    default: {
      const entries = user.name === "*" && !users.byName.has(name) ? users.wild : [users.byName.get(name)];
      const now = entries.find((entry) => hasSameProof(entry, user));
      if (now === undefined || attempt.tools.wallMs() >= expiresMs) return undefined;
      return attempt.admit(now, name, { tokenGroups, expiresMs });
    }
  }
}

/** Would the password or token that was right for the one be right for the other? */
function hasSameProof(one: ReadUser | undefined, other: ReadUser): boolean {
  return (
    one?.method === other.method && isDeepStrictEqual(one.secret, other.secret) && isDeepStrictEqual(one.jwt, other.jwt)
  );
}
