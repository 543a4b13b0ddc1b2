import { generate, type IPublishPacket, type Packet, type Parser, parser } from "mqtt-packet";
import type { SeededRandom } from "../hostile/random.ts";
import { ClientState } from "./client-state.ts";
import { keyOf, payloadOf, type SimMessage } from "./message.ts";
import type { LinkClient, SimLink } from "./network.ts";
import type { Oracle } from "./oracle.ts";
import type { Timeline } from "./timeline.ts";

/** What does not change about a client. */
export interface Character {
  number: number;
  version: 4 | 5;
  /** Its session outlives its connection. */
  stored: boolean;
  /** Seconds; of 5.0. */
  expirySeconds: number;
  receiveMaximum: number;
  /** Acknowledgements wait up to so long. */
  answerMs: number;
  keepAliveSeconds: number;
}

/** What a client needs of the run. */
export interface ClientWorld {
  timeline: Timeline;
  random: SeededRandom;
  oracle: Oracle;
  /** undefined while no broker listens. */
  dial(client: LinkClient): SimLink | undefined;
  trace(clientId: string, event: string): void;
}

const CONNACK_TIMEOUT_MS = 5_000;
const ENDLESS = 0xffff_ffff;

/** A correct MQTT client of 3.1.1 or 5.0, over a codec that is not ours. What it does besides is the scenario's business. */
export class ModelClient implements LinkClient {
  readonly clientId: string;
  readonly character: Character;
  readonly state = new ClientState();
  link: SimLink | undefined;
  connected = false;
  /** Told when it is connected, and when a connection or an attempt has ended. */
  onConnected: () => void = () => {};
  onLost: () => void = () => {};
  nextNumber = 1;
  will: SimMessage | undefined;
  /** Retained messages that came, by topic. */
  readonly retainedSeen = new Map<string, SimMessage>();
  answerAtOnce = false;
  private startsOver = false;
  private readonly world: ClientWorld;
  private parser: Parser | undefined;
  private clean = false;
  private writtenMs = 0;
  private answeredMs = 0;
  private wills = 0;
  private willDelaySeconds = 0;

  constructor(character: Character, world: ClientWorld) {
    this.character = character;
    this.clientId = `c${character.number}`;
    this.world = world;
  }

  /** Of the present session, or of the one that is asked for. A 3.1.1 session is kept or clean. */
  get expirySeconds(): number {
    const { version, stored, expirySeconds } = this.character;
    if (version === 5) return stored ? expirySeconds : 0;
    return this.clean ? 0 : ENDLESS;
  }

  /** False when nobody listens. */
  connect(clean: boolean, withWill: boolean): boolean {
    const { oracle, timeline } = this.world;
    this.drop();
    const link = this.world.dial(this);
    if (link === undefined) return false;
    this.link = link;
    this.clean = clean || !this.character.stored || this.startsOver;
    this.startsOver = false;
    const { version } = this.character;
    const received = parser({ protocolVersion: version });
    received.on("packet", (packet) => {
      if (this.parser === received) this.onPacket(packet);
    });
    received.on("error", (error: Error) => oracle.break(`${this.clientId} cannot read what it got: ${error.message}`));
    this.parser = received;
    this.will = withWill ? this.newWill() : undefined;
    oracle.connectSent(this.clientId, link, this.clean, this.expirySeconds * 1000, this.will);
    this.send(this.connectPacket());
    timeline.after(CONNACK_TIMEOUT_MS, () => {
      if (this.link === link && !this.connected) this.drop();
    });
    return true;
  }

  /** Closes without DISCONNECT, if there is something to close. */
  drop(): void {
    const { link } = this;
    if (link === undefined) return;
    link.closeByClient();
    this.onClosed();
  }

  /** Says DISCONNECT, 5.0 with or without its will, and closes. */
  disconnect(keepsWill: boolean): void {
    const { link, will } = this;
    if (link === undefined || !this.connected) return;
    const packet: Packet = { cmd: "disconnect", reasonCode: keepsWill && this.character.version === 5 ? 4 : 0 };
    this.send(packet, () => {
      if (packet.reasonCode === 0 && will !== undefined) {
        this.world.oracle.wills.disconnected(will, this.world.timeline.nowMs);
      }
    });
    this.drop();
  }

  publish(message: SimMessage, bytes: number): void {
    const { oracle } = this.world;
    const payload = payloadOf(message, bytes);
    oracle.published(message);
    const identifier = message.qos === 0 ? 0 : this.state.freeIdentifier();
    if (message.qos > 0) this.state.outgoing.set(identifier, { message, payload, released: false });
    this.sendPublish(message, payload, identifier, false);
  }

