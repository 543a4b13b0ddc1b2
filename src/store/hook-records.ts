import { NO_PROPERTIES, type PublishProperties, RetainHandling } from "../codec/packet.ts";
import type { Hook } from "../core/hooks.ts";
import { encodeMessage, type MessageRecord } from "../core/message-record.ts";
import { encodeQueued, QueueForm, SLOTS_PER_BLOCK } from "../core/queue-record.ts";
import { encodeSession, encodeSubscription, nameBytes } from "../core/records.ts";
import { type StoreLoss, type StoreTable, Table } from "../core/store.ts";
import { isShared, isTopicFilter, isTopicName, parseShared } from "../topic/name.ts";
import type { HookOperations } from "./hook-operations.ts";
import { joined, putOf } from "./keeper.ts";

type Given<M extends "storedClients" | "storedSubscriptions" | "storedInflightMessages" | "storedRetainedMessages"> =
  ReturnType<NonNullable<Hook[M]>>[number];
type StoredRetained = Given<"storedRetainedMessages">;
type StoredMessage = Given<"storedInflightMessages">;

const IDENTIFIER_MAX = 65_535;

/** What the hooks give of one client. */
interface Found {
  number: number;
  messages: StoredMessage[];
}

/**
 * Asks the Stored… hooks and says in records what they hand over. What cannot be used is told and left out. Every
 * client counts as cut off just now.
 */
export async function recordsOfHooks(hooks: HookOperations, lose: (loss: StoreLoss) => void): Promise<Uint8Array> {
  const records: Uint8Array[] = [];
  const sessions = new Map<string, Found>();
  const put = (table: Table, key: number, name: string, value: Uint8Array) =>
    records.push(putOf(table, key, nameBytes(name), value));
  const each = <T>(
    table: StoreTable,
    all: readonly T[],
    name: (one: T) => string,
    use: (one: T, at: number) => void,
  ) => {
    for (const [at, one] of all.entries()) {
      try {
        use(one, at + 1);
      } catch (error) {
        lose({ table, key: 0, name: name(one), reason: (error as Error).message });
      }
    }
  };
  const clients = (await hooks.storedClients?.()) ?? [];
  each("session", clients, nameOf, (stored, number) => {
    const key = keyOf(stored);
    demand(!sessions.has(key), "its session is there already");
    put(Table.Session, number, stored.clientId, sessionOf(stored));
    sessions.set(key, { number, messages: [] });
  });
  const found = (of: { clientId: string; userName?: string | undefined }): Found => {
    const session = sessions.get(keyOf(of));
    demand(session !== undefined, "it has no session");
    return session;
  };
  each("subscription", (await hooks.storedSubscriptions?.()) ?? [], nameOf, (stored, key) => {
    const session = found(stored).number;
    const { topicFilter, qos, noLocal, retainAsPublished, retainHandling, subscriptionIdentifier } = stored;
    const filter = parseShared(topicFilter)?.filter ?? topicFilter;
    demand(isTopicFilter(filter) && (filter !== topicFilter || !isShared(topicFilter)), "not a valid Topic Filter");
    demandQos(qos);
    const value = encodeSubscription({
      session,
      topicFilter,
      qos,
      noLocal: noLocal ?? false,
      retainAsPublished: retainAsPublished ?? false,
      retainHandling: retainHandling ?? RetainHandling.SendAtSubscribe,
      subscriptionIdentifier,
    });
    put(Table.Subscription, key, topicFilter, value);
  });
  each("retained", (await hooks.storedRetainedMessages?.()) ?? [], nameOf, (stored, key) => {
    const message = messageOf(stored, true);
    demand(message.payload.length > 0, "it has no payload");
    put(Table.Retained, key, stored.topicName, encodeMessage(message));
  });
  each("queue", (await hooks.storedInflightMessages?.()) ?? [], nameOf, (stored) => {
    messageOf(stored, stored.retain ?? false);
    found(stored).messages.push(stored);
  });
  for (const session of sessions.values()) {
    const { number, messages } = session;
    each("queue", messages, nameOf, (stored, slot) => {
      const key = number * SLOTS_PER_BLOCK + slot;
      put(Table.Queue, key, stored.released === true ? "" : stored.topicName, queuedOf(stored, number));
    });
  }
  const info = await hooks.storedSysInfo?.();
  if (info !== undefined) put(Table.Totals, 0, "", nameBytes(JSON.stringify(info)));
  return joined(records);
}

