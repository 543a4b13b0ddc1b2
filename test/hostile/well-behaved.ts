import { setTimeout as sleep } from "node:timers/promises";
import { connect, type RawClient } from "../support/raw-client.ts";

/** What the well-behaved clients saw. */
export interface Service {
  sent: number;
  /** Sent, and received by nobody. */
  lost: number;
  /** Received twice, or before one that was sent earlier. */
  disordered: number;
  /** Milliseconds from sending to receiving, ascending. */
  latenciesMs: number[];
}

/** Pairs of a publisher and its subscriber, QoS 1 at a fixed rate, each message numbered and timed. */
export class WellBehaved {
  private readonly pairs: { publisher: RawClient; subscriber: RawClient; topic: string }[] = [];
  private sending: Promise<void>[] = [];
  private receiving: Promise<void>[] = [];
  private stopped = false;
  private sent = 0;
  private received = 0;
  private disordered = 0;
  private latenciesMs: number[] = [];

  async connect(port: number, pairs: number): Promise<void> {
    for (let index = 0; index < pairs; index++) {
      const topic = `work/${index}`;
      const subscriber = await connect(port, { clientId: `subscriber-${index}`, version: index % 2 === 0 ? 5 : 4 });
      await subscriber.subscribe(topic, { qos: 1 });
      const publisher = await connect(port, { clientId: `publisher-${index}`, version: index % 3 === 0 ? 4 : 5 });
      this.pairs.push({ publisher, subscriber, topic });
    }
  }

  /** Begins to work; each publisher sends every `intervalMs`. */
  start(intervalMs: number): void {
    this.stopped = false;
    this.sent = 0;
    this.received = 0;
    this.disordered = 0;
    this.latenciesMs = [];
    this.sending = this.pairs.map(({ publisher, topic }, index) => this.publish(publisher, topic, intervalMs, index));
    this.receiving = this.pairs.map(({ subscriber }) => this.receive(subscriber));
  }

  /** Ends in order: what was sent must have arrived by then. */
  async stop(): Promise<Service> {
    this.stopped = true;
    await Promise.all(this.sending);
    await Promise.all(this.receiving);
    return {
      sent: this.sent,
      lost: this.sent - this.received,
      disordered: this.disordered,
      latenciesMs: this.latenciesMs.sort((a, b) => a - b),
    };
  }

  async disconnect(): Promise<void> {
    for (const { publisher, subscriber } of this.pairs) {
      await publisher.disconnect();
      await subscriber.disconnect();
    }
    this.pairs.length = 0;
  }

  private async publish(publisher: RawClient, topic: string, intervalMs: number, index: number): Promise<void> {
    let acknowledged = 0;
    let number = 0;
    let all = Number.POSITIVE_INFINITY;
    const acknowledging = (async () => {
      while (acknowledged < all) {
        const { cmd } = await publisher.next("PUBACK");
        if (cmd !== "puback") throw new Error(`Expected PUBACK, but ${cmd} came`);
        acknowledged++;
      }
    })();
    let dueMs = performance.now() + (index * intervalMs) / this.pairs.length;
    for (; !this.stopped; number++) {
      await sleep(Math.max(0, dueMs - performance.now()));
      publisher.sendPublish(topic, `${number} ${performance.now()}`, { qos: 1, messageId: 1 + (number % 60_000) });
      this.sent++;
      dueMs += intervalMs;
    }
    // Marks the end of the stream, on the same way as the rest.
    publisher.sendPublish(topic, "end", { qos: 1, messageId: 65_000 });
    all = number + 1;
    await acknowledging;
  }

  private async receive(subscriber: RawClient): Promise<void> {
    for (let expected = 0; ; expected++) {
      const { cmd, payload, messageId } = await subscriber.next("a message");
      if (cmd !== "publish") throw new Error(`Expected PUBLISH, but ${cmd} came`);
      subscriber.send({ cmd: "puback", messageId });
      if (payload === "end") return;
      const [number, sentMs] = payload.split(" ").map(Number) as [number, number];
      this.latenciesMs.push(performance.now() - sentMs);
      this.received++;
      if (number !== expected) this.disordered++;
      expected = number;
    }
  }
}

/** The value that `share` of the ascending values do not exceed. */
export function quantile(ascending: readonly number[], share: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * share))] ?? Number.NaN;
}
