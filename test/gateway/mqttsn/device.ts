import { decodeSn } from "../../../src/gateway/mqttsn/codec/decode.ts";
import { encodeSn } from "../../../src/gateway/mqttsn/codec/encode.ts";
import type { SnConnect, SnPacket, SnPublish } from "../../../src/gateway/mqttsn/codec/packet.ts";
import { SnType, TopicIdType } from "../../../src/gateway/mqttsn/codec/types.ts";

const NAMES = new Map<number, string>(Object.entries(SnType).map(([name, type]) => [type, name.toUpperCase()]));

/**
 * A client of MQTT-SN 1.2, scripted: what it sends goes out at once, what comes is noted as lines, and answered only when
 * `answers` says so. It knows the numbers of topics as a real one does: from REGISTER, REGACK and SUBACK.
 */
export class SnDevice {
  readonly clientId: string;
  /** Numbers that it was told. */
  readonly topics = new Map<number, string>();
  readonly predefined = new Map<number, string>();
  answers = true;
  /** ReturnCode with which REGISTER and PUBLISH are answered. */
  returnCode = 0;
  private readonly transmit: (message: Uint8Array) => void;
  private readonly came: string[] = [];
  private readonly unanswered: SnPacket[] = [];
  private readonly asked = new Map<number, string>();
  private nextMessageId = 1;
  private last: SnPacket | undefined;

  constructor(clientId: string, transmit: (message: Uint8Array) => void) {
    this.clientId = clientId;
    this.transmit = transmit;
  }

  send(packet: SnPacket): void {
    this.transmit(encodeSn(packet));
  }

  /** A message from the gateway. */
  take(message: Uint8Array): void {
    const packet = decodeSn(message);
    this.came.push(this.lineOf(packet));
    if (packet.type === SnType.Suback || packet.type === SnType.Regack) {
      const name = this.asked.get(packet.messageId);
      if (name !== undefined && packet.topicId !== 0) this.topics.set(packet.topicId, name);
    }
    this.unanswered.push(packet);
  }

  /** What has come since the last time. */
  lines(): string[] {
    return this.came.splice(0);
  }

  /** Answers what has come, if it does. True when something was sent. */
  answer(): boolean {
    const packets = this.unanswered.splice(0);
    this.last = packets.at(-1) ?? this.last;
    if (!this.answers) return false;
    for (const packet of packets) this.answerTo(packet);
    return packets.length > 0;
  }

  /** Answers what came last, though it answers nothing else. */
  answerLast(): void {
    if (this.last !== undefined) this.answerTo(this.last);
  }

  connect(given: Partial<Omit<SnConnect, "type">> = {}): void {
    const { clientId } = this;
    this.send({ type: SnType.Connect, will: false, cleanSession: false, durationSeconds: 60, clientId, ...given });
  }

  willTopic(topic: string, qos: 0 | 1 | 2 = 0, retain = false): void {
    this.send({ type: SnType.WillTopic, will: { qos, retain, topic } });
  }

  willMessage(message: string): void {
    this.send({ type: SnType.WillMsg, message: Buffer.from(message) });
  }

  register(topicName: string): number {
    const messageId = this.messageId(topicName);
    this.send({ type: SnType.Register, topicId: 0, messageId, topicName });
    return messageId;
  }

  /** `messageId`: the one of before, for a repetition. */
  subscribe(name: string, qos: 0 | 1 | 2 = 1, messageId = this.messageId(name)): number {
    this.send({ type: SnType.Subscribe, dup: false, qos, messageId, topic: { topicIdType: 0, name } });
    return messageId;
  }

  /** To a registered topic, whose number it must know. */
  publish(topic: string, data: string, given: Partial<SnPublish> = {}): void {
    const known = [...this.topics].find(([, name]) => name === topic)?.[0];
    const { Publish } = SnType;
    const id = { topicIdType: TopicIdType.Normal, topicId: known ?? 0, messageId: 0, data: Buffer.from(data) };
    this.send({ type: Publish, dup: false, qos: 0, retain: false, ...id, ...given });
  }

  ping(clientId?: string): void {
    this.send({ type: SnType.Pingreq, clientId });
  }

  /** With its identifier, to fetch what was kept. */
  wake(): void {
    this.ping(this.clientId);
  }

  disconnect(durationSeconds?: number): void {
    this.send({ type: SnType.Disconnect, durationSeconds });
  }

  private messageId(topic: string): number {
    const id = this.nextMessageId++;
    this.asked.set(id, topic);
    return id;
  }

  private answerTo(packet: SnPacket): void {
    const { returnCode } = this;
    switch (packet.type) {
      case SnType.Register:
        if (returnCode === 0) this.topics.set(packet.topicId, packet.topicName);
        this.send({ type: SnType.Regack, topicId: packet.topicId, messageId: packet.messageId, returnCode });
        break;
      case SnType.Publish:
        if (packet.qos === 1 || (packet.qos === 2 && returnCode !== 0)) {
          this.send({ type: SnType.Puback, topicId: packet.topicId, messageId: packet.messageId, returnCode });
        } else if (packet.qos === 2) this.send({ type: SnType.Pubrec, messageId: packet.messageId });
        break;
      case SnType.Pubrel:
        this.send({ type: SnType.Pubcomp, messageId: packet.messageId });
        break;
      default:
        break;
    }
  }

  private lineOf(packet: SnPacket): string {
    const name = NAMES.get(packet.type)!;
    switch (packet.type) {
      case SnType.Publish: {
        const parts = [name, this.topicOf(packet), JSON.stringify(Buffer.from(packet.data).toString())];
        if (packet.qos > 0) parts.push(`qos${packet.qos}`, `#${packet.messageId}`);
        if (packet.dup) parts.push("dup");
        if (packet.retain) parts.push("retain");
        return parts.join(" ");
      }
      case SnType.Register:
        return `${name} ${packet.topicName}`;
      case SnType.Suback:
        return `${name} #${packet.messageId} qos${packet.qos} code${packet.returnCode}`;
      case SnType.Puback:
      case SnType.Regack:
        return `${name} #${packet.messageId} code${packet.returnCode}`;
      case SnType.Pubrec:
      case SnType.Pubrel:
      case SnType.Pubcomp:
      case SnType.Unsuback:
        return `${name} #${packet.messageId}`;
      case SnType.Connack:
      case SnType.WillTopicResp:
      case SnType.WillMsgResp:
        return `${name} code${packet.returnCode}`;
      case SnType.GwInfo:
        return `${name} ${packet.gatewayId}`;
      default:
        return name;
    }
  }

  private topicOf({ topicIdType, topicId }: SnPublish): string {
    if (topicIdType === TopicIdType.Short) return `short:${String.fromCharCode(topicId >> 8, topicId & 0xff)}`;
    if (topicIdType === TopicIdType.Predefined) return `predefined:${topicId}`;
    return this.topics.get(topicId) ?? `unknown:${topicId}`;
  }
}
