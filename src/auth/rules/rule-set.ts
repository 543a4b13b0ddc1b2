import type { ReadRule } from "../reading/read-auth.ts";
import type { FilterNames } from "./filter.ts";
import { EVERYBODY, Rule, type Subject } from "./rule.ts";
import { RuleTree } from "./rule-tree.ts";

/** The rules of one book: by their filters, and by whom they name. */
export class RuleSet {
  /** In the order of the file. */
  readonly rules: readonly Rule[];
  /** Those that had ended already: they count as absent, but people ask for them. */
  readonly ended: readonly Rule[];
  /** Users with the same name and groups have the same rights, wherever and as whatever client they connect. */
  readonly sameForAllClients: boolean;
  private readonly tree: RuleTree;
  private readonly lastPub = new Map<string, Rule>();
  private readonly lastSub = new Map<string, Rule>();

  /** As of `nowMs`, milliseconds since 1970; what ends later makes other rules, and so another set. */
  constructor(read: readonly ReadRule[], nowMs: number) {
    const rules = read.map((rule) => new Rule(rule));
    this.rules = rules.filter(({ expiresMs }) => expiresMs > nowMs);
    this.ended = rules.filter(({ expiresMs }) => expiresMs <= nowMs);
    this.tree = new RuleTree(this.rules);
    this.sameForAllClients = !this.rules.some(({ isPersonal }) => isPersonal);
    for (const rule of this.rules) {
      for (const name of rule.pub?.names ?? []) this.lastPub.set(name, rule);
      for (const name of rule.sub?.names ?? []) this.lastSub.set(name, rule);
    }
  }

  /** The rules that count for a subject's question (in levels: a name, or a filter that is asked for), the last one first. */
  counting(asked: readonly string[], subject: Subject, names: FilterNames, write: boolean): Rule[] {
    const found = this.tree.find(asked, names, write).filter((rule) => rule.counts(subject, write));
    return found.length < 2 ? found : found.sort((a, b) => b.number - a.number);
  }

  /** Has the subject everything for certain, but for topics that begin with "$": the last rule for it is one that says so? */
  isOpenTo({ name, groups, mayHaveGroups }: Subject, write: boolean): boolean {
    if (mayHaveGroups) return false;
    const last = write ? this.lastPub : this.lastSub;
    let rule = last.get(EVERYBODY);
    for (const named of name === undefined ? groups : [name, ...groups]) {
      const candidate = last.get(named);
      if (candidate !== undefined && candidate.number > (rule?.number ?? 0)) rule = candidate;
    }
    return rule?.topicFilter === "#" && rule.isUnconditional && rule.side(write)?.verdict === true;
  }
}
