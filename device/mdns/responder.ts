import type { EventEmitter } from "node:events";
import type { AddressInfo, BlockList } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Bonjour } from "bonjour-service";
import { addressOf, type Network, neighbours } from "./networks.ts";
import {
  type Claim,
  contradicts,
  corrected,
  type DnsPacket,
  type DnsRecord,
  losesTo,
  recordOf,
  sameName,
  textOf,
} from "./records.ts";
import { isServedAt, type Service } from "./services.ts";

const GROUP = "224.0.0.251";
const PORT = 5353;
/** RFC 6762, 8.1: three probes, after a moment that is another for each machine, and how long an answer may take. */
const PROBES = 3;
const PROBE_MS = 250;
/** RFC 6762, 8.3: the second announcement; `bonjour-service` has its first a moment too early and then waits for long. */
const AGAIN_MS = 1_000;
/** RFC 6762, 6.7: what a resolver that knows nothing of mDNS may keep an answer for. */
const LEGACY_SECONDS_MAX = 10;

/** Of `bonjour-service` what is not public: no other way leads to its packets, and to what it answers with. */
interface Server {
  mdns: Wire;
  register(records: readonly DnsRecord[]): void;
}
interface Wire extends EventEmitter {
  query(packet: DnsPacket, done: () => void): void;
  respond: Respond;
}
type Done = (error?: Error | null) => void;
type Respond = (packet: DnsPacket | DnsRecord[], target: AddressInfo | Done | undefined, done?: Done) => void;

export interface ResponderOptions {
  network: Network;
  /** "edge.local" */
  host: string;
  /** Under the names that are used; those that are not bound on this network are left out. */
  services: readonly Service[];
  /** Addresses of this machine. */
  own: ReadonlySet<string>;
  /** Whether it is one of ours who probes from this machine at present, not another program. */
  isOwnProbe(): boolean;
  /** Somebody else has this name, or is about to take that of the host, being on this machine. After `publish` only. */
  onConflict(name: string): void;
  /** It cannot send or receive any more. */
  onError(error: Error): void;
}

/** `bonjour-service` on one network, with the duties that it leaves to others. For anything new there is a new one. */
export class Responder {
  readonly network: Network;
  readonly claims: readonly Claim[];
  private readonly options: ResponderOptions;
  private readonly services: readonly Service[];
  private readonly addresses: readonly string[];
  private readonly neighbours: BlockList;
  private bonjour: Bonjour | undefined;
  private server!: Server;
  private wire!: Wire;
  private send!: Respond;
  private state: "opening" | "silent" | "published" | "closed" = "opening";
  /** The query that is being answered, with what has been found for it. */
  private asked: { answers: DnsRecord[]; additionals: DnsRecord[] } | undefined;
  private timer: NodeJS.Timeout | undefined;
  /** Ends an `open` that nobody needs any more. */
  private abandon: () => void = () => {};

  constructor(options: ResponderOptions) {
    const { network, services, host } = options;
    this.options = options;
    this.network = network;
    this.neighbours = neighbours(network);
    const all = network.addresses.map(addressOf);
    this.services = services.filter(({ addresses }) => all.some((address) => isServedAt(addresses, address)));
    this.addresses = all.filter((address) => this.services.some((service) => isServedAt(service.addresses, address)));
    this.claims = [
      { name: host, kind: "host", address: network.from },
      ...this.services.map(
        ({ type, name, port }): Claim => ({ name: `${name}.${type}.local`, kind: "service", port, target: host }),
      ),
    ];
  }

  /** Nobody can reach anything here: there is nothing to say. */
  get isEmpty(): boolean {
    return this.services.length === 0;
  }

  /** It may be closed at any time, also while something is awaited. */
  private get isClosed(): boolean {
    return this.state === "closed";
  }

  /** Rejects when the port cannot be had. */
  async open(): Promise<void> {
    const { Bonjour } = await import("bonjour-service");
    if (this.isClosed) return;
    // Bound to the group it hears what is said to all, and takes nothing that is meant for Avahi beside it.
    const socket = { bind: GROUP, interface: this.network.from, port: PORT };
    this.bonjour = new Bonjour(socket as object, (error: Error) => this.fail(error));
    this.server = (this.bonjour as unknown as { server: Server }).server;
    this.wire = this.server.mdns;
    this.send = this.wire.respond.bind(this.wire);
    this.wire.respond = (packet, target, done) => this.respond(packet, typeof target === "function" ? target : done);
    await new Promise<void>((resolve, reject) => {
      this.abandon = resolve;
      this.wire.once("ready", resolve).on("error", (error: Error) => {
        reject(error);
        this.fail(error);
      });
    });
    if (this.isClosed) return;
    this.state = "silent";
    // Before and after the package, which answers in between.
    this.wire.prependListener("query", (query: DnsPacket, from: AddressInfo) => this.before(query, from));
    this.wire.on("query", (query: DnsPacket, from: AddressInfo) => this.after(query, from));
    this.wire.on("response", (packet: DnsPacket, from: AddressInfo) => this.watch(packet, from));
  }

