import type { Explanation } from "../auth/book.ts";
import type { Login } from "../auth/login.ts";
import type { RightsLine } from "../auth/rules/rights-list.ts";
import { hasWildcard } from "../topic/name.ts";
import type { Answer, Entrance } from "./explain.ts";
import type { ExplainOptions, Question } from "./explain-options.ts";

/** The answer to one question: ALLOW or DENY first, then why. `file`: undefined when there is none. */
export function answerText(
  options: ExplainOptions,
  question: Question,
  file: string | undefined,
  entrance: Entrance,
  login: Login,
  answer: Answer,
): string {
  const allowed = entrance.admitted && answer.allowed;
  if (options.json) return jsonText({ allowed, ...question, user: login.name, file, entrance, rule: answer });
  const { operation, topic, qos, retain } = question;
  const may = VERBS[operation][allowed ? 0 : 1];
  const how = operation === "publish" ? `${qos === 0 ? "" : ` with QoS ${qos}`}${retain ? " with RETAIN" : ""}` : "";
  const lines = [`${allowed ? "ALLOW" : "DENY"}: ${nameOf(options, login)} ${may} ${topic}${how}`];
  if (!entrance.admitted) {
    lines.push(`It does not get in from ${options.whence}: ${entrance.reason}`);
    lines.push(`If it got in: ${answer.allowed ? "allowed" : "denied"}`);
  }
  lines.push(...reasonLines(answer));
  if (answer.allowed && operation !== "publish" && qos > answer.maximumQos) {
    lines.push(`Messages come with QoS ${answer.maximumQos} at most`);
  }
  if (answer.runnerUp !== undefined) {
    lines.push(`Without that rule: ${answer.runnerUp.allowed ? "allowed" : "denied"}`, ...reasonLines(answer.runnerUp));
  }
  if (answer.allowed && operation === "subscribe" && hasWildcard(topic)) {
    lines.push("Of what it matches, messages that rules deny are not delivered: ask receive TOPIC for one of them");
  }
  if (entrance.admitted) lines.push(`It gets in from ${options.whence} ${entrance.reason}`);
  if (file === undefined) lines.push(NO_FILE);
  return lines.map((line) => `${line}\n`).join("");
}

const NO_FILE = "There is no file of users and rules: mqtt-broker passwd add NAME makes one";

const VERBS = {
  publish: ["may publish to", "may not publish to"],
  subscribe: ["may subscribe to", "may not subscribe to"],
  receive: ["receives messages of", "receives no messages of"],
} as const;

function reasonLines({ reason, place, text }: Explanation): string[] {
  return [`  ${place === "" ? "" : `${place}: `}${reason}`, ...(text === "" ? [] : [`    ${text}`])];
}

/** All that a user may do, rule by rule. `lines`: undefined where there are no rules. */
export function rightsText(
  options: ExplainOptions,
  file: string | undefined,
  entrance: Entrance,
  login: Login,
  lines: readonly RightsLine[] | undefined,
): string {
  const { groups } = login;
  if (options.json) return jsonText({ user: login.name, groups, file, entrance, rights: lines });
  const belongs = groups.length === 0 ? "" : `, in ${groups.join(", ")}`;
  const head = [
    `${nameOf(options, login)}${belongs}`,
    `${entrance.admitted ? "Gets in" : "Does not get in"} from ${options.whence}${entrance.admitted ? " " : ": "}${entrance.reason}`,
  ];
  if (lines === undefined) head.push(file === undefined ? `May do everything. ${NO_FILE}` : LEDGER);
  else if (lines.length === 0) head.push("May do nothing: no rule concerns it");
  else head.push("Of the rules below that match a topic, the last one decides; what none matches is denied", "");
  return [...head, ...(lines ?? []).flatMap(rightsLines)].map((line) => `${line}\n`).join("");
}

const LEDGER = "A ledger is asked topic by topic: publish, subscribe or receive TOPIC in place of --all";

function rightsLines(line: RightsLine): string[] {
  const { operation, filter, allowed, rule, place, bounds, conditions, overriddenBy } = line;
  const limits = [bounds, conditions].filter((text) => text !== "").join(", ");
  const over = overriddenBy === undefined ? "" : ` (rule ${overriddenBy} decides over all of it)`;
  const what = `${allowed ? "allow" : "deny "}  ${operation.padEnd(9)}  ${filter}${limits === "" ? "" : ` ${limits}`}${over}`;
  return [what, `       ${place === "" ? "" : `${place}: `}rule ${rule}`];
}

function nameOf({ user, clientId }: ExplainOptions, { name }: Login): string {
  const who = user === undefined ? `A client without user name${name === "" ? "" : ` (${name})`}` : user;
  return clientId === "" ? who : `${who} as client ${clientId}`;
}

function jsonText(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
