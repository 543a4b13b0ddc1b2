import type { Qos } from "../../codec/constants.ts";

/** What was used, by whom: plain data, one line of JSON each in `traffic.jsonl` and on the control socket. No payloads, no secrets. */
export interface Traffic {
  readonly header: TrafficHeader;
  readonly clients: readonly TrafficClient[];
  readonly uses: readonly TrafficUse[];
  readonly refusals: readonly TrafficRefusal[];
}

export interface TrafficHeader {
  readonly type: "mqtt-broker-traffic";
  readonly format: 1;
  /** Wall clock when the record began, seconds since 1970. */
  readonly sinceSeconds: number;
  /** What the record had no room for; what was folded into a pattern is not counted here. */
  readonly droppedUses: number;
  readonly droppedClients: number;
}

/** How often and when; seconds since 1970 of the wall clock. */
export interface Seen {
  /** Decisions, not messages: verdicts are remembered, and a remembered one is not told again. */
  count: number;
  firstSeconds: number;
  lastSeconds: number;
}

/** Somebody who was let in. */
export interface TrafficClient extends Seen {
  readonly type: "client";
  /** As rules name it. */
  readonly name: string;
  /** undefined for anonymous clients. */
  readonly userName?: string | undefined;
  /** "" when many clients of one user were folded into one; `sampleClientId` is one of them. */
  readonly clientId: string;
  sampleClientId?: string;
  /** Of its entry; "" when there was none. */
  method: string;
  /** Those that a token gave. */
  groups: readonly string[];
  /** Where it was the last time. */
  address: string;
  local: boolean;
  listener: string;
  transport: string;
}

export type Operation = "publish" | "subscribe" | "receive";

/** A topic that a client used, or wanted to. */
export interface TrafficUse extends Seen {
  readonly type: "use";
  readonly name: string;
  /** As of its TrafficClient. */
  readonly clientId: string;
  readonly operation: Operation;
  /** A Topic Name; for "subscribe" a Topic Filter with wildcards (a filter without them is a "receive": the same rules decide). */
  readonly topic: string;
  readonly allowed: boolean;
  /** Up to which QoS and whether with RETAIN, where rules set bounds; absent: no bounds. */
  maximumQos?: Qos;
  retain?: boolean;
  /** The record had no room: `topic` is a pattern of several, with `+` for a level or `%c` for the Client Identifier. */
  folded?: true;
  /** One of those that were folded. */
  sampleTopic?: string;
  sampleClientId?: string;
}

/** Somebody who was not let in. */
export interface TrafficRefusal extends Seen {
  readonly type: "refused";
  /** As given; not proven. */
  readonly userName?: string | undefined;
  readonly clientId: string;
  readonly address: string;
  readonly local: boolean;
  readonly listener: string;
  readonly transport: string;
  reason: string;
}

export type TrafficLine = TrafficHeader | TrafficClient | TrafficUse | TrafficRefusal;

/** What stands for the Client Identifier in a folded topic; and in `clientId` for any client: no client that was let in has an empty one. */
export const CLIENT_ID_MARK = "%c";
export const ANY_CLIENT = "";

/** The text is no record of traffic. The message says on which line, and what to do is the reader's to say. */
export class TrafficError extends Error {
  constructor(line: number, message: string) {
    super(`line ${line}: ${message}`);
    this.name = "TrafficError";
  }
}

/** Reads a record's lines. Throws TrafficError at the first that is damaged: half a record would mislead. */
export function parseTraffic(text: string): Traffic {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return readTraffic(lines.map((line, index) => parseLine(line, index + 1)));
}

/** The same from values, as the control socket gives them. */
export function readTraffic(values: Iterable<unknown>): Traffic {
  let header: TrafficHeader | undefined;
  const clients: TrafficClient[] = [];
  const uses: TrafficUse[] = [];
  const refusals: TrafficRefusal[] = [];
  let number = 0;
  for (const value of values) {
    number++;
    const line = checked(value, number);
    if (line.type === "client") clients.push(line);
    else if (line.type === "use") uses.push(line);
    else if (line.type === "refused") refusals.push(line);
    else if (header === undefined) header = line;
    else throw new TrafficError(number, "A second beginning: two records in one file");
    if (header === undefined) throw new TrafficError(number, "A record of traffic begins with a line that says so");
  }
  if (header === undefined) throw new TrafficError(1, "Nothing in it");
  return { header, clients, uses, refusals };
}

function parseLine(line: string, number: number): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new TrafficError(number, "Not JSON");
  }
}

type Kind = "text" | "number" | "boolean" | "texts" | "optional text" | "optional boolean" | "optional qos";

const SEEN = { count: "number", firstSeconds: "number", lastSeconds: "number" } as const;
const PLACE = { address: "text", local: "boolean", listener: "text", transport: "text" } as const;
/** What each type of line has. */
const FIELDS: Readonly<Record<TrafficLine["type"], Readonly<Record<string, Kind>>>> = {
  "mqtt-broker-traffic": {
    format: "number",
    sinceSeconds: "number",
    droppedUses: "number",
    droppedClients: "number",
  },
  client: {
    name: "text",
    userName: "optional text",
    clientId: "text",
    sampleClientId: "optional text",
    method: "text",
    groups: "texts",
    ...PLACE,
    ...SEEN,
  },
  use: {
    name: "text",
    clientId: "text",
    operation: "text",
    topic: "text",
    allowed: "boolean",
    maximumQos: "optional qos",
    retain: "optional boolean",
    folded: "optional boolean",
    sampleTopic: "optional text",
    sampleClientId: "optional text",
    ...SEEN,
  },
  refused: { userName: "optional text", clientId: "text", reason: "text", ...PLACE, ...SEEN },
};
const OPERATIONS: readonly unknown[] = ["publish", "subscribe", "receive"] satisfies Operation[];

function checked(value: unknown, number: number): TrafficLine {
  if (typeof value !== "object" || value === null) throw new TrafficError(number, "Not an object");
  const line = value as Readonly<Record<string, unknown>>;
  const { type } = line;
  if (typeof type !== "string" || !Object.hasOwn(FIELDS, type)) {
    throw new TrafficError(number, `Of no known type: ${JSON.stringify(type)}`);
  }
  for (const [name, kind] of Object.entries(FIELDS[type as TrafficLine["type"]])) {
    if (!isOf(kind, line[name])) throw new TrafficError(number, `${name} must be ${kind}`);
  }
  if (type === "mqtt-broker-traffic" && line.format !== 1) {
    throw new TrafficError(number, `Format ${line.format}, which is newer than this program: it knows format 1`);
  }
  if (type === "use" && !OPERATIONS.includes(line.operation)) {
    throw new TrafficError(number, `operation must be one of ${OPERATIONS.join(", ")}`);
  }
  return value as TrafficLine;
}

function isOf(kind: Kind, value: unknown): boolean {
  switch (kind) {
    case "text":
      return typeof value === "string";
    case "number":
      return typeof value === "number" && Number.isFinite(value) && value >= 0;
    case "boolean":
      return typeof value === "boolean";
    case "texts":
      return Array.isArray(value) && value.every((text) => typeof text === "string");
    case "optional text":
      return value === undefined || typeof value === "string";
    case "optional boolean":
      return value === undefined || typeof value === "boolean";
    case "optional qos":
      return value === undefined || value === 0 || value === 1 || value === 2;
  }
}
