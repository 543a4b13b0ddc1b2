import type { Verdict } from "../../core/access.ts";
import type { Client } from "../../core/client.ts";
import { hasWildcard } from "../../topic/name.ts";
import type { Login } from "../login.ts";
import {
  ANY_CLIENT,
  type Seen,
  type Traffic,
  type TrafficClient,
  type TrafficLine,
  type TrafficUse,
} from "./traffic.ts";
import { foldClients, foldTopics } from "./traffic-fold.ts";
import { TrafficRefusals } from "./traffic-refusals.ts";
import { type Asked, clientOf, setBounds, statusOf, TrafficSubject } from "./traffic-subject.ts";

/** Bounds of the record. Entries are clients and uses; bytes are reckoned from the lengths of their texts. */
export interface RecordBounds {
  readonly entriesMax: number;
  readonly bytesMax: number;
  readonly refusalsMax: number;
  /** What it is told beyond these in one second is not recorded, but counted: noting must not hold up the messages. */
  readonly notesPerSecondMax: number;
}

export const RECORD_BOUNDS: RecordBounds = {
  entriesMax: 20_000,
  bytesMax: 4 * 1024 * 1024,
  refusalsMax: 500,
  notesPerSecondMax: 2000,
};

/** Longer texts are not kept: rules are not written for them. */
const CHARACTERS_MAX = 1024;
/** How many siblings make a pattern when there is no room: first the obvious families, then small ones. */
const SIBLINGS_MAX = [20, 5] as const;
/** What clients were refused may take this share of the entries, so that nobody can fill the record with nonsense. */
const DENIED_SHARE = 1 / 4;
/** Full with what cannot be folded, the record does not try again for every new topic. */
const RETRY_SECONDS = 60;
/** How full it is after it made room. */
const ROOM_SHARE = 3 / 4;

const BYTES = { client: 500, use: 260 } as const;

/**
 * Who used which topic in which direction, in bounded memory. It is told of verdicts that were not remembered, so not of each
 * message. When it is full it generalises (see traffic-fold.ts) before it forgets, and counts what it forgets.
 */
export class TrafficRecord {
  /** Grows with every change: whoever saves the record asks whether it did. */
  revision = 0;
  private readonly nowSeconds: () => number;
  private readonly bounds: RecordBounds;
  private subjects = new Map<string, TrafficSubject>();
  private readonly refusals: TrafficRefusals;
  private sinceSeconds: number;
  private entries = 0;
  private bytes = 0;
  private denied = 0;
  private droppedUses = 0;
  private droppedClients = 0;
  private nextFoldSeconds = 0;
  private notedSecond = 0;
  private noted = 0;

  /** `wallMs`: the wall clock, as Clock.wallMs. */
  constructor(wallMs: () => number, bounds: RecordBounds = RECORD_BOUNDS) {
    this.nowSeconds = () => Math.floor(wallMs() / 1000);
    this.bounds = bounds;
    this.refusals = new TrafficRefusals(bounds.refusalsMax);
    this.sinceSeconds = this.nowSeconds();
  }

  /** Rules decided about a topic, or for subscriptions a filter. Clients that are known from the store only don't count. */
  used(login: Login, client: Client, topic: string, write: boolean, verdict: Verdict): void {
    if (!login.certain) return;
    if (this.isHurried()) {
      this.droppedUses++;
      return;
    }
    const operation = write ? "publish" : hasWildcard(topic) ? "subscribe" : "receive";
    const asked: Asked = { operation, topic, allowed: verdict !== false };
    const use = this.find(login, client, asked) ?? this.add(login, client, asked);
    if (use === undefined) {
      this.droppedUses++;
      return;
    }
    this.see(use);
    if (use.sampleTopic !== undefined) use.sampleTopic = topic;
    if (use.sampleClientId !== undefined) use.sampleClientId = client.clientId;
    setBounds(use, verdict);
  }

  /** Somebody was let in. */
  connected(login: Login, client: Client): void {
    if (this.isHurried()) {
      this.droppedClients++;
      return;
    }
    // A user whose clients were folded gets no entry for a single one until that does something else than they.
    const subject = this.subjectOf(login.name, client.clientId) ?? this.subjectOf(login.name, ANY_CLIENT);
    if (subject === undefined) {
      if (this.addSubject(login, client) === undefined) this.droppedClients++;
      return;
    }
    const known = subject.client;
    this.see(known);
    Object.assign(known, statusOf(login, client));
    if (known.sampleClientId !== undefined) known.sampleClientId = client.clientId;
  }

  /** Somebody was not let in. `reason`: as the log has it; no secret may be in it. */
  refused(client: Client, reason: string): void {
    const { userName, clientId } = client;
    if (clientId.length > CHARACTERS_MAX || (userName?.length ?? 0) > CHARACTERS_MAX) return;
    this.revision++;
    this.refusals.add(client, reason, this.nowSeconds());
  }

