import { setTimeout as sleep } from "node:timers/promises";
import type { IPublishPacket } from "mqtt-packet";
import type { SeededRandom } from "../hostile/random.ts";
import { Outbox } from "./outbox.ts";
import { numberOf, payloadOf } from "./payload.ts";
import { Peer } from "./peer.ts";
import type { Verdict } from "./verdict.ts";

/** For what must be there; only failures wait so long. */
const READ_MS_MAX = 2_000;

/** The history of one retained topic. One QoS a topic: acknowledgements of one QoS come in order. */
interface Kept {
  topic: string;
  qos: 1 | 2;
  sent: number;
  acknowledged: number;
  /** Numbers that removed the message. */
  removals: Set<number>;
}

/** Rewrites and removes retained messages all the time, with rising numbers, and looks what is there after a crash. */
export class RetainedWriter {
  readonly peer: Peer;
  private readonly outbox: Outbox;
  private readonly random: SeededRandom;
  private readonly verdict: Verdict;
  private readonly kept: Kept[];
  private readonly prefix: string;
  private readings = 0;

  constructor(name: string, version: 4 | 5, topics: number, random: SeededRandom, verdict: Verdict) {
    this.random = random;
    this.verdict = verdict;
    this.prefix = `kept/${name}`;
    this.kept = Array.from({ length: topics }, (_, index) => ({
      topic: `${this.prefix}/${index}`,
      qos: index % 2 === 0 ? 1 : 2,
      sent: 0,
      acknowledged: 0,
      removals: new Set(),
    }));
    const byTopic = new Map(this.kept.map((kept) => [kept.topic, kept]));
    this.peer = new Peer({ clientId: `writer-${name}`, version }, verdict, {
      onPacket: (packet) => {
        if (!this.outbox.onPacket(packet)) verdict.violated("broken", `${this.peer.clientId} got ${packet.cmd}`);
      },
    });
    this.outbox = new Outbox(this.peer, verdict, ({ topic, number }) => {
      const kept = byTopic.get(topic)!;
      kept.acknowledged = Math.max(kept.acknowledged, number);
    });
  }

  get incomplete(): number {
    return this.outbox.size;
  }

  async connect(port: number): Promise<boolean> {
    const connack = await this.peer.connect(port);
    if (connack !== undefined) this.outbox.resume(connack.sessionPresent);
    return connack !== undefined;
  }

  /** Writes a few, while fewer than `window` are under way; one in five is a removal. */
  work(window: number): void {
    if (!this.peer.connected) return;
    for (let left = this.random.below(4); left > 0 && this.outbox.size < window; left--) {
      const kept = this.random.pick(this.kept);
      const number = ++kept.sent;
      const removes = this.random.below(5) === 0;
      if (removes) kept.removals.add(number);
      const payload = removes ? "" : payloadOf(kept.topic, number);
      this.outbox.publish({ topic: kept.topic, qos: kept.qos, number, payload, retain: true });
    }
  }

  /**
   * Reads all topics with a new client: each must have a value that is no older than what was acknowledged when the
   * reading began. Without a word when the connection is cut off meanwhile.
   */
  async check(port: number): Promise<void> {
    const atLeast = new Map(this.kept.map(({ topic, acknowledged }) => [topic, acknowledged]));
    const seen = new Map<string, number | undefined>();
    const reader = new Peer({ clientId: `reader-${this.prefix}-${++this.readings}`, version: 5 }, this.verdict, {
      onPacket: (packet) => {
        if (packet.cmd === "publish") this.read(packet, seen);
      },
    });
    if ((await reader.connect(port, true)) === undefined) return;
    const subscriptions = [{ topic: `${this.prefix}/#`, qos: 0 as const }];
    const suback = await reader.ask({ cmd: "subscribe", messageId: 1, subscriptions }, isSuback, "SUBACK");
    const isComplete = suback !== undefined && (await this.settles(reader, seen, atLeast));
    reader.drop();
    if (!isComplete) return;
    this.verdict.counts.retained += this.kept.length;
    for (const kept of this.kept) this.judge(kept, seen.get(kept.topic), atLeast.get(kept.topic)!);
  }

  /** What is published meanwhile comes too, and is newer. */
  private read({ topic, payload }: IPublishPacket, seen: Map<string, number | undefined>): void {
    const number = payload.length === 0 ? undefined : numberOf(topic, payload.toString());
    if (payload.length > 0 && number === undefined) {
      this.verdict.violated("altered", `${topic} has a value that nobody published: ${payload.slice(0, 40)}`);
    }
    seen.set(topic, number);
  }

  /** False when the connection was cut off. A value that stays away is waited for, since nothing says that none comes. */
  private async settles(reader: Peer, seen: Map<string, unknown>, atLeast: Map<string, number>): Promise<boolean> {
    const deadlineMs = performance.now() + READ_MS_MAX;
    const isMissing = (kept: Kept): boolean =>
      seen.get(kept.topic) === undefined && !this.mayBeAbsent(kept, atLeast.get(kept.topic)!);
    do {
      if (!(await reader.ping())) return false;
      await sleep(2);
    } while (this.kept.some(isMissing) && performance.now() < deadlineMs);
    return true;
  }

  private judge(kept: Kept, number: number | undefined, atLeast: number): void {
    const { topic, sent, removals } = kept;
    if (number === undefined) {
      if (!this.mayBeAbsent(kept, atLeast)) this.verdict.violated("stale", `${topic} lacks ${atLeast}, sent ${sent}`);
    } else if (number < atLeast) {
      const what = removals.has(atLeast) ? "was removed" : "was acknowledged";
      this.verdict.violated("stale", `${topic} has ${number}, but ${atLeast} ${what}`);
    } else if (number > sent || removals.has(number)) {
      this.verdict.violated("altered", `${topic} has ${number}, which was not published`);
    }
  }

  private mayBeAbsent({ sent, removals }: Kept, atLeast: number): boolean {
    if (atLeast === 0) return true;
    for (let number = atLeast; number <= sent; number++) if (removals.has(number)) return true;
    return false;
  }
}

function isSuback({ cmd }: { cmd: string }): boolean {
  return cmd === "suback";
}
