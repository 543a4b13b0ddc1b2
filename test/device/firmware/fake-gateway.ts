import { decodeSn } from "../../../src/gateway/mqttsn/codec/decode.ts";
import { encodeSn } from "../../../src/gateway/mqttsn/codec/encode.ts";
import type { SnConnect, SnPacket, SnPublish, SnSubscribe } from "../../../src/gateway/mqttsn/codec/packet.ts";
import { SnReturnCode, SnType } from "../../../src/gateway/mqttsn/codec/types.ts";

const RETRY_MS = 45;

/** A message on its way to the node. */
interface Delivery {
  topicName: string;
  qos: 0 | 1 | 2;
  data: string;
  messageId: number;
  step: "publish" | "release";
  sent: boolean;
}

/**
 * A gateway for one node, written from the specification and for these tests only: it keeps one session, one message at
 * a time on its way to the node, and a list of all that happened.
 */
export class FakeGateway {
  /** What the node's messages were, in the order of their acceptance: QoS 2 when first received. */
  readonly accepted: { topic: string; data: string; qos: number; retain: boolean }[] = [];
  readonly connects: SnConnect[] = [];
  readonly registered: string[] = [];
  /** Windows of a sleeper: what was handed over in each before PINGRESP. */
  readonly windows: string[][] = [];
  will: { topic: string; message: string } | undefined;
  /** Sends one message to the node; set by whoever carries it. */
  send: (message: Uint8Array) => void = () => undefined;
  state: "unknown" | "active" | "asleep" | "awake" = "unknown";
  malformed = 0;

  private nextId = 1;
  private nextMessageId = 1;
  private idOf = new Map<string, number>();
  private readonly filters = new Set<string>();
  private readonly unreleased = new Set<number>();
  private readonly queue: Delivery[] = [];
  private window: string[] = [];
  private registering: { topicName: string; messageId: number } | undefined;
  private willTopic = "";
  private readonly timer = setInterval(() => this.repeat(), RETRY_MS);

  stop(): void {
    clearInterval(this.timer);
  }

  /** Queues a message for the node: sent now, or when it wakes. */
  deliver(topicName: string, data: string, qos: 0 | 1 | 2): void {
    this.queue.push({ topicName, qos, data, messageId: this.nextMessageId++, step: "publish", sent: false });
    this.advance();
  }

  get undelivered(): number {
    return this.queue.length;
  }

  isSubscribed(filter: string): boolean {
    return this.filters.has(filter);
  }

  /** Forgets all about the node, as a gateway that was replaced. */
  forget(): void {
    this.state = "unknown";
    this.filters.clear();
    this.idOf.clear();
    this.unreleased.clear();
  }

  receive(message: Uint8Array): void {
    let packet: SnPacket;
    try {
      packet = decodeSn(message);
    } catch {
      this.malformed++;
      return;
    }
    if (packet.type === SnType.Publish && packet.qos === -1) this.accept(packet);
    else if (packet.type === SnType.Connect) this.onConnect(packet);
    else if (this.state === "unknown" && packet.type !== SnType.WillTopic && packet.type !== SnType.WillMsg) {
      this.say({ type: SnType.Disconnect, durationSeconds: undefined });
    } else this.onPacket(packet);
  }

  private say(packet: SnPacket): void {
    this.send(encodeSn(packet));
  }

  private onConnect(packet: SnConnect): void {
    this.connects.push(packet);
    if (packet.cleanSession) {
      this.filters.clear();
      this.unreleased.clear();
      this.queue.length = 0;
    }
    // Ids are those of one connection, and no node may rely on the old ones.
    this.idOf = new Map();
    this.registering = undefined;
    if (packet.will) this.say({ type: SnType.WillTopicReq });
    else this.connected();
  }

  private connected(): void {
    this.state = "active";
    this.say({ type: SnType.Connack, returnCode: SnReturnCode.Accepted });
    this.advance();
  }

