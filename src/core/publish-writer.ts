import { copyBytes } from "../codec/bytes.ts";
import { encodePacket } from "../codec/codec.ts";
import type { Qos } from "../codec/constants.ts";
import { NO_PROPERTIES, Publish, type PublishProperties } from "../codec/packet.ts";
import { encodePublishProperties, publishIdentifierAt, publishSize, writePublish } from "../codec/publish.ts";
import { encodeUtf8 } from "../codec/text.ts";
import type { Connection } from "./connection.ts";
import type { Counters } from "./counters.ts";
import type { Hooks } from "./hooks.ts";
import type { Message } from "./message.ts";
import { passToEncodeHooks, tracePacket } from "./send.ts";

const NO_BYTES = new Uint8Array(0);
/** A scratch frame larger than this is not kept for the next message. */
const SCRATCH_BYTES_MAX = 64 * 1024;

/** One encoding of the present message; the flags and the packet identifier are patched for each receiver. */
class Frame {
  bytes: Uint8Array = new Uint8Array(1024);
  length = 0;
  identifierAt = 0;
}

/** The encodings of one message: one for each layout that is needed. */
class Frames {
  private readonly frames = [new Frame(), new Frame(), new Frame(), new Frame()];
  private message: Message | undefined;
  private encodedAtMs = 0;
  private validLayouts = 0;

  of(message: Message, v5: boolean, hasIdentifier: boolean, nowMs: number): Frame {
    if (message !== this.message || nowMs !== this.encodedAtMs) {
      this.message = message;
      this.encodedAtMs = nowMs;
      this.validLayouts = 0;
    }
    const layout = (v5 ? 2 : 0) + (hasIdentifier ? 1 : 0);
    const frame = this.frames[layout]!;
    if ((this.validLayouts & (1 << layout)) !== 0) return frame;
    const properties = v5 ? encodedProperties(message, undefined, undefined, nowMs) : NO_BYTES;
    const topic = topicBytesOf(message);
    const version = v5 ? 5 : 4;
    const qos = hasIdentifier ? 1 : 0;
    const size = publishSize(version, topic.length, qos, properties.length, message.payloadEnd - message.payloadStart);
    if (frame.bytes.length < size || (frame.bytes.length > SCRATCH_BYTES_MAX && size <= SCRATCH_BYTES_MAX)) {
      frame.bytes = new Uint8Array(size <= SCRATCH_BYTES_MAX ? Math.min(SCRATCH_BYTES_MAX, size * 2) : size);
    }
    writePublish(
      frame.bytes,
      0,
      version,
      qos << 1,
      topic,
      0,
      properties,
      message.bytes,
      message.payloadStart,
      message.payloadEnd,
    );
    frame.length = size;
    frame.identifierAt = hasIdentifier ? publishIdentifierAt(frame.bytes, 0) : 0;
    this.validLayouts |= 1 << layout;
    return frame;
  }
}

/**
 * Writes PUBLISH packets to links. A message is encoded once for each layout that its receivers
 * need (3.x or 5.0, with or without packet identifier); each further receiver costs one copy.
 */
export class PublishWriter {
  private readonly frames = new Frames();
  /** For receivers at a mount point, who share the names that they see. */
  private readonly mountedFrames = new Frames();
  private readonly counters: Counters;
  private readonly hooks: Hooks;
  /** Set when hooks or the log want to see every packet: then each is built as an object. */
  private readonly watched: boolean;

  constructor(counters: Counters, hooks: Hooks, traced: boolean) {
    this.counters = counters;
    this.hooks = hooks;
    this.watched = traced || hooks.present.onPacketEncode || hooks.present.onPacketSent;
  }

