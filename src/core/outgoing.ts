import type { Qos } from "../codec/constants.ts";
import type { Message } from "./message.ts";
import type { SharedGroup } from "./shared-group.ts";

/** How far a message has come on its way to one client, §4.3. */
export const OutgoingState = { Waiting: 0, AwaitPuback: 1, AwaitPubrec: 2, AwaitPubcomp: 3 } as const;
export type OutgoingState = (typeof OutgoingState)[keyof typeof OutgoingState];

/** One message for one session, in its queue or under way. */
export class Outgoing {
  readonly message: Message;
  readonly qos: Qos;
  readonly retain: boolean;
  readonly subscriptionIdentifiers: readonly number[] | undefined;
  /** The share through which this session got it, so that another member can take it over. */
  readonly group: SharedGroup | undefined;
  readonly queuedAtMs: number;
  state: OutgoingState;
  packetIdentifier: number;
  /** Order of sending, which is the order of resending, 5.0 [MQTT-4.6.0-1]; while it waits, its place in the queue. */
  sequence: number;
  /** Times it was sent before; above 0 sets DUP. */
  sendings: number;
  /** True when it counts against the send quota of the present connection. */
  sentOnConnection: boolean;
  /** Of its record in the store's queue; 0 when it has none. */
  key: number;
  /** Of the record of its message that this one refers to; 0 when it has the message in itself. */
  recordKey: number;
  /** The journal's batch that its record was put into, and the place there. */
  batch: number;
  batchAt: number;
  /** The batch that must be on disk before PUBREL may be sent; 0 when nothing is waited for. */
  releasedBatch: number;
  /** The generation of verdicts (see Permissions) by which its receiver may have it; -1: it has to be asked. */
  judged: number;

  constructor(
    message: Message,
    qos: Qos,
    retain: boolean,
    subscriptionIdentifiers: readonly number[] | undefined,
    group: SharedGroup | undefined,
    queuedAtMs: number,
  ) {
    this.message = message;
    this.qos = qos;
    this.retain = retain;
    this.subscriptionIdentifiers = subscriptionIdentifiers;
    this.group = group;
    this.queuedAtMs = queuedAtMs;
    this.state = OutgoingState.Waiting;
    this.packetIdentifier = 0;
    this.sequence = 0;
    this.sendings = 0;
    this.sentOnConnection = false;
    this.key = 0;
    this.recordKey = 0;
    this.batch = 0;
    this.batchAt = 0;
    this.releasedBatch = 0;
    this.judged = -1;
  }
}