  /** Asks for those of our claims that have these names; resolves with the names that others have, or get. */
  async probe(names: ReadonlySet<string>, isOursAlready: (record: DnsRecord) => boolean): Promise<Set<string>> {
    const claims = this.claims.filter(({ name }) => names.has(name));
    const lost = new Set<string>();
    if (claims.length === 0 || this.isClosed) return lost;
    const onResponse = (packet: DnsPacket, from: AddressInfo): void => {
      if (!this.hears(from)) return;
      for (const record of recordsOf(packet)) {
        if (record.ttl === 0 || isOursAlready(record)) continue;
        for (const { name } of claims) if (sameName(record.name, name)) lost.add(name);
      }
    };
    const onQuery = ({ authorities = [] }: DnsPacket, from: AddressInfo): void => {
      if (!this.hears(from)) return;
      for (const claim of claims) {
        if (authorities.some((record) => losesTo(claim, record, this.options.own))) lost.add(claim.name);
      }
    };
    this.wire.on("response", onResponse).on("query", onQuery);
    await sleep(Math.random() * PROBE_MS);
    const questions = claims.map(({ name }) => ({ name, type: "ANY" }));
    for (let sent = 0; sent < PROBES && lost.size === 0 && !this.isClosed; sent++) {
      this.wire.query({ questions, authorities: claims.map(recordOf) }, () => {});
      await sleep(PROBE_MS);
    }
    this.wire.removeListener("response", onResponse).removeListener("query", onQuery);
    return lost;
  }

  /** Announces all, twice at least, and answers from now on. */
  publish(): void {
    if (this.state !== "silent") return;
    this.state = "published";
    // What the package finds out about addresses by itself comes on top, and is left out of all packets again.
    this.server.register(this.records());
    const { host } = this.options;
    for (const { type, name, port, txt } of this.services) {
      const [bare, protocol] = type.split(".").map((label) => label.slice(1)) as [string, "tcp" | "udp"];
      const keys = Object.fromEntries(txt.map((text) => splitAtEquals(text)));
      this.bonjour!.publish({ name, type: bare, protocol, port, host, txt: keys, probe: false });
    }
    this.timer = setTimeout(() => this.respond(this.records()), AGAIN_MS);
  }

  /** All that it says. */
  records(): DnsRecord[] {
    const { host } = this.options;
    const all = this.services.flatMap(({ type, name, port, txt }): DnsRecord[] => {
      const full = `${name}.${type}.local`;
      return [
        { name: `${type}.local`, type: "PTR", data: full },
        { name: full, type: "SRV", data: { port, target: host } },
        { name: full, type: "TXT", data: txt.map((text) => Buffer.from(text)) },
      ];
    });
    const addresses = this.addresses.map((data) => ({ name: host, type: data.includes(":") ? "AAAA" : "A", data }));
    return corrected([...all, ...addresses], this.addresses);
  }

  /** Resolves when it is sent that these are no more. */
  async goodbye(records: readonly DnsRecord[]): Promise<void> {
    if (this.isClosed || records.length === 0) return;
    const last = records.map((record) => ({ ...record, ttl: 0 }));
    await new Promise<void>((resolve) => this.send(last, () => resolve()));
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.state = "closed";
    clearTimeout(this.timer);
    const { bonjour } = this;
    if (bonjour !== undefined) await new Promise<void>((resolve) => bonjour.destroy(() => resolve()));
    this.abandon();
  }

  /** What the package wants to say: at once, or with all else that answers the same query. */
  private respond(packet: DnsPacket | DnsRecord[], done: Done = () => {}): void {
    const { answers = [], additionals = [] } = Array.isArray(packet) ? { answers: packet } : packet;
    if (this.asked !== undefined) {
      this.asked.answers.push(...answers);
      this.asked.additionals.push(...additionals);
      done();
      return;
    }
    this.send({ answers: corrected(answers, this.addresses) }, done);
  }

  private before(query: DnsPacket, from: AddressInfo): void {
    this.asked = { answers: [], additionals: [] };
    if (this.state !== "published" || !this.hears(from)) {
      query.questions = [];
      return;
    }
    const { host, own, isOwnProbe, onConflict } = this.options;
    const isProbe = query.authorities?.some(({ name }) => sameName(name, host)) ?? false;
    if (!isProbe || !own.has(from.address) || isOwnProbe()) return;
    // Another responder of this machine comes and wants its name, which is the older right.
    query.questions = (query.questions ?? []).filter(({ name }) => !sameName(name, host));
    onConflict(host);
  }

  /** One answer for each query, however many questions are in it. */
  private after(query: DnsPacket, from: AddressInfo): void {
    const asked = this.asked;
    this.asked = undefined;
    if (asked === undefined || asked.answers.length === 0) return;
    const answers = corrected(asked.answers, this.addresses);
    const known = new Set(answers.map(textOf));
    const additionals = corrected(asked.additionals, this.addresses).filter((record) => !known.has(textOf(record)));
    if (from.port === PORT) {
      this.send({ answers, additionals }, () => {});
      return;
    }
    // A resolver that knows nothing of mDNS waits for an answer of its own.
    const plain = (record: DnsRecord): DnsRecord => ({
      ...record,
      flush: false,
      ttl: Math.min(record.ttl ?? 0, LEGACY_SECONDS_MAX),
    });
    const { id = 0, questions = [] } = query;
    this.send({ id, questions, answers: answers.map(plain), additionals: additionals.map(plain) }, from, () => {});
  }

  private watch(packet: DnsPacket, from: AddressInfo): void {
    if (this.state !== "published" || !this.hears(from)) return;
    const records = recordsOf(packet);
    const lost = this.claims.find((claim) => records.some((record) => contradicts(record, claim, this.options.own)));
    if (lost !== undefined) this.options.onConflict(lost.name);
  }

  /** Sockets of one machine hear what is said on all its networks. */
  private hears({ address }: AddressInfo): boolean {
    return this.neighbours.check(address, "ipv4");
  }

  private fail(error: Error): void {
    if (this.state !== "opening" && this.state !== "closed") this.options.onError(error);
  }
}

function recordsOf({ answers = [], additionals = [] }: DnsPacket): DnsRecord[] {
  return [...answers, ...additionals];
}

function splitAtEquals(text: string): [string, string] {
  const at = text.indexOf("=");
  return [text.slice(0, at), text.slice(at + 1)];
}