  subscribe(filters: readonly { topic: string; qos: 0 | 1 | 2 }[]): void {
    const { oracle, timeline, trace } = this.world;
    const session = oracle.session(this.clientId);
    const requests = filters.map(({ topic, qos }) => {
      trace(this.clientId, `  ${topic} qos${qos}`);
      return session.subscribeSent(topic, qos, timeline.nowMs);
    });
    const messageId = this.request((codes) => {
      filters.forEach(({ topic }, at) => {
        const code = codes[at]!;
        if (code <= 2) session.subackReceived(topic, code as 0 | 1 | 2, requests[at]!, timeline.nowMs);
      });
    });
    this.send({ cmd: "subscribe", messageId, subscriptions: filters.map((filter) => ({ ...filter })) });
  }

  unsubscribe(filters: readonly string[]): void {
    const { oracle, timeline, trace } = this.world;
    const requests = filters.map((filter) => {
      trace(this.clientId, `  not ${filter}`);
      return oracle.unsubscribeSent(this.clientId, filter);
    });
    const session = oracle.session(this.clientId);
    const messageId = this.request(() => {
      filters.forEach((filter, at) => {
        session.unsubackReceived(filter, requests[at]!, timeline.nowMs);
      });
    });
    this.send({ cmd: "unsubscribe", messageId, unsubscriptions: [...filters] });
  }

  ping(): void {
    this.send({ cmd: "pingreq" });
  }

  onBytes(bytes: Uint8Array, writtenMs: number): void {
    this.writtenMs = writtenMs;
    this.parser?.parse(Buffer.from(bytes));
  }

  onClosed(): void {
    if (this.link === undefined) return;
    this.link = undefined;
    this.parser = undefined;
    this.connected = false;
    this.state.connectionLost();
    this.world.trace(this.clientId, "closed");
    this.onLost();
  }

  private request(answered: (codes: readonly number[]) => void): number {
    const identifier = this.state.freeIdentifier();
    this.state.requests.set(identifier, answered);
    return identifier;
  }

  private connectPacket(): Packet {
    const { version, receiveMaximum, keepAliveSeconds } = this.character;
    const { will } = this;
    const properties = { sessionExpiryInterval: this.expirySeconds, receiveMaximum };
    return {
      cmd: "connect",
      protocolId: "MQTT",
      protocolVersion: version,
      clean: this.clean,
      keepalive: keepAliveSeconds,
      clientId: this.clientId,
      ...(version === 5 ? { properties } : {}),
      ...(will === undefined
        ? {}
        : {
            will: {
              topic: will.topic,
              payload: Buffer.from(payloadOf(will, 0)),
              qos: will.qos,
              retain: false,
              ...(version === 5 ? { properties: { willDelayInterval: this.willDelaySeconds } } : {}),
            },
          }),
    };
  }

  private newWill(): SimMessage {
    const { random, timeline } = this.world;
    const { number } = this.character;
    const qos = random.pick([0, 1, 2] as const);
    this.wills++;
    this.willDelaySeconds = random.pick([0, 0, 1, 20]);
    return {
      key: `w${number}.${this.wills}`,
      publisher: number,
      number: this.wills,
      topic: `w/${number}`,
      qos,
      retain: false,
      removes: false,
      expirySeconds: undefined,
      isWill: true,
      firstSentMs: timeline.nowMs,
      sendings: 0,
      acknowledgedMs: Number.POSITIVE_INFINITY,
      refused: false,
      inStorm: false,
    };
  }

  private onPacket(packet: Packet): void {
    this.world.trace(this.clientId, `< ${packet.cmd}`);
    switch (packet.cmd) {
      case "connack":
        this.onConnack(packet.sessionPresent, packet.reasonCode ?? packet.returnCode ?? 0);
        break;
      case "publish":
        this.onPublish(packet);
        break;
      case "puback":
      case "pubrec":
        this.onAcknowledged(packet.messageId!, packet.cmd, packet.reasonCode ?? 0);
        break;
      case "pubcomp":
        this.state.outgoing.delete(packet.messageId!);
        break;
      case "pubrel":
        this.state.incoming.delete(packet.messageId!);
        this.answer({ cmd: "pubcomp", messageId: packet.messageId! });
        break;
      case "suback":
      case "unsuback":
        this.state.requests.get(packet.messageId!)?.(packet.granted as number[]);
        this.state.requests.delete(packet.messageId!);
        break;
      default:
        break;
    }
  }

