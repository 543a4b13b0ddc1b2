import { setTimeout as sleep } from "node:timers/promises";
import { Findings, listName } from "./findings.ts";
import { type Link, LinkSocket } from "./link.ts";
import { decodeResponse, encodeQueries, nameKey, type Question, RecordType } from "./message.ts";
import { SERVICE_TYPES } from "./services.ts";

/** All types that a broker advertises. */
export const BROWSED_TYPES: readonly string[] = [...new Set(Object.values(SERVICE_TYPES))];

/** RFC 6762, 5.2: the first question after a moment, the second a second later, then at intervals twice as long. */
const FIRST_MS = 20;
const AGAIN_MS = 1_000;
/** How often it is seen what is missing, and long enough that it may be in a packet that comes right behind. */
const LOOK_MS = 100;

export interface BrowseOptions {
  /** "_mqtt._tcp" */
  types: readonly string[];
  links: readonly Link[];
  timeoutMs: number;
  /** Ends it before its time, with what was found until then. */
  signal?: AbortSignal;
}

/** A service, wherever it was found. */
export interface FoundService {
  type: string;
  /** The instance name, as somebody wrote it: any character may be in it. */
  name: string;
  /** "edge.local"; undefined when nobody said it in time, as the port. */
  host: string | undefined;
  port: number | undefined;
  txt: ReadonlyMap<string, string | undefined>;
  /** Numeric: of IPv4, of IPv6, and of IPv6 on the link alone, which need a zone: "fe80::1%eth0". */
  addresses: readonly string[];
  /** Where it was heard of: "eth0". */
  interfaces: readonly string[];
}

export interface Browsed {
  services: readonly FoundService[];
  /** There was more than is remembered. */
  isFull: boolean;
  /** Interfaces on which nothing can be asked, and why. */
  failures: ReadonlyMap<string, string>;
}

/** Looks for services on all these links for as long as it may. Never rejects for what comes from the network. */
export async function browse({ types, links, timeoutMs, signal }: BrowseOptions): Promise<Browsed> {
  const searches = links.map((link) => new Search(link, types));
  await Promise.all(searches.map((search) => search.open()));
  const endMs = performance.now() + timeoutMs;
  for (let nowMs = performance.now(); nowMs < endMs && signal?.aborted !== true; nowMs = performance.now()) {
    for (const search of searches) search.look(nowMs);
    await sleep(Math.min(LOOK_MS, endMs - nowMs), undefined, { ...(signal && { signal }) }).catch(() => {});
  }
  const nowMs = performance.now();
  await Promise.all(searches.map((search) => search.close()));
  const working = new Set(searches.filter(({ failure }) => failure === undefined).map(({ link }) => link.interface));
  const failed = searches.filter(({ link }) => !working.has(link.interface));
  return {
    services: merged(searches, nowMs),
    isFull: searches.some(({ findings }) => findings.isFull),
    failures: new Map(failed.map(({ link, failure }) => [link.interface, failure!.message])),
  };
}

interface Asked {
  /** When it may be asked again. */
  nextMs: number;
  /** From then to the time after that. */
  intervalMs: number;
}

/** On one link: what is asked there, and what was heard. */
class Search {
  readonly link: Link;
  readonly findings: Findings;
  failure: Error | undefined;
  private readonly types: readonly string[];
  private readonly socket: LinkSocket;
  /** By question. */
  private asked: ReadonlyMap<string, Asked> = new Map();
  private readonly startMs = performance.now() + FIRST_MS + Math.random() * 100;

  constructor(link: Link, types: readonly string[]) {
    this.link = link;
    this.types = types;
    this.findings = new Findings(types);
    this.socket = new LinkSocket(link, {
      received: (bytes) => this.findings.take(decodeResponse(bytes) ?? [], performance.now()),
      failed: (error) => {
        this.failure = error;
      },
    });
  }

  async open(): Promise<void> {
    await this.socket.open();
  }

  /** Asks what is due. */
  look(nowMs: number): void {
    if (nowMs < this.startMs) return;
    // What is not asked for any more is not remembered either: names come and go without an end.
    const asked = new Map<string, Asked>();
    const lists = this.types.map((type): Question => ({ name: listName(type), type: RecordType.PTR }));
    const due = this.due(lists, nowMs, asked);
    const missing = this.due(this.findings.missing(nowMs), nowMs, asked);
    this.asked = asked;
    const queries = [...encodeQueries(due, this.findings.known(nowMs)), ...encodeQueries(missing)];
    for (const query of queries) this.socket.send(query);
  }

  async close(): Promise<void> {
    await this.socket.close();
  }

  private due(questions: readonly Question[], nowMs: number, asked: Map<string, Asked>): Question[] {
    return questions.filter(({ name, type }) => {
      const key = `${type} ${nameKey(name)}`;
      const before = this.asked.get(key) ?? { nextMs: 0, intervalMs: AGAIN_MS };
      const isDue = nowMs >= before.nextMs;
      const { intervalMs } = before;
      asked.set(key, isDue ? { nextMs: nowMs + intervalMs, intervalMs: 2 * intervalMs } : before);
      return isDue;
    });
  }
}

/** The same service on several links is one, with all addresses under which it was heard of. */
function merged(searches: readonly Search[], nowMs: number): FoundService[] {
  const found = new Map<string, FoundService>();
  for (const { link, findings } of searches) {
    for (const { addresses, ...service } of findings.services(nowMs)) {
      const { type, name, host, port, txt } = service;
      const key = JSON.stringify([type, nameKey([name]), host && nameKey([host]), port, [...txt]]);
      const known = found.get(key);
      const zoned = addresses.map((address) => (isLinkLocal(address) ? `${address}%${link.interface}` : address));
      found.set(key, {
        ...service,
        addresses: [...new Set([...(known?.addresses ?? []), ...zoned])].toSorted(byReach),
        interfaces: [...new Set([...(known?.interfaces ?? []), link.interface])],
      });
    }
  }
  return [...found.values()].toSorted(
    (one, other) =>
      BROWSED_TYPES.indexOf(one.type) - BROWSED_TYPES.indexOf(other.type) ||
      compare(one.name, other.name) ||
      compare(one.host ?? "", other.host ?? "") ||
      (one.port ?? 0) - (other.port ?? 0),
  );
}

function byReach(one: string, other: string): number {
  const rank = (address: string): number => (address.includes(":") ? (isLinkLocal(address) ? 2 : 1) : 0);
  return rank(one) - rank(other) || compare(one, other);
}

/** fe80::/10: which of them is meant shows only the interface. */
function isLinkLocal(address: string): boolean {
  return /^fe[89ab][0-9a-f]:/i.test(address);
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
