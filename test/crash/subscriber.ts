import type { IPublishPacket, Packet } from "mqtt-packet";
import type { SeededRandom } from "../hostile/random.ts";
import { numberOf } from "./payload.ts";
import { Peer } from "./peer.ts";
import type { Stream } from "./publisher.ts";
import type { Verdict } from "./verdict.ts";

export interface SubscriberOptions {
  name: string;
  version: 4 | 5;
  /** Of the subscription to all publishers' topics. */
  qos: 1 | 2;
  /** 5.0 only: a small one keeps messages waiting, and uses the same identifiers again and again. */
  receiveMaximum?: number;
}

/** What came of one topic. */
interface Account {
  /** The greatest number. */
  last: number;
  /** Smaller ones that have not come. */
  missing: Set<number>;
}

/**
 * A stored session that is to receive everything, and the receiver's half of QoS 2 with a memory that outlives
 * connections: method A of 5.0 §4.3.3, a message counts when its PUBLISH comes, unless its identifier is known.
 */
export class Subscriber {
  readonly peer: Peer;
  private readonly options: SubscriberOptions;
  private readonly random: SeededRandom;
  private readonly verdict: Verdict;
  private readonly accounts = new Map<string, Account>();
  /** Identifiers of QoS 2 messages whose PUBREL has not come. */
  private readonly held = new Set<number>();
  /** Acknowledgements that are sent later, so that a crash finds the broker in every state. */
  private owed: Packet[] = [];

  constructor(options: SubscriberOptions, random: SeededRandom, verdict: Verdict) {
    const { name, version, receiveMaximum } = options;
    this.options = options;
    this.random = random;
    this.verdict = verdict;
    const peer = { clientId: `subscriber-${name}`, version, ...(receiveMaximum !== undefined && { receiveMaximum }) };
    this.peer = new Peer(peer, verdict, {
      onPacket: (packet) => this.onPacket(packet),
      // What was not sent is not sent on another connection: the broker begins again there.
      onClosed: () => {
        this.owed = [];
      },
    });
  }

  /** Subscribes when there is no session, at first; whatever else it is then, the verdict knows. */
  async connect(port: number): Promise<boolean> {
    const connack = await this.peer.connect(port);
    if (connack === undefined) return false;
    if (connack.sessionPresent) return true;
    this.held.clear();
    const { qos } = this.options;
    const subscriptions = ["one/#", "two/#"].map((topic) => ({ topic, qos }));
    const suback = await this.peer.ask(
      { cmd: "subscribe", messageId: 1, subscriptions },
      ({ cmd }) => cmd === "suback",
      "SUBACK",
    );
    return suback !== undefined;
  }

  /** Sends what is owed, mostly. */
  work(): void {
    if (this.owed.length === 0 || this.random.below(3) === 0) return;
    const owed = this.owed;
    this.owed = [];
    for (const packet of owed) this.peer.send(packet);
  }

  /** All of these have come. */
  has(streams: readonly Stream[]): boolean {
    return streams.every(({ topic, sent }) => {
      const account = this.accounts.get(topic);
      return sent === 0 || (account !== undefined && account.last >= sent && account.missing.size === 0);
    });
  }

  /** At the end: everything that was published must have come. */
  judge(streams: readonly Stream[]): void {
    for (const { topic, sent } of streams) {
      const { last, missing } = this.accounts.get(topic) ?? { last: 0, missing: new Set() };
      const lost = [...missing, ...Array.from({ length: sent - last }, (_, index) => last + 1 + index)];
      if (lost.length === 0) continue;
      this.verdict.violated("lost", `${this.peer.clientId} lacks ${lost.length} of ${topic}: ${lost.slice(0, 20)}`);
    }
  }

  private onPacket(packet: Packet): void {
    if (packet.cmd === "publish") this.onPublish(packet);
    else if (packet.cmd === "pubrel") {
      this.held.delete(packet.messageId!);
      this.owed.push({ cmd: "pubcomp", messageId: packet.messageId! });
    } else if (packet.cmd !== "suback") {
      this.verdict.violated("broken", `${this.peer.clientId} got ${packet.cmd}`);
    }
  }

  private onPublish(packet: IPublishPacket): void {
    const messageId = packet.messageId!;
    const number = Number.parseInt(packet.payload.toString(), 10);
    this.verdict.note(packet.topic, number, `${this.peer.clientId} PUBLISH ${messageId}${packet.dup ? " dup" : ""}`);
    if (packet.qos === 1) this.owed.push({ cmd: "puback", messageId });
    if (packet.qos === 2) {
      this.owed.push({ cmd: "pubrec", messageId });
      if (this.held.has(messageId)) return;
      this.held.add(messageId);
    }
    this.count(packet);
  }

  private count({ topic, payload, qos }: IPublishPacket): void {
    const { clientId } = this.peer;
    const number = numberOf(topic, payload.toString());
    if (number === undefined) {
      this.verdict.violated("altered", `${clientId} got on ${topic} what nobody published: ${payload.slice(0, 40)}`);
      return;
    }
    this.verdict.counts.delivered++;
    const account = this.accounts.get(topic) ?? { last: 0, missing: new Set() };
    this.accounts.set(topic, account);
    if (number > account.last) {
      for (let gap = account.last + 1; gap < number; gap++) account.missing.add(gap);
      account.last = number;
    } else if (account.missing.delete(number)) {
      this.verdict.evidence ??= this.peer.trace;
      const history = this.verdict.history(topic, number);
      this.verdict.violated("order", `${clientId} got ${topic} ${number} after ${account.last}: ${history}`);
    } else if (qos === 2) {
      this.verdict.evidence ??= this.peer.trace;
      const history = this.verdict.history(topic, number);
      this.verdict.violated(
        "duplicate",
        `${clientId} got ${topic} ${number} twice (the last: ${account.last}): ${history}`,
      );
    }
  }
}
