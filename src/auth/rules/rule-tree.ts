import { type FilterNames, hasPlaceholder, isReserved, namedLevel } from "./filter.ts";
import type { Rule } from "./rule.ts";

/**
 * All rules by the levels of their filters: finds those that have anything to do with a topic without looking at the
 * others, of which there may be thousands.
 */
export class RuleTree {
  private readonly root = new RuleNode(0);
  // Nodes still to be looked at: a field, so that nothing is allocated; empty between two calls.
  private readonly pending: RuleNode[] = [];

  constructor(rules: readonly Rule[]) {
    for (const rule of rules) this.add(rule);
  }

  /**
   * The rules whose filter has a Topic Name in common with `asked`, a name or a filter in levels; in no particular order.
   * Wildcards reach names that begin with "$" only in rules that deny there, and in no filter that is asked for.
   *
   * A loop, not a recursion: the depth of a filter must not become the depth of the stack.
   */
  find(asked: readonly string[], names: FilterNames, write: boolean): Rule[] {
    const { pending } = this;
    const found: Rule[] = [];
    const openFrom = asked.at(-1) === "#" ? asked.length - 1 : Number.POSITIVE_INFINITY;
    pending.push(this.root);
    for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
      const wanted = node.depth >= openFrom ? "#" : asked[node.depth];
      pushAll(node.below, found);
      if (wanted === undefined || wanted === "#") pushAll(node.here, found);
      if (wanted !== undefined) node.follow(wanted, names, pending);
    }
    if (!isReserved(asked[0]!)) return found;
    return found.filter((rule) => rule.namesReserved || rule.side(write)?.allow === false);
  }

  private add(rule: Rule): void {
    let node = this.root;
    for (const level of rule.levels) {
      if (level === "#") {
        node.below = added(node.below, rule);
        return;
      }
      node = node.child(level);
    }
    node.here = added(node.here, rule);
  }
}

class RuleNode {
  readonly depth: number;
  /** Rules whose filter ends here. */
  here: Rule[] | undefined = undefined;
  /** Rules whose filter goes on with `#`. */
  below: Rule[] | undefined = undefined;
  private literal: Map<string, RuleNode> | undefined = undefined;
  private plus: RuleNode | undefined = undefined;
  /** By levels with "%u" and "%c". */
  private named: Map<string, RuleNode> | undefined = undefined;

  constructor(depth: number) {
    this.depth = depth;
  }

  /** The node for one more level of a rule's filter, made when it is not there. */
  child(level: string): RuleNode {
    if (level === "+") {
      this.plus ??= new RuleNode(this.depth + 1);
      return this.plus;
    }
    const isNamed = hasPlaceholder(level);
    const children = (isNamed ? this.named : this.literal) ?? new Map<string, RuleNode>();
    if (isNamed) this.named = children;
    else this.literal = children;
    let child = children.get(level);
    if (child === undefined) {
      child = new RuleNode(this.depth + 1);
      children.set(level, child);
    }
    return child;
  }

  /** Appends the nodes for the levels that `wanted`, which may be a wildcard, has in common with the rules. */
  follow(wanted: string, names: FilterNames, found: RuleNode[]): void {
    const { depth, literal, plus, named } = this;
    if (plus !== undefined) found.push(plus);
    const isWildcard = wanted === "+" || wanted === "#";
    if (literal !== undefined && isWildcard) {
      for (const [level, child] of literal) if (depth > 0 || !isReserved(level)) found.push(child);
    } else if (literal !== undefined) {
      const child = literal.get(wanted);
      if (child !== undefined) found.push(child);
    }
    if (named === undefined) return;
    for (const [text, child] of named) {
      const level = namedLevel(text, names);
      if (level === undefined) continue;
      if (isWildcard ? depth > 0 || !isReserved(level) : level === wanted) found.push(child);
    }
  }
}

function added(rules: Rule[] | undefined, rule: Rule): Rule[] {
  if (rules === undefined) return [rule];
  rules.push(rule);
  return rules;
}

function pushAll(rules: readonly Rule[] | undefined, found: Rule[]): void {
  if (rules === undefined) return;
  for (const rule of rules) found.push(rule);
}
