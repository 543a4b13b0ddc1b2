import { BlockList } from "node:net";
import {
  type AddressRecord,
  type DnsName,
  type FoundRecord,
  nameKey,
  type PointerRecord,
  type Question,
  RecordType,
} from "./message.ts";

/** A service as it was found on one network. */
export interface Finding {
  /** "_mqtt._tcp" */
  type: string;
  /** The instance name, as somebody wrote it: any character may be in it. */
  name: string;
  /** "edge.local"; undefined when nobody said it. */
  host: string | undefined;
  port: number | undefined;
  /** Keys in small letters; the value is undefined for one without "=". Of several the first counts (RFC 6763, 6.4). */
  txt: ReadonlyMap<string, string | undefined>;
  /** Those of IPv4 first, without zones. */
  addresses: readonly string[];
}

/** How much is remembered of one network, whatever is said there. */
export const FINDINGS_MAX = { instances: 500, hosts: 1_000, addresses: 32 } as const;

/** RFC 6762, 10.2: what was said within the last second is of the same announcement, and is not flushed by it. */
const FLUSH_MS = 1_000;

interface Instance {
  type: string;
  name: DnsName;
  /** Of what the list of its type says of it; undefined while that says nothing. */
  listed: Lasting | undefined;
  target: (Lasting & { host: DnsName; port: number }) | undefined;
  txt: (Lasting & { texts: readonly string[] }) | undefined;
}

interface Lasting {
  sinceMs: number;
  ttl: number;
}

interface Host {
  /** By the address in its only spelling. */
  addresses: Map<string, Lasting & { type: AddressRecord["type"] }>;
}

/** Addresses at which no other machine is. */
const NO_MACHINE = new BlockList();
NO_MACHINE.addSubnet("0.0.0.0", 8, "ipv4");
NO_MACHINE.addSubnet("127.0.0.0", 8, "ipv4");
NO_MACHINE.addSubnet("224.0.0.0", 3, "ipv4");
NO_MACHINE.addSubnet("::", 127, "ipv6");
NO_MACHINE.addSubnet("ff00::", 8, "ipv6");

/** What the machines of one network have said of services. Time is handed in, in milliseconds of a clock that never goes back. */
export class Findings {
  /** There was more than is remembered. */
  isFull = false;
  private readonly types: ReadonlyMap<string, string>;
  private readonly instances = new Map<string, Instance>();
  private readonly hosts = new Map<string, Host>();

  /** `types`: "_mqtt._tcp" */
  constructor(types: readonly string[]) {
    this.types = new Map(types.map((type) => [nameKey(listName(type)), type]));
  }

  take(records: readonly FoundRecord[], nowMs: number): void {
    for (const record of records) {
      if (record.type === RecordType.PTR) this.list(record, nowMs);
      else if ("address" in record) this.locate(record, nowMs);
      else {
        const instance = this.instanceAt(record.name, record.ttl > 0, nowMs);
        if (instance === undefined) continue;
        const since = { sinceMs: nowMs, ttl: record.ttl };
        const isGoodbye = record.ttl === 0;
        if (record.type === RecordType.TXT) instance.txt = isGoodbye ? undefined : { ...since, texts: record.texts };
        else instance.target = isGoodbye ? undefined : { ...since, host: record.target, port: record.port };
      }
    }
  }

  /** The answers to the list of a type that nobody has to give again, with the seconds that are left of them. */
  known(nowMs: number): PointerRecord[] {
    const found: PointerRecord[] = [];
    for (const { type, name, listed } of this.instances.values()) {
      const leftMs = leftMsOf(listed, nowMs);
      if (listed === undefined || leftMs <= listed.ttl * 500) continue;
      const ttl = Math.floor(leftMs / 1000);
      found.push({ type: RecordType.PTR, name: listName(type), ttl, flush: false, target: name });
    }
    return found;
  }

  /** What is to be asked for: where the services are that are there, and what is said of them. */
  missing(nowMs: number): Question[] {
    const questions = new Map<string, Question>();
    const ask = (name: DnsName, type: RecordType): void => {
      questions.set(`${type} ${nameKey(name)}`, { name, type });
    };
    for (const { name, listed, target, txt } of this.instances.values()) {
      if (leftMsOf(listed, nowMs) <= 0) continue;
      if (leftMsOf(txt, nowMs) <= 0) ask(name, RecordType.TXT);
      if (target === undefined || leftMsOf(target, nowMs) <= 0) ask(name, RecordType.SRV);
      else if (target.host.length > 0) {
        const there = this.addressesOf(target.host, nowMs).map(([, { type }]) => type);
        for (const type of [RecordType.A, RecordType.AAAA]) if (!there.includes(type)) ask(target.host, type);
      }
    }
    return [...questions.values()];
  }

