import type { Access } from "../../core/access.ts";
import type { Client } from "../../core/client.ts";
import { Login } from "../login.ts";
import { LedgerBook } from "./ledger-book.ts";
import { parseLedger, type ReadLedger, readLedger } from "./ledger-document.ts";
import type { LedgerRules } from "./ledger-rules.ts";

/** Access rules from a ledger, and what about it is likely not meant so. `createBroker` logs the warnings. */
export interface LedgerAccess extends Access {
  readonly warnings: readonly string[];
}

/**
 * The access rules of a mochi auth ledger; LedgerBook says what they mean. JavaScript moves keys that are whole numbers to the
 * front of an object; only `ledgerFrom` keeps their place.
 *
 * Throws LedgerError that lists everything wrong with the rules.
 */
export function ledger(rules: LedgerRules): LedgerAccess {
  return accessBy(readLedger(rules));
}

/**
 * The same from a file's bytes: JSON when the first byte is `{`, else YAML; nothing at all lets nobody in.
 * `file` is the name for messages. Throws LedgerError with line and column of everything that is wrong.
 */
export function ledgerFrom(bytes: Uint8Array, file = "ledger"): LedgerAccess {
  return accessBy(parseLedger(bytes, file));
}

function accessBy(read: ReadLedger): LedgerAccess {
  const book = new LedgerBook(read);
  const { warnings } = read;
  const authenticate: Access["authenticate"] = (client, connect) => book.authenticate(client, connect);
  // Without anything to ask, no message is asked about, which is faster.
  if (!book.hasAcl) return { warnings, authenticate };
  const loginOf = (client: Client): Login => {
    if (!(client.identity instanceof Login)) client.identity = book.restore(client);
    return client.identity as Login;
  };
  return {
    warnings,
    authenticate,
    check: (client, topic, write) => book.check(loginOf(client), client, topic, write),
    why: (client, topic, write) => book.explain(loginOf(client), client, topic, write).reason,
    // It never does, and so the broker may remember what it was told.
    onChange: () => {},
  };
}
