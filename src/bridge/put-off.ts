/** A message that was refused so often, while others were taken, is refused for what it is. */
const REFUSALS_MAX = 20;

/**
 * Messages of one direction that the receiver had no room for (5.0 reason code 0x97, Quota exceeded), over all connections,
 * by their packet identifiers. They are not answered to where they come from, so that they stay there, and come again in
 * the next connection.
 */
export class PutOff {
  /** How many connections have ended with this one refused and others taken. */
  private readonly refusals = new Map<number, number>();
  /** Those of this connection. */
  private readonly current = new Set<number>();
  /** Those that have not been sent since. */
  private readonly fresh = new Set<number>();
  private isTaking = false;

  /** True when it is to come again; false: it is given up. */
  refuse(packetIdentifier: number): boolean {
    const count = this.refusals.get(packetIdentifier) ?? 0;
    if (count >= REFUSALS_MAX) {
      this.settled(packetIdentifier);
      return false;
    }
    this.refusals.set(packetIdentifier, count);
    this.current.add(packetIdentifier);
    this.fresh.add(packetIdentifier);
    return true;
  }

  /** It was not sent, though where it comes from it counts as sent. */
  unsent(packetIdentifier: number): void {
    this.fresh.add(packetIdentifier);
  }

  /** Is what is sent now a new message, since the one before it was refused or not sent? Once after each time. */
  beginsAnew(packetIdentifier: number): boolean {
    return this.fresh.delete(packetIdentifier);
  }

  /** It was taken, or has ended otherwise: the identifier may come to stand for another message. */
  settled(packetIdentifier: number): void {
    this.isTaking = true;
    this.fresh.delete(packetIdentifier);
    this.current.delete(packetIdentifier);
    this.refusals.delete(packetIdentifier);
  }

  /** The connection is over. */
  ended(): void {
    if (this.isTaking) for (const one of this.current) this.refusals.set(one, this.refusals.get(one)! + 1);
    this.current.clear();
    this.isTaking = false;
  }
}
