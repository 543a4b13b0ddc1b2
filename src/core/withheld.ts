import type { Connection } from "./connection.ts";
import type { Delivery } from "./delivery.ts";
import { type Outgoing, OutgoingState } from "./outgoing.ts";
import { packetOf } from "./publish.ts";

// What was meant for a client and is not sent after all: it has become too old, or the client may not have it any more.

/** 5.0 [MQTT-3.3.2-5]: what has expired before its delivery began is deleted. It is counted as dropped here. */
export function isTooOld(delivery: Delivery, outgoing: Outgoing): boolean {
  const { nowMs, limits } = delivery.broker;
  if (outgoing.state === OutgoingState.AwaitPubcomp) return false;
  if (outgoing.message.expiresAtMs <= nowMs) delivery.dropped(outgoing.message, "expired");
  else if (limits.queuedAgeMs > 0 && nowMs - outgoing.queuedAtMs > limits.queuedAgeMs) {
    delivery.dropped(outgoing.message, "queueAge");
  } else return false;
  return true;
}

/**
 * Rights are asked again for what waited: they may have changed, and so may who the client is. What is denied is counted
 * as dropped here.
 */
export function isDenied(delivery: Delivery, outgoing: Outgoing, { mount }: Connection): boolean {
  const { permissions } = delivery.broker;
  const { message, state } = outgoing;
  if (mount !== undefined && state !== OutgoingState.AwaitPubcomp && mount.point.hides(message)) {
    delivery.dropped(message, "notAuthorized");
    return true;
  }
  if (!permissions.asked || outgoing.judged === permissions.generation || state === OutgoingState.AwaitPubcomp) {
    return false;
  }
  if (permissions.mayReceive(delivery.session.client, message.topicName)) return false;
  delivery.dropped(message, "notAuthorized");
  return true;
}

/** One that waits may not be sent. It may have been before a cut, and then its identifier must be freed on the other side. */
export function withhold(delivery: Delivery, outgoing: Outgoing, connection: Connection): void {
  if (outgoing.qos === 2 && outgoing.key !== 0 && outgoing.key <= delivery.duplicateKey) {
    giveUp(delivery, outgoing);
    delivery.start(outgoing, connection);
  } else delivery.forget(outgoing);
}

/** One that was under way may not be sent again. */
export function abandon(delivery: Delivery, outgoing: Outgoing): void {
  const { broker, session } = delivery;
  if (broker.hooks.present.onQosDropped) {
    broker.hooks.notify("onQosDropped", session.client, packetOf(outgoing.message, outgoing));
  }
  if (outgoing.qos === 2) giveUp(delivery, outgoing);
  else delivery.release(outgoing);
}

/**
 * In place of PUBLISH comes PUBREL, as if PUBREC had come: a receiver that has the message would take the next one under
 * its identifier for this one, and one that has not says so, 5.0 §3.7.2.1.
 */
function giveUp({ broker, session }: Delivery, outgoing: Outgoing): void {
  if (outgoing.key !== 0) outgoing.releasedBatch = broker.archive!.queues.released(session, outgoing);
  outgoing.state = OutgoingState.AwaitPubcomp;
}
