import type { Outgoing } from "./outgoing.ts";

const SLOTS_MIN = 16;
const PACKET_IDENTIFIER_MAX = 65_535;

/**
 * The QoS 1 and 2 messages under way to one session, by packet identifier.
 * Identifiers are given in turn and looked up by their low bits: no hashing, and an array no larger
 * than what was once under way. 5.0 [MQTT-2.2.1-3] [MQTT-2.2.1-4].
 */
export class Inflight {
  private slots: (Outgoing | undefined)[] = new Array(SLOTS_MIN).fill(undefined);
  private lastIdentifier = 0;
  private nextSequence = 0;
  count = 0;

  get full(): boolean {
    return this.count >= PACKET_IDENTIFIER_MAX;
  }

  /** The next packet identifier in turn that nothing under way has. Must not be called when full. */
  nextIdentifier(): number {
    let identifier = this.lastIdentifier;
    do {
      identifier = identifier === PACKET_IDENTIFIER_MAX ? 1 : identifier + 1;
    } while (this.get(identifier) !== undefined);
    this.lastIdentifier = identifier;
    return identifier;
  }

  /** The identifier after which `nextIdentifier` goes on. */
  continueAfter(identifier: number): void {
    this.lastIdentifier = identifier;
  }

  /** Takes up `outgoing`: under its own packet identifier, or the next free one. Must not be called when full. */
  add(outgoing: Outgoing): void {
    if (outgoing.packetIdentifier !== 0) {
      this.restore(outgoing, outgoing.packetIdentifier);
      return;
    }
    if (this.count >= this.slots.length - (this.slots.length >> 2) && this.slots.length <= PACKET_IDENTIFIER_MAX)
      this.grow();
    const mask = this.slots.length - 1;
    let identifier = this.lastIdentifier;
    do {
      identifier = identifier === PACKET_IDENTIFIER_MAX ? 1 : identifier + 1;
    } while (this.slots[identifier & mask] !== undefined);
    this.lastIdentifier = identifier;
    this.put(outgoing, identifier);
  }

  /** Takes up a message under the identifier it had; false when that is in use. */
  restore(outgoing: Outgoing, identifier: number): boolean {
    while (this.slots[identifier & (this.slots.length - 1)] !== undefined) {
      if (this.get(identifier) !== undefined) return false;
      this.grow();
    }
    this.put(outgoing, identifier);
    return true;
  }

  get(identifier: number): Outgoing | undefined {
    const outgoing = this.slots[identifier & (this.slots.length - 1)];
    return outgoing !== undefined && outgoing.packetIdentifier === identifier ? outgoing : undefined;
  }

  remove(outgoing: Outgoing): void {
    this.slots[outgoing.packetIdentifier & (this.slots.length - 1)] = undefined;
    this.count--;
  }

  /** In the order of first sending. */
  inOrder(): Outgoing[] {
    const all: Outgoing[] = [];
    for (const outgoing of this.slots) if (outgoing !== undefined) all.push(outgoing);
    return all.sort((a, b) => a.sequence - b.sequence);
  }

  private put(outgoing: Outgoing, identifier: number): void {
    outgoing.packetIdentifier = identifier;
    outgoing.sequence = this.nextSequence++;
    this.slots[identifier & (this.slots.length - 1)] = outgoing;
    this.count++;
  }

  /** Identifiers that differ in their low bits still differ in one bit more, so nobody collides. */
  private grow(): void {
    const old = this.slots;
    this.slots = new Array(Math.min(old.length * 2, PACKET_IDENTIFIER_MAX + 1)).fill(undefined);
    for (const outgoing of old) {
      if (outgoing !== undefined) this.slots[outgoing.packetIdentifier & (this.slots.length - 1)] = outgoing;
    }
  }
}
