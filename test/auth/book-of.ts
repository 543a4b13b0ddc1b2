import type { AuthRules } from "../../src/auth/auth-rules.ts";
import type { Explanation } from "../../src/auth/book.ts";
import { HashQueue } from "../../src/auth/login/hash-queue.ts";
import type { Login } from "../../src/auth/login.ts";
import { readAuthFile } from "../../src/auth/reading/auth-document.ts";
import { RuleBook } from "../../src/auth/rules/rule-book.ts";
import { Client } from "../../src/core/client.ts";
import type { Peer } from "../../src/core/ports.ts";
import { formatProblem } from "../../src/text/problem.ts";

/** Noon of a day in 2026. */
export const NOW_MS = Date.UTC(2026, 5, 15, 12);

/** A book of rules, read as a file that has them. */
export function bookOf(rules: AuthRules, wallMs = NOW_MS, anonymous?: "all" | "local" | "none"): RuleBook {
  const file: AuthRules = { authentication: [], authorization: [], ...rules };
  const reading = { readFile: () => undefined, nowMs: wallMs };
  const { auth, problems } = readAuthFile(JSON.stringify(file, undefined, 1), "auth.json5", reading);
  if (auth === undefined) throw new Error(problems.map(formatProblem).join("\n"));
  return new RuleBook(auth, { verifier: new HashQueue(), wallMs: () => wallMs, anonymous });
}

/** The position of the rule that an explanation names; undefined when it names none. */
export function decidingRule({ reason }: Explanation): number | undefined {
  const number = /^rule (\d+) /.exec(reason)?.[1];
  return number === undefined ? undefined : Number(number);
}

/** `from`: an address with port; "unix" for a Unix socket. */
export function clientOf(clientId = "c1", userName?: string, from = "10.0.0.9:50000"): Client {
  const local = from === "unix" || from.startsWith("127.");
  const transport = from === "unix" ? "unix" : "tcp";
  const peer: Peer = { address: from, local, listener: transport === "unix" ? "socket" : "lan", transport };
  return new Client(clientId, userName, 5, true, 0, peer);
}

/** The Login of a user who is let in; undefined: anonymous. */
export function loginOf(book: RuleBook, userName?: string, groups: readonly string[] = []): Login {
  const login = book.loginFor(userName, groups);
  if (login === undefined) throw new Error(`The rules of this test let in no ${userName ?? "anonymous client"}`);
  return login;
}
