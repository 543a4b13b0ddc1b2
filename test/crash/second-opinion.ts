import { connect, type IClientOptions, type MqttClient, Store } from "mqtt";
import { numberOf, payloadOf } from "./payload.ts";
import type { Verdict } from "./verdict.ts";

/** It ignores our Receive Maximum, so it never has more under way than this. */
const WINDOW = 8;
const TOPICS = { 1: "opinion/one", 2: "opinion/two" } as const;

/**
 * A publisher and a subscriber that are somebody else's implementation: MQTT.js, each with stores that outlive its
 * connections. What its publisher was told to be complete must arrive, QoS 2 once.
 */
export class SecondOpinion {
  private readonly verdict: Verdict;
  private readonly publisher: Party;
  private readonly subscriber: Party;
  private readonly sent = { 1: 0, 2: 0 };
  private readonly completed = { 1: new Set<number>(), 2: new Set<number>() };
  private readonly arrived = { 1: new Map<number, number>(), 2: new Map<number, number>() };
  private incompleteCount = 0;

  constructor(verdict: Verdict) {
    this.verdict = verdict;
    this.publisher = new Party("opinion-publisher");
    this.subscriber = new Party("opinion-subscriber");
    this.subscriber.onMessage = (topic, payload) => this.count(topic, payload.toString());
  }

  get incomplete(): number {
    return this.incompleteCount;
  }

  /** Subscribes the first time only: the session is to keep that. */
  async connect(port: number): Promise<void> {
    const first = this.subscriber.client === undefined;
    await Promise.all([this.subscriber.connect(port), this.publisher.connect(port)]);
    if (first) await this.subscriber.client!.subscribeAsync("opinion/#", { qos: 2 });
  }

  work(): void {
    const { client } = this.publisher;
    if (!client?.connected || !this.publisher.isResumed || this.incompleteCount >= WINDOW) return;
    const qos = this.sent[1] > this.sent[2] ? 2 : 1;
    const number = ++this.sent[qos];
    this.incompleteCount++;
    client.publish(TOPICS[qos], payloadOf(TOPICS[qos], number), { qos }, (error) => {
      this.incompleteCount--;
      // Packet Identifier not found: complete, but the PUBCOMP of then was cut off.
      if (error && (error as { code?: unknown }).code !== 0x92) {
        this.verdict.violated("refused", `MQTT.js: ${TOPICS[qos]} ${number}: ${error.message}`);
      } else this.completed[qos].add(number);
    });
  }

  get hasAll(): boolean {
    return ([1, 2] as const).every((qos) => [...this.completed[qos]].every((number) => this.arrived[qos].has(number)));
  }

  judge(): void {
    for (const qos of [1, 2] as const) {
      const lost = [...this.completed[qos]].filter((number) => !this.arrived[qos].has(number));
      if (lost.length > 0) this.verdict.violated("lost", `MQTT.js lacks of ${TOPICS[qos]}: ${lost.slice(0, 20)}`);
    }
    const doubled = [...this.arrived[2]].filter(([, times]) => times > 1).map(([number]) => number);
    if (doubled.length > 0) this.verdict.violated("duplicate", `MQTT.js got of ${TOPICS[2]} twice: ${doubled}`);
  }

  /** Without a word to the broker. */
  close(): void {
    this.publisher.client?.stream.destroy();
    this.subscriber.client?.stream.destroy();
  }

  private count(topic: string, payload: string): void {
    const number = numberOf(topic, payload);
    if (number === undefined) {
      this.verdict.violated("altered", `MQTT.js got on ${topic} what nobody published: ${payload.slice(0, 40)}`);
      return;
    }
    this.verdict.counts.opinions++;
    const arrived = this.arrived[topic === TOPICS[1] ? 1 : 2];
    arrived.set(number, (arrived.get(number) ?? 0) + 1);
  }
}

/** One client. It reconnects when it is told that the broker is there, not by a timer of its own. */
class Party {
  client: MqttClient | undefined;
  /** What was under way before has been sent again; until then MQTT.js gives up what is published. */
  isResumed = false;
  onMessage: (topic: string, payload: Buffer) => void = () => {};
  private readonly clientId: string;
  private readonly stores = {
    incomingStore: new Store({ clean: false }),
    outgoingStore: new Store({ clean: false }),
  };

  constructor(clientId: string) {
    this.clientId = clientId;
  }

  /** Resolves when it is connected or cut off. */
  async connect(port: number): Promise<void> {
    const { clientId, stores } = this;
    if (this.client === undefined) {
      const options: IClientOptions = {
        ...stores,
        clientId,
        clean: false,
        protocolVersion: 5,
        reconnectPeriod: 0,
        keepalive: 0,
        properties: { sessionExpiryInterval: 86_400 },
      };
      this.client = connect(`mqtt://127.0.0.1:${port}`, options);
      this.client.on("message", (topic, payload) => this.onMessage(topic, payload));
      // Each end of the broker is one.
      this.client.on("error", () => {});
      this.client.on("connect", () => {
        this.isResumed = true;
      });
      this.client.on("close", () => {
        this.isResumed = false;
      });
    } else this.client.reconnect(stores);
    const { client } = this;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        client.off("connect", done).off("close", done);
        resolve();
      };
      client.on("connect", done).on("close", done);
    });
  }
}
