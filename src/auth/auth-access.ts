import { PacketType } from "../codec/constants.ts";
import type { Connect } from "../codec/packet.ts";
import { ReasonCode } from "../codec/reason.ts";
import type { Access, Verdict } from "../core/access.ts";
import { Client, NO_PEER } from "../core/client.ts";
import { type Refusal, refuse } from "../core/hooks.ts";
import type { Peer } from "../core/ports.ts";
import type { Book } from "./book.ts";
import { LoginFailure } from "./login/login-failure.ts";
import { Login } from "./login.ts";

type Answer = Login | Refusal;

/** What is in use: a file of rules, or what stands for one. */
export interface Rules {
  /** Makes a book, and makes it anew when an entry has expired. */
  makeBook(): Book;
  /** 5.0 clients are told which rule refused them. */
  readonly explainsToClients: boolean;
  /** What becomes of clients that the rules would not let in any more, or not let subscribe. */
  readonly whenRevoked: "disconnect" | "filter";
}

/** Wants to know who did what. Called when a verdict was not remembered, so not for every message. */
export interface AccessObserver {
  used(login: Login, client: Client, topic: string, write: boolean, verdict: Verdict): void;
  connected(login: Login, client: Client): void;
  /** `reason`: as the log has it, without secrets. */
  refused(client: Client, reason: string): void;
}

/** Keeps out who tries passwords. */
export interface LoginGuard {
  /** May this peer try at all? */
  admits(peer: Peer): Refusal | undefined;
  /** A wrong password, user or token. Returns the milliseconds after which it is to be told so. */
  failed(peer: Peer, userName: string | undefined, mayBan?: boolean): number;
  /** Addresses that are kept out now. */
  readonly count: number;
  /** Right credentials. */
  succeeded(peer: Peer, userName: string | undefined): void;
}

/** Expiring entries are looked for this often at least, since the wall clock may be set while we wait. */
const EXPIRY_LOOK_MS_MAX = 60_000;
const EXPIRY_LOOK_MS_MIN = 1_000;

const NO_MORE = refuse(
  ReasonCode.NotAuthorized,
  "the access rules have changed and do not let this client in any more",
);

/**
 * The access rules in use. They are swapped whole: what a client was found to be by earlier ones is found anew when it is
 * asked for, or when the broker reviews its connections after a change.
 */
export class AuthAccess implements Access {
  /** May be set before the broker starts. */
  observer: AccessObserver | undefined;
  /** May be set before the broker starts. */
  guard: LoginGuard | undefined;
  private readonly wallMs: () => number;
  private rules: Rules;
  private book: Book;
  private grown = 0;
  private changed: () => void = () => {};
  private timeout: NodeJS.Timeout | undefined;

  /** `wallMs`: milliseconds since 1970. Throws what `makeBook` throws. */
  constructor(rules: Rules, wallMs: () => number) {
    this.wallMs = wallMs;
    this.rules = rules;
    this.book = rules.makeBook();
    this.arm();
  }

  get generation(): number {
    return this.grown;
  }

  get explainsToClients(): boolean {
    return this.rules.explainsToClients;
  }

  get endsLostSubscriptions(): boolean {
    return this.rules.whenRevoked === "disconnect";
  }

  onChange(changed: () => void): void {
    this.changed = changed;
  }

  /** Puts other rules in force for everybody, connected or not. Throws what `makeBook` throws, and nothing has changed then. */
  swap(rules: Rules): void {
    this.book = rules.makeBook();
    this.rules = rules;
    this.grown++;
    this.arm();
    this.changed();
  }

  /** Ends the wait for the next entry that expires. */
  close(): void {
    clearTimeout(this.timeout);
  }

  admits(peer: Peer): Refusal | undefined {
    return this.guard?.admits(peer);
  }

  banned(): number {
    return this.guard?.count ?? 0;
  }

  authenticate(client: Client, connect: Connect): Answer | Promise<Answer> {
    // It may have been banned since it connected, and its password should not even be hashed.
    const banned = this.guard?.admits(client.peer);
    if (banned !== undefined) return banned;
    const answer = this.book.authenticate(client, connect);
    if (answer instanceof Promise) return answer.then((later) => this.conclude(client, connect, later));
    return this.conclude(client, connect, answer);
  }

  check(client: Client, topic: string, write: boolean): Verdict {
    const login = this.loginOf(client);
    if (login instanceof LostLogin && client.isAway && !write) return login.mayComeAgain(client, topic);
    const verdict = !(login instanceof LostLogin) && login.book.check(login, client, topic, write);
    this.observer?.used(login, client, topic, write, verdict);
    return verdict;
  }

