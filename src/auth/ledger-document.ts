import { type Document, type Path, TextError } from "../text/document.ts";
import { parseJson5 } from "../text/json5-document.ts";
import { formatProblem, type Problem, placelessProblem } from "../text/problem.ts";
import { suggest } from "../text/suggest.ts";
import { parseYaml } from "../text/yaml-document.ts";
import { hasWildcard, isShared, isTopicFilter } from "../topic/name.ts";
import type { LedgerAclRule, LedgerRules } from "./ledger-rules.ts";

const OPENING_BRACE = 0x7b;
const KEYS = {
  ledger: ["users", "auth", "acl"],
  user: ["username", "password", "disallow", "acl"],
  auth: ["client", "username", "password", "remote", "allow"],
  acl: ["client", "username", "remote", "filters"],
} as const;

/** The rules are not a ledger. The message has one paragraph for each problem. */
export class LedgerError extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join("\n"));
    this.name = "LedgerError";
    this.problems = problems;
  }
}

export interface ReadLedger {
  rules: LedgerRules;
  warnings: string[];
}

/** Checks rules that a program made, which may have been written without a type checker. Throws LedgerError. */
export function readLedger(value: unknown): ReadLedger {
  return new LedgerReader(undefined, "").read(value);
}

/** Reads and checks a file. Throws LedgerError. */
export function parseLedger(bytes: Uint8Array, file: string): ReadLedger {
  const text = new TextDecoder().decode(bytes);
  try {
    const document = bytes[0] === OPENING_BRACE ? parseJson5(text, file) : parseYaml(text, file);
    return new LedgerReader(document, text).read(document.value);
  } catch (error) {
    throw error instanceof TextError ? new LedgerError([error.toProblem()]) : error;
  }
}

/** Walks through a value, gathers what is wrong, and makes anew what is right. */
class LedgerReader {
  private readonly document: Document | undefined;
  private readonly lines: readonly string[];
  private readonly problems: Problem[] = [];
  private readonly warnings: string[] = [];

  constructor(document: Document | undefined, text: string) {
    this.document = document;
    this.lines = text.split(/\r\n|\n|\r/);
  }

  read(value: unknown): ReadLedger {
    const { users, auth, acl } = this.fields(value, [], KEYS.ledger);
    const rules: LedgerRules = {
      users: Object.fromEntries(this.members(users, ["users"]).map((name) => [name, this.user(users, name)])),
      auth: this.list(auth, ["auth"], (rule, path) => this.authRule(rule, path)),
      acl: this.list(acl, ["acl"], (rule, path) => this.aclRule(rule, path)),
    };
    if (this.problems.length > 0) throw new LedgerError(this.problems);
    this.warnOfWhole(rules);
    return { rules, warnings: this.warnings };
  }
}
