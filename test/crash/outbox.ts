import type { Packet } from "mqtt-packet";
import type { Peer } from "./peer.ts";
import type { Verdict } from "./verdict.ts";

/** A message on its way to the broker. */
export interface Outgoing {
  topic: string;
  payload: string;
  qos: 1 | 2;
  retain: boolean;
  /** Position among the messages of its topic, from 1. */
  number: number;
}

interface Entry extends Outgoing {
  /** PUBREC was received: the broker owns the message, and only PUBREL may follow. */
  released: boolean;
}

/**
 * The sender's half of QoS 1 and 2 with a memory that outlives connections, exactly as 5.0 [MQTT-4.4.0-1] and
 * [MQTT-4.6.0-1] want it. Identifiers are used again as soon as they are free, lowest first: one that the broker has
 * not forgotten would swallow a new message.
 */
export class Outbox {
  private readonly peer: Peer;
  private readonly verdict: Verdict;
  private readonly onAccepted: (message: Outgoing) => void;
  /** In the order of their first sending. */
  private readonly entries = new Map<number, Entry>();

  /** `onAccepted`: the broker has answered for the message, by PUBACK or PUBREC. */
  constructor(peer: Peer, verdict: Verdict, onAccepted: (message: Outgoing) => void) {
    this.peer = peer;
    this.verdict = verdict;
    this.onAccepted = onAccepted;
  }

  /** Messages whose handshake is not complete. */
  get size(): number {
    return this.entries.size;
  }

  publish(message: Outgoing): void {
    let id = 1;
    while (this.entries.has(id)) id++;
    const entry = { ...message, released: false };
    this.entries.set(id, entry);
    this.sendPublish(id, entry, false);
  }

  /** After CONNACK: what is not complete is sent again. A session that is gone has no use for PUBREL. */
  resume(sessionPresent: boolean): void {
    for (const [id, entry] of this.entries) {
      if (!entry.released) this.sendPublish(id, entry, sessionPresent);
      else if (sessionPresent) this.release(id, entry, "again");
      else this.entries.delete(id);
    }
  }

  /** Takes acknowledgements; false for any other packet. */
  onPacket(packet: Packet): boolean {
    if (packet.cmd !== "puback" && packet.cmd !== "pubrec" && packet.cmd !== "pubcomp") return false;
    const id = packet.messageId!;
    const entry = this.entries.get(id);
    const expected = entry?.qos === 1 ? "puback" : entry?.released ? "pubcomp" : "pubrec";
    const code = packet.reasonCode ?? 0;
    if (entry !== undefined) this.verdict.note(entry.topic, entry.number, `${packet.cmd} ${id} received, ${code}`);
    if (entry === undefined || packet.cmd !== expected) {
      this.verdict.violated("broken", `${this.peer.clientId} got ${packet.cmd} ${id}, which answers nothing`);
    } else if (packet.cmd === "pubcomp") {
      // 0x92 says that it was complete before: the PUBCOMP of then was cut off.
      this.entries.delete(id);
    } else if (code >= 0x80) {
      this.verdict.violated("refused", `${entry.topic} ${entry.number} was refused with ${code}`);
      this.entries.delete(id);
    } else {
      this.accept(id, entry);
    }
    return true;
  }

  private accept(id: number, entry: Entry): void {
    this.verdict.counts.acknowledged++;
    this.onAccepted(entry);
    if (entry.qos === 1) {
      this.entries.delete(id);
      return;
    }
    entry.released = true;
    this.release(id, entry, "");
  }

  private release(messageId: number, { topic, number }: Entry, how: string): void {
    this.verdict.note(topic, number, `PUBREL ${messageId} sent ${how}`);
    this.peer.send({ cmd: "pubrel", messageId });
  }

  private sendPublish(messageId: number, entry: Entry, dup: boolean): void {
    const { topic, payload, qos, retain, number } = entry;
    this.verdict.note(topic, number, `PUBLISH ${messageId} sent ${dup ? "again" : ""}`);
    this.peer.send({ cmd: "publish", topic, payload, qos, retain, dup, messageId });
  }
}