  /** What is there now. */
  services(nowMs: number): Finding[] {
    const there = [...this.instances.values()].filter(({ listed }) => leftMsOf(listed, nowMs) > 0);
    return there.map(({ type, name, target, txt }) => {
      const isPlaced = target !== undefined && leftMsOf(target, nowMs) > 0 && target.host.length > 0;
      const addresses = isPlaced ? this.addressesOf(target.host, nowMs) : [];
      const sorted = addresses.toSorted(([, one], [, other]) => one.type - other.type);
      return {
        type,
        name: name[0]!,
        host: isPlaced ? hostText(target.host) : undefined,
        port: isPlaced ? target.port : undefined,
        txt: entriesOf(txt !== undefined && leftMsOf(txt, nowMs) > 0 ? txt.texts : []),
        addresses: sorted.map(([address]) => address),
      };
    });
  }

  private list({ name, target, ttl }: PointerRecord, nowMs: number): void {
    const type = this.types.get(nameKey(name));
    // Names of one type may not stand in the list of another.
    if (type === undefined || this.typeOf(target) !== type) return;
    if (ttl === 0) this.instances.delete(nameKey(target));
    else {
      const instance = this.instanceAt(target, true, nowMs);
      if (instance !== undefined) instance.listed = { sinceMs: nowMs, ttl };
    }
  }

  private locate({ name, type, address, ttl, flush }: AddressRecord, nowMs: number): void {
    const key = nameKey(name);
    const host = this.hosts.get(key) ?? { addresses: new Map() };
    const spelled = type === RecordType.AAAA ? shortest(address) : address;
    if (flush) {
      for (const [other, known] of host.addresses) {
        if (known.type === type && nowMs - known.sinceMs > FLUSH_MS) host.addresses.delete(other);
      }
    }
    if (ttl === 0) host.addresses.delete(spelled);
    else if (!NO_MACHINE.check(spelled, type === RecordType.A ? "ipv4" : "ipv6")) {
      const hasRoom = host.addresses.size < FINDINGS_MAX.addresses || host.addresses.has(spelled);
      if (hasRoom && (this.hosts.has(key) || this.hosts.size < FINDINGS_MAX.hosts || this.isTarget(key))) {
        host.addresses.set(spelled, { sinceMs: nowMs, ttl, type });
        this.hosts.set(key, host);
      }
    }
    if (host.addresses.size === 0) this.hosts.delete(key);
  }

  /** There is no end of hosts without services that somebody can make up. */
  private isTarget(hostKey: string): boolean {
    return [...this.instances.values()].some(({ target }) => target !== undefined && nameKey(target.host) === hostKey);
  }

  private addressesOf(host: DnsName, nowMs: number): [string, Lasting & { type: AddressRecord["type"] }][] {
    const { addresses } = this.hosts.get(nameKey(host)) ?? {};
    return [...(addresses ?? [])].filter(([, lasting]) => leftMsOf(lasting, nowMs) > 0);
  }

  private instanceAt(name: DnsName, isWanted: boolean, nowMs: number): Instance | undefined {
    const type = this.typeOf(name);
    const key = nameKey(name);
    const known = this.instances.get(key);
    if (known !== undefined || type === undefined || !isWanted) return known;
    if (this.instances.size >= FINDINGS_MAX.instances) this.forget(nowMs);
    if (this.instances.size >= FINDINGS_MAX.instances) {
      this.isFull = true;
      return undefined;
    }
    const made: Instance = { type, name, listed: undefined, target: undefined, txt: undefined };
    this.instances.set(key, made);
    return made;
  }

  /** Those that are not there, or not yet. */
  private forget(nowMs: number): void {
    for (const [key, { listed }] of this.instances) if (leftMsOf(listed, nowMs) <= 0) this.instances.delete(key);
  }

  private typeOf([, ...rest]: DnsName): string | undefined {
    return this.types.get(nameKey(rest));
  }
}

/** "_mqtt._tcp" is the list of those services under this name. */
export function listName(type: string): DnsName {
  return [...type.split("."), "local"];
}

function leftMsOf(lasting: Lasting | undefined, nowMs: number): number {
  return lasting === undefined ? 0 : lasting.sinceMs + lasting.ttl * 1000 - nowMs;
}

/** A label's own dots are not those between labels (RFC 1035, 5.1). */
function hostText(host: DnsName): string {
  return host.map((label) => label.replace(/[.\\]/g, "\\$&")).join(".");
}

function entriesOf(texts: readonly string[]): Map<string, string | undefined> {
  const entries = new Map<string, string | undefined>();
  for (const text of texts) {
    const [, key = "", value] = /^([^=]*)(?:=(.*))?$/s.exec(text)!;
    const lower = key.toLowerCase();
    // RFC 6763, 6.4: without a key it is to be ignored.
    if (lower !== "" && !entries.has(lower)) entries.set(lower, value);
  }
  return entries;
}

/** "2001:db8:0:0:0:0:0:1" is "2001:db8::1", as URL has it (RFC 5952). */
function shortest(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}
