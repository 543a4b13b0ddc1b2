import { setTimeout as sleep } from "node:timers/promises";
import { type Advertiser, type AdvertiserEvents, Sequence } from "./advertiser.ts";
import { hostLabel, numberedHost, numberedInstance } from "./names.ts";
import { type Network, networksNow, ownAddresses } from "./networks.ts";
import { asciiLower, type DnsRecord, textOf } from "./records.ts";
import { Responder } from "./responder.ts";
import type { Service } from "./services.ts";

/** How soon an address that came or went is noticed. */
const LOOK_MS = 1_000;
/** Somebody who is about to take a name has it then, and answers for it. */
const SETTLE_MS = 1_500;
/** RFC 6762, 8.1: more conflicts than these within the time, and the next attempt waits. */
const CONFLICTS_MAX = 15;
const CONFLICTS_MS = 10_000;
const CONFLICTS_PAUSE_MS = 5_000;

export interface BonjourOptions {
  /** What the host's name is made of: "Edge 1" is edge-1.local. */
  host: string;
  events: AdvertiserEvents;
}

/**
 * Advertises by our own responder, where there is no Avahi: one for each network, with its addresses alone. Host and
 * services have names of their own, and other names when somebody else has them.
 */
export class BonjourAdvertiser implements Advertiser {
  private readonly events: AdvertiserEvents;
  private readonly hostBase: string;
  private readonly sequence = new Sequence();
  private services: readonly Service[] = [];
  /** By how far a name had to be counted up: of "host", and of instances by name and type. */
  private readonly numbers = new Map<string, number>();
  /** By interface. */
  private responders = new Map<string, Responder>();
  /** Those that are not on the network yet. */
  private probing: readonly Responder[] = [];
  private state: "new" | "started" | "stopped" = "new";
  private timer: NodeJS.Timeout | undefined;
  private again: NodeJS.Timeout | undefined;
  /** What the responders were made for. */
  private shown = "";
  private told = "";
  private toldFailure = "";
  private conflictsMs: number[] = [];
  /** Names that are somebody else's by what was heard, until they are probed for again. */
  private readonly disputed = new Set<string>();

  constructor({ host, events }: BonjourOptions) {
    this.events = events;
    this.hostBase = hostLabel(host);
  }

  start(services: readonly Service[]): Promise<void> {
    this.state = "started";
    this.timer = setInterval(() => this.look(), LOOK_MS).unref();
    return this.update(services);
  }

  private look(): void {
    try {
      if (this.wanted() === this.shown) return;
    } catch {
      // The system does not tell its addresses while no file can be opened, say: what is shown stays until it does.
      return;
    }
    void this.sequence.run(() => this.show());
  }

  update(services: readonly Service[]): Promise<void> {
    return this.sequence.run(async () => {
      this.services = services;
      await this.show();
    });
  }

  async stop(): Promise<void> {
    this.state = "stopped";
    clearInterval(this.timer);
    clearTimeout(this.again);
    // Not after what is being probed for: nobody needs that any more.
    for (const responder of this.probing) await responder.close();
    const before = this.responders;
    await this.sayGoodbye();
    await this.sequence.run(async () => {
      // Some were published meanwhile.
      if (this.responders !== before) await this.sayGoodbye();
      await this.closeAll();
    });
  }

  private async sayGoodbye(): Promise<void> {
    await Promise.all([...this.responders.values()].map((responder) => responder.goodbye(responder.records())));
  }

  /** Makes what is on the networks what should be there, probing for what is new. Never rejects. */
  private async show(): Promise<void> {
    try {
      for (let round = 1; this.state === "started"; round++) {
        if (await this.attempt()) break;
        // Two machines that lost a name to each other on different networks must not meet again.
        if (round > 1) await sleep(Math.random() * round * 500);
      }
      this.toldFailure = "";
    } catch (error) {
      // The next look tries again.
      this.shown = "";
      const reason = failure(error as NodeJS.ErrnoException);
      if (reason === this.toldFailure) return;
      this.toldFailure = reason;
      this.events.failed(reason);
    }
  }

  /** False when a name was taken: the next attempt is with another. */
  private async attempt(): Promise<boolean> {
    const wanted = this.wanted();
    if (wanted === this.shown && this.disputed.size === 0) return true;
    const own = ownAddresses();
    const made = networksNow().map((network) => this.responderOn(network, own));
    const fresh = made.filter((responder) => !responder.isEmpty);
    this.probing = fresh;
    let isKept = false;
    try {
      await Promise.all(fresh.map((responder) => responder.open()));
      const ours = new Set([...this.responders.values()].flatMap((responder) => responder.records()).map(textOf));
      const isOurs = ({ name, type, data }: DnsRecord): boolean =>
        ours.has(textOf({ name, type, data })) || (this.responders.size > 0 && own.has(String(data)));
      const lost = await Promise.all(fresh.map((responder) => responder.probe(this.unproven(responder), isOurs)));
      if (this.state !== "started") return true;
      this.disputed.clear();
      const names = new Set(lost.flatMap((some) => [...some]));
      if (names.size > 0) {
        this.countUp(names);
        return false;
      }
      await this.replace(fresh);
      isKept = true;
      this.shown = wanted;
      this.tell();
      return true;
    } finally {
      this.probing = [];
      if (!isKept) await Promise.all(fresh.map((responder) => responder.close()));
    }
  }