  private onPacket(packet: SnPacket): void {
    const delivery = this.queue[0];
    switch (packet.type) {
      case SnType.WillTopic:
        this.willTopic = packet.will?.topic ?? "";
        return void this.say({ type: SnType.WillMsgReq });
      case SnType.WillMsg:
        this.will = { topic: this.willTopic, message: textOf(packet.message) };
        return void this.connected();
      case SnType.Register: {
        this.registered.push(packet.topicName);
        const { messageId, topicName } = packet;
        return void this.say({ type: SnType.Regack, topicId: this.assign(topicName), messageId, returnCode: 0 });
      }
      case SnType.Publish:
        return void this.onPublish(packet);
      case SnType.Pubrel:
        this.unreleased.delete(packet.messageId);
        return void this.say({ type: SnType.Pubcomp, messageId: packet.messageId });
      case SnType.Subscribe:
        return void this.onSubscribe(packet);
      case SnType.Regack: {
        const { registering } = this;
        if (registering?.messageId !== packet.messageId) return;
        this.registering = undefined;
        return void this.advance();
      }
      case SnType.Puback:
        if (delivery === undefined || packet.messageId !== delivery.messageId) return;
        if (packet.returnCode === SnReturnCode.InvalidTopicId) this.idOf.delete(delivery.topicName);
        else if (delivery.qos === 1) this.delivered();
        return;
      case SnType.Pubrec:
        if (delivery?.messageId === packet.messageId) delivery.step = "release";
        return void this.say({ type: SnType.Pubrel, messageId: packet.messageId });
      case SnType.Pubcomp:
        if (delivery?.messageId === packet.messageId && delivery.step === "release") this.delivered();
        return;
      case SnType.Pingreq:
        if (packet.clientId === undefined) return void this.say({ type: SnType.Pingresp });
        if (this.state === "asleep") this.state = "awake";
        return void this.advance();
      case SnType.Disconnect:
        this.state = packet.durationSeconds === undefined ? "unknown" : "asleep";
        return void this.say({ type: SnType.Disconnect, durationSeconds: undefined });
    }
  }

  private onPublish(packet: SnPublish): void {
    const { messageId, topicId } = packet;
    if (packet.topicIdType === 0 && !this.names().has(topicId)) {
      return void this.say({ type: SnType.Puback, topicId, messageId, returnCode: SnReturnCode.InvalidTopicId });
    }
    if (packet.qos !== 2 || !this.unreleased.has(messageId)) this.accept(packet);
    if (packet.qos === 2) {
      this.unreleased.add(messageId);
      this.say({ type: SnType.Pubrec, messageId });
    } else if (packet.qos === 1) this.say({ type: SnType.Puback, topicId, messageId, returnCode: 0 });
  }

  private accept({ topicIdType, topicId, data, qos, retain }: SnPublish): void {
    const short = String.fromCharCode(topicId >> 8, topicId & 0xff);
    const topic = topicIdType === 0 ? this.names().get(topicId)! : topicIdType === 1 ? `=${topicId}` : `~${short}`;
    this.accepted.push({ topic, data: textOf(data), qos, retain });
  }

  private onSubscribe({ topic, qos, messageId }: SnSubscribe): void {
    const name = topic.topicIdType === 0 ? topic.name : `=${topic.topicId}`;
    this.filters.add(name);
    const topicId = topic.topicIdType !== 0 ? topic.topicId : /[#+]/.test(name) ? 0 : this.assign(name);
    this.say({ type: SnType.Suback, qos, topicId, messageId, returnCode: 0 });
  }

  private assign(topicName: string): number {
    const id = this.idOf.get(topicName) ?? this.nextId++;
    this.idOf.set(topicName, id);
    return id;
  }

  private names(): Map<number, string> {
    return new Map([...this.idOf].map(([name, id]) => [id, name]));
  }

  private delivered(): void {
    this.window.push(this.queue.shift()!.data);
    this.advance();
  }

  /** Sends what comes next, if the node is there: a topic's id, a message, or that there are no more. */
  private advance(): void {
    if (this.state !== "active" && this.state !== "awake") return;
    if (this.registering !== undefined) return;
    const delivery = this.queue[0];
    if (delivery === undefined) {
      if (this.state !== "awake") return;
      this.state = "asleep";
      this.windows.push(this.window.splice(0));
      return void this.say({ type: SnType.Pingresp });
    }
    if (delivery.step === "release") return void this.say({ type: SnType.Pubrel, messageId: delivery.messageId });
    const { topicName } = delivery;
    const topicId = this.idOf.get(topicName);
    if (topicId === undefined) {
      this.registering = { topicName, messageId: this.nextMessageId++ };
      return void this.announce();
    }
    const { qos, sent: dup } = delivery;
    const messageId = qos === 0 ? 0 : delivery.messageId;
    const data = new Uint8Array(Buffer.from(delivery.data));
    delivery.sent = true;
    this.say({ type: SnType.Publish, dup, qos, retain: false, topicIdType: 0, topicId, messageId, data });
    if (qos === 0) this.delivered();
  }

  private announce(): void {
    const { topicName, messageId } = this.registering!;
    this.say({ type: SnType.Register, topicId: this.assign(topicName), messageId, topicName });
  }

  private repeat(): void {
    if (this.state !== "active" && this.state !== "awake") return;
    if (this.registering !== undefined) this.announce();
    else if (this.queue.length > 0) this.advance();
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}
