import type { Connection } from "./connection.ts";
import type { Delivery } from "./delivery.ts";
import { type Outgoing, OutgoingState } from "./outgoing.ts";
import { abandon, isDenied } from "./withheld.ts";

/**
 * What was sent over the last connection and not acknowledged, on its way over this one: in the order of first sending,
 * and as fast as the new Receive Maximum lets it. 5.0 [MQTT-4.4.0-1] [MQTT-4.6.0-1].
 */
export class Resends {
  private readonly outgoings: readonly Outgoing[];
  private sent = 0;

  constructor(outgoings: readonly Outgoing[]) {
    this.outgoings = outgoings;
  }

  /** Sends what may be sent now. True when that was the last of them. */
  pump(delivery: Delivery, connection: Connection): boolean {
    const { outgoings } = this;
    while (this.sent < outgoings.length) {
      const outgoing = outgoings[this.sent]!;
      // One that was acknowledged meanwhile has left.
      if (delivery.isUnderWay(outgoing)) {
        if (delivery.underWay >= connection.sendQuota || !connection.writable) return false;
        if (isDenied(delivery, outgoing, connection)) abandon(delivery, outgoing);
        // Released by now, perhaps because it is denied.
        if (outgoing.state === OutgoingState.AwaitPubcomp) delivery.transmitPubrel(outgoing, connection);
        else if (delivery.isUnderWay(outgoing)) delivery.transmit(outgoing, connection);
      }
      this.sent++;
    }
    return true;
  }
}
