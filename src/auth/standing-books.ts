import type { AuthMethod } from "../core/access.ts";
import { type Client, NO_PEER } from "../core/client.ts";
import type { Peer } from "../core/ports.ts";
import type { Book, Explanation } from "./book.ts";
import type { AnonymousFrom } from "./login/attempt.ts";
import { LoginFailure } from "./login/login-failure.ts";
import { Login } from "./login.ts";

// What holds while there is no file of rules, or none that can be used.

type Admits = (client: Client) => LoginFailure | undefined;

/** Who is let in may do everything. */
class StandingBook implements Book {
  readonly nextExpiryMs = Number.POSITIVE_INFINITY;
  private readonly objection: Admits;
  private readonly trusts: boolean;
  private readonly method: AuthMethod;

  /** `trusts`: whoever is there may do everything: whom a plugin let in, and the wills of clients not seen since the start. */
  constructor(objection: Admits, trusts = true, method: AuthMethod = "anonymous") {
    this.objection = objection;
    this.trusts = trusts;
    this.method = method;
  }

  authenticate(client: Client): Login | LoginFailure {
    return this.objection(client) ?? this.login(client.userName);
  }

  /** For who is away messages are kept: when it comes again, rules that are right by then will decide. */
  check(login: Login, client: Client, _: string, write: boolean): boolean {
    if (this.trusts) return true;
    return login.certain ? this.objection(client) === undefined : !write;
  }

  explain(login: Login, client: Client, topic: string, write: boolean): Explanation {
    const allowed = this.check(login, client, topic, write);
    const reason = allowed ? "who is let in may do everything" : "no file of users and rules can be used";
    return { allowed, reason, place: "", text: "", runnerUp: undefined };
  }

  renew(client: Client, before: Login): Login | undefined {
    return this.objection(client) === undefined ? this.login(before.userName) : undefined;
  }

  restore(client: Client): Login {
    return this.login(client.userName, client.peer !== NO_PEER);
  }

  private login(userName: string | undefined, certain = true): Login {
    const { method } = this;
    const name = userName ?? "anonymous";
    return new Login({ name, userName, user: undefined, groups: [], book: this, certain, method });
  }
}

const LOCAL_ONLY = new LoginFailure(
  "only clients on this machine are let in while there is no file of users: mqtt-broker passwd add NAME makes a user, " +
    "--allow-anonymous opens to everybody",
  false,
);
const NOBODY = new LoginFailure(
  "auth.allowAnonymous lets in nobody without a user, and there is no file of users: " +
    "mqtt-broker passwd add NAME makes a user",
  false,
);

/**
 * The rules of a broker without a file: clients on this machine may connect and do everything, whatever credentials they
 * give, since there is nothing to check them against; nobody else gets in. The setting can widen or narrow that.
 */
export function bookWithoutFile(anonymous: AnonymousFrom): Book {
  switch (anonymous) {
    case "all":
      return new StandingBook(() => undefined);
    case "none":
      return new StandingBook(() => NOBODY);
    default:
      return new StandingBook(({ peer }) => (peer.local ? undefined : LOCAL_ONLY));
  }
}

/** The rules of a broker that found a file it cannot use: an administrator on a Unix socket may do everything, nobody else anything. */
export function closedBook(file: string): Book {
  const refusal = new LoginFailure(
    `${file} cannot be used, so only clients on a Unix socket are let in: mqtt-broker check says what is wrong with it`,
    false,
  );
  return new StandingBook(({ peer }) => (isBehindFileRights(peer) ? undefined : refusal), false, "unix_socket");
}

/** A Unix socket that is a file has an owner and a mode; one by an abstract name, "@…", is open to the whole machine. */
function isBehindFileRights({ transport, address }: Peer): boolean {
  return transport === "unix" && !address.startsWith("@");
}
