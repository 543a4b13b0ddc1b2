import { ReasonCode } from "../codec/reason.ts";
import type { Broker } from "./broker.ts";
import { shortKey } from "./budget.ts";
import type { Connection } from "./connection.ts";
import { type Refusal, refuse } from "./hooks.ts";
import { hostOf } from "./ports.ts";

/** A client that lost its connection takes its session over once or twice; so many within this time are a fight. */
const FIGHT_TAKEOVERS = 4;
const FIGHT_WINDOW_MS = 30_000;
const LOG_INTERVAL_MS = 60_000;
/** Sessions that were taken over lately; beyond, those longest ago are forgotten. */
const FIGHTS_MAX = 1024;

interface Fight {
  /** When it was taken over, or somebody tried to, oldest first; the last few. */
  attemptsMs: number[];
  /** When that was last done from another host than the holder's. */
  contestedMs: number;
  heldUntilMs: number;
  unlogged: number;
  loggedMs: number;
}

/**
 * Clients that take one session from each other, because they were given the same client identifier: 5.0 [MQTT-3.1.4-3]
 * has each CONNECT end the other's connection, and neither gets any further. They are named, and with `takeoverHoldMs`
 * the one who is there is left alone for a while.
 */
export class Takeovers {
  private readonly broker: Broker;
  private readonly fights = new Map<string, Fight>();

  constructor(broker: Broker) {
    this.broker = broker;
  }

  /** May the newcomer take the session `key` from its holder? */
  admits(newcomer: Connection, holder: Connection, key: string): Refusal | undefined {
    const { nowMs, limits } = this.broker;
    const fight = this.fightOver(shortKey(key));
    const isElsewhere = hostOf(newcomer.link.peer.address) !== hostOf(holder.link.peer.address);
    if (isElsewhere) fight.contestedMs = nowMs;
    fight.attemptsMs = fight.attemptsMs.filter((atMs) => nowMs - atMs <= FIGHT_WINDOW_MS).slice(1 - FIGHT_TAKEOVERS);
    fight.attemptsMs.push(nowMs);
    fight.unlogged++;
    if (fight.attemptsMs.length < FIGHT_TAKEOVERS) return undefined;
    this.logFight(fight, newcomer, holder);
    if (!isElsewhere || limits.takeoverHoldMs === 0) return undefined;
    if (nowMs < fight.heldUntilMs) {
      return refuse(
        ReasonCode.ClientIdentifierNotValid,
        "another client with this client identifier is connected: give each its own",
      );
    }
    fight.heldUntilMs = nowMs + limits.takeoverHoldMs;
    return undefined;
  }

  private fightOver(key: string): Fight {
    const { fights } = this;
    const found = fights.get(key);
    const never = Number.NEGATIVE_INFINITY;
    const fight = found ?? { attemptsMs: [], contestedMs: never, heldUntilMs: never, unlogged: 0, loggedMs: never };
    // Moved to the end: the first ones are those longest ago.
    if (found !== undefined) fights.delete(key);
    else if (fights.size >= FIGHTS_MAX) fights.delete(fights.keys().next().value!);
    fights.set(key, fight);
    return fight;
  }

  private logFight(fight: Fight, newcomer: Connection, holder: Connection): void {
    const { nowMs, log } = this.broker;
    if (nowMs - fight.loggedMs < LOG_INTERVAL_MS) return;
    log.warn(
      nowMs - fight.contestedMs <= FIGHT_WINDOW_MS
        ? "Two clients use the same client identifier and take one session from each other: give each its own"
        : "One host takes over its own session again and again: two programs with one client identifier, or one that connects without closing",
      {
        ...newcomer.client.logFields(),
        otherAddress: holder.link.peer.address,
        takeovers: fight.unlogged,
      },
    );
    fight.unlogged = 0;
    fight.loggedMs = nowMs;
  }
}
