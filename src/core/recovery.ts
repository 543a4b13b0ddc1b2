import type { Delivery } from "./delivery.ts";
import { Inflight } from "./inflight.ts";
import { type Outgoing, OutgoingState } from "./outgoing.ts";
import { Resends } from "./resends.ts";
import type { Tail } from "./tail.ts";

// What an earlier run of the broker has left for one client.

/** Takes up a message; false when its packet identifier is in use. */
export function restoreOutgoing(
  delivery: Delivery,
  outgoing: Outgoing,
  packetIdentifier: number | undefined,
  released: boolean,
): boolean {
  outgoing.message.keep();
  if (packetIdentifier === undefined) {
    delivery.enqueue(outgoing);
    return true;
  }
  delivery.inflight ??= new Inflight();
  if (!delivery.inflight.restore(outgoing, packetIdentifier)) return false;
  outgoing.state =
    outgoing.qos === 1 ? OutgoingState.AwaitPuback : released ? OutgoingState.AwaitPubcomp : OutgoingState.AwaitPubrec;
  outgoing.sendings = 1;
  delivery.broker.counters.inflight++;
  return true;
}

/** Takes up the queue; packet identifiers go on after `lastIdentifier`. */
export function restoreTail(delivery: Delivery, tail: Tail, lastIdentifier: number): void {
  delivery.inflight ??= new Inflight();
  delivery.inflight.continueAfter(lastIdentifier);
  delivery.waitingMessages().restore(tail, delivery.sentKey);
}

/** After a restart, before the client says anything: what may have been under way. undefined: it is known. */
export function recover(delivery: Delivery): Promise<void> | undefined {
  return delivery.queued?.findUnderWay((outgoing) => {
    const released = outgoing.state === OutgoingState.AwaitPubcomp;
    return restoreOutgoing(delivery, outgoing, outgoing.packetIdentifier, released);
  });
}

/** What was found to be under way comes first, also when its client was let in before that could be read. */
export function resendFound(delivery: Delivery): void {
  const { session, inflight } = delivery;
  if (session.connection === undefined || inflight === undefined) return;
  const found = inflight.inOrder().filter((outgoing) => !outgoing.sentOnConnection);
  if (found.length > 0) delivery.resends = new Resends(found);
}