  /** What is in both is not gone for a moment. */
  private async replace(fresh: readonly Responder[]): Promise<void> {
    const next = new Map(fresh.map((responder) => [responder.network.interface, responder]));
    for (const [name, responder] of this.responders) {
      const after = next.get(name);
      const kept = new Set((after?.records() ?? []).map(textOf));
      // An address that is gone cannot be sent from.
      await (after ?? responder).goodbye(responder.records().filter((record) => !kept.has(textOf(record))));
    }
    await this.closeAll();
    this.responders = next;
    for (const responder of fresh) responder.publish();
  }

  private async closeAll(): Promise<void> {
    const old = [...this.responders.values()];
    this.responders = new Map();
    await Promise.all(old.map((responder) => responder.close()));
  }

  private responderOn(network: Network, own: ReadonlySet<string>): Responder {
    return new Responder({
      network,
      own,
      host: this.host,
      services: this.services.map((service) => ({ ...service, name: this.nameOf(service) })),
      isOwnProbe: () => this.probing.length > 0,
      onConflict: (name) => this.onConflict(name),
      // The next look opens it again.
      onError: (error) => {
        this.shown = "";
        this.events.failed(failure(error));
      },
    });
  }

  /** Of the names of a responder those that were not on its network, under the same claim, until now. */
  private unproven({ claims, network }: Responder): Set<string> {
    const before = this.responders.get(network.interface);
    const isSameNetwork = before?.network.addresses.some((cidr) => network.addresses.includes(cidr)) ?? false;
    const known = new Set((isSameNetwork ? before!.claims : []).map(({ name }) => name));
    return new Set(claims.map(({ name }) => name).filter((name) => !known.has(name)));
  }

  /** Somebody has, or will have, a name of ours: whose it is shows when it is probed for again, after a while. */
  private onConflict(name: string): void {
    if (this.state !== "started" || this.disputed.has(name)) return;
    this.disputed.add(name);
    const nowMs = performance.now();
    this.conflictsMs = [...this.conflictsMs.filter((ms) => nowMs - ms < CONFLICTS_MS), nowMs];
    const waitMs = SETTLE_MS + (this.conflictsMs.length > CONFLICTS_MAX ? CONFLICTS_PAUSE_MS : 0);
    // Silent at once, or our own answer would be what the probe finds.
    void this.sequence.run(() => this.closeAll());
    clearTimeout(this.again);
    this.again = setTimeout(() => void this.sequence.run(() => this.show()), waitMs);
  }

  private countUp(lost: ReadonlySet<string>): void {
    this.shown = "";
    if (lost.has(this.host)) {
      const before = this.host;
      this.numbers.set("host", this.numberOf("host") + 1);
      this.events.renamed(before, this.host);
    }
    for (const service of this.services) {
      const before = this.nameOf(service);
      if (!lost.has(`${before}.${service.type}.local`)) continue;
      const key = keyOf(service);
      this.numbers.set(key, this.numberOf(key) + 1);
      this.events.renamed(before, this.nameOf(service));
    }
  }

  private get host(): string {
    return `${numberedHost(this.hostBase, this.numberOf("host"))}.local`;
  }

  private nameOf(service: Service): string {
    return numberedInstance(service.name, this.numberOf(keyOf(service)));
  }

  private numberOf(key: string): number {
    return this.numbers.get(key) ?? 1;
  }

  private wanted(): string {
    return JSON.stringify([networksNow(), this.services]);
  }

  private tell(): void {
    const isUsed = ({ type, name }: Service): boolean => {
      const full = asciiLower(`${name}.${type}.local`);
      return [...this.responders.values()].some(({ claims }) => claims.some((one) => asciiLower(one.name) === full));
    };
    const all = this.services.map((service) => ({ ...service, name: this.nameOf(service) })).filter(isUsed);
    const there = all.map(({ type, name, port }) => ({ type, name, port }));
    const news = JSON.stringify([this.host, there]);
    if (news === this.told) return;
    this.told = news;
    this.events.published(there.length === 0 ? "" : this.host, there);
  }
}

function keyOf({ type, name }: Service): string {
  return `${type} ${name}`;
}

function failure(error: NodeJS.ErrnoException): string {
  if (error.code === "EADDRINUSE") {
    return "Cannot be found by mDNS: another program has UDP port 5353 for itself (ss -ulpn 'sport = 5353' names it)";
  }
  return `Cannot be found by mDNS: ${error.message}`;
}
