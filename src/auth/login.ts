import type { AuthMethod, Identity, UserLimits } from "../core/access.ts";
import type { Book } from "./book.ts";
import type { LoginFailure } from "./login/login-failure.ts";
import type { ReadUser } from "./reading/read-auth.ts";

/** Who a client is, by one book of rules: made when it connects, and anew when the rules change. */
export class Login implements Identity {
  /** As rules name it: the entry's name, or what a certificate or token called it where that is "*". */
  readonly name: string;
  /** Whose session it is. Anonymous clients have none, as without a file of rules: their sessions go on when one is made. */
  readonly userName: string | undefined;
  /** The entry that let it in; undefined for a restored client that no entry names, and for ledgers. */
  readonly user: ReadUser | undefined;
  /** Groups beside @any, with their "@". */
  readonly groups: readonly string[];
  /** Those of them that a token gave, and those it gave that are in no file: they may be when the rules change. */
  readonly tokenGroups: readonly string[];
  /** When the token ends that it logged in with, milliseconds since 1970: its connection must end then. Infinity: never. */
  readonly expiresMs: number;
  /** Why it got in as `unauthenticated` only; undefined for everybody else. */
  readonly failure: LoginFailure | undefined;
  readonly book: Book;
  /** False for a client known from the store only: what it could be is not known. */
  readonly certain: boolean;
  /** How it proved who it is, where no entry says so. */
  private readonly given: AuthMethod | undefined;
  /** What its book has found out about it: see rights.ts. */
  rights: unknown = undefined;
  /** What the record of traffic keeps of it: see traffic-record.ts. */
  recorded: unknown = undefined;

  constructor(given: {
    name: string;
    userName: string | undefined;
    user: ReadUser | undefined;
    groups: readonly string[];
    tokenGroups?: readonly string[];
    expiresMs?: number;
    failure?: LoginFailure | undefined;
    book: Book;
    certain?: boolean;
    method?: AuthMethod | undefined;
  }) {
    this.name = given.name;
    this.userName = given.userName;
    this.user = given.user;
    this.groups = given.groups;
    this.tokenGroups = given.tokenGroups ?? [];
    this.expiresMs = given.expiresMs ?? Number.POSITIVE_INFINITY;
    this.failure = given.failure;
    this.book = given.book;
    this.certain = given.certain ?? true;
    this.given = given.method;
  }

  get method(): AuthMethod | undefined {
    return this.user?.method ?? this.given;
  }

  get remark(): string | undefined {
    return this.failure?.logReason;
  }

  get limits(): UserLimits {
    return this.user?.limits ?? {};
  }

  get admin(): "none" | "read" | "all" {
    return this.user?.admin ?? "none";
  }
}