  private onConnack(present: boolean, code: number): void {
    if (code !== 0) {
      this.drop();
      return;
    }
    this.connected = true;
    this.world.oracle.connackReceived(this.clientId, present, this.will);
    if (!present) this.state.sessionLost();
    else if (this.state.isUsed && this.world.oracle.session(this.clientId).isAmbiguous) {
      // To go on would be to take a stranger's packet identifiers for its own: it starts over.
      this.startsOver = true;
      this.drop();
      return;
    }
    // 5.0 [MQTT-4.4.0-1]
    for (const [messageId, sent] of this.state.outgoing) {
      if (sent.released) this.send({ cmd: "pubrel", messageId });
      else this.sendPublish(sent.message, sent.payload, messageId, true);
    }
    this.onConnected();
  }

  private onAcknowledged(messageId: number, cmd: "puback" | "pubrec", code: number): void {
    const sent = this.state.outgoing.get(messageId);
    if (sent === undefined || (sent.message.qos === 1) !== (cmd === "puback")) return;
    this.world.oracle.acknowledged(sent.message, code);
    if (cmd === "puback" || code >= 0x80) {
      this.state.outgoing.delete(messageId);
      return;
    }
    sent.released = true;
    this.send({ cmd: "pubrel", messageId });
  }

  private onPublish(packet: IPublishPacket): void {
    const { state } = this;
    const { oracle } = this.world;
    const payload = packet.payload as Buffer;
    const key = keyOf(payload);
    if (packet.qos > 0) {
      const identifier = packet.messageId!;
      const under = state.unanswered.get(identifier);
      if (under !== undefined && !packet.dup) {
        oracle.breakUnlessDamaged(
          `${this.clientId} got ${key} under identifier ${identifier}, which ${under} still has`,
        );
      }
      state.unanswered.set(identifier, key);
      if (this.character.version === 5 && state.unanswered.size > this.character.receiveMaximum) {
        oracle.break(`${this.clientId} got more than ${this.character.receiveMaximum} messages without an answer`);
      }
      if (packet.qos === 1) {
        const session = oracle.session(this.clientId);
        this.answer({ cmd: "puback", messageId: identifier }, () => {
          if (!packet.retain) session.answered(key, this.world.timeline.nowMs);
        });
      } else {
        const known = state.incoming.get(identifier);
        this.answer({ cmd: "pubrec", messageId: identifier });
        if (known !== undefined) {
          if (known !== key)
            oracle.breakUnlessDamaged(`${this.clientId} takes ${key} for ${known}: identifier ${identifier} is in use`);
          return;
        }
        state.incoming.set(identifier, key);
      }
    }
    this.world.trace(this.clientId, `got ${key} ${packet.topic} qos${packet.qos}${packet.retain ? " retained" : ""}`);
    if (payload.length === 0) return;
    const message = oracle.messages.get(key);
    if (packet.retain && message !== undefined) this.retainedSeen.set(packet.topic, message);
    oracle.delivered(this.clientId, {
      message,
      key,
      topic: packet.topic,
      qos: packet.qos,
      retain: packet.retain,
      dup: packet.dup,
      expirySeconds: packet.properties?.messageExpiryInterval,
      writtenMs: this.writtenMs,
    });
  }

  /** In the order of what is answered, 5.0 [MQTT-4.6.0-2]. */
  private answer(packet: Packet & { messageId: number }, onHanded?: () => void): void {
    const { timeline, random } = this.world;
    const { link } = this;
    const delayMs = this.answerAtOnce ? 0 : random.below(this.character.answerMs + 1);
    this.answeredMs = Math.max(this.answeredMs, timeline.nowMs + delayMs);
    timeline.at(this.answeredMs, () => {
      if (this.link !== link) return;
      if (packet.cmd !== "pubrec") this.state.unanswered.delete(packet.messageId);
      this.send(packet, onHanded);
    });
  }

  private sendPublish(message: SimMessage, payload: string, messageId: number, dup: boolean): void {
    const { topic, qos, retain, expirySeconds } = message;
    message.sendings++;
    this.world.trace(this.clientId, `  ${message.key} ${topic} qos${qos}${dup ? " dup" : ""}`);
    this.send({
      cmd: "publish",
      topic,
      payload,
      qos,
      retain,
      dup,
      ...(qos > 0 ? { messageId } : {}),
      ...(expirySeconds !== undefined && this.character.version === 5
        ? { properties: { messageExpiryInterval: expirySeconds } }
        : {}),
    });
  }

  private send(packet: Packet, onHanded?: () => void): void {
    this.world.trace(this.clientId, `> ${packet.cmd}`);
    this.link?.send(generate(packet, { protocolVersion: this.character.version }), onHanded);
  }
}
