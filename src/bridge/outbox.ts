import { Publish } from "../codec/packet.ts";

/** A connection that has held for so long is sound, though nothing was acknowledged on it. */
const PROOF_MS = 10_000;
/** A broker that ends connections at so many different messages does not do it for what is in them. */
const SUSPECTS_MAX = 16;

/** What is known of earlier connections. */
export class Suspects {
  /** The last connection has ended before anything was acknowledged on it. */
  isWary = false;
  /** Messages that connections have ended at. */
  readonly held = new Set<string>();
  /** Those that a sound connection has ended at too. */
  readonly guilty = new Set<string>();
}

export interface OutboxTools {
  send(packet: Publish): void;
  /** The other broker never takes it. */
  drop(packet: Publish): void;
  /** Nothing more should come for now. */
  crowd(isCrowded: boolean): void;
}

/**
 * Messages on their way to the other broker, of one connection. MQTT 3.1.1 has no word for a message that a broker does not
 * take, and some of 5.0 do not use theirs: they end the connection. What is not acknowledged is sent again, so that one such
 * message would keep back all others for good. So, after a connection that ended without an acknowledgement, the next
 * message goes alone; one that is cut off then is held back, until the others have shown that the connection is sound;
 * and when that ends too as soon as the message goes alone again, it is dropped. A broker or a network that is at fault itself costs
 * no message by this.
 */
export class Outbox {
  private readonly suspects: Suspects;
  private readonly tools: OutboxTools;
  private readonly proofMs: number;
  private readonly underWay = new Set<number>();
  private waiting: Publish[] = [];
  private readonly held: Publish[] = [];
  /** What was sent first, until anything is acknowledged. */
  private first: string | undefined;
  private trial: Publish | undefined;
  private isProven = false;
  private isReleasing = false;
  private timer: NodeJS.Timeout | undefined;

  constructor(suspects: Suspects, tools: OutboxTools, proofMs = PROOF_MS) {
    this.suspects = suspects;
    this.tools = tools;
    this.proofMs = proofMs;
  }

  /** The bytes of the message need to be valid during the call only. */
  add(packet: Publish): void {
    const { suspects, tools } = this;
    const key = packet.qos === 0 ? "" : keyOf(packet);
    if (suspects.guilty.delete(key)) tools.drop(packet);
    else if (suspects.held.has(key)) {
      this.held.push(copyOf(packet));
      this.timer ??= setTimeout(() => this.prove(), this.proofMs);
      if (this.isProven) this.tryNext();
    } else if (this.mustWait) {
      this.waiting.push(this.isReleasing ? packet : copyOf(packet));
      tools.crowd(true);
    } else {
      if (packet.qos > 0) {
        this.first ??= key;
        this.underWay.add(packet.packetIdentifier);
      }
      tools.send(packet);
    }
  }

  /** By PUBACK or PUBREC, whatever they say. */
  acknowledged(packetIdentifier: number): void {
    this.underWay.delete(packetIdentifier);
    if (this.trial?.packetIdentifier === packetIdentifier) {
      this.suspects.held.delete(keyOf(this.trial));
      this.trial = undefined;
    }
    if (!this.isProven) this.prove();
    else this.tryNext();
  }

  /** The other broker, or something on the way to it, has ended the connection. */
  cut(): void {
    const { suspects, trial, first } = this;
    if (trial !== undefined) {
      const key = keyOf(trial);
      suspects.held.delete(key);
      suspects.guilty.add(key);
    } else if (!this.isProven && first !== undefined) {
      if (suspects.isWary) suspects.held.add(first);
      if (suspects.held.size > SUSPECTS_MAX) suspects.held.clear();
      suspects.isWary = true;
    }
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.isProven = true;
    this.waiting = [];
    this.held.length = 0;
  }

  private get mustWait(): boolean {
    if (this.trial !== undefined || (this.isProven && this.held.length > 0)) return true;
    return this.suspects.isWary && !this.isProven && this.first !== undefined;
  }

  private prove(): void {
    clearTimeout(this.timer);
    this.isProven = true;
    this.suspects.isWary = false;
    this.tryNext();
  }

  /** Each suspect goes alone, and then all that waits. */
  private tryNext(): void {
    if (this.trial !== undefined || this.isReleasing) return;
    if (this.held.length > 0) {
      if (this.underWay.size > 0) return;
      this.trial = this.held.shift()!;
      this.underWay.add(this.trial.packetIdentifier);
      this.tools.send(this.trial);
      return;
    }
    if (this.waiting.length === 0) return;
    const { waiting } = this;
    this.waiting = [];
    this.isReleasing = true;
    for (const packet of waiting) this.add(packet);
    this.isReleasing = false;
    this.tools.crowd(false);
  }
}

/** A message keeps its identifier until it is acknowledged. */
function keyOf({ packetIdentifier, topicName, payloadStart, payloadEnd }: Publish): string {
  return `${packetIdentifier} ${payloadEnd - payloadStart} ${topicName}`;
}

function copyOf({ topicName, qos, retain, dup, packetIdentifier, properties, payload }: Publish): Publish {
  const bytes = payload.slice();
  return new Publish(topicName, qos, retain, dup, packetIdentifier, properties, bytes, 0, bytes.length);
}
