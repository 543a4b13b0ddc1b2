import type { Qos } from "../codec/constants.ts";
import type { Broker } from "./broker.ts";
import type { Connection } from "./connection.ts";
import type { Delivery } from "./delivery.ts";
import type { Message } from "./message.ts";
import { packetOf } from "./publish.ts";
import type { Session } from "./session.ts";
import type { Subscription } from "./subscription.ts";

/**
 * The retained messages that one new subscription is still to be sent: looked up when its turn comes, and handed out as
 * the client takes them. So neither a subscription to everything nor ten thousand of them need room for everything.
 */
export class RetainedBacklog {
  private readonly topicFilter: string;
  private readonly broker: Broker;
  private readonly sequence: number;
  private messages: Message[] | undefined = undefined;
  private position = 0;

  constructor(topicFilter: string, broker: Broker) {
    this.topicFilter = topicFilter;
    this.broker = broker;
    this.sequence = broker.retained.sequence;
  }

  /**
   * The next message, undefined after the last. What was stored, replaced or removed since the subscription is passed
   * over: the receiver got the new one, and must not get an old value after it.
   */
  next(session: Session): Message | undefined {
    const { broker } = this;
    const { permissions } = broker;
    this.messages ??= broker.retainedFor(session, this.topicFilter);
    while (this.position < this.messages.length) {
      const message = this.messages[this.position++]!;
      const { retainedSequence } = message;
      const isWanted = retainedSequence > 0 && retainedSequence <= this.sequence;
      if (!isWanted || message.expiresAtMs <= broker.nowMs) continue;
      // Asked now, since the rules may have changed since the subscription.
      if (!permissions.asked || permissions.mayReceive(session.client, message.topicName)) return message;
    }
    return undefined;
  }
}

/** Retained messages go out in the order in which they were asked for, as many as the client takes now. */
export function sendBacklogs(
  delivery: Delivery,
  backlogs: Map<Subscription, RetainedBacklog>,
  connection: Connection,
): void {
  const { session, broker } = delivery;
  for (const [subscription, backlog] of backlogs) {
    // A hook may have dropped it from inside the loop.
    while (backlogs.has(subscription)) {
      if (!connection.writable || session.connection !== connection) return;
      // As many as may be under way at once: those of QoS 2 wait for the disk together.
      if (subscription.qos !== 0 && delivery.waiting + delivery.underWay >= connection.sendQuota) return;
      const message = backlog.next(session);
      if (message === undefined) break;
      const qos = Math.min(subscription.qos, message.qos) as Qos;
      delivery.deliver(
        message,
        broker.permissions.lowered(session.client, message.topicName, qos),
        true,
        subscription.subscriptionIdentifiers,
        undefined,
      );
      if (broker.hooks.present.onRetainPublished) {
        broker.hooks.notify("onRetainPublished", session.client, packetOf(message));
      }
    }
    backlogs.delete(subscription);
  }
  if (delivery.backlogs === backlogs) delivery.backlogs = undefined;
}
