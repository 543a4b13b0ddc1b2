import { TopicIdType } from "./codec/types.ts";

/** A topic as PUBLISH names it. */
export interface TopicId {
  readonly topicIdType: 0 | 1 | 2;
  readonly topicId: number;
}

/** 0x0000 and 0xFFFF are reserved, 1.2 §5.3.11. */
export const TOPIC_ID_MIN = 1;
export const TOPIC_ID_MAX = 0xfffe;

/** Tries to find a free number by strides. */
const STRIDES = 8;

/** Topics with numbers that both ends know beforehand: for one client, or for all. */
export type PredefinedTopics = ReadonlyMap<number, string>;

/**
 * Which numbers stand for which topics, for one client: shared tables have sent messages to the wrong topic, 1.2 §7.3.
 *
 * A topic's number follows from its name. The table does not outlive the broker, and a client that has slept through a
 * restart may use a number of before: it is then unknown, which the client is told, or it stands for the same topic as
 * before, since another one has the same number once in 65,534 times only. Numbers that are counted up would begin anew,
 * and put its messages under whatever topic was first.
 */
export class TopicTable {
  private readonly predefined: PredefinedTopics;
  private readonly predefinedIds = new Map<string, number>();
  private readonly max: number;
  private readonly names = new Map<number, string>();
  private readonly ids = new Map<string, number>();
  /** Numbers that the client knows: it gave the name itself, was told at SUBSCRIBE, or has acknowledged REGISTER. */
  private readonly known = new Set<number>();
  /** Topics whose predefined or short number the client has refused. */
  private readonly unknownToClient = new Set<string>();

  /** `max`: registered topics, 1 to 65,534. */
  constructor(predefined: PredefinedTopics, max: number) {
    this.predefined = predefined;
    for (const [id, name] of predefined) if (!this.predefinedIds.has(name)) this.predefinedIds.set(name, id);
    this.max = max;
  }

  get size(): number {
    return this.names.size;
  }

  /** undefined: nobody has said what the number stands for. */
  nameOf(topicIdType: number, topicId: number): string | undefined {
    if (topicIdType === TopicIdType.Predefined) return this.predefined.get(topicId);
    if (topicIdType === TopicIdType.Short) return shortName(topicId);
    return this.names.get(topicId);
  }

  /**
   * How the client can be told of the topic now; undefined when it must be given a number first. A number that it knows
   * goes before the others: it was told so when it gave the name.
   */
  idOf(name: string): TopicId | undefined {
    const id = this.ids.get(name);
    if (id !== undefined && this.known.has(id)) return { topicIdType: TopicIdType.Normal, topicId: id };
    if (this.unknownToClient.has(name)) return undefined;
    const predefined = this.predefinedIds.get(name);
    if (predefined !== undefined) return { topicIdType: TopicIdType.Predefined, topicId: predefined };
    const short = shortId(name);
    return short === undefined ? undefined : { topicIdType: TopicIdType.Short, topicId: short };
  }

  /** The number of a topic, a new one if it has none; undefined when there are no more. */
  register(name: string): number | undefined {
    const before = this.ids.get(name);
    if (before !== undefined) return before;
    if (this.names.size >= this.max) return undefined;
    const hash = hashOf(name);
    // Two topics that meet part again by steps of their own; single steps find the last free numbers too.
    const stride = 1 + (hash >>> 17);
    let id = numberOf(hash);
    for (let tries = 1; this.names.has(id); tries++) {
      id = numberOf(id - TOPIC_ID_MIN + (tries < STRIDES ? stride : 1));
    }
    this.names.set(id, name);
    this.ids.set(name, id);
    return id;
  }

  /** The client knows the number. */
  confirm(id: number): void {
    if (this.names.has(id)) this.known.add(id);
  }

  /** The client does not know what it was told: REGISTER has to come first, 1.2 §6.10. */
  doubt({ topicIdType, topicId }: TopicId): void {
    if (topicIdType === TopicIdType.Normal) {
      this.known.delete(topicId);
      return;
    }
    const name = this.nameOf(topicIdType, topicId);
    if (name !== undefined) this.unknownToClient.add(name);
  }

  /** After a new CONNECT nothing is certain that the client was told, 1.2 §6.10; what it said itself holds on. */
  doubtAll(): void {
    this.known.clear();
    this.unknownToClient.clear();
  }
}

/** 32 bits of FNV-1a over the name's UTF-16 code units. */
function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < name.length; index++) {
    hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  }
  // What differs in the last character only would differ in the low bits only.
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x2c1b3c6d);
  return (hash ^ (hash >>> 13)) >>> 0;
}

function numberOf(hash: number): number {
  return TOPIC_ID_MIN + (hash % (TOPIC_ID_MAX - TOPIC_ID_MIN + 1));
}

/** Two octets that are a topic name by themselves, 1.2 §3; undefined when they are none. */
export function shortName(topicId: number): string | undefined {
  const [high, low] = [topicId >> 8, topicId & 0xff];
  // Others would be cut characters of UTF-8, and U+0000 is in no topic name.
  if (high === 0 || low === 0 || high > 0x7f || low > 0x7f) return undefined;
  const name = String.fromCharCode(high, low);
  return /[+#]/.test(name) ? undefined : name;
}

function shortId(name: string): number | undefined {
  if (name.length !== 2) return undefined;
  const id = (name.charCodeAt(0) << 8) | name.charCodeAt(1);
  return id <= 0x7f7f && shortName(id) === name ? id : undefined;
}
