import type { Publish, Will } from "../codec/packet.ts";
import { ReasonCode } from "../codec/reason.ts";
import { utf8Length } from "../codec/text.ts";
import { parseShared } from "../topic/name.ts";
import { Message } from "./message.ts";

/** Bytes of the longest UTF-8 Encoded String, 5.0 [MQTT-4.7.3-3]. */
const NAME_BYTES_MAX = 65_535;
const DOLLAR = 0x24;

/**
 * The part of the topics that the clients of a mount point see: they name topics without `prefix`, and everybody else,
 * rules, log and store know them with it. Names of theirs that begin with `$` do not exist, so that neither the broker's
 * own topics nor others' wildcards are there for them to be mistaken about.
 */
export class MountPoint {
  readonly prefix: string;
  private readonly prefixBytes: number;
  /** The last message that was sent, as it is seen here: all receivers of it get the same one. */
  private source: Message | undefined = undefined;
  private seen: Message | undefined = undefined;

  constructor(prefix: string) {
    this.prefix = prefix;
    this.prefixBytes = utf8Length(prefix);
  }

  /** The Topic Filter with the prefix, which in a share comes behind its name. `topicFilter` is valid. */
  filter(topicFilter: string): string {
    const shared = parseShared(topicFilter);
    if (shared === undefined) return this.prefix + topicFilter;
    return `$share/${shared.group}/${this.prefix}${shared.filter}`;
  }

  /** Why a client may not use a full name that came of its own: that begins with `$`, or is too long now. */
  objectionTo(name: string): typeof ReasonCode.NotAuthorized | typeof ReasonCode.TopicNameInvalid | undefined {
    const { prefix } = this;
    if (name.charCodeAt(prefix.length) === DOLLAR && name.startsWith(prefix)) return ReasonCode.NotAuthorized;
    return isTooLong(name) ? ReasonCode.TopicNameInvalid : undefined;
  }

  /** Nothing that begins with the prefix, so that clients of the mount point cannot be told of it. */
  hides(message: Message): boolean {
    if (message === this.source) return false;
    const { prefix } = this;
    const { topicName } = message;
    const { length } = prefix;
    // `plant1/#` also matches `plant1` and `plant1/`, which would have no name here.
    return topicName.length <= length || topicName.charCodeAt(length) === DOLLAR || !topicName.startsWith(prefix);
  }

  /** The message as a client here is sent it. It must not be hidden. */
  view(message: Message): Message {
    const { source, seen } = this;
    // Keeping a message moves its payload out of the receive buffer.
    if (source === message && seen!.bytes === message.bytes) return seen!;
    const { prefix, prefixBytes } = this;
    const { topicBytes, properties } = message;
    const { responseTopic } = properties;
    const view = new Message(
      message.topicName.slice(prefix.length),
      message.qos,
      message.retain,
      responseTopic === undefined ? properties : { ...properties, responseTopic: this.inner(responseTopic) },
      message.expiresAtMs,
      message.bytes,
      message.payloadStart,
      message.payloadEnd,
    );
    if (topicBytes !== undefined) view.topicBytes = topicBytes.subarray(prefixBytes);
    this.source = message;
    this.seen = view;
    return view;
  }

  private inner(topicName: string): string {
    const { prefix } = this;
    const isInside = topicName.length > prefix.length && topicName.startsWith(prefix);
    return isInside ? topicName.slice(prefix.length) : topicName;
  }
}

/** One client at a mount point: makes full names of those that it gives. */
export class Mount {
  readonly point: MountPoint;
  /** Publishers repeat themselves. */
  private given = "";
  private full = "";

  constructor(point: MountPoint) {
    this.point = point;
  }

  /** Its names become full ones; a Topic Name that an alias stands for stays empty. */
  mountPublish(publish: Publish): void {
    const { topicName, properties } = publish;
    if (topicName !== "") publish.topicName = this.name(topicName);
    const { responseTopic } = properties;
    if (responseTopic !== undefined) {
      publish.properties = { ...properties, responseTopic: this.point.prefix + responseTopic };
    }
  }

  /** As `MountPoint.objectionTo`, for what mountPublish or mountWill has made. */
  objectionTo(topicName: string, responseTopic: string | undefined): ReturnType<MountPoint["objectionTo"]> {
    if (responseTopic !== undefined && isTooLong(responseTopic)) return ReasonCode.TopicNameInvalid;
    return this.point.objectionTo(topicName);
  }

  mountWill(will: Will): Will {
    const { responseTopic } = will.properties;
    const { prefix } = this.point;
    const properties =
      responseTopic === undefined ? will.properties : { ...will.properties, responseTopic: prefix + responseTopic };
    return { ...will, topicName: prefix + will.topicName, properties };
  }

  private name(topicName: string): string {
    if (topicName !== this.given) {
      this.given = topicName;
      this.full = this.point.prefix + topicName;
    }
    return this.full;
  }
}

function isTooLong(name: string): boolean {
  return name.length * 3 > NAME_BYTES_MAX && utf8Length(name) > NAME_BYTES_MAX;
}

/** Undefined: a placeholder stands for nothing that can be a level of a topic, such as "a/b" or no user name. */
export function mountPointFor(template: string, clientId: string, userName: string | undefined): string | undefined {
  let isPossible = true;
  const prefix = template.replace(/%[cu]/g, (placeholder) => {
    const name = placeholder === "%c" ? clientId : userName;
    // Clients choose their names, and must not become wildcards, or another client's part of the tree, by them.
    if (name === undefined || name === "" || /[/+#]/.test(name)) isPossible = false;
    return name ?? "";
  });
  return isPossible && !prefix.startsWith("$") ? prefix : undefined;
}
