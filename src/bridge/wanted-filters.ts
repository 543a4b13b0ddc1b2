import type { Client } from "../core/client.ts";
import type { Hook } from "../core/hooks.ts";
import { parseShared } from "../topic/name.ts";
import type { Notes } from "./notes.ts";

/** What a session is, as far as this has to do with it. */
export interface KnownSession {
  readonly clientId: string;
  readonly userName: string | undefined;
  /** With the mount point. */
  readonly subscriptions: readonly string[];
}

export type SessionKey = (clientId: string, userName: string | undefined) => string;

/**
 * The Topic Filters of all MQTT-SN sessions, without the mount point and without shares, counted. A session that came by
 * MQTT-SN once counts until it ends, also asleep, away, or after a restart.
 */
export class WantedFilters {
  /** Tells of what happens to sessions. */
  readonly hook: Required<
    Pick<
      Hook,
      "onSessionEstablished" | "onSubscribe" | "onSubscribed" | "onUnsubscribed" | "onDisconnect" | "onClientExpired"
    >
  >;
  private readonly prefix: string;
  private readonly notes: Notes;
  private readonly sessionKey: SessionKey;
  private readonly onChange: () => void;
  /** Of each session by its key. */
  private readonly bySession = new Map<string, Set<string>>();
  private readonly counts = new Map<string, number>();

  constructor(prefix: string, notes: Notes, sessionKey: SessionKey, onChange: () => void) {
    this.prefix = prefix;
    this.notes = notes;
    this.sessionKey = sessionKey;
    this.onChange = onChange;
    this.hook = {
      onSessionEstablished: (client, { cleanStart }) => {
        if (cleanStart) this.ended(client);
      },
      // Before it is granted, so that the note is on the disk no later than the subscription.
      onSubscribe: (client) => {
        if (client.peer.transport === "mqtt-sn") this.notes.add(this.keyOf(client));
      },
      onSubscribed: (client, { entries }, reasonCodes) => {
        if (!this.notes.has(this.keyOf(client))) return;
        const granted = entries.filter((_, index) => reasonCodes[index]! < 0x80);
        this.add(
          this.keyOf(client),
          granted.map(({ topicFilter }) => topicFilter),
        );
      },
      onUnsubscribed: (client, { topicFilters }) => this.remove(this.keyOf(client), topicFilters),
      onDisconnect: (client, _, expire) => {
        if (expire) this.ended(client);
      },
      onClientExpired: (client) => this.ended(client),
    };
  }

  /** After the start: those of earlier runs that are still there. */
  load(sessions: Iterable<KnownSession>): void {
    const gone = new Set(this.notes.names);
    for (const { clientId, userName, subscriptions } of sessions) {
      const key = this.keyOf({ clientId, userName });
      if (!gone.delete(key)) continue;
      this.add(key, subscriptions);
    }
    for (const key of gone) this.notes.delete(key);
  }

  has(topicFilter: string): boolean {
    return this.counts.has(topicFilter);
  }

  get filters(): readonly string[] {
    return [...this.counts.keys()];
  }

  private add(key: string, topicFilters: readonly string[]): void {
    let own = this.bySession.get(key);
    if (own === undefined) {
      own = new Set();
      this.bySession.set(key, own);
    }
    for (const topicFilter of topicFilters) {
      const { filter } = this.inner(topicFilter) ?? {};
      if (filter === undefined || own.has(topicFilter)) continue;
      own.add(topicFilter);
      this.counts.set(filter, (this.counts.get(filter) ?? 0) + 1);
    }
    this.onChange();
  }

  private remove(key: string, topicFilters: Iterable<string>): void {
    const own = this.bySession.get(key);
    if (own === undefined) return;
    for (const topicFilter of [...topicFilters]) {
      if (!own.delete(topicFilter)) continue;
      const { filter } = this.inner(topicFilter)!;
      const count = this.counts.get(filter)! - 1;
      if (count === 0) this.counts.delete(filter);
      else this.counts.set(filter, count);
    }
    this.onChange();
  }

  private ended(client: Client): void {
    const key = this.keyOf(client);
    this.notes.delete(key);
    this.remove(key, this.bySession.get(key) ?? []);
    this.bySession.delete(key);
  }

  private keyOf({ clientId, userName }: Pick<Client, "clientId" | "userName">): string {
    return this.sessionKey(clientId, userName);
  }

  /** Undefined for what is not below the mount point. */
  private inner(topicFilter: string): { filter: string } | undefined {
    const filter = parseShared(topicFilter)?.filter ?? topicFilter;
    if (!filter.startsWith(this.prefix) || filter.length === this.prefix.length) return undefined;
    return { filter: filter.slice(this.prefix.length) };
  }
}
