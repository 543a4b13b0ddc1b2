import type { Limits } from "../../src/core/limits.ts";
import type { BrokerOptions } from "../../src/core/options.ts";
import type { SeededRandom } from "../hostile/random.ts";
import type { Character } from "./client.ts";
import type { CrashKind, DiskWeather } from "./disk.ts";
import { fairWeather } from "./disk.ts";
import type { CrashPlan } from "./life.ts";
import type { SimMessage } from "./message.ts";

/** All that a seed decides before anything happens. */
export interface Scenario {
  characters: Character[];
  limits: Partial<Limits>;
  mqtt: Partial<BrokerOptions>;
  /** The largest are some tens of thousands of bytes, so that queues outgrow what is held in memory of them. */
  payloadBytes: number;
  latencyMs: number;
  windowBytes: number;
  readMs: number;
  /** What clients do in all, before everything heals. */
  acts: number;
  crashes: number;
  crashKind: CrashKind;
  /** The wall clock is right at each start. */
  trusted: boolean;
  /** Records that are damaged at each start but the first. */
  damages: number;
  weather: DiskWeather;
  /** Full disks and failing syncs come and go. */
  storms: boolean;
}

/** Points at which a crash is aimed, beside just any. */
const CRASH_POINTS = [
  "store.commit",
  "store.durable",
  "store.work",
  "store.read",
  "store.opened",
  "disk.write",
  "disk.written",
  "disk.sync",
  "disk.synced",
  "disk.rename",
  "turn.task",
  "link.reserve",
  "link.write",
  "link.data",
  "link.close",
  "clock.tick",
] as const;

export interface ScenarioChoice {
  /** No crash, no storm: for a broker without a store. */
  calm: boolean;
  /** Some runs have damaged records. */
  damage: boolean;
  /** The disk is slow, and the power fails often while it writes: what leaves too early is found sooner. */
  isHarsh: boolean;
}

export function drawScenario(random: SeededRandom, choice: ScenarioChoice): Scenario {
  const clients = 3 + random.below(3);
  const payloadBytes = random.pick([30, 30, 700, 700, 8_000, 40_000]);
  const damages = choice.damage && random.below(8) === 0 ? 1 + random.below(3) : 0;
  const drawn: Scenario = {
    characters: Array.from({ length: clients }, (_, number) => drawCharacter(random, number)),
    limits: random.pick([
      {},
      {},
      { queuedMessages: 1 + random.below(20) },
      { queuedBytes: 500 + random.below(4000) },
      { inflight: 1 + random.below(8) },
    ]),
    mqtt: { queue: { overflow: random.pick(["drop-oldest", "drop-newest"] as const), qos0: false, keepLast: [] } },
    payloadBytes,
    latencyMs: random.pick([0, 2, 5, 40]),
    windowBytes: Math.max(payloadBytes >> 2, random.pick([200, 2_000, 65_536, 65_536])),
    readMs: random.pick([0, 3, 50]),
    acts: 60 + random.below(140),
    crashes: choice.calm ? 0 : choice.isHarsh ? 4 + random.below(4) : random.below(5),
    crashKind: choice.isHarsh ? "power" : random.pick(["power", "power", "kill"] as const),
    trusted: random.below(3) !== 0,
    damages,
    weather: { ...fairWeather(), syncMs: choice.isHarsh ? 300 : random.pick([1, 8, 40, 300]) },
    storms: !choice.calm && !choice.isHarsh && random.below(4) === 0,
  };
  if (drawn.acts % 3 === 0) drawn.mqtt.queue = { ...drawn.mqtt.queue!, keepLast: [KEEP_LAST] };
  return drawn;
}

function drawCharacter(random: SeededRandom, number: number): Character {
  return {
    number,
    version: random.pick([4, 5] as const),
    stored: random.below(4) !== 0,
    expirySeconds: random.pick([3, 30, 600, 86_400, 86_400]),
    receiveMaximum: random.pick([1, 2, 5, 65_535]),
    answerMs: random.pick([0, 0, 5, 100]),
    keepAliveSeconds: random.pick([0, 0, 60]),
  };
}

export function drawCrash(random: SeededRandom, isHarsh: boolean): CrashPlan {
  if (isHarsh) return { point: random.pick(["disk.synced", "disk.written"] as const), count: few(random, 60) };
  if (random.below(3) === 0) return { point: "", count: few(random, 2_000) };
  return { point: random.pick(CRASH_POINTS), count: few(random, 100) };
}

/** A message of a client. Each topic of retained messages has one writer and one QoS, so that its values have an order. */
export function drawMessage(random: SeededRandom, publisher: Character, number: number, nowMs: number): SimMessage {
  const kind = random.below(10);
  const isRetained = kind >= 6 && kind < 8;
  const qos = random.pick([0, 1, 1, 2, 2] as const);
  const topic = isRetained ? `r/${publisher.number}/${qos}` : kind >= 8 ? `s/${random.below(2)}` : random.pick(TOPICS);
  return {
    key: `${publisher.number}.${number}`,
    publisher: publisher.number,
    number,
    topic,
    qos,
    retain: isRetained,
    removes: isRetained && random.below(4) === 0,
    expirySeconds: publisher.version === 5 && random.below(6) === 0 ? random.pick([1, 10, 120]) : undefined,
    isWill: false,
    firstSentMs: nowMs,
    sendings: 0,
    acknowledgedMs: Number.POSITIVE_INFINITY,
    refused: false,
    inStorm: false,
  };
}

/** Of these topics only the newest message waits, in a third of all runs. */
const KEEP_LAST = "a/#";
const TOPICS = ["a/0", "a/0", "a/1", "a/0/x"] as const;
const FILTERS = ["a/0", "a/1", "a/+", "a/#", "a/0/#", "r/#", "r/+/1", "r/0/+", "r/1/2", "w/#", "w/0"] as const;

/** Filters for one SUBSCRIBE. Only stored sessions share: what a member without one has under way dies with it. */
export function drawFilters(random: SeededRandom, stored: boolean): { topic: string; qos: 0 | 1 | 2 }[] {
  // All members of one share have one QoS, and no two shares a topic, so that it does not matter who gets a message.
  if (stored && random.below(4) === 0) return [random.pick([SHARE_1, SHARE_2])];
  const first = { topic: random.pick(FILTERS), qos: random.pick([0, 1, 2, 2] as const) };
  if (random.below(3) !== 0) return [first];
  const second = { topic: random.pick(FILTERS), qos: random.pick([0, 1, 2, 2] as const) };
  return first.topic === second.topic ? [first] : [first, second];
}

const SHARE_1 = { topic: "$share/g/s/0", qos: 1 } as const;
const SHARE_2 = { topic: "$share/h/s/1/#", qos: 2 } as const;

/** From 1 on, small numbers as often as great ones. */
export function few(random: SeededRandom, max: number): number {
  const bits = random.below(Math.ceil(Math.log2(max)) + 1);
  return Math.min(max, 1 + random.below(2 ** bits));
}
