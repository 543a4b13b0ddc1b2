import { isTopicName } from "../../topic/name.ts";
import type { SnClient } from "./client.ts";
import type { Downstream } from "./downstream.ts";

/** Between two messages for one client that does not change its state, and until what has changed is told. */
const PAUSE_MS = 1000;
/** So many changes of a client's state in a row are told at once, and one more each PAUSE_MS. */
const AT_ONCE_MAX = 10;
/** A wall clock that was set by more than this makes all times that were told wrong. */
const CLOCK_STEP_MS = 1000;

/** What is told of a client: `lost` when it was silent for too long, `disconnected` when it said so or was let go. */
export type PresenceState = "active" | "asleep" | "awake" | "disconnected" | "lost";

/** What presence reads of a client. */
export type ShownClient = Pick<
  SnClient,
  | "clientId"
  | "cleanSession"
  | "route"
  | "state"
  | "end"
  | "lastHeardMs"
  | "durationSeconds"
  | "nextWakeMs"
  | "missedWakes"
  | "buffered"
> & { readonly downstream: Pick<Downstream, "retried"> };

export interface PresenceSettings {
  /** Topics begin with this, "$SYS/broker/clients": a topic name without a separator at its end. */
  readonly prefix: string;
  /** Milliseconds between two looks at all clients: what is buffered, when each was heard of, which sessions are gone. */
  readonly intervalMs: number;
  /** Clients that are shown at a time, those that are gone among them. */
  readonly clientsMax: number;
}

export interface PresenceWorld {
  nowMs(): number;
  /** Milliseconds since 1970. */
  wallMs(): number;
  /** `tick` is wanted by then, in milliseconds of `nowMs`; Infinity: not at all. */
  schedule(dueMs: number): void;
  /** An empty payload takes the topic's message away. */
  publish(topicName: string, payload: string, options: { retain: boolean }): void;
  /** Client identifiers of all sessions of the broker. Asked once in an interval, and only while a client is gone. */
  sessions(): Iterable<string>;
}

/** What was told of a client, and what is to be. */
interface Shown {
  readonly topicName: string;
  client: ShownClient;
  /** Undefined: nothing was told yet. */
  state: PresenceState | undefined;
  /** All that was told but for times of hearing. */
  facts: string;
  heardMs: number;
  /** When it is to wake, or was to. */
  wakeMs: number;
  publishedMs: number;
  /** When all changes of state that were told at once would have been told, had they come PAUSE_MS apart. */
  atOnceMs: number;
  /** The wall clock less the other one, when it was told last. */
  offsetMs: number;
}

/**
 * The state of each MQTT-SN client as a retained message: `$SYS/broker/clients/CLIENT/mqtt-sn`. A new state is told at
 * once, other changes within two seconds and not more often than once a second, and that it was heard of again once in an
 * interval. What a client's session leaves when it ends is taken away.
 */
export class Presence {
  private readonly settings: PresenceSettings;
  private readonly world: PresenceWorld;
  private readonly shown = new Map<string, Shown>();
  /** Clients that are gone and whose sessions may be there, the longest ago first. */
  private readonly gone = new Set<string>();
  private readonly changed = new Set<Shown>();
  private changedMs = Number.POSITIVE_INFINITY;
  private lookMs = Number.POSITIVE_INFINITY;
  private scheduledMs = Number.POSITIVE_INFINITY;

  constructor(settings: PresenceSettings, world: PresenceWorld) {
    this.settings = settings;
    this.world = world;
  }

  /** Clients that are shown. */
  get size(): number {
    return this.shown.size;
  }

  /** Something about the client may have changed. One that is gone is not heard of again. */
  onClient(client: ShownClient): void {
    const { clientId } = client;
    const shown = this.shown.get(clientId) ?? this.add(client);
    if (shown === undefined) return;
    const isGone = client.state === "gone";
    // Its place is another's by now, who has the same identifier.
    if (isGone && shown.client !== client) return;
    shown.client = client;
    if (isGone) this.gone.add(clientId);
    else this.gone.delete(clientId);
    if (isGone && client.cleanSession && client.end === "disconnected") this.remove(clientId, shown);
    else this.note(shown);
    this.reschedule();
  }

  /** Time has passed. */
  tick(): void {
    const nowMs = this.world.nowMs();
    this.scheduledMs = Number.POSITIVE_INFINITY;
    if (nowMs >= this.changedMs) this.tellChanged(nowMs);
    if (nowMs >= this.lookMs) this.look(nowMs);
    this.reschedule();
  }

  /** Undefined when it cannot be shown: there are too many, or its topic would be too long. */
  private add(client: ShownClient): Shown | undefined {
    const { clientId, state } = client;
    const topicName = topicOf(this.settings.prefix, clientId);
    if (state === "gone" || !isTopicName(topicName)) return undefined;
    if (this.shown.size >= this.settings.clientsMax) {
      const longestAgo = this.gone.values().next().value;
      if (longestAgo === undefined) return undefined;
      this.remove(longestAgo, this.shown.get(longestAgo)!);
    }
    const never = Number.NEGATIVE_INFINITY;
    const shown: Shown = {
      topicName,
      client,
      state: undefined,
      facts: "",
      heardMs: never,
      wakeMs: Number.POSITIVE_INFINITY,
      publishedMs: never,
      atOnceMs: never,
      offsetMs: 0,
    };
    if (this.shown.size === 0) this.lookMs = this.world.nowMs() + this.settings.intervalMs;
    this.shown.set(clientId, shown);
    return shown;
  }

