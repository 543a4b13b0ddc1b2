import { decodeSn } from "../../../../src/gateway/mqttsn/codec/decode.ts";
import { encodeSn } from "../../../../src/gateway/mqttsn/codec/encode.ts";
import type { SnPacket, SnPublish } from "../../../../src/gateway/mqttsn/codec/packet.ts";
import { SnReturnCode, SnType } from "../../../../src/gateway/mqttsn/codec/types.ts";

export interface Message {
  readonly topic: string;
  readonly text: string;
}

/** What the node waits for: one answer at a time, 1.2 §6.5. */
interface Question {
  readonly packet: SnPacket;
  readonly isAnswer: (packet: SnPacket) => boolean;
  readonly settle: (packet: SnPacket) => void;
  timer: NodeJS.Timeout | undefined;
}

/** A small device that speaks MQTT-SN 1.2, and asks again every `retryMs` for as long as it lives. */
export class SnNode {
  readonly clientId: string;
  /** In the order in which they came; of QoS 2 each once. */
  readonly received: Message[] = [];
  retried = 0;
  /** CONNECTs that were answered. */
  connects = 0;
  /** Times that the gateway told it to go. */
  disconnects = 0;
  onMessage: (message: Message, octets: number) => void = () => {};
  private readonly transmit: (message: Uint8Array) => void;
  private readonly retryMs: number;
  private readonly topics = new Map<number, string>();
  /** Messages of QoS 2 that the gateway has not released. */
  private readonly held = new Set<number>();
  private question: Question | undefined;
  private nextMessageId = 1;
  private isStopped = false;

  constructor(clientId: string, transmit: (message: Uint8Array) => void, retryMs: number) {
    this.clientId = clientId;
    this.transmit = transmit;
    this.retryMs = retryMs;
  }

  async connect(cleanSession = true, durationSeconds = 60): Promise<void> {
    const { clientId } = this;
    const packet: SnPacket = { type: SnType.Connect, will: false, cleanSession, durationSeconds, clientId };
    const answer = await this.ask(packet, ({ type }) => type === SnType.Connack);
    if (answer.type !== SnType.Connack || answer.returnCode !== SnReturnCode.Accepted) {
      throw new Error(`${clientId} was refused: ${JSON.stringify(answer)}`);
    }
    this.connects++;
  }

  /** The topic's number. */
  async register(topicName: string): Promise<number> {
    const messageId = this.messageId();
    const packet: SnPacket = { type: SnType.Register, topicId: 0, messageId, topicName };
    const answer = await this.ask(packet, (one) => one.type === SnType.Regack && one.messageId === messageId);
    if (answer.type !== SnType.Regack || answer.returnCode !== SnReturnCode.Accepted) throw new Error("no topic id");
    return answer.topicId;
  }

  async subscribe(name: string, qos: 0 | 1 | 2): Promise<void> {
    const messageId = this.messageId();
    const packet: SnPacket = { type: SnType.Subscribe, dup: false, qos, messageId, topic: { topicIdType: 0, name } };
    const answer = await this.ask(packet, (one) => one.type === SnType.Suback && one.messageId === messageId);
    if (answer.type !== SnType.Suback || answer.returnCode !== SnReturnCode.Accepted) throw new Error("no SUBACK");
    if (answer.topicId !== 0) this.topics.set(answer.topicId, name);
  }

  /** Resolves when the message is acknowledged: with QoS 2 to its end. Answers the octets of its PUBLISH. */
  async publish(topicId: number, qos: 1 | 2, text: string): Promise<number> {
    const messageId = this.messageId();
    const data = Buffer.from(text);
    const packet: SnPacket = {
      ...{ type: SnType.Publish, dup: false, qos, retain: false },
      ...{ topicIdType: 0, topicId, messageId, data },
    };
    const answerType = qos === 1 ? SnType.Puback : SnType.Pubrec;
    const answer = await this.ask(packet, (one) => one.type === answerType && one.messageId === messageId);
    if (answer.type === SnType.Puback && answer.returnCode !== SnReturnCode.Accepted) {
      throw new Error(`${this.clientId}: PUBACK ${answer.returnCode}`);
    }
    if (qos === 2) {
      const release: SnPacket = { type: SnType.Pubrel, messageId };
      await this.ask(release, (one) => one.type === SnType.Pubcomp && one.messageId === messageId);
    }
    return encodeSn(packet).length;
  }

