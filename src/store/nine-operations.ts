import type { Qos } from "../codec/constants.ts";
import type { Later } from "./keeper.ts";

/** A message, as MQTT-Server's Store interface has it. `payload` must come back as bytes. */
export interface OperationsMessage {
  topic: string;
  payload: Uint8Array;
  qos: Qos;
  retain: boolean;
}

/** A session, as MQTT-Server's Store interface has it. */
export interface OperationsSession {
  clientId: string;
  cleanSession: boolean;
  /** In the order in which they come back. */
  subscriptions: { topic: string; qos: Qos }[];
}

/**
 * The operations of MQTT-Server's Store interface, and `close`. Each may answer at once or with a promise, which
 * resolves when what was given is safe, and keeps a call wholly or not at all.
 *
 * What MQTT knows goes where the interface has a place for it: sessions with their subscriptions by client identifier,
 * retained messages by topic. All else (what the shapes have no room for, what waits for whom, unfinished exchanges, an
 * index, since nothing here can be enumerated) is kept by the same operations under names that begin with `$mqtt-broker/`: further
 * sessions, whose subscriptions are names, further retained messages, whose payloads are records, and in each session
 * one more subscription. Leave them alone.
 *
 * A batch is first kept whole as one such retained message and then spread; a start spreads the last one again. So what
 * was acknowledged is never lost, and batches are atomic, as long as a single call is.
 *
 * What waits for clients does not go through `enqueueMessage` and `persistInflight`: `dequeueMessages` takes away what it
 * gives before it is safe elsewhere, so a crash at that moment would lose what was acknowledged, and what `persistInflight`
 * kept cannot be read again at all. These four are never called, and may be missing.
 */
export interface NineOperations {
  saveSession(clientId: string, session: OperationsSession): Later<void>;
  /** undefined or null when there is none. */
  loadSession(clientId: string): Later<OperationsSession | undefined | null>;
  /** Of one that may be missing. */
  deleteSession(clientId: string): Later<void>;
  /** An empty payload removes what the topic has, or is kept: both are understood. */
  storeRetained(topic: string, message: OperationsMessage): Later<void>;
  /** Of exactly this topic, wildcards or not; undefined or null when there is none. */
  getRetained(topic: string): Later<OperationsMessage | undefined | null>;
  enqueueMessage?(clientId: string, message: OperationsMessage): Later<void>;
  dequeueMessages?(clientId: string): Later<OperationsMessage[]>;
  persistInflight?(clientId: string, packetIdentifier: number, message: OperationsMessage): Later<void>;
  clearInflight?(clientId: string, packetIdentifier: number): Later<void>;
  /** The last call. */
  close?(): Later<void>;
}

export interface NineOptions {
  /**
   * Whether what `loadSession` or `getRetained` threw says only that there is nothing of the name. As it is, the texts
   * of MQTT-Server do: "session not found", "no retained message for topic".
   */
  isMissing?: (error: unknown) => boolean;
}