  why(client: Client, topic: string, write: boolean): string {
    const login = this.loginOf(client);
    if (login instanceof LostLogin) return `${login.name} would not be let in any more`;
    const { place, reason } = login.book.explain(login, client, topic, write);
    return place === "" ? reason : `${place}: ${reason}`;
  }

  review(client: Client): Login | Refusal {
    const login = this.loginOf(client);
    return login instanceof LostLogin && this.rules.whenRevoked === "disconnect" ? NO_MORE : login;
  }

  /** The client's Login by the book in use. */
  loginOf(client: Client): Login {
    const { identity } = client;
    if (identity instanceof Login && identity.book === this.book) return identity;
    const login = this.renewed(client, identity instanceof Login ? identity : undefined);
    client.identity = login;
    return login;
  }

  /** Clients of whom no login is known are restored from the store, or let in by a hook. */
  private renewed(client: Client, before: Login | undefined): Login {
    if (before === undefined || !before.certain) return this.book.restore(client);
    const former = before instanceof LostLogin ? before.former : before;
    return this.book.renew(client, former) ?? this.askedAgain(client, former) ?? new LostLogin(former, this.book);
  }

  /** Who gave no credentials can be asked for them again: a file may come to let in those who got in without one. */
  private askedAgain(client: Client, former: Login): Login | undefined {
    if (former.userName !== undefined) return undefined;
    const login = this.book.authenticate(client, withoutCredentials(client));
    return login instanceof Login && login.userName === undefined ? login : undefined;
  }

  private conclude(client: Client, connect: Connect, answer: Login | Refusal): Answer | Promise<Answer> {
    const { peer } = client;
    if (answer instanceof Login) this.observer?.connected(answer, client);
    else this.observer?.refused(client, answer.logReason ?? answer.reasonString ?? "");
    const failure = answer instanceof Login ? answer.failure : answer;
    if (failure === undefined) {
      const isProved = connect.userName !== undefined || connect.password !== undefined;
      if (isProved) this.guard?.succeeded(peer, connect.userName);
      return answer;
    }
    if (!(failure instanceof LoginFailure) || !failure.guess) return answer;
    // Who is let in as `unauthenticated` all the same could guess on for ever, and learn by its rights when it was right.
    const delayMs = this.guard?.failed(peer, connect.userName, failure === answer) ?? 0;
    if (delayMs <= 0) return answer;
    return new Promise((resolve) => {
      setTimeout(() => resolve(answer), delayMs).unref();
    });
  }

  private arm(): void {
    clearTimeout(this.timeout);
    const { nextExpiryMs } = this.book;
    if (nextExpiryMs === Number.POSITIVE_INFINITY) return;
    const leftMs = Math.max(EXPIRY_LOOK_MS_MIN, nextExpiryMs - this.wallMs());
    this.timeout = setTimeout(this.onTimeout, Math.min(leftMs, EXPIRY_LOOK_MS_MAX)).unref();
  }

  private readonly onTimeout = (): void => {
    if (this.wallMs() >= this.book.nextExpiryMs) this.swap(this.rules);
    else this.arm();
  };
}

/** Somebody whom the rules would not let in any more: nothing is allowed, until other rules are in use. */
class LostLogin extends Login {
  readonly former: Login;
  private absent: { readonly login: Login; readonly client: Client } | undefined;

  constructor(former: Login, book: Book) {
    const { name, userName } = former;
    super({ name, userName, user: undefined, groups: [], book });
    this.former = former;
  }

  /**
   * Of who is away nobody asks for credentials: with a new password or token it may come again, and then rights are asked
   * anew. Until then messages are kept for it as for a client that is known from the store only.
   */
  mayComeAgain({ clientId, userName, protocolVersion }: Client, topic: string): Verdict {
    if (this.absent === undefined) {
      const client = new Client(clientId, userName, protocolVersion, false, 0, NO_PEER);
      this.absent = { client, login: this.book.restore(client) };
    }
    return this.book.check(this.absent.login, this.absent.client, topic, false);
  }

  override get limits(): Login["limits"] {
    return this.former.limits;
  }
}

/** The CONNECT of a client that says nothing of itself but its identifier. */
export function withoutCredentials({ clientId, protocolVersion, cleanStart, keepAliveSeconds }: Client): Connect {
  return {
    type: PacketType.CONNECT,
    protocolVersion,
    cleanStart,
    keepAliveSeconds,
    clientId,
    will: undefined,
    userName: undefined,
    password: undefined,
    properties: {},
    bridge: false,
  };
}
