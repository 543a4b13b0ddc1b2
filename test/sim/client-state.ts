import type { SimMessage } from "./message.ts";

const PACKET_IDENTIFIER_MAX = 65_535;

/** How far a message of the client's own has come. */
export interface Sent {
  message: SimMessage;
  payload: string;
  /** PUBREC came: only PUBREL is sent again. */
  released: boolean;
}

/**
 * The client's side of a session, 4.1 of both versions, as a client keeps it that is correct: it survives the
 * connection, and is thrown away when the broker has no session.
 */
export class ClientState {
  /** Own messages that are not complete, in the order of sending. */
  readonly outgoing = new Map<number, Sent>();
  /** QoS 2 messages that were received and not released, by identifier. */
  readonly incoming = new Map<number, string>();
  /** Identifiers of SUBSCRIBE and UNSUBSCRIBE of this connection. */
  readonly requests = new Map<number, (codes: readonly number[]) => void>();
  /** PUBLISH packets of this connection that were not acknowledged, by identifier. */
  readonly unanswered = new Map<number, string>();

  /** It holds anything that stands for a session of the broker's. */
  get isUsed(): boolean {
    return this.outgoing.size > 0 || this.incoming.size > 0;
  }

  /** The lowest that is free, so that identifiers are used again as soon as possible. */
  freeIdentifier(): number {
    for (let identifier = 1; identifier <= PACKET_IDENTIFIER_MAX; identifier++) {
      if (!this.outgoing.has(identifier) && !this.requests.has(identifier)) return identifier;
    }
    throw new Error("No packet identifier is free");
  }

  connectionLost(): void {
    this.requests.clear();
    this.unanswered.clear();
  }

  sessionLost(): void {
    this.outgoing.clear();
    this.incoming.clear();
  }
}