  /** The record, line by line: see `readTraffic`. What changes meanwhile may be in it or not. */
  *lines(): Generator<TrafficLine> {
    const { sinceSeconds, droppedUses, droppedClients } = this;
    yield { type: "mqtt-broker-traffic", format: 1, sinceSeconds, droppedUses, droppedClients };
    for (const subject of this.subjects.values()) {
      yield subject.client;
      yield* subject.uses;
    }
    yield* this.refusals.all;
  }

  /** Takes over a record of an earlier run. Call it before anything else. */
  restore(traffic: Traffic): void {
    this.sinceSeconds = Math.min(this.sinceSeconds, traffic.header.sinceSeconds);
    this.droppedUses += traffic.header.droppedUses;
    this.droppedClients += traffic.header.droppedClients;
    for (const client of traffic.clients) {
      if (this.isFull(BYTES.client)) return;
      this.list(new TrafficSubject(client));
      this.account(client);
    }
    for (const use of traffic.uses) {
      const subject = this.subjectOf(use.name, use.clientId);
      if (subject !== undefined && !this.isFull(BYTES.use)) this.put(subject, use);
    }
    for (const refusal of traffic.refusals) this.refusals.put(refusal);
  }

  /** Where it is counted already: with its client, or where that user's clients were folded into one. */
  private find(login: Login, { clientId }: Client, asked: Asked): TrafficUse | undefined {
    const { name } = login;
    const own = this.ownSubject(login, clientId)?.find(clientId, asked);
    return own ?? this.subjectOf(name, ANY_CLIENT)?.find(clientId, asked);
  }

  private add(login: Login, client: Client, asked: Asked): TrafficUse | undefined {
    const { topic, allowed } = asked;
    if (topic.length > CHARACTERS_MAX) return undefined;
    if (!allowed && this.denied >= this.bounds.entriesMax * DENIED_SHARE) this.shedDenied();
    // A new client takes room too.
    if (!this.makeRoom(BYTES.use + BYTES.client + 2 * (topic.length + client.clientId.length), 2)) return undefined;
    // Making room may have made a pattern that this one fits into, or folded the client away.
    const found = this.find(login, client, asked);
    if (found !== undefined) return found;
    const subject = this.subjectOf(login.name, client.clientId) ?? this.addSubject(login, client);
    if (subject === undefined) return undefined;
    const { name, clientId } = subject.client;
    const use: TrafficUse = { type: "use", name, clientId, ...asked, ...this.nothingSeen() };
    this.put(subject, use);
    return use;
  }

  private isHurried(): boolean {
    const second = this.nowSeconds();
    if (second !== this.notedSecond) {
      this.notedSecond = second;
      this.noted = 0;
    }
    return ++this.noted > this.bounds.notesPerSecondMax;
  }

  /** That of the client itself, which is at hand with its login: to find it by a key made of two names takes longer than the rest. */
  private ownSubject(login: Login, clientId: string): TrafficSubject | undefined {
    const known = login.recorded;
    if (known instanceof TrafficSubject && known.owner === this && known.client.clientId === clientId) return known;
    const subject = this.subjectOf(login.name, clientId);
    login.recorded = subject;
    return subject;
  }

  private subjectOf(name: string, clientId: string): TrafficSubject | undefined {
    return this.subjects.get(keyOf(name, clientId));
  }

  private addSubject(login: Login, client: Client): TrafficSubject | undefined {
    const { name } = login;
    const { clientId } = client;
    if (name.length > CHARACTERS_MAX || clientId.length > CHARACTERS_MAX) return undefined;
    if (!this.makeRoom(BYTES.client + 2 * (name.length + clientId.length))) return undefined;
    const subject = new TrafficSubject(clientOf(login, client, this.nothingSeen()));
    this.see(subject.client);
    this.list(subject);
    this.account(subject.client);
    return subject;
  }

  private isFull(bytes: number, entries = 1): boolean {
    return this.entries + entries > this.bounds.entriesMax || this.bytes + bytes > this.bounds.bytesMax;
  }

  /** True when there is room for `entries` of `bytes` in all, perhaps after folding. */
  private makeRoom(bytes: number, entries = 1): boolean {
    if (!this.isFull(bytes, entries)) return true;
    const now = this.nowSeconds();
    if (now < this.nextFoldSeconds) return false;
    for (const siblingsMax of SIBLINGS_MAX) if (this.fold(siblingsMax)) return true;
    this.dropIdleClients();
    this.nextFoldSeconds = now + RETRY_SECONDS;
    return !this.isFull(bytes, entries);
  }

