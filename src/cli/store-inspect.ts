import { decodeMessage } from "../core/message-record.ts";
import { decodeQueueHead } from "../core/queue-record.ts";
import {
  type ClockRecord,
  decodeClock,
  decodeSession,
  decodeSubscription,
  IDENTIFIERS_PER_SESSION,
  type SessionRecord,
} from "../core/records.ts";
import { Table } from "../core/store.ts";
import { formatDuration } from "../text/duration.ts";
import type { RecordSource } from "./store-export.ts";
import { timeToJson } from "./store-line.ts";

/** What a person wants to know of a store: who has a session, what waits for whom, what is retained. */
export interface Contents {
  /** undefined in a store that no broker has used yet. */
  clock: ClockRecord | undefined;
  sessions: SessionSummary[];
  retained: RetainedSummary[];
  /** Payloads that wait for several sessions and are kept once. */
  sharedMessages: number;
}

interface SessionSummary
  extends Pick<SessionRecord, "clientId" | "userName" | "protocolVersion" | "connected" | "expiresAtMs"> {
  subscriptions: string[];
  queuedMessages: number;
  queuedBytes: number;
  /** QoS 2 messages from the client that it has not released yet. */
  incoming: number;
}

interface RetainedSummary {
  topicName: string;
  bytes: number;
  qos: number;
  expiresAtMs: number;
}

/** Reads it. Records that cannot be understood are passed to `onUnknown` and left out. */
export function readContents(source: RecordSource, onUnknown: (what: string) => void): Contents {
  const sessions = new Map<number, SessionSummary>();
  const contents: Contents = { clock: undefined, sessions: [], retained: [], sharedMessages: 0 };
  const each = (table: Table, read: (key: number, name: Uint8Array, value: Uint8Array) => void): void => {
    for (const { key, name, value } of source.records(table)) {
      try {
        read(key, name, value);
      } catch (error) {
        onUnknown(`${TABLE_NAMES[table] ?? table} ${key}: ${(error as Error).message}`);
      }
    }
  };
  each(Table.Clock, (_, _name, value) => {
    contents.clock = decodeClock(value);
  });
  each(Table.Session, (key, name, value) => {
    const { clientId, userName, protocolVersion, connected, expiresAtMs } = decodeSession(name, value);
    const nothing = { subscriptions: [], queuedMessages: 0, queuedBytes: 0, incoming: 0 };
    sessions.set(key, { clientId, userName, protocolVersion, connected, expiresAtMs, ...nothing });
  });
  each(Table.Subscription, (_, name, value) => {
    const { session, topicFilter } = decodeSubscription(name, value);
    sessions.get(session)?.subscriptions.push(topicFilter);
  });
  each(Table.Incoming, (key) => {
    const session = sessions.get(Math.floor(key / IDENTIFIERS_PER_SESSION));
    if (session !== undefined) session.incoming++;
  });
  each(Table.Queue, (_, _name, value) => {
    const head = decodeQueueHead(value, 0, value.length);
    const session = sessions.get(head.session);
    if (session === undefined) return;
    session.queuedMessages++;
    session.queuedBytes += head.countedBytes;
  });
  each(Table.Message, () => {
    contents.sharedMessages++;
  });
  each(Table.Retained, (_, name, value) => {
    const { topicName, qos, expiresAtMs, payload } = decodeMessage(name, value, 0, value.length);
    contents.retained.push({ topicName, bytes: payload.length, qos, expiresAtMs });
  });
  contents.sessions = [...sessions.values()].sort((a, b) => compare(a.clientId, b.clientId));
  contents.retained.sort((a, b) => compare(a.topicName, b.topicName));
  return contents;
}

const TABLE_NAMES: Readonly<Record<number, string>> = {
  [Table.Clock]: "clock",
  [Table.Session]: "session",
  [Table.Subscription]: "subscription",
  [Table.Queue]: "queue",
  [Table.Retained]: "retained",
};

/** One JSON document. Times are milliseconds of the broker's age, null for never. */
export function contentsToJson({ clock, sessions, retained, sharedMessages }: Contents): object {
  return {
    clock: clock ?? null,
    sessions: sessions.map((session) => ({
      ...session,
      userName: session.userName ?? null,
      expiresAtMs: timeToJson(session.expiresAtMs),
    })),
    retained: retained.map((message) => ({ ...message, expiresAtMs: timeToJson(message.expiresAtMs) })),
    sharedMessages,
  };
}

/** Tables for a terminal. Ends with a newline. */
export function contentsToText({ clock, sessions, retained, sharedMessages }: Contents): string {
  const ageMs = clock?.ageMs ?? 0;
  const left = (expiresAtMs: number): string =>
    expiresAtMs === Number.POSITIVE_INFINITY
      ? "never"
      : `in ${formatDuration(rounded(Math.max(0, expiresAtMs - ageMs)))}`;
  const sessionRows = sessions.map((session) => [
    printable(session.clientId),
    printable(session.userName ?? "-"),
    VERSIONS[session.protocolVersion],
    session.connected ? "connected" : left(session.expiresAtMs),
    String(session.subscriptions.length),
    String(session.queuedMessages),
    String(session.queuedBytes),
    String(session.incoming),
  ]);
  const retainedRows = retained.map(({ topicName, bytes, qos, expiresAtMs }) => [
    printable(topicName),
    String(bytes),
    String(qos),
    left(expiresAtMs),
  ]);
  const written = clock === undefined ? "never" : new Date(clock.wallMs).toISOString();
  return [
    `Written last: ${written}${clock?.trusted === false ? " by a clock that was not trusted" : ""}`,
    `Payloads kept once for several sessions: ${sharedMessages}`,
    "",
    countOf(sessions.length, "session"),
    ...columns(["CLIENT", "USER", "MQTT", "ENDS", "SUBSCRIPTIONS", "QUEUED", "BYTES", "INCOMING"], sessionRows),
    "",
    countOf(retained.length, "retained message"),
    ...columns(["TOPIC", "BYTES", "QOS", "EXPIRES"], retainedRows),
  ]
    .map((line) => `${line}\n`)
    .join("");
}

/** "1 session", "2 sessions". */
export function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : noun.endsWith("s") ? "es" : "s"}`;
}

const VERSIONS = { 3: "3.1", 4: "3.1.1", 5: "5.0" } as const;

function columns(titles: readonly string[], rows: readonly (readonly string[])[]): string[] {
  if (rows.length === 0) return [];
  const all = [titles, ...rows];
  const widths = titles.map((_, column) => all.reduce((widest, row) => Math.max(widest, row[column]!.length), 0));
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join("  ")
      .trimEnd(),
  );
}

/** Names are anybody's, and may not move the cursor of a terminal. */
function printable(name: string): string {
  return /^[^\p{C}\s"][^\p{C}\n"]*$/u.test(name) ? name : JSON.stringify(name).replace(/\p{C}/gu, escapeOf);
}

function escapeOf(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}

/** To minutes beyond an hour, to hours beyond a day: more would say more than is known. */
function rounded(ms: number): number {
  const unit = ms > 86_400_000 ? 3_600_000 : ms > 3_600_000 ? 60_000 : 1000;
  return Math.round(ms / unit) * unit;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
