import type { ProtocolVersion, Qos } from "../codec/constants.ts";
import type { PublishProperties, RetainHandling } from "../codec/packet.ts";

/** What the Stored hooks hand over at start: sessions and messages of an earlier run. */
export interface StoredClient {
  clientId: string;
  userName?: string | undefined;
  protocolVersion: ProtocolVersion;
  /** Seconds the session has left; 4,294,967,295 never expires. */
  sessionExpiryInterval: number;
}

export interface StoredSubscription {
  clientId: string;
  userName?: string | undefined;
  /** As subscribed, `$share/…` included. */
  topicFilter: string;
  qos: Qos;
  noLocal?: boolean;
  retainAsPublished?: boolean;
  retainHandling?: RetainHandling;
  subscriptionIdentifier?: number;
}

export interface StoredRetained {
  topicName: string;
  payload: Uint8Array;
  qos: Qos;
  properties?: PublishProperties;
  /** Seconds it has left; undefined when it does not expire. */
  expirySeconds?: number;
}

/** A message for one client: waiting, or under way when it has a packet identifier. Given in order. */
export interface StoredMessage extends StoredRetained {
  clientId: string;
  userName?: string | undefined;
  retain?: boolean;
  packetIdentifier?: number;
  /** True when PUBREC was received: only PUBREL is to be sent again. */
  released?: boolean;
  subscriptionIdentifiers?: readonly number[];
}