function sessionOf(stored: Given<"storedClients">): Uint8Array {
  const { clientId, userName, protocolVersion, sessionExpiryInterval } = stored;
  demand(typeof clientId === "string" && clientId !== "", "it has no client identifier");
  demand([3, 4, 5].includes(protocolVersion), "its protocol version is unknown");
  demand(sessionExpiryInterval >= 0 && sessionExpiryInterval <= 0xffff_ffff, "its session expiry is out of range");
  return encodeSession({
    clientId,
    userName,
    protocolVersion,
    stored: true,
    connected: true,
    expiryIntervalSeconds: Math.ceil(sessionExpiryInterval),
    expiresAtMs: Number.POSITIVE_INFINITY,
    responseTopic: undefined,
    // Nobody has said how many messages were under way.
    sentKey: 65_535,
    will: undefined,
    willDueAtMs: Number.POSITIVE_INFINITY,
  });
}

function queuedOf(stored: StoredMessage, session: number): Uint8Array {
  const { qos, packetIdentifier, topicName, payload, subscriptionIdentifiers } = stored;
  const retain = stored.retain ?? false;
  const isReleased = stored.released === true;
  // Without one nobody could say later that it is complete, and it would come again at every start.
  demand(qos !== 0 && isIdentifier(packetIdentifier), "it has no packet identifier");
  return encodeQueued({
    form: isReleased ? QueueForm.Released : QueueForm.Whole,
    qos,
    retain,
    packetIdentifier,
    countedBytes: isReleased ? 0 : payload.length + topicName.length,
    session,
    queuedAtMs: 0,
    message: 0,
    subscriptionIdentifiers,
    share: undefined,
    whole: isReleased ? undefined : messageOf(stored, retain),
  });
}

function messageOf(stored: StoredRetained, retain: boolean): MessageRecord {
  const { topicName, payload, qos } = stored;
  demand(typeof topicName === "string", "it has no Topic Name");
  demand((stored as StoredMessage).released === true || isTopicName(topicName), "not a valid Topic Name");
  demand(payload instanceof Uint8Array, "its payload is not bytes");
  demandQos(qos);
  const given: PublishProperties = stored.properties ?? NO_PROPERTIES;
  const { messageExpiryInterval, topicAlias: _, subscriptionIdentifiers: __, ...properties } = given;
  const seconds = stored.expirySeconds ?? messageExpiryInterval ?? Number.POSITIVE_INFINITY;
  demand(seconds >= 0, "its expiry is not a number of seconds");
  return { topicName, qos, retain, properties, expiresAtMs: seconds * 1000, payload };
}

function isIdentifier(value: number | undefined): value is number {
  return value !== undefined && Number.isInteger(value) && value >= 1 && value <= IDENTIFIER_MAX;
}

function demandQos(qos: number): void {
  demand(qos === 0 || qos === 1 || qos === 2, "not a QoS");
}

/** U+0000 is in no MQTT string. */
function keyOf({ clientId, userName }: { clientId: string; userName?: string | undefined }): string {
  return userName === undefined ? clientId : `${clientId}\u0000${userName}`;
}

function nameOf(stored: { clientId?: string; topicFilter?: string; topicName?: string }): string {
  return stored.topicFilter ?? stored.topicName ?? stored.clientId ?? "";
}

function demand(holds: boolean, reason: string): asserts holds {
  if (!holds) throw new Error(reason);
}
