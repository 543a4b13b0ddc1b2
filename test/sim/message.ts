/** An Application Message of the simulation. Its payload names it, so that whoever gets it knows which it is. */
export interface SimMessage {
  /** "2.17": the publisher's number and the message's among the publisher's; "w2.5" for a will. */
  key: string;
  publisher: number;
  number: number;
  topic: string;
  qos: 0 | 1 | 2;
  retain: boolean;
  /** A retained message without payload: it removes. */
  removes: boolean;
  /** Seconds; undefined when it does not expire. */
  expirySeconds: number | undefined;
  isWill: boolean;
  firstSentMs: number;
  /** How often it was sent: so many copies of it there may be. */
  sendings: number;
  /** When the client got PUBACK or PUBREC; Infinity until then. */
  acknowledgedMs: number;
  refused: boolean;
  /** The disk took nothing when it was sent first: refused then, it may be accepted after later ones. */
  inStorm: boolean;
}

/** The key, then dots up to so many bytes. */
export function payloadOf(message: SimMessage, bytes: number): string {
  return message.removes ? "" : `${message.key}|`.padEnd(bytes, ".");
}

export function keyOf(payload: Uint8Array): string {
  const end = payload.indexOf(0x7c);
  return Buffer.from(payload.subarray(0, end === -1 ? payload.length : end)).toString();
}

/** 4.7 of both versions, without the rules for `$`. */
export function matches(topicFilter: string, topic: string): boolean {
  const filter = topicFilter.split("/");
  const levels = topic.split("/");
  for (let index = 0; index < filter.length; index++) {
    if (filter[index] === "#") return true;
    if (filter[index] !== "+" && filter[index] !== levels[index]) return false;
  }
  return filter.length === levels.length;
}

/** The parts of `$share/{ShareName}/{filter}`; undefined for an ordinary filter. */
export function shareOf(topicFilter: string): { group: string; filter: string } | undefined {
  if (!topicFilter.startsWith("$share/")) return undefined;
  const end = topicFilter.indexOf("/", 7);
  return { group: topicFilter.slice(7, end), filter: topicFilter.slice(end + 1) };
}
