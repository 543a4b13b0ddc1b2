import type { SimMessage } from "./message.ts";

/** The retained messages: each topic has one writer, so that its values have an order. */
export class RetainedModel {
  /** Ascending by number, by topic. */
  private readonly topics = new Map<string, SimMessage[]>();
  /** The newest that this life of the broker was seen to have, by topic. */
  private observed = new Map<string, { number: number; atMs: number }>();
  private crashedMs = Number.NEGATIVE_INFINITY;

  sent(message: SimMessage): void {
    const known = this.topics.get(message.topic);
    if (known === undefined) this.topics.set(message.topic, [message]);
    else known.push(message);
  }

  /** What was not acknowledged may be gone. */
  crashed(nowMs: number): void {
    this.crashedMs = nowMs;
    this.observed.clear();
  }

  /** QoS 1 tells nothing: what is sent again replaces what came after it, until that is sent again too. */
  seenLive(message: SimMessage, writtenMs: number, nowMs: number): void {
    // What arrives after a crash may have been written by the life before.
    if (message.qos === 1 || writtenMs <= this.crashedMs) return;
    const known = this.observed.get(message.topic);
    if (known === undefined || known.number < message.number) {
      this.observed.set(message.topic, { number: message.number, atMs: nowMs });
    }
  }

  /** One was handed out because of a SUBSCRIBE that was sent at `askedMs` or later. Returns what is wrong. */
  handedOut(message: SimMessage, askedMs: number, writtenMs: number, nowMs: number): string | undefined {
    if (message.inStorm) return undefined;
    for (const newer of this.topics.get(message.topic) ?? []) {
      if (newer.number > message.number && newer.acknowledgedMs < askedMs && !newer.refused) {
        return `retained ${message.topic} is ${message.key}, though ${newer.key}${newer.removes ? " (removal)" : ""} was acknowledged before`;
      }
    }
    const observed = this.observed.get(message.topic);
    if (observed !== undefined && observed.atMs < askedMs && observed.number > message.number) {
      return `retained ${message.topic} is ${message.key}, though number ${observed.number} was seen before`;
    }
    this.seenLive(message, writtenMs, nowMs);
    return undefined;
  }

  /** At the end, when nothing is under way: `found` is what a new subscriber got, by topic. */
  verdict(found: ReadonlyMap<string, SimMessage>, nowMs: number): string | undefined {
    for (const [topic, messages] of this.topics) {
      let last = messages.length - 1;
      while (last >= 0 && (messages[last]!.acknowledgedMs === Number.POSITIVE_INFINITY || messages[last]!.refused))
        last--;
      // What was refused when it was sent again may have been accepted before.
      const possible = messages.slice(Math.max(0, last));
      const value = found.get(topic);
      if (value !== undefined) {
        if (!possible.includes(value) && !value.inStorm)
          return `retained ${topic} is ${value.key} at the end, not ${keys(possible)}`;
        continue;
      }
      const mayBeNone =
        last < 0 ||
        messages.some(({ removes, inStorm }) => removes && inStorm) ||
        possible.some(
          ({ removes, expirySeconds, firstSentMs }) =>
            removes || (expirySeconds !== undefined && nowMs - firstSentMs >= expirySeconds * 1000),
        );
      if (!mayBeNone) return `retained ${topic} is gone at the end, it was ${keys(possible)}`;
    }
    return undefined;
  }
}

function keys(messages: readonly SimMessage[]): string {
  return messages.map((message) => (message.removes ? `none (${message.key})` : message.key)).join(" or ");
}
