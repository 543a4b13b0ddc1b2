import type { SimMessage } from "./message.ts";
import { crashedWithin, type History, isStorm, mayBeForgotten } from "./session-model.ts";

interface WillRecord {
  message: SimMessage;
  clientId: string;
  /** The session outlives the connection, so its answers wait for the disk. */
  stored: boolean;
  /** The client got its CONNACK: before, another connection that was dialled later may be accepted first. */
  isAccepted: boolean;
  /** When the broker was handed a normal DISCONNECT. */
  disconnectedMs: number;
  /** When the client got the CONNACK of a later connection. */
  replacedMs: number;
  publishedMs: number;
}

/** A will is published at most once for each connection that had one, and never after a normal DISCONNECT. */
export class WillModel {
  private readonly wills = new Map<string, WillRecord>();
  private readonly history: History;

  constructor(history: History) {
    this.history = history;
  }

  connectSent(message: SimMessage, clientId: string, stored: boolean): void {
    const never = Number.POSITIVE_INFINITY;
    this.wills.set(message.key, {
      message,
      clientId,
      stored,
      isAccepted: false,
      disconnectedMs: never,
      replacedMs: never,
      publishedMs: never,
    });
  }

  connackReceived(clientId: string, own: SimMessage | undefined, nowMs: number): void {
    for (const will of this.wills.values()) {
      if (will.message === own) will.isAccepted = true;
      else if (will.clientId === clientId && will.isAccepted && will.replacedMs > nowMs) will.replacedMs = nowMs;
    }
  }

  disconnected(message: SimMessage, nowMs: number): void {
    this.wills.get(message.key)!.disconnectedMs = nowMs;
  }

  published(key: string, nowMs: number): string | undefined {
    const will = this.wills.get(key);
    if (will === undefined) return `will ${key} was published, which nobody had`;
    const { history } = this;
    const { disconnectedMs, publishedMs, replacedMs } = will;
    will.publishedMs = nowMs;
    if (disconnectedMs <= nowMs && !mayBeForgotten(history, disconnectedMs)) {
      return `will ${key} was published after a normal DISCONNECT`;
    }
    if (publishedMs <= nowMs && !mayBeForgotten(history, publishedMs)) {
      return `will ${key} was published twice`;
    }
    const isPromised = will.stored && !(isStorm(history, replacedMs) && mayBeForgotten(history, replacedMs));
    if (replacedMs < nowMs && (isPromised || !crashedWithin(history, replacedMs, nowMs)))
      return `will ${key} was published after a newer connection was accepted`;
    return undefined;
  }
}
