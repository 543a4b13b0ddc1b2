import { ReasonCode } from "../../codec/reason.ts";
import { networkOf } from "../../core/ports.ts";
import type { Login } from "../login.ts";
import type { ReadJwt, ReadUser } from "../reading/read-auth.ts";
import { type Attempt, placeOf, userCalled } from "./attempt.ts";
import { Busy, type HashQueue } from "./hash-queue.ts";
import { claimedName, looksLikeToken, type TokenHolder, verifyToken } from "./json-web-token.ts";
import { LoginFailure } from "./login-failure.ts";
import { secretCostMs } from "./password.ts";
import { shownName, typedName } from "./user-name.ts";

type Answer = Login | LoginFailure;

/** What a client has sent in CONNECT; one of both at least. */
export interface Credentials {
  readonly userName: string | undefined;
  readonly password: Uint8Array | undefined;
}

/** Who it is by password or token. Never rejects. */
export function byCredentials(attempt: Attempt, given: Credentials, verifier: HashQueue): Answer | Promise<Answer> {
  const { userName, password } = given;
  if (password === undefined) return new LoginFailure(`${userCalled(userName ?? "")} gave no password`, false);
  if (looksLikeToken(password)) {
    const takers = takersOf(attempt, userName, password);
    if (takers.length > 0) return byToken(attempt, takers, { userName, password }, verifier);
  }
  if (userName === undefined) return new LoginFailure("a password without a user name", true);
  return byPassword(attempt, userName, password, verifier);
}

/**
 * Whatever is wrong takes as long as a wrong password of a slow hash, where the file has any: else the time would tell
 * which names there are. So for a client whose conditions do not hold something is computed too.
 */
function byPassword(
  attempt: Attempt,
  userName: string,
  password: Uint8Array,
  verifier: HashQueue,
): Answer | Promise<Answer> {
  const { users } = attempt;
  const user = users.byName.get(userName);
  const objection = user?.secret === undefined ? unknown(attempt, userName, user) : attempt.objection(user, userName);
  const secret = objection === undefined && user?.secret !== undefined ? user.secret : users.decoy;
  const address = networkOf(attempt.client.peer.address);
  const decide = (right: boolean | Busy): Answer | Promise<Answer> => {
    if (right instanceof Busy) return busy(right);
    if (objection !== undefined) return objection;
    // Asked anew: it may have waited for a while.
    if (right) return attempt.admit(user!, userName);
    const help = passwdAdd(users.file, userName, "gives a new one");
    const failure = new LoginFailure(`wrong password for ${userCalled(userName)}${placeOf(user!)}${help}`, true);
    if (secretCostMs(secret) * 2 >= secretCostMs(users.decoy)) return failure;
    return after(verifier.verify(address, userName, users.decoy, password), (pad) =>
      pad instanceof Busy ? busy(pad) : failure,
    );
  };
  return after(verifier.verify(address, userName, secret, password), decide);
}

function unknown({ users }: Attempt, userName: string, user: ReadUser | undefined): LoginFailure {
  if (user === undefined) {
    const help = passwdAdd(users.file, userName, "makes this user");
    return new LoginFailure(`${userCalled(userName)} is not in ${users.file || "the rules"}${help}`, true);
  }
  const how = user.method === "jwt" ? "with a token (method jwt)" : `by the method ${user.method}`;
  return new LoginFailure(`${userCalled(userName)} logs in ${how}, not with a password${placeOf(user)}`, true);
}

/** What to do about it; nothing where the rules are a program's. */
function passwdAdd(file: string, userName: string, does: string): string {
  return file === "" ? "" : `: mqtt-broker passwd add ${typedName(userName)} ${does}`;
}

interface Taker extends ReadUser {
  readonly jwt: ReadJwt;
}

/**
 * The entries by which a token may be judged. A name that is listed is judged by its own entry alone: what "*" lets in can
 * so never become somebody else. Without a user name the token says whose it is; that it may is for the signature to prove.
 */
function takersOf({ users }: Attempt, userName: string | undefined, token: Uint8Array): readonly Taker[] {
  const wild = users.wild.filter(isTaker);
  if (userName !== undefined) {
    const listed = users.byName.get(userName);
    return listed === undefined ? wild : [listed].filter(isTaker);
  }
  const named = users.tokened.filter(isTaker).filter(({ name, jwt }) => claimedName(token, jwt.userClaim) === name);
  return named.length > 0 ? named : wild;
}

function isTaker(user: ReadUser): user is Taker {
  return user.method === "jwt" && user.jwt !== undefined;
}

function byToken(
  attempt: Attempt,
  takers: readonly Taker[],
  { userName, password: token }: { userName: string | undefined; password: Uint8Array },
  verifier: HashQueue,
): Answer | Promise<Answer> {
  const judge = async (): Promise<Answer> => {
    let failure = new LoginFailure("no entry takes the token", true);
    for (const taker of takers) {
      const holder = await verifyToken(taker.jwt, token, attempt.tools.wallMs());
      if ("name" in holder) return admitHolder(attempt, taker, holder, userName);
      failure = new LoginFailure(`${holder.reason}${placeOf(taker)}`, holder.guess);
      if (!holder.guess) break;
    }
    return failure;
  };
  const answer = verifier.run(networkOf(attempt.client.peer.address), judge);
  return answer instanceof Busy
    ? busy(answer)
    : answer.then((judged) => (judged instanceof Busy ? busy(judged) : judged));
}

function admitHolder(attempt: Attempt, taker: Taker, holder: TokenHolder, userName: string | undefined): Answer {
  const { name, groups: tokenGroups, expiresMs } = holder;
  if (userName !== undefined && userName !== name) {
    return new LoginFailure(`the token of ${userCalled(name)} was given for ${userCalled(userName)}`, true);
  }
  const listed = attempt.users.byName.get(name);
  if (taker.name === "*" ? listed !== undefined : taker.name !== name) {
    const own = listed === undefined ? "" : `, whose own entry${placeOf(listed)} has the method ${listed.method}`;
    return new LoginFailure(
      `the token is of ${userCalled(name)}${own}; entry ${shownName(taker.name)}${placeOf(taker)} is not for that name`,
      true,
    );
  }
  return attempt.admit(taker, name, { tokenGroups, expiresMs });
}

function busy({ reason }: Busy): LoginFailure {
  return new LoginFailure(`the credentials were not checked: ${reason}`, false, ReasonCode.ServerUnavailable);
}

/** At once where it can be. */
function after<Value>(
  value: Value | Promise<Value>,
  use: (value: Value) => Answer | Promise<Answer>,
): Answer | Promise<Answer> {
  return value instanceof Promise ? value.then(use) : use(value);
}
