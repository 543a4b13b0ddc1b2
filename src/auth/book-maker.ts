import type { Book } from "./book.ts";
import { LedgerBook } from "./ledger/ledger-book.ts";
import type { AnonymousFrom } from "./login/attempt.ts";
import { HashQueue } from "./login/hash-queue.ts";
import type { ReadAuth } from "./reading/read-auth.ts";
import { RuleBook } from "./rules/rule-book.ts";

/** Of the four threads that Node.js has for such work, two are left to files and names of hosts. */
const WORKERS_MAX = 2;

/** Makes books of files that were found right. All of them check passwords in one line, so that its bounds hold for all. */
export class BookMaker {
  private readonly verifier: HashQueue;
  private readonly wallMs: () => number;

  /** `wallMs`: milliseconds since 1970. `workersMax`: slow hashes that are computed at a time, 1 or more. */
  constructor(wallMs: () => number, workersMax = WORKERS_MAX) {
    this.wallMs = wallMs;
    this.verifier = new HashQueue({ workersMax });
  }

  /** `anonymous`: what the setting auth.allowAnonymous says in place of the file. */
  make(auth: ReadAuth, anonymous: AnonymousFrom): Book {
    const { verifier, wallMs } = this;
    if (auth.ledger !== undefined) return new LedgerBook(auth.ledger, anonymous);
    return new RuleBook(auth, { verifier, wallMs, anonymous });
  }
}
