import type { Access } from "../core/access.ts";
import { formatProblem, hasErrors, type Problem, problemLine } from "../text/problem.ts";
import { AuthAccess } from "./auth-access.ts";
import type { AuthRules } from "./auth-rules.ts";
import { BookMaker } from "./book-maker.ts";
import { readAuthRules } from "./reading/auth-document.ts";
import { readingOf } from "./reading/read-text.ts";

/** Access rules that a program made, and what about them is likely not meant so. `createBroker` logs the warnings. */
export interface RulesAccess extends Access {
  readonly warnings: readonly string[];
}

/** The rules cannot be used. The message has one paragraph for each problem. */
export class AuthRulesError extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join("\n"));
    this.name = "AuthRulesError";
    this.problems = problems;
  }
}

/**
 * The access rules of an `auth.json5`, made by a program: the same keys mean the same. `wallMs`: milliseconds since 1970, for
 * entries that expire. Throws AuthRulesError that lists everything wrong with the rules.
 */
export function authRules(rules: AuthRules, wallMs: () => number = Date.now): RulesAccess {
  // Whether certificates are verified is a matter of the servers that the program listens with.
  const { auth, problems } = readAuthRules(rules, readingOf(process.cwd(), wallMs(), true));
  if (auth === undefined || hasErrors(problems)) {
    throw new AuthRulesError(problems.filter(({ severity }) => severity === "error"));
  }
  const books = new BookMaker(wallMs);
  const { explainToClients: explainsToClients, whenRevoked } = auth;
  const access = new AuthAccess(
    { makeBook: () => books.make(auth, undefined), explainsToClients, whenRevoked },
    wallMs,
  );
  const warnings = problems.filter(({ severity }) => severity === "warning").map(problemLine);
  return Object.assign(access, { warnings });
}
