import type { SeededRandom } from "../hostile/random.ts";
import { Outbox } from "./outbox.ts";
import { payloadOf } from "./payload.ts";
import { Peer } from "./peer.ts";
import type { Verdict } from "./verdict.ts";

/** One of each QoS a publisher: so what is acknowledged of a topic is always the beginning of what was sent. */
export interface Stream {
  topic: string;
  qos: 1 | 2;
  sent: number;
}

/** Publishes numbered messages on two topics of its own, as long as it is let. */
export class Publisher {
  readonly peer: Peer;
  readonly streams: Stream[];
  private readonly outbox: Outbox;
  private readonly random: SeededRandom;

  constructor(name: string, version: 4 | 5, random: SeededRandom, verdict: Verdict) {
    this.random = random;
    this.peer = new Peer({ clientId: `publisher-${name}`, version }, verdict, {
      onPacket: (packet) => {
        if (!this.outbox.onPacket(packet)) verdict.violated("broken", `${this.peer.clientId} got ${packet.cmd}`);
      },
    });
    this.outbox = new Outbox(this.peer, verdict, () => {});
    this.streams = [
      { topic: `one/${name}`, qos: 1, sent: 0 },
      { topic: `two/${name}`, qos: 2, sent: 0 },
    ];
  }

  get incomplete(): number {
    return this.outbox.size;
  }

  async connect(port: number): Promise<boolean> {
    const connack = await this.peer.connect(port);
    if (connack !== undefined) this.outbox.resume(connack.sessionPresent);
    return connack !== undefined;
  }

  /** Publishes a few, while fewer than `window` are under way. */
  work(window: number): void {
    if (!this.peer.connected) return;
    for (let left = this.random.below(4); left > 0 && this.outbox.size < window; left--) {
      const stream = this.random.pick(this.streams);
      stream.sent++;
      const payload = payloadOf(stream.topic, stream.sent);
      this.outbox.publish({ topic: stream.topic, qos: stream.qos, number: stream.sent, payload, retain: false });
    }
  }
}
