import type { Packet } from "../codec/packet.ts";
import type { PubackReasonCode, PubrelReasonCode } from "../codec/reason.ts";
import type { Connection } from "./connection.ts";
import { type AckType, sendAck, sendPacket } from "./send.ts";

/** A short acknowledgement in one number, or a whole packet with what is to be done once it is out. */
type Held = number | { packet: Packet; sent: (() => void) | undefined };

/**
 * What one connection must not be told before the disk has it, in the order in which it is to be told:
 * 5.0 [MQTT-4.6.0-2] and 5.0 [MQTT-4.6.0-3] want acknowledgements in the order of what they acknowledge.
 */
export class Parked {
  /** For each entry the batch it waits for; ascending. */
  private sequences: number[] = [];
  private held: Held[] = [];
  private head = 0;

  get length(): number {
    return this.sequences.length - this.head;
  }

  /** The last batch that something waits for. */
  get lastSequence(): number {
    return this.sequences[this.sequences.length - 1] ?? 0;
  }

  addAck(sequence: number, type: AckType, packetIdentifier: number, code: PubackReasonCode | PubrelReasonCode): void {
    this.sequences.push(Math.max(sequence, this.lastSequence));
    this.held.push((type << 24) | (code << 16) | packetIdentifier);
  }

  addPacket(sequence: number, packet: Packet, sent: (() => void) | undefined): void {
    this.sequences.push(Math.max(sequence, this.lastSequence));
    this.held.push({ packet, sent });
  }

  /** Sends what waited for a batch up to `durable`. */
  release(connection: Connection, durable: number): void {
    const { sequences, held } = this;
    while (this.head < sequences.length && sequences[this.head]! <= durable) {
      const one = held[this.head]!;
      this.head++;
      if (typeof one === "number") {
        sendAck(connection, (one >>> 24) as AckType, one & 0xffff, ((one >>> 16) & 0xff) as PubackReasonCode);
      } else {
        sendPacket(connection, one.packet);
        one.sent?.();
      }
    }
    if (this.head === sequences.length) {
      this.sequences = [];
      this.held = [];
      this.head = 0;
    } else if (this.head > 1024 && this.head * 2 > sequences.length) {
      this.sequences = sequences.slice(this.head);
      this.held = held.slice(this.head);
      this.head = 0;
    }
  }
}
