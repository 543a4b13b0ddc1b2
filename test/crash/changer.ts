import { setTimeout as sleep } from "node:timers/promises";
import type { IPublishPacket, Packet } from "mqtt-packet";
import type { SeededRandom } from "../hostile/random.ts";
import { Peer } from "./peer.ts";
import type { Verdict } from "./verdict.ts";

/** For what must come; only failures wait so long. */
const ARRIVAL_MS_MAX = 3_000;

/** Stands for: not subscribed. */
const NONE = 0;

/**
 * Adds, changes and removes subscriptions of its session all the time. Each SUBSCRIBE carries a Subscription Identifier
 * of its own, so that a message says which one the broker has. For each filter it knows what may be true: after an
 * acknowledgement one thing, while a request is open two.
 */
export class Changer {
  readonly peer: Peer;
  private readonly random: SeededRandom;
  private readonly verdict: Verdict;
  /** By the filter's number: the identifiers that may be in force, or NONE. */
  private readonly possible: Set<number>[];
  private readonly name: string;
  private version = NONE;
  private probes = 0;
  private messageId = 0;
  /** What came of the present probe: the identifier for each filter. */
  private heard = new Map<number, number>();

  constructor(name: string, filters: number, random: SeededRandom, verdict: Verdict) {
    this.name = name;
    this.random = random;
    this.verdict = verdict;
    this.possible = Array.from({ length: filters }, () => new Set([NONE]));
    this.peer = new Peer({ clientId: `changer-${name}`, version: 5 }, verdict, {
      onPacket: (packet) => {
        if (packet.cmd === "publish") this.onPublish(packet);
      },
    });
  }

  /** With `clean` the session begins anew: from CONNACK on nothing may be left of the old one. */
  async connect(port: number, clean = false): Promise<boolean> {
    if (clean) for (const possible of this.possible) possible.add(NONE);
    const connack = await this.peer.connect(port, clean);
    if (connack === undefined) return false;
    if (clean) for (const index of this.possible.keys()) this.settle(index, NONE);
    return true;
  }

  /** Changes one to three subscriptions after the other, or begins anew, until the connection is cut off. */
  async work(port: number): Promise<void> {
    while (this.peer.connected) {
      await sleep(this.random.below(8));
      if (this.random.below(60) === 0) await this.connect(port, true);
      else await this.change();
    }
  }

  /**
   * Publishes to each filter and looks what comes, and with which identifier. To be called before anything changes after
   * a restart: then what is found is what the broker kept. Without a word when the connection is cut off meanwhile.
   */
  async check(port: number): Promise<void> {
    const probe = ++this.probes;
    this.heard = new Map();
    const prober = new Peer({ clientId: `prober-${this.name}-${probe}`, version: 5 }, this.verdict, { onPacket() {} });
    if ((await prober.connect(port, true)) === undefined) return;
    const acknowledged = await Promise.all(this.possible.map((_, index) => this.probe(prober, index, probe)));
    const isComplete = acknowledged.every((done) => done) && (await this.arrives());
    prober.drop();
    if (!isComplete) return;
    this.verdict.counts.subscriptions += this.possible.length;
    for (const index of this.possible.keys()) this.judge(index, this.heard.get(index) ?? NONE);
  }

  private topic(index: number): string {
    return `changing/${this.name}/${index}`;
  }

  private settle(index: number, version: number): void {
    this.possible[index] = new Set([version]);
  }

  private async change(): Promise<void> {
    const indexes = [
      ...new Set([0, 1, 2].slice(this.random.below(3)).map(() => this.random.below(this.possible.length))),
    ];
    const topics = indexes.map((index) => this.topic(index));
    const adds = this.random.below(3) > 0;
    const version = adds ? ++this.version : NONE;
    this.messageId = (this.messageId % 1_000) + 1;
    const { messageId } = this;
    for (const index of indexes) this.possible[index]!.add(version);
    const answer = adds
      ? await this.peer.ask(
          {
            cmd: "subscribe",
            messageId,
            subscriptions: topics.map((topic) => ({ topic, qos: 1 })),
            properties: { subscriptionIdentifier: version },
          },
          (packet) => packet.cmd === "suback" && packet.messageId === messageId,
          "SUBACK",
        )
      : await this.peer.ask(
          { cmd: "unsubscribe", messageId, unsubscriptions: topics },
          (packet) => packet.cmd === "unsuback" && packet.messageId === messageId,
          "UNSUBACK",
        );
    if (answer !== undefined) for (const index of indexes) this.settle(index, version);
  }

  private async probe(prober: Peer, index: number, probe: number): Promise<boolean> {
    const messageId = index + 1;
    const packet: Packet = {
      cmd: "publish",
      topic: this.topic(index),
      payload: `${probe}`,
      qos: 1,
      dup: false,
      retain: false,
      messageId,
    };
    const answer = await prober.ask(
      packet,
      (answer) => answer.cmd === "puback" && answer.messageId === messageId,
      "PUBACK",
    );
    return answer !== undefined;
  }

  /** False when the connection was cut off. What stays away is waited for, since nothing says that it does not come. */
  private async arrives(): Promise<boolean> {
    const deadlineMs = performance.now() + ARRIVAL_MS_MAX;
    do {
      if (!(await this.peer.ping())) return false;
      await sleep(2);
    } while (this.lacks() && performance.now() < deadlineMs);
    return true;
  }

  private lacks(): boolean {
    return this.possible.some((possible, index) => !possible.has(NONE) && !this.heard.has(index));
  }

  private judge(index: number, found: number): void {
    const possible = this.possible[index]!;
    if (!possible.has(found)) {
      const name = (version: number): string => (version === NONE ? "none" : `subscription ${version}`);
      const expected = [...possible].map(name).join(" or ");
      this.verdict.violated("subscription", `${this.topic(index)} has ${name(found)} and should have ${expected}`);
    }
    this.settle(index, found);
  }

  private onPublish({ topic, payload, messageId, properties }: IPublishPacket): void {
    this.peer.send({ cmd: "puback", messageId: messageId! });
    // An earlier probe that was cut off.
    if (Number(payload.toString()) !== this.probes) return;
    const identifiers = [properties?.subscriptionIdentifier ?? NONE].flat();
    this.heard.set(Number(topic.slice(topic.lastIndexOf("/") + 1)), identifiers[0]!);
  }
}