  /** Goes to sleep; nothing is sent to it until it wakes. */
  async sleep(durationSeconds: number): Promise<void> {
    await this.ask({ type: SnType.Disconnect, durationSeconds }, ({ type }) => type === SnType.Disconnect);
  }

  /** Asks for what was kept, until PINGRESP. */
  async wake(): Promise<void> {
    const { clientId } = this;
    await this.ask({ type: SnType.Pingreq, clientId }, ({ type }) => type === SnType.Pingresp);
  }

  /** Its battery is out. */
  stop(): void {
    this.isStopped = true;
    clearTimeout(this.question?.timer);
  }

  /** What comes in damaged is nothing to it. */
  receive(bytes: Uint8Array): void {
    if (this.isStopped) return;
    let packet: SnPacket;
    try {
      packet = decodeSn(bytes);
    } catch {
      return;
    }
    const { question } = this;
    if (question?.isAnswer(packet)) {
      clearTimeout(question.timer);
      this.question = undefined;
      question.settle(packet);
      return;
    }
    switch (packet.type) {
      case SnType.Register: {
        const { topicId, messageId, topicName } = packet;
        this.topics.set(topicId, topicName);
        this.send({ type: SnType.Regack, topicId, messageId, returnCode: SnReturnCode.Accepted });
        break;
      }
      case SnType.Publish:
        this.onPublish(packet, bytes.length);
        break;
      case SnType.Pubrel:
        this.held.delete(packet.messageId);
        this.send({ type: SnType.Pubcomp, messageId: packet.messageId });
        break;
      case SnType.Disconnect:
        this.disconnects++;
        break;
      default:
        break;
    }
  }

  private onPublish({ qos, topicId, messageId, data }: SnPublish, octets: number): void {
    const topic = this.topics.get(topicId);
    if (topic === undefined) {
      this.send({ type: SnType.Puback, topicId, messageId, returnCode: SnReturnCode.InvalidTopicId });
      return;
    }
    if (qos !== 2 || !this.held.has(messageId)) {
      const message = { topic, text: Buffer.from(data).toString() };
      this.received.push(message);
      this.onMessage(message, octets);
    }
    if (qos === 2) this.held.add(messageId);
    if (qos === 1) this.send({ type: SnType.Puback, topicId, messageId, returnCode: SnReturnCode.Accepted });
    else if (qos === 2) this.send({ type: SnType.Pubrec, messageId });
  }

  private ask(packet: SnPacket, isAnswer: Question["isAnswer"]): Promise<SnPacket> {
    if (this.question !== undefined) throw new Error(`${this.clientId} waits for an answer already`);
    return new Promise((settle) => {
      this.question = { packet, isAnswer, settle, timer: undefined };
      this.attempt(this.question);
    });
  }

  private attempt(question: Question): void {
    if (this.isStopped) return;
    this.send(question.packet);
    question.timer = setTimeout(() => {
      this.retried++;
      const { packet } = question;
      if (packet.type === SnType.Publish || packet.type === SnType.Subscribe) packet.dup = true;
      this.attempt(question);
    }, this.retryMs);
  }

  private send(packet: SnPacket): void {
    this.transmit(encodeSn(packet));
  }

  private messageId(): number {
    const id = this.nextMessageId;
    this.nextMessageId = id === 0xffff ? 1 : id + 1;
    return id;
  }
}
