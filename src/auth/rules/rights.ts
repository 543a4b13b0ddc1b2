import type { Verdict } from "../../core/access.ts";
import { type Client, NO_PEER } from "../../core/client.ts";
import { hasWildcard } from "../../topic/name.ts";
import type { Login } from "../login.ts";
import { covers, levelsOf, namedLevels } from "./filter.ts";
import { grantOf, type Rule, type Subject } from "./rule.ts";
import type { RuleSet } from "./rule-set.ts";

/** Verdicts that are remembered for each direction, when they are one client's own and when they are those of a user. */
const REMEMBERED_OF_CLIENT_MAX = 32;
const REMEMBERED_OF_USER_MAX = 256;
/** Characters of the longest topic that is remembered: it may have 65,535. */
const REMEMBERED_TOPIC_MAX = 128;

const RESERVED = 0x24; // $

/** A verdict and the rules that made it. */
export interface Decision {
  readonly verdict: Verdict;
  /** The rule that decides; of a filter that is allowed, the last one that allows some of it. Undefined: none says anything. */
  readonly rule: Rule | undefined;
}

/** What one client may do by a set of rules, or all clients of one user where that is the same. */
export class Rights {
  readonly subject: Subject;
  /** What "%u" and "%c" stand for. */
  readonly names: { readonly userName: string | undefined; readonly clientId: string };
  private readonly rules: RuleSet;
  private readonly rememberedMax: number;
  private readonly openToPublish: boolean;
  private readonly openToSubscribe: boolean;
  private published: Map<string, Verdict> | undefined = undefined;
  private subscribed: Map<string, Verdict> | undefined = undefined;

  /** `mayHaveGroups`: it may be in groups that `login` does not have, since it is known from the store only. */
  constructor(rules: RuleSet, login: Login, client: Client, mayHaveGroups: boolean) {
    this.rules = rules;
    // A name with "@" can only come from a hook, and must not pass for a group.
    const name = login.name.startsWith("@") ? undefined : login.name;
    const peer = login.certain && client.peer !== NO_PEER ? client.peer : undefined;
    this.subject = { name, groups: login.groups, mayHaveGroups, clientId: client.clientId, peer };
    this.names = { userName: login.userName, clientId: client.clientId };
    this.rememberedMax = rules.sameForAllClients ? REMEMBERED_OF_USER_MAX : REMEMBERED_OF_CLIENT_MAX;
    this.openToPublish = rules.isOpenTo(this.subject, true);
    this.openToSubscribe = rules.isOpenTo(this.subject, false);
  }

  /** May it publish to (`write`) or receive from the topic, or subscribe to the filter? */
  verdict(topic: string, write: boolean): Verdict {
    if ((write ? this.openToPublish : this.openToSubscribe) && topic.charCodeAt(0) !== RESERVED) return true;
    const known = (write ? this.published : this.subscribed)?.get(topic);
    if (known !== undefined) return known;
    const { verdict } = this.decide(topic, this.counting(topic, write), write);
    if (topic.length <= REMEMBERED_TOPIC_MAX) this.remember(topic, write, verdict);
    return verdict;
  }

  /** The rules that have a say, the last one first. */
  counting(topic: string, write: boolean): Rule[] {
    return this.rules.counting(levelsOf(topic), this.subject, this.names, write);
  }

  /**
   * What rules that have a say (the last one first) come to. A Topic Name is decided by the last rule. A filter is allowed
   * when a rule allows some of it, unless a later one denies all of it: narrower ones deny when messages are delivered.
   */
  decide(topic: string, rules: readonly Rule[], write: boolean): Decision {
    const [last] = rules;
    if (last === undefined) return NOTHING;
    if (write || !hasWildcard(topic)) return { verdict: last.side(write)!.verdict, rule: last };
    const asked = levelsOf(topic);
    let allowing: Rule | undefined;
    let widest: Verdict = false;
    for (const rule of rules) {
      const side = rule.side(write)!;
      if (side.allow) {
        allowing ??= rule;
        widest = wider(widest, side.verdict);
      } else if (this.covers(rule, asked)) {
        return allowing === undefined ? { verdict: false, rule } : { verdict: widest, rule: allowing };
      }
    }
    return allowing === undefined ? NOTHING : { verdict: widest, rule: allowing };
  }

  /** Does the rule's filter, with the names put in, have all of what is asked for? */
  covers(rule: Rule, asked: readonly string[]): boolean {
    const levels = namedLevels(rule.levels, this.names);
    return levels !== undefined && covers(levels, asked, true);
  }

  private remember(topic: string, write: boolean, verdict: Verdict): void {
    const remembered = (write ? this.published : this.subscribed) ?? new Map<string, Verdict>();
    if (write) this.published = remembered;
    else this.subscribed = remembered;
    if (remembered.size >= this.rememberedMax) remembered.clear();
    remembered.set(topic, verdict);
  }
}

const NOTHING: Decision = { verdict: false, rule: undefined };

function wider(one: Verdict, other: Verdict): Verdict {
  if (one === true || other === true) return true;
  if (one === false) return other;
  if (other === false) return one;
  return grantOf(one.maximumQos > other.maximumQos ? one.maximumQos : other.maximumQos, one.retain || other.retain);
}
