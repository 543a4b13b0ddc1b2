import type { DropReason } from "./counters.ts";
import type { Delivery } from "./delivery.ts";
import { Place } from "./keep-last.ts";
import type { Message } from "./message.ts";
import type { Outgoing } from "./outgoing.ts";
import type { WaitingMessages } from "./waiting.ts";

// How much may wait for one session, and what is dropped when it is more.

/**
 * Room for one more. False when there is none and the message was dropped; else `earlier`, whose place it takes, is gone.
 */
export function makeRoom(
  delivery: Delivery,
  queued: WaitingMessages,
  message: Message,
  earlier: Outgoing | Place | undefined,
): boolean {
  const { limits, options } = delivery.broker;
  const bytes = message.countedBytes;
  const bytesMax = queuedBytesMax(delivery);
  const others = earlier === undefined ? queued.length : queued.length - 1;
  const otherBytes = earlier === undefined ? queued.bytes : queued.bytes - countedBytesOf(earlier);
  const lacks =
    others >= limits.queuedMessages ? "queueFull" : otherBytes + bytes > bytesMax ? "queueBytes" : undefined;
  if (lacks !== undefined && (options.queue.overflow === "drop-newest" || others === 0 || bytes > bytesMax)) {
    delivery.dropped(message, lacks);
    return false;
  }
  if (earlier !== undefined) delivery.supersede(queued, message.topicName, earlier);
  for (;;) {
    const tooMany = queued.length >= limits.queuedMessages;
    if (!tooMany && queued.bytes + bytes <= bytesMax) return true;
    const reason = tooMany ? "queueFull" : "queueBytes";
    if (queued.queue.length === 0) {
      // The oldest are on disk only: one more than allowed waits until they have been read, see `trim`.
      delivery.readOn(queued);
      return true;
    }
    dropOldest(delivery, queued, reason);
  }
}

/** Drops the oldest that are beyond the bounds: they could not be while they were on disk only. */
export function trim(delivery: Delivery): void {
  const { queued } = delivery;
  if (queued === undefined) return;
  const { limits } = delivery.broker;
  const bytesMax = queuedBytesMax(delivery);
  while (queued.length > limits.queuedMessages || queued.bytes > bytesMax) {
    if (queued.queue.length === 0) {
      if (queued.tail !== undefined) delivery.readOn(queued);
      return;
    }
    dropOldest(delivery, queued, queued.length > limits.queuedMessages ? "queueFull" : "queueBytes");
  }
}

/** The limit of every session, or the lower one that the rules give its user. */
function queuedBytesMax({ broker, session }: Delivery): number {
  const { queuedBytes } = broker.limits;
  const own = session.client.identity?.limits.queueBytes;
  return own !== undefined && own < queuedBytes ? own : queuedBytes;
}

function countedBytesOf(waiting: Outgoing | Place): number {
  return waiting instanceof Place ? waiting.bytes : waiting.message.countedBytes;
}

function dropOldest(delivery: Delivery, queued: WaitingMessages, reason: DropReason): void {
  const oldest = queued.shift()!;
  delivery.forget(oldest);
  delivery.dropped(oldest.message, reason);
}
