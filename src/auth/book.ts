import type { Connect } from "../codec/packet.ts";
import type { Verdict } from "../core/access.ts";
import type { Client } from "../core/client.ts";
import type { Refusal } from "../core/hooks.ts";
import type { Login } from "./login.ts";

/**
 * One reading of the rules, made ready for use and never changed: a new file makes a new book. What a book has found out
 * about a client it keeps with the client's Login, which belongs to that book.
 */
export interface Book {
  /** Who is this? Checks credentials and conditions. */
  authenticate(client: Client, connect: Connect): Login | Refusal | Promise<Login | Refusal>;
  /** As Access.check, for a client whose Login is of this book. */
  check(login: Login, client: Client, topic: string, write: boolean): Verdict;
  /** Which rule decides, and which would without it. */
  explain(login: Login, client: Client, topic: string, write: boolean): Explanation;
  /**
   * The Login for a client that logged in by an earlier book, or undefined when it would not get in any more (its entry is
   * gone, its secret or method is another, a condition does not hold). Credentials are not at hand any more, and
   * not asked for.
   */
  renew(client: Client, before: Login): Login | undefined;
  /**
   * The Login of a client that is known from the store only, by its user name: its address is not known, and groups that a
   * token had are not either. Messages are kept for it when any rule could allow them, since rights are asked again when it
   * is there; publishing (its will) is allowed only when the rules surely do.
   */
  restore(client: Client): Login;
  /** The next time at which an entry expires, milliseconds since 1970; Infinity: none does. */
  readonly nextExpiryMs: number;
}

/** Why a verdict is what it is. */
export interface Explanation {
  readonly allowed: boolean;
  /** "rule 7 denies kitchen/# to @guests", "no rule allows it". One clause, no full stop. */
  readonly reason: string;
  /** "auth.json5:12:5" of the deciding entry; "" when nothing in the file decided. */
  readonly place: string;
  /** The entry's text. */
  readonly text: string;
  /** What would decide if the deciding rule were not there; undefined when nothing decided. */
  readonly runnerUp: Explanation | undefined;
}
