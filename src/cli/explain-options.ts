import { isIP } from "node:net";
import { TRANSPORTS } from "../auth/rules/from.ts";
import type { Qos } from "../codec/constants.ts";
import type { Peer } from "../core/ports.ts";
import { isTopicFilter, isTopicName, parseShared } from "../topic/name.ts";
import { UsageError } from "./client-io.ts";
import { choose, readWords, type WordOption, type Words } from "./words.ts";

/** What may be asked about. */
export const OPERATIONS = ["publish", "subscribe", "receive"] as const;
export type Operation = (typeof OPERATIONS)[number];

/** The options of `explain`. */
export const EXPLAIN_OPTIONS: Readonly<Record<string, WordOption>> = {
  user: { takes: "the name of a user" },
  anonymous: {},
  "client-id": { takes: "a Client Identifier" },
  from: { takes: "an address, or local" },
  listener: { takes: "the name of a listener" },
  transport: { takes: `one of ${TRANSPORTS.join(", ")}` },
  qos: { takes: "0, 1 or 2" },
  retain: {},
  all: {},
  json: {},
  "auth-file": { takes: "the path of a file" },
  config: { takes: "the path of a file" },
};

/** One question to the rules. */
export interface Question {
  operation: Operation;
  /** A Topic Name; for `subscribe` a Topic Filter, without what makes it shared. */
  topic: string;
  qos: Qos;
  retain: boolean;
}

export interface ExplainOptions {
  /** undefined: a client without user name and password. */
  user: string | undefined;
  clientId: string;
  peer: Peer;
  /** "192.168.1.7", "this machine". */
  whence: string;
  /** undefined with --all. */
  question: Question | undefined;
  json: boolean;
  authFile: string | undefined;
  config: string | undefined;
}

/** Reads the words after `explain`. Returns "help" when that is asked for; throws UsageError. */
export function parseExplainOptions(argv: readonly string[]): ExplainOptions | "help" {
  const words = readWords("explain", argv, EXPLAIN_OPTIONS);
  if (words.help || argv.length === 0 || words.plain[0] === "help") return "help";
  if (words.has("user") === words.has("anonymous")) {
    throw new UsageError("Who is it? Give --user NAME, or --anonymous for a client without user name and password");
  }
  const from = words.value("from") ?? "local";
  return {
    user: words.value("user"),
    clientId: words.value("client-id") ?? "",
    peer: peerOf(words, from),
    whence: from === "local" ? "this machine" : from,
    question: words.has("all") ? noQuestion(words) : questionOf(words),
    json: words.has("json"),
    authFile: words.value("auth-file"),
    config: words.value("config"),
  };
}

function noQuestion(words: Words): undefined {
  const [word] = words.plain;
  if (word !== undefined)
    throw new UsageError(`--all asks about every topic: ${JSON.stringify(word)} is one word too many`);
  const other = ["qos", "retain"].find((name) => words.has(name));
  if (other !== undefined) throw new UsageError(`--${other} belongs to a question about one topic, not to --all`);
  return undefined;
}

function questionOf(words: Words): Question {
  const [word, topic, extra] = words.plain;
  if (word === undefined || topic === undefined) {
    throw new UsageError("What is the question? Give publish, subscribe or receive, and a topic; or --all");
  }
  if (extra !== undefined)
    throw new UsageError(`Unexpected argument ${JSON.stringify(extra)}: a topic with blanks needs quotes`);
  const operation = choose("operation", word, OPERATIONS, "publish, subscribe or receive");
  const qos = Number(words.value("qos") ?? "0");
  if (qos !== 0 && qos !== 1 && qos !== 2) throw new UsageError("--qos needs 0, 1 or 2");
  if (words.has("retain") && operation !== "publish") throw new UsageError("--retain belongs to publish");
  return { operation, topic: topicOf(operation, topic), qos, retain: words.has("retain") };
}

function topicOf(operation: Operation, text: string): string {
  if (operation === "subscribe") {
    if (!isTopicFilter(text)) throw new UsageError(`Not a valid Topic Filter: ${JSON.stringify(text)}`);
    return parseShared(text)?.filter ?? text;
  }
  if (isTopicName(text)) return text;
  const hint = isTopicFilter(text) ? ": wildcards are for subscribe" : "";
  throw new UsageError(`Not a valid Topic Name: ${JSON.stringify(text)}${hint}`);
}

/** Somebody at the other end as the transport would know it. */
function peerOf(words: Words, from: string): Peer {
  const transport = words.has("transport")
    ? choose("transport", words.value("transport")!, TRANSPORTS, `one of ${TRANSPORTS.join(", ")}`)
    : "tcp";
  if (from !== "local" && isIP(from) === 0) {
    throw new UsageError(`--from needs an address such as 192.168.1.7, or local, not ${JSON.stringify(from)}`);
  }
  const host = from === "local" ? "127.0.0.1" : from;
  const local = from === "local" || host.startsWith("127.") || host === "::1";
  const address = transport === "unix" ? "" : host.includes(":") ? `[${host}]:0` : `${host}:0`;
  return { address, local: local || transport === "unix", listener: words.value("listener") ?? transport, transport };
}

export const EXPLAIN_HELP = `Usage: mqtt-broker explain WHO publish|subscribe|receive TOPIC [--qos N] [--retain]
       mqtt-broker explain WHO --all

Says whether a user may use a topic, which rule of auth.json5 decides, and which would without it. No broker is needed.

Who:
  --user NAME             That user
  --anonymous             A client without user name and password
  --client-id ID          Its Client Identifier, for rules with clientId or %c
  --from ADDRESS          Where it connects from, 192.168.1.7; default: local, this machine
  --listener NAME         The listener that it connects to
  --transport NAME        ${TRANSPORTS.join(", ")}; default: tcp

What:
  publish TOPIC           May it send there? With --qos and --retain as the message has them
  subscribe FILTER        Is the subscription taken?
  receive TOPIC           Is a message of that topic delivered to it?
  --all                   List all that it may do

Options:
  --json                  As JSON
  --auth-file FILE        The file of users and rules; else the one that \`run\` would use here
  --config FILE           The configuration that says where that file is

Exit codes: 0 allowed, 1 denied, 2 usage, or a file with errors.
`;
