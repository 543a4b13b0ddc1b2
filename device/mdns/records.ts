/** Resource records of DNS as `bonjour-service` and what is beneath it write them, and what they say of our names. */

export interface DnsRecord {
  name: string;
  /** "PTR", "SRV", "TXT", "A", "AAAA", … */
  type: string;
  /** Seconds; 0 says goodbye. */
  ttl?: number;
  /** Nobody else has records of this name and type: what is known of them is replaced. */
  flush?: boolean;
  data?: unknown;
}

/** What SRV says. */
interface Target {
  priority?: number;
  weight?: number;
  port: number;
  target: string;
}

export interface Question {
  name: string;
  type: string;
}

/** A decoded packet from the network: of what is in it nothing has been checked. */
export interface DnsPacket {
  id?: number;
  questions?: Question[];
  answers?: DnsRecord[];
  authorities?: DnsRecord[];
  additionals?: DnsRecord[];
}

/** A name that we want for ourselves, and the one record of it that says so. */
export type Claim =
  | { name: string; kind: "host"; address: string }
  | { name: string; kind: "service"; port: number; target: string };

/** The list of all types of services (RFC 6763, 9), which every host on the network has a part in. */
const TYPES = "_services._dns-sd._udp.local";
/** RFC 6762, 10: of records with a host's name or address, and of all others. */
const HOST_SECONDS = 120;
const OTHER_SECONDS = 4_500;

/** Names of DNS are the same in capitals and small letters of ASCII alone. */
export function sameName(one: unknown, other: string): boolean {
  return typeof one === "string" && asciiLower(one) === asciiLower(other);
}

export function asciiLower(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/**
 * Records of `bonjour-service` as they should be: on a network only the addresses there (`addresses`), seconds as in
 * RFC 6762, and what is ours alone marked so. Those of a list that others have a part in say no goodbye.
 */
export function corrected(records: readonly DnsRecord[], addresses: readonly string[]): DnsRecord[] {
  const byText = new Map<string, DnsRecord>();
  for (const record of records) {
    const isGoodbye = record.ttl === 0;
    const isAddress = record.type === "A" || record.type === "AAAA";
    if (isAddress && !addresses.includes(String(record.data))) continue;
    if (isGoodbye && record.name === TYPES) continue;
    const seconds = isAddress || record.type === "SRV" ? HOST_SECONDS : OTHER_SECONDS;
    byText.set(textOf(record), { ...record, ttl: isGoodbye ? 0 : seconds, flush: record.type !== "PTR" });
  }
  return [...byText.values()];
}

/** What tells a record from others: all but its seconds. */
export function textOf({ name, type, data }: DnsRecord): string {
  // Priority and weight are in those alone that came from the network.
  const what = type === "SRV" ? [(data as Target).port, (data as Target).target] : data;
  return JSON.stringify([asciiLower(name), type, what]);
}

/** What stands in a probe beside the question, for those who ask for the same name at the same time (RFC 6762, 8.2). */
export function recordOf(claim: Claim): DnsRecord {
  const common = { name: claim.name, ttl: HOST_SECONDS };
  if (claim.kind === "service") {
    const { port, target } = claim;
    return { ...common, type: "SRV", data: { priority: 0, weight: 0, port, target } };
  }
  return { ...common, type: "A", data: claim.address };
}

/** Whether a record says that its name is somebody else's. `own`: the addresses of this machine. */
export function contradicts(record: DnsRecord, claim: Claim, own: ReadonlySet<string>): boolean {
  if (record.ttl === 0 || !sameName(record.name, claim.name)) return false;
  if (claim.kind === "host") return (record.type === "A" || record.type === "AAAA") && !own.has(String(record.data));
  if (record.type !== "SRV") return false;
  const { port, target } = record.data as Target;
  return port !== claim.port || !sameName(target, claim.target);
}

/**
 * Of two who probe for a name at the same time the one with the later record has it (RFC 6762, 8.2.1): whether that is the
 * other. False when the record says the same as ours.
 */
export function losesTo(claim: Claim, record: DnsRecord, own: ReadonlySet<string>): boolean {
  if (!contradicts(record, claim, own)) return false;
  const ours = recordOf(claim);
  // AAAA is a later type than A.
  if (ours.type !== record.type) return record.type === "AAAA";
  return Buffer.compare(bytesOf(ours), bytesOf(record)) < 0;
}

function bytesOf({ type, data }: DnsRecord): Buffer {
  if (type !== "SRV") return Buffer.from(String(data).split(".").map(Number));
  const { priority = 0, weight = 0, port, target } = data as Target;
  const numbers = Buffer.alloc(6);
  for (const [index, value] of [priority, weight, port].entries()) numbers.writeUInt16BE(value & 0xffff, 2 * index);
  const labels = target
    .split(".")
    .map((label) => Buffer.concat([Buffer.of(Buffer.byteLength(label) & 0xff), Buffer.from(label)]));
  return Buffer.concat([numbers, ...labels, Buffer.of(0)]);
}
