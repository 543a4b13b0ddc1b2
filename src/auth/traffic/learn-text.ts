import type { ReadGroup } from "../reading/read-auth.ts";
import type { Learned, LearnedRule } from "./learn.ts";
import { quoted } from "./quoted.ts";
import { count, dateOf } from "./rehearsal-report.ts";

/** What of the file in use goes on into the proposal. */
export interface LearnFrame {
  /** The file in use; undefined: there is none. */
  readonly file: string | undefined;
  /** The list of its authentication as it stands there, brackets included. */
  readonly authentication: string;
  readonly groups: readonly ReadGroup[];
  /** Further members of the file, such as explainToClients, as JSON5. */
  readonly options: Readonly<Record<string, string>>;
  readonly sinceSeconds: number;
  readonly nowSeconds: number;
}

/** Users that are named together so often, or are so many, make a group. */
const GROUP_USES_MIN = 2;
const GROUP_MEMBERS_MIN = 4;

/** A whole auth.json5 for review. Ends with a newline. */
export function learnedText({ rules, warnings }: Learned, frame: LearnFrame): string {
  const groups = new Groups(rules, frame.groups);
  const written = rules.map((rule) => ruleText(rule, groups));
  const lines = [
    `// Proposed by "mqtt-broker auth learn" on ${dateOf(frame.nowSeconds)} (UTC), from what was used since ${dateOf(frame.sinceSeconds)}.`,
    "// What nobody used in that time is denied: read it before you use it. What it would change:",
    "//   mqtt-broker check --against-traffic FILE",
    ...(warnings.length === 0 ? [] : ["//", "// Look at these first:"]),
    ...warnings.map((warning) => `// - ${warning}`),
    "{",
    ...Object.entries(frame.options).map(([name, value]) => `  ${name}: ${value},`),
    `  // ${frame.file === undefined ? "There is no file of users yet." : `As they stand in ${quoted(frame.file)}.`}`,
    `  authentication: ${frame.authentication},`,
    "",
    ...groups.lines(),
    "  // All of them allow; what no rule allows is denied.",
    "  authorization: [",
    ...written.flat().map((line) => `    ${line}`),
    "  ],",
    "}",
  ];
  return `${lines.join("\n")}\n`;
}

function ruleText(rule: LearnedRule, groups: Groups): string[] {
  const { topicFilter, sub, pub, maximumQos, retain, count: times, firstSeconds, lastSeconds, wider } = rule;
  const sides = [
    ...(sub.length === 0 ? [] : [`sub: [${groups.naming(sub)}]`]),
    ...(pub.length === 0 ? [] : [`pub: [${groups.naming(pub)}]`]),
  ];
  const bounds = `${maximumQos === 2 ? "" : `, maxQos: ${maximumQos}`}${retain ? "" : ", retain: false"}`;
  return [
    `// Asked for ${count(times, "time")}, ${dateOf(firstSeconds)} to ${dateOf(lastSeconds)}${wider === undefined ? "" : "; wider than what was seen, see above"}`,
    `{ topic: ${quoted(topicFilter)}, allow: { ${sides.join(", ")} }${bounds} },`,
  ];
}

/** Who is named together, and by which name. */
class Groups {
  private readonly byMembers = new Map<string, { name: string; members: readonly string[] }>();

  constructor(rules: readonly LearnedRule[], existing: readonly ReadGroup[]) {
    const uses = new Map<string, { members: readonly string[]; uses: number }>();
    for (const members of rules.flatMap(({ sub, pub }) => [sub, pub])) {
      if (members.length < 2) continue;
      const known = uses.get(keyOf(members)) ?? { members, uses: 0 };
      known.uses++;
      uses.set(keyOf(members), known);
    }
    const known = new Map(existing.map(({ name, members }) => [keyOf([...new Set(members)].sort()), name]));
    const taken = new Set(existing.map(({ name }) => name));
    let number = 0;
    for (const [key, { members, uses: times }] of uses) {
      let name = known.get(key);
      if (name === undefined && times < GROUP_USES_MIN && members.length < GROUP_MEMBERS_MIN) continue;
      while (name === undefined || (name !== known.get(key) && taken.has(name))) name = `@learned-${++number}`;
      this.byMembers.set(key, { name, members });
    }
  }

  /** The names of a rule: a group's, or those of its users. */
  naming(members: readonly string[]): string {
    const group = this.byMembers.get(keyOf(members));
    return group === undefined ? members.map(quoted).join(", ") : quoted(group.name);
  }

  lines(): string[] {
    if (this.byMembers.size === 0) return [];
    const groups = [...this.byMembers.values()].map(
      ({ name, members }) => `    { name: ${quoted(name)}, members: [${members.map(quoted).join(", ")}] },`,
    );
    return ["  group: [", ...groups, "  ],", ""];
  }
}

function keyOf(members: readonly string[]): string {
  return members.join("\u0000");
}
