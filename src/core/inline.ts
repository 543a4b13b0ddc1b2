import type { Qos } from "../codec/constants.ts";
import { NO_PROPERTIES, type Publish, type PublishProperties } from "../codec/packet.ts";
import { isTopicFilter } from "../topic/name.ts";
import type { Broker } from "./broker.ts";
import { Client, NO_PEER } from "./client.ts";
import { Message } from "./message.ts";
import { assertTopicName, packetOf } from "./publish.ts";

export interface PublishOptions {
  qos?: Qos;
  retain?: boolean;
  properties?: PublishProperties;
}

/** Called in the publisher's turn; `packet` and its payload are valid during the call only. */
export type InlineHandler = (packet: Publish) => void;

export class InlineSubscription {
  readonly topicFilter: string;
  private readonly handler: InlineHandler;
  private readonly broker: Broker;

  constructor(topicFilter: string, handler: InlineHandler, broker: Broker) {
    this.topicFilter = topicFilter;
    this.handler = handler;
    this.broker = broker;
  }

  /** A handler that throws must not take the publisher with it. */
  handle(packet: Publish): void {
    try {
      this.handler(packet);
    } catch (error) {
      this.broker.log.error("An inline subscription threw", {
        filter: this.topicFilter,
        reason: error instanceof Error ? (error.stack ?? error.message) : String(error),
      });
    }
  }
}

/** The program's own client: it is everywhere at once, passes no ACL and may write to `$SYS`. */
export class InlineClient {
  readonly client = new Client("inline", undefined, 5, true, 0, NO_PEER, true);
  private readonly broker: Broker;

  constructor(broker: Broker) {
    this.broker = broker;
  }

  /**
   * Publishes a message. Returns how many sessions it was for.
   * Throws TypeError for an invalid Topic Name or payload, RangeError for a QoS that does not exist and when the
   * retained limits forbid the message.
   */
  publish(topicName: string, payload: Uint8Array | string, options: PublishOptions = {}): number {
    assertTopicName(topicName);
    const { broker } = this;
    broker.turn();
    const bytes = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
    // Programs without a type checker get this far with anything, which would reach the wire.
    if (!(bytes instanceof Uint8Array)) {
      throw new TypeError(`Cannot publish to ${topicName}: the payload must be a string or a Uint8Array`);
    }
    const { qos = 0, retain = false } = options;
    if (qos !== 0 && qos !== 1 && qos !== 2)
      throw new RangeError(`Cannot publish to ${topicName}: there is no QoS ${qos}`);
    const { messageExpiryInterval, topicAlias, subscriptionIdentifiers, ...forwarded } = options.properties ?? {};
    const seconds = Math.min(
      messageExpiryInterval ?? Number.POSITIVE_INFINITY,
      broker.options.messageExpiryMax ?? Number.POSITIVE_INFINITY,
    );
    const message = new Message(
      topicName,
      qos,
      retain,
      Object.keys(forwarded).length === 0 ? NO_PROPERTIES : forwarded,
      broker.nowMs + seconds * 1000,
      bytes,
      0,
      bytes.length,
    );
    if (message.retain && !broker.retain(this.client, message)) {
      throw new RangeError(
        `Cannot retain a message of ${bytes.length} bytes at ${topicName}: over the retained limits`,
      );
    }
    const receivers = broker.send(message, broker.router.route(topicName), undefined);
    broker.reschedule();
    return receivers;
  }

  /** Gives the handler the retained messages at once, then every message. Returns the function that ends the subscription. Throws TypeError for an invalid Topic Filter. */
  subscribe(topicFilter: string, handler: InlineHandler): () => void {
    if (!isTopicFilter(topicFilter)) throw new TypeError(`Not a valid Topic Filter: ${topicFilter}`);
    const subscription = new InlineSubscription(topicFilter, handler, this.broker);
    this.broker.router.addInline(subscription);
    for (const message of this.broker.retained.match(topicFilter)) subscription.handle(packetOf(message));
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      this.broker.router.removeInline(subscription);
    };
  }
}
