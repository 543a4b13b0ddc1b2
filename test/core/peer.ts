import {
  generate,
  type IConnectPacket,
  type IPublishPacket,
  type ISubscription,
  type Packet,
  parser,
} from "mqtt-packet";
import type { Entrance } from "../../src/core/entrance.ts";
import type { Peer } from "../../src/core/ports.ts";
import type { FakeLink } from "./fake-link.ts";
import { lineOf } from "./line.ts";
import type { Stage } from "./stage.ts";

export interface PeerOptions extends Partial<Omit<IConnectPacket, "cmd" | "protocolVersion">> {
  version?: 3 | 4 | 5;
  /** Acknowledges every PUBLISH and PUBREL as soon as it comes. */
  acknowledges?: boolean;
  /** Where the broker sees it; from 192.0.2.1 over the listener "test" unless told. */
  from?: Partial<Peer>;
  /** What the listener asks that it comes by. */
  entrance?: Entrance;
}

type PublishOptions = Partial<Omit<IPublishPacket, "cmd" | "topic" | "payload">> & { id?: number };

/** The client's side of one connection, speaking through an independent codec. */
export class TestPeer {
  readonly link: FakeLink;
  readonly options: PeerOptions;
  readonly version: 3 | 4 | 5;
  /** What came and was not asked for with `take` yet. */
  readonly received: Packet[] = [];
  acknowledges: boolean;
  readonly stage: Stage;
  private readonly parser;
  private readonly answers: Packet[] = [];
  private lastIdentifier = 0;

  constructor(stage: Stage, options: PeerOptions, open: (onTaken: (bytes: Uint8Array) => void) => FakeLink) {
    this.stage = stage;
    this.options = options;
    this.version = options.version ?? 5;
    this.acknowledges = options.acknowledges ?? false;
    this.parser = parser({ protocolVersion: this.version });
    this.parser.on("packet", (packet) => this.onPacket(packet));
    this.parser.on("error", (error: Error) => {
      throw error;
    });
    this.link = open((bytes) => this.parser.parse(Buffer.from(bytes)));
  }

  /** "open", "ended" (orderly) or "destroyed" (at once). */
  get state(): string {
    return this.link.state;
  }

  /** All that came since the last call, a line each. */
  take(): string[] {
    this.stage.flush();
    return this.received.splice(0).map(lineOf);
  }

  /** As `take`, Application Messages only: their payloads. */
  takePayloads(): string[] {
    this.stage.flush();
    return this.received.splice(0).flatMap((packet) => (packet.cmd === "publish" ? [packet.payload.toString()] : []));
  }

  /** The packets go out in one piece. */
  send(...packets: Packet[]): void {
    this.sendBytes(Buffer.concat(packets.map((packet) => this.encode(packet))));
  }

  sendBytes(bytes: Uint8Array): void {
    this.link.receive(bytes);
    this.stage.flush();
  }

  encode(packet: Packet): Buffer {
    return generate(packet, { protocolVersion: this.version });
  }

  connect(): void {
    this.send(this.connectPacket());
  }

  connectPacket(): Packet {
    const { version, acknowledges: _, from: __, entrance: ___, ...rest } = this.options;
    const protocolVersion = version ?? 5;
    return {
      cmd: "connect",
      protocolId: protocolVersion === 3 ? "MQIsdp" : "MQTT",
      protocolVersion,
      clean: true,
      keepalive: 0,
      clientId: "c",
      ...rest,
    };
  }

  publishPacket(topic: string, payload: string, options: PublishOptions = {}): Packet {
    const { id, ...rest } = options;
    const qos = rest.qos ?? 0;
    const messageId = qos === 0 ? {} : { messageId: id ?? ++this.lastIdentifier };
    return { cmd: "publish", qos: 0, retain: false, dup: false, ...rest, topic, payload, ...messageId };
  }

  publish(topic: string, payload: string, options: PublishOptions = {}): void {
    this.send(this.publishPacket(topic, payload, options));
  }

  /** SUBSCRIBE with identifier 1 unless told; `filters` with one QoS and the same options. */
  subscribe(filters: string | string[], qos: 0 | 1 | 2 = 0, options: Partial<ISubscription> = {}, identifier?: number) {
    const properties = identifier === undefined ? {} : { properties: { subscriptionIdentifier: identifier } };
    const subscriptions = [filters].flat().map((topic) => ({ topic, qos, ...options }));
    this.send({ cmd: "subscribe", messageId: 1, subscriptions, ...properties });
  }

  /** Subscribes and drops the answer. */
  subscribed(filters: string | string[], qos: 0 | 1 | 2 = 0, options: Partial<ISubscription> = {}): this {
    this.subscribe(filters, qos, options);
    this.take();
    return this;
  }

  unsubscribe(...filters: string[]): void {
    this.send({ cmd: "unsubscribe", messageId: 2, unsubscriptions: filters });
  }

  acknowledge(cmd: "puback" | "pubrec" | "pubrel" | "pubcomp", messageId: number, reasonCode = 0): void {
    this.send({ cmd, messageId, reasonCode });
  }

  disconnect(reasonCode = 0, properties: { sessionExpiryInterval?: number } = {}): void {
    this.send({ cmd: "disconnect", reasonCode, properties });
  }

  /** Closes without a DISCONNECT. */
  hangUp(error?: Error): void {
    this.link.hangUp(error);
    this.stage.flush();
  }

  /** Sends what `acknowledges` has gathered; true when there was something. */
  answer(): boolean {
    const answers = this.answers.splice(0);
    if (answers.length === 0) return false;
    this.link.receive(Buffer.concat(answers.map((packet) => this.encode(packet))));
    return true;
  }

  private onPacket(packet: Packet): void {
    this.received.push(packet);
    if (!this.acknowledges || packet.messageId === undefined) return;
    const { messageId } = packet;
    if (packet.cmd === "publish") this.answers.push({ cmd: packet.qos === 1 ? "puback" : "pubrec", messageId });
    else if (packet.cmd === "pubrel") this.answers.push({ cmd: "pubcomp", messageId });
  }
}