  /**
   * Returns false when the packet is larger than the receiver's Maximum Packet Size: it is then not sent,
   * 5.0 [MQTT-3.1.2-24].
   */
  write(
    connection: Connection,
    sent: Message,
    qos: Qos,
    retain: boolean,
    dup: boolean,
    packetIdentifier: number,
    subscriptionIdentifiers: readonly number[] | undefined,
    nowMs: number,
  ): boolean {
    const { mount } = connection;
    const message = mount === undefined ? sent : mount.point.view(sent);
    const v5 = connection.protocolVersion === 5;
    const own = v5 && (subscriptionIdentifiers !== undefined || connection.outgoingAliases !== undefined);
    const flags = (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
    if (own || this.watched) {
      return this.writeOwn(connection, message, flags, packetIdentifier, subscriptionIdentifiers, nowMs);
    }
    const frames = mount === undefined ? this.frames : this.mountedFrames;
    const frame = frames.of(message, v5, qos !== 0, nowMs);
    const { length } = frame;
    if (length > connection.maximumPacketSize) return false;
    const { link } = connection;
    const at = link.reserve(length);
    const { batch } = link;
    copyBytes(batch, at, frame.bytes, 0, length);
    batch[at] = 0x30 | flags;
    if (qos !== 0) {
      const identifierAt = at + frame.identifierAt;
      batch[identifierAt] = packetIdentifier >> 8;
      batch[identifierAt + 1] = packetIdentifier & 0xff;
    }
    this.count(message, length);
    return true;
  }

  /** A packet that no other receiver shares: Subscription Identifiers, a Topic Alias, or somebody who watches. */
  private writeOwn(
    connection: Connection,
    message: Message,
    flags: number,
    packetIdentifier: number,
    subscriptionIdentifiers: readonly number[] | undefined,
    nowMs: number,
  ): boolean {
    const v5 = connection.protocolVersion === 5;
    const aliased = v5 ? connection.outgoingAliases?.assign(message.topicName) : undefined;
    const properties = v5 ? propertiesOf(message, subscriptionIdentifiers, aliased?.alias, nowMs) : NO_PROPERTIES;
    const topicName = aliased?.known === true ? "" : message.topicName;
    let publish = new Publish(
      topicName,
      ((flags >> 1) & 3) as Qos,
      (flags & 1) !== 0,
      (flags & 8) !== 0,
      packetIdentifier,
      properties,
      message.bytes,
      message.payloadStart,
      message.payloadEnd,
    );
    if (this.hooks.present.onPacketEncode) {
      const changed = passToEncodeHooks(connection, publish);
      if (changed instanceof Publish) publish = changed;
    }
    const bytes = encodePacket(publish, connection.protocolVersion);
    if (bytes.length > connection.maximumPacketSize) {
      if (aliased?.known === false) connection.outgoingAliases?.forget(message.topicName);
      return false;
    }
    const { link } = connection;
    const at = link.reserve(bytes.length);
    copyBytes(link.batch, at, bytes, 0, bytes.length);
    this.count(message, bytes.length);
    tracePacket(connection, "sent", publish);
    if (this.hooks.present.onPacketSent) this.hooks.notify("onPacketSent", connection.client, publish, bytes);
    return true;
  }

  private count(message: Message, bytes: number): void {
    const { counters } = this;
    counters.bytesSent += bytes;
    counters.packetsSent++;
    counters.publishSent++;
    counters.publishBytesSent += message.payloadEnd - message.payloadStart;
  }
}

export function topicBytesOf(message: Message): Uint8Array {
  message.topicBytes ??= encodeUtf8(message.topicName);
  return message.topicBytes;
}

function encodedProperties(
  message: Message,
  subscriptionIdentifiers: readonly number[] | undefined,
  alias: number | undefined,
  nowMs: number,
): Uint8Array {
  const properties = propertiesOf(message, subscriptionIdentifiers, alias, nowMs);
  return properties === NO_PROPERTIES ? NO_BYTES : encodePublishProperties(properties);
}

/** What a 5.0 receiver is told beside the payload. 5.0 [MQTT-3.3.2-4] [-6] [-15] [-16] [-17] [-20]. */
function propertiesOf(
  message: Message,
  subscriptionIdentifiers: readonly number[] | undefined,
  topicAlias: number | undefined,
  nowMs: number,
): PublishProperties {
  const expires = message.expiresAtMs !== Number.POSITIVE_INFINITY;
  if (!expires && subscriptionIdentifiers === undefined && topicAlias === undefined) return message.properties;
  const properties: PublishProperties = { ...message.properties };
  if (expires) properties.messageExpiryInterval = message.remainingSeconds(nowMs);
  if (subscriptionIdentifiers !== undefined) properties.subscriptionIdentifiers = subscriptionIdentifiers;
  if (topicAlias !== undefined) properties.topicAlias = topicAlias;
  return properties;
}
