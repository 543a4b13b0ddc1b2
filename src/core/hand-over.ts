import type { Qos } from "../codec/constants.ts";
import type { Delivery } from "./delivery.ts";
import type { Outgoing } from "./outgoing.ts";
import { packetOf } from "./publish.ts";

// Where messages go that their session cannot deliver: those of a share to its other members, 5.0 §4.8.2.

/** The session has ended: shared messages go to other members, the rest is dropped. */
export function handOverAll(delivery: Delivery): void {
  const { queued, inflight, session, sentKey } = delivery;
  delivery.backlogs = undefined;
  const { archive } = delivery.broker;
  if (archive !== undefined) {
    const { queues } = archive;
    for (const outgoing of inflight?.inOrder() ?? []) queues.disown(outgoing);
    for (const outgoing of queued?.queue.waiting() ?? []) queues.disown(outgoing);
    const tail = queued?.takeTail();
    if (tail !== undefined) {
      queues.endTail(session, tail, (outgoing) => {
        // 5.0 [MQTT-4.8.2-5]: what was under way before a restart goes to nobody else.
        if (outgoing.qos === 2 && outgoing.key <= sentKey) delivery.dropped(outgoing.message, "sessionEnded");
        else handOver(delivery, outgoing);
      });
    }
  }
  handOverInflight(delivery);
  delivery.handOverWaiting(() => true);
}

/** Gives one message to another member of its share, or drops it. */
export function handOver(delivery: Delivery, outgoing: Outgoing): void {
  const { message, group, qos } = outgoing;
  const { permissions, hooks, nowMs } = delivery.broker;
  if (message.expiresAtMs <= nowMs) {
    delivery.dropped(message, "expired");
    return;
  }
  const member = group?.select(hooks, () => packetOf(message), permissions.receivers(message.topicName));
  if (member === undefined) {
    delivery.dropped(message, "sessionEnded");
    return;
  }
  const { session } = member;
  const least = Math.min(message.qos, member.qos, qos) as Qos;
  const lowered = permissions.lowered(session.client, message.topicName, least);
  session.delivery.deliver(message, lowered, outgoing.retain, member.subscriptionIdentifiers, group);
}

/** QoS 1 messages of a share go to another member; QoS 2 ones must not, 5.0 [MQTT-4.8.2-5]. */
function handOverInflight(delivery: Delivery): void {
  const { broker, inflight, session } = delivery;
  if (inflight === undefined) return;
  delivery.inflight = undefined;
  for (const outgoing of inflight.inOrder()) {
    broker.counters.inflight--;
    if (outgoing.qos === 1 && outgoing.group !== undefined) handOver(delivery, outgoing);
    else if (broker.hooks.present.onQosDropped) {
      broker.hooks.notify("onQosDropped", session.client, packetOf(outgoing.message, outgoing));
    }
  }
}