  /** Users with the most entries first, until there is room again: then true. */
  private fold(siblingsMax: number): boolean {
    const byName = new Map<string, TrafficSubject[]>();
    for (const subject of this.subjects.values()) {
      const known = byName.get(subject.client.name);
      if (known === undefined) byName.set(subject.client.name, [subject]);
      else known.push(subject);
    }
    const users = [...byName].map(([name, subjects]) => ({ name, subjects, size: sizeOf(subjects) }));
    users.sort((a, b) => b.size - a.size);
    for (const { name, subjects, size } of users) {
      if (size <= siblingsMax) break;
      const before = subjects.flatMap(({ uses }) => foldTopics([...uses], siblingsMax));
      const after = foldTopics(foldClients(before, siblingsMax), siblingsMax);
      if (after.length === size) continue;
      this.replaceUses(name, subjects, after);
      this.recount();
      if (this.hasRoom()) return true;
    }
    return false;
  }

  private hasRoom(): boolean {
    const { entriesMax, bytesMax } = this.bounds;
    return this.entries <= entriesMax * ROOM_SHARE && this.bytes <= bytesMax * ROOM_SHARE;
  }

  private replaceUses(name: string, subjects: readonly TrafficSubject[], uses: readonly TrafficUse[]): void {
    const hadUses = subjects.filter(({ size }) => size > 0);
    for (const subject of subjects) subject.clear();
    for (const use of uses) {
      const subject = this.subjectOf(name, use.clientId) ?? this.addFolded(subjects);
      subject.put(use);
    }
    const all = this.subjectOf(name, ANY_CLIENT);
    if (all === undefined) return;
    // Of clients that did nothing but what all do, nothing is left to say.
    for (const { client, size } of hadUses) {
      if (size > 0 || client === all.client) continue;
      all.client.count += client.count;
      all.client.firstSeconds = Math.min(all.client.firstSeconds, client.firstSeconds);
      this.forget(name, client.clientId);
    }
  }

  private list(subject: TrafficSubject): void {
    subject.owner = this;
    this.subjects.set(keyOf(subject.client.name, subject.client.clientId), subject);
  }

  private forget(name: string, clientId: string): void {
    const key = keyOf(name, clientId);
    const subject = this.subjects.get(key);
    if (subject !== undefined) subject.owner = undefined;
    this.subjects.delete(key);
  }

  /** An entry for all clients of a user, which looks like the one that was seen last. */
  private addFolded(subjects: readonly TrafficSubject[]): TrafficSubject {
    const { client } = subjects.reduce((a, b) => (b.client.lastSeconds > a.client.lastSeconds ? b : a));
    const all = new TrafficSubject({ ...client, clientId: ANY_CLIENT, sampleClientId: client.clientId, count: 0 });
    this.list(all);
    return all;
  }

  /** Clients that used nothing, the oldest half of them. */
  private dropIdleClients(): void {
    const idle = [...this.subjects].filter(([, { size }]) => size === 0);
    idle.sort(([, a], [, b]) => a.client.lastSeconds - b.client.lastSeconds);
    for (const [, { client }] of idle.slice(0, Math.ceil(idle.length / 2))) {
      this.forget(client.name, client.clientId);
      this.droppedClients++;
    }
    this.recount();
  }

  /** Half of what was denied goes, the oldest. */
  private shedDenied(): void {
    const denied = [...this.subjects.values()].flatMap((subject) =>
      [...subject.uses].filter(({ allowed }) => !allowed).map((use) => ({ subject, use })),
    );
    denied.sort((a, b) => a.use.lastSeconds - b.use.lastSeconds);
    for (const { subject, use } of denied.slice(0, Math.ceil(denied.length / 2))) {
      subject.remove(use);
      this.droppedUses++;
    }
    this.recount();
  }

  private recount(): void {
    this.entries = 0;
    this.bytes = 0;
    this.denied = 0;
    for (const { client, uses } of this.subjects.values()) {
      this.account(client);
      for (const use of uses) this.account(use);
    }
  }

  private put(subject: TrafficSubject, use: TrafficUse): void {
    subject.put(use);
    this.account(use);
  }

  private account(entry: TrafficClient | TrafficUse): void {
    this.entries++;
    if (entry.type === "client") {
      this.bytes += BYTES.client + 2 * (entry.name.length + entry.clientId.length);
      return;
    }
    this.bytes += BYTES.use + 2 * (entry.topic.length + (entry.sampleTopic?.length ?? 0));
    if (!entry.allowed) this.denied++;
  }

  private nothingSeen(): Seen {
    return { count: 0, firstSeconds: this.nowSeconds(), lastSeconds: 0 };
  }

  private see(seen: Seen): void {
    this.revision++;
    seen.count++;
    seen.lastSeconds = this.nowSeconds();
  }
}

function sizeOf(subjects: readonly TrafficSubject[]): number {
  return subjects.reduce((sum, { size }) => sum + size, 0);
}

/** No text of MQTT has U+0000 in it. */
function keyOf(name: string, clientId: string): string {
  return `${name}\u0000${clientId}`;
}