  private note(shown: Shown): void {
    const nowMs = this.world.nowMs();
    const { client } = shown;
    if (client.state !== "asleep") shown.wakeMs = Number.POSITIVE_INFINITY;
    // One that it has missed is not promised any more, but it is what its reader wants to know.
    else if (client.nextWakeMs !== Number.POSITIVE_INFINITY) shown.wakeMs = client.nextWakeMs;
    const state = stateOf(client);
    // One whose place is taken is told of by whoever has it, or not at all.
    if (state !== undefined && state !== shown.state && this.mayTellAtOnce(shown, nowMs)) {
      this.tell(shown, state, nowMs);
      return;
    }
    if (state === shown.state && factsOf(shown) === shown.facts) return;
    this.changed.add(shown);
    if (this.changedMs === Number.POSITIVE_INFINITY) this.changedMs = nowMs + PAUSE_MS;
  }

  private mayTellAtOnce(shown: Shown, nowMs: number): boolean {
    const atOnceMs = Math.max(nowMs, shown.atOnceMs) + PAUSE_MS;
    if (atOnceMs > nowMs + AT_ONCE_MAX * PAUSE_MS) return false;
    shown.atOnceMs = atOnceMs;
    return true;
  }

  private tellChanged(nowMs: number): void {
    this.changedMs = Number.POSITIVE_INFINITY;
    for (const shown of [...this.changed]) {
      const { client } = shown;
      const state = stateOf(client);
      if (state === undefined) this.remove(client.clientId, shown);
      else if (nowMs - shown.publishedMs >= PAUSE_MS) this.tellIfChanged(shown, state, nowMs);
    }
    if (this.changed.size > 0) this.changedMs = nowMs + PAUSE_MS;
  }

  /** At all clients: of some nobody hears what has changed. */
  private look(nowMs: number): void {
    this.lookMs = nowMs + this.settings.intervalMs;
    this.removeEnded();
    const offsetMs = this.world.wallMs() - nowMs;
    for (const shown of this.shown.values()) {
      const state = stateOf(shown.client);
      if (state === undefined || nowMs - shown.publishedMs < PAUSE_MS) continue;
      const isLate = shown.client.lastHeardMs !== shown.heardMs;
      const isWrong = Math.abs(offsetMs - shown.offsetMs) > CLOCK_STEP_MS;
      if (isLate || isWrong) this.tell(shown, state, nowMs);
      else this.tellIfChanged(shown, state, nowMs);
    }
    if (this.shown.size === 0) this.lookMs = Number.POSITIVE_INFINITY;
  }

  private removeEnded(): void {
    if (this.gone.size === 0) return;
    const sessions = new Set(this.world.sessions());
    for (const clientId of [...this.gone]) {
      if (!sessions.has(clientId)) this.remove(clientId, this.shown.get(clientId)!);
    }
  }

  private remove(clientId: string, shown: Shown): void {
    this.shown.delete(clientId);
    this.gone.delete(clientId);
    this.changed.delete(shown);
    if (shown.state !== undefined) this.world.publish(shown.topicName, "", { retain: true });
  }

  private tellIfChanged(shown: Shown, state: PresenceState, nowMs: number): void {
    this.changed.delete(shown);
    if (state !== shown.state || factsOf(shown) !== shown.facts) this.tell(shown, state, nowMs);
  }

  private tell(shown: Shown, state: PresenceState, nowMs: number): void {
    const { client, topicName } = shown;
    this.changed.delete(shown);
    shown.state = state;
    shown.facts = factsOf(shown);
    shown.heardMs = client.lastHeardMs;
    shown.publishedMs = nowMs;
    shown.offsetMs = this.world.wallMs() - nowMs;
    this.world.publish(topicName, payloadOf(shown, state), { retain: true });
  }

  private reschedule(): void {
    const dueMs = Math.min(this.changedMs, this.lookMs);
    if (dueMs === this.scheduledMs) return;
    this.scheduledMs = dueMs;
    this.world.schedule(dueMs);
  }
}

/**
 * Its topic. In the client identifier `/`, `+`, `#`, `%` and control characters are written as in a URL, `%2F`, so that
 * each client has one level of its own.
 */
export function topicOf(prefix: string, clientId: string): string {
  return `${prefix}/${clientId.replace(/[/+#%\p{Cc}]/gu, encodeURIComponent)}/mqtt-sn`;
}

/** Undefined: another connection has its place. */
function stateOf({ state, end }: ShownClient): PresenceState | undefined {
  if (state === "active" || state === "asleep" || state === "awake") return state;
  return end === "replaced" ? undefined : end === "lost" ? "lost" : "disconnected";
}

function factsOf(shown: Shown): string {
  return JSON.stringify([shown.wakeMs, ...Object.values(detailsOf(shown.client))]);
}

function detailsOf({
  buffered,
  missedWakes,
  durationSeconds,
  downstream,
  route,
}: ShownClient): Record<string, unknown> {
  const { address, line, nodeId } = route.peer;
  return {
    buffered,
    missedWakes,
    duration: durationSeconds,
    retries: downstream.retried,
    ...(address !== "" && { address }),
    ...(line !== undefined && { line }),
    ...(nodeId !== undefined && { node: nodeId }),
    ...(route.linkQuality !== undefined && { linkQuality: route.linkQuality }),
  };
}

function payloadOf({ client, wakeMs, offsetMs }: Shown, state: PresenceState): string {
  const isPromised = wakeMs !== Number.POSITIVE_INFINITY;
  return JSON.stringify({
    state,
    ...timeOf("lastSeen", client.lastHeardMs + offsetMs),
    ...(isPromised && timeOf("nextWake", wakeMs + offsetMs)),
    ...detailsOf(client),
  });
}

/** For people and for programs: `NAME` in ISO 8601, `NAMESeconds` since 1970. */
function timeOf(name: string, wallMs: number): Record<string, string | number> {
  return { [name]: new Date(wallMs).toISOString(), [`${name}Seconds`]: Math.floor(wallMs / 1000) };
}
