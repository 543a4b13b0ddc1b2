import type { Broker } from "../../src/core/broker.ts";
import type { Store } from "../../src/core/store.ts";
import { SeededRandom } from "../hostile/random.ts";
import { ModelClient } from "./client.ts";
import { type CrashPoints, VirtualDisk } from "./disk.ts";
import { Life } from "./life.ts";
import type { SimMessage } from "./message.ts";
import { type LinkClient, type Network, SimLink } from "./network.ts";
import { Oracle } from "./oracle.ts";
import { drawCrash, drawFilters, drawMessage, drawScenario, few, type Scenario } from "./scenario.ts";
import { SimStore } from "./store.ts";
import { Timeline } from "./timeline.ts";

export interface RunOptions {
  /** Without: the broker keeps everything in memory and never crashes. */
  withStore?: boolean;
  /** Some runs have damaged records. */
  damage?: boolean;
  /** A slow disk and many failures of the power. */
  isHarsh?: boolean;
  /** Puts a mistake between the broker and its store. */
  wrapStore?: (store: Store, surroundings: Surroundings) => Store;
  /** Puts a mistake into the broker. */
  patch?: (broker: Broker) => void;
  /** Is told what happens, when somebody wants to know. */
  trace?: (line: string) => void;
}

/** What a mistake of a store needs to happen in virtual time. */
export interface Surroundings {
  timeline: Timeline;
  /** The broker was told something: what waits for its promises wants to run. */
  onTold: () => void;
}

export interface Outcome {
  seed: number;
  /** What must not be, or undefined. */
  violation: string | undefined;
  /** Of all bytes on all links: the same for the same seed. */
  digest: number;
  happenings: number;
  crashes: number;
  virtualMs: number;
  messages: number;
  deliveries: number;
}

/** Clients dial on and on while the broker is down, for an hour at most. */
const HAPPENINGS_MAX = 200_000;
const QUIET_POLL_MS = 1_000;
const QUIET_POLLS_MAX = 180;

/** One seed, one run: clients act while the broker crashes and starts again; then all heals, and the oracle judges. */
export async function simulate(seed: number, options: RunOptions = {}): Promise<Outcome> {
  const run = new Run(seed, options);
  await run.go();
  return run.outcome();
}

class Run {
  private readonly seed: number;
  private readonly options: RunOptions;
  private readonly random: SeededRandom;
  private readonly scenario: Scenario;
  private readonly timeline = new Timeline();
  private readonly oracle: Oracle;
  private readonly network: Network;
  private readonly disk: VirtualDisk;
  private readonly clients: ModelClient[];
  private life: Life | undefined;
  private unsettled = false;
  private actsLeft: number;
  private healed = false;
  private finished = false;
  private quietPolls = 0;
  private links = 0;

  constructor(seed: number, options: RunOptions) {
    this.seed = seed;
    this.options = options;
    this.random = new SeededRandom(seed);
    const { withStore = true, damage = false, isHarsh = false } = options;
    this.scenario = drawScenario(this.random, { calm: !withStore, damage, isHarsh });
    const { scenario, timeline, random } = this;
    this.actsLeft = scenario.acts;
    this.oracle = new Oracle(timeline, scenario);
    const { latencyMs, windowBytes } = scenario;
    this.network = { timeline, random, latencyMs, windowBytes, digest: 0 };
    this.disk = new VirtualDisk(timeline, random, { pass: (point) => this.life!.crashPoints.pass(point) });
    this.disk.weather = scenario.weather;
    this.clients = scenario.characters.map((character) => new ModelClient(character, this.clientWorld()));
  }

  async go(): Promise<void> {
    this.boot();
    for (const client of this.clients) this.animate(client);
    if (this.scenario.storms) this.storm();
    this.timeline.after(QUIET_POLL_MS, () => this.pollQuiet());
    while (!this.finished && this.oracle.violation === undefined) {
      // Some of what happens at the same time happens in one turn of the broker's event loop.
      const { nowMs } = this.timeline;
      do if (!this.timeline.step()) return;
      while (this.timeline.nextMs === nowMs && this.random.below(3) !== 0);
      this.life!.endTurn();
      if (this.unsettled) await this.settle();
      if (this.timeline.happened > HAPPENINGS_MAX) this.oracle.break("the run does not come to an end");
    }
  }

  outcome(): Outcome {
    const { oracle, timeline, network, seed } = this;
    let deliveries = 0;
    for (const session of oracle.sessions.values()) deliveries += session.seen.size;
    return {
      seed,
      violation: oracle.violation,
      digest: network.digest,
      happenings: timeline.happened,
      crashes: oracle.crashes.length,
      virtualMs: timeline.nowMs,
      messages: oracle.messages.size,
      deliveries,
    };
  }

  /** Promises that were resolved are carried on with, and all that follows from it, before time goes on. */
  private async settle(): Promise<void> {
    while (this.unsettled) {
      this.unsettled = false;
      await new Promise<void>((resolve) => setImmediate(resolve));
      this.life!.endTurn();
    }
  }

  private boot(): void {
    const { timeline, random, oracle, scenario, disk } = this;
    const { withStore = true, isHarsh = false, wrapStore, patch } = this.options;
    const crashesLeft = scenario.crashes - oracle.crashes.length;
    const store = (crashPoints: CrashPoints): Store => {
      const { readMs } = scenario;
      const damages = oracle.crashes.length > 0 ? scenario.damages : 0;
      const onResolved = () => {
        this.unsettled = true;
      };
      const made = new SimStore({ disk, timeline, random, crashPoints, readMs, damages, onResolved });
      return wrapStore?.(made, { timeline, onTold: onResolved }) ?? made;
    };
    this.life = new Life({
      timeline,
      random,
      oracle,
      limits: scenario.limits,
      mqtt: scenario.mqtt,
      store: withStore ? store : undefined,
      plan: crashesLeft > 0 && !this.healed ? drawCrash(random, isHarsh) : undefined,
      trustedAfterMs: scenario.trusted ? 0 : random.pick([0, 5_000, Number.POSITIVE_INFINITY]),
      patch,
      onCrash: () => this.crashed(),
      trace: (who, event) => this.trace(who, event),
    });
    this.unsettled = true;
    const { life } = this;
    life.boot().catch((error: unknown) => {
      if (!life.dead) oracle.break(`the broker did not start: ${error instanceof Error ? error.stack : String(error)}`);
    });
  }

  private crashed(): void {
    const { random, timeline, scenario } = this;
    this.oracle.crashed();
    this.disk.crash(scenario.crashKind);
    const downMs = random.pick([0, 100, 5_000, 5_000, 3_600_000]);
    timeline.after(random.below(downMs + 1), () => this.boot());
  }

  private clientWorld() {
    const { timeline, random, oracle } = this;
    return {
      timeline,
      random,
      oracle,
      dial: (client: LinkClient) => this.dial(client),
      trace: (clientId: string, event: string) => this.trace(clientId, event),
    };
  }

  private dial(client: LinkClient): SimLink | undefined {
    const life = this.life!;
    if (!life.started || life.dead) return undefined;
    const link = new SimLink(this.network, life, client, `192.0.2.1:${++this.links}`);
    life.links.add(link);
    link.handler = life.broker.accept(link);
    life.touched();
    return link;
  }

  /** Connects, acts, and connects again. */
  private animate(client: ModelClient): void {
    const { random, timeline } = this;
    const dial = () => {
      const clean = random.below(12) === 0 && !this.healed;
      if (!client.connect(clean, random.below(3) === 0)) timeline.after(50 + random.below(2_000), dial);
    };
    client.onLost = () => timeline.after(this.pauseMs(), dial);
    client.onConnected = () => {
      const { link } = client;
      const act = () => {
        if (client.link !== link || this.actsLeft <= 0) return;
        this.actsLeft--;
        this.act(client);
        timeline.after(random.below(random.pick([2, 20, 300, 300, 10_000])), act);
      };
      timeline.after(random.below(20), act);
      const { keepAliveSeconds } = client.character;
      const ping = () => {
        if (client.link !== link) return;
        client.ping();
        timeline.after(keepAliveSeconds * 500, ping);
      };
      if (keepAliveSeconds > 0) timeline.after(keepAliveSeconds * 500, ping);
    };
    timeline.after(random.below(100), dial);
  }

  /** How long a client stays away. */
  private pauseMs(): number {
    const { random } = this;
    return this.healed ? random.below(100) : random.below(random.pick([20, 20, 2_000, 2_000, 60_000, 400_000]));
  }

  private act(client: ModelClient): void {
    const { random, timeline, scenario } = this;
    const { link, character } = client;
    const choice = random.below(100);
    if (choice < 60) {
      for (let left = few(random, 16); left > 0; left--) {
        const message = drawMessage(random, character, client.nextNumber++, timeline.nowMs);
        client.publish(message, 10 + random.below(random.pick([20, scenario.payloadBytes])));
      }
    } else if (choice < 73) client.subscribe(drawFilters(random, client.expirySeconds > 0));
    else if (choice < 79) this.unsubscribe(client);
    else if (choice < 84) client.disconnect(random.below(4) === 0);
    else if (choice < 90) client.drop();
    else if (choice < 94) link!.cut();
    else if (choice < 96) {
      link!.halfOpen = true;
      timeline.after(random.below(30_000), () => {
        if (client.link === link) client.drop();
      });
    } else {
      link!.setClientReading(false);
      timeline.after(random.below(random.pick([100, 5_000])), () => link!.setClientReading(true));
    }
  }

  private unsubscribe(client: ModelClient): void {
    const filters = [...this.oracle.session(client.clientId).filters.keys()];
    if (filters.length > 0) client.unsubscribe([this.random.pick(filters)]);
  }

  /** The disk is full or fails for a while. */
  private storm(): void {
    const { random, timeline, disk, scenario, oracle } = this;
    timeline.after(random.below(20_000), () => {
      if (this.healed) return;
      const fails = random.below(2) === 0;
      disk.weather = { ...scenario.weather, syncFails: fails, capacity: fails ? Number.POSITIVE_INFINITY : 0 };
      oracle.stormBegan();
      this.trace("disk", fails ? "syncs fail" : "full");
      timeline.after(random.below(5_000), () => {
        disk.weather = scenario.weather;
        oracle.stormEnded();
        this.trace("disk", "fair");
        this.storm();
      });
    });
  }

  private pollQuiet(): void {
    const { timeline } = this;
    if (this.actsLeft <= 0 && !this.healed) this.heal();
    if (this.healed && this.isQuiet()) this.probe();
    else timeline.after(QUIET_POLL_MS, () => this.pollQuiet());
  }

  /** From now on nothing fails, nobody leaves, and everybody is quick. Who sleeps wakes when it wanted to. */
  private heal(): void {
    this.healed = true;
    this.trace("run", "heals");
    this.disk.weather = this.scenario.weather;
    this.life!.spare();
    this.network.latencyMs = 2;
    for (const client of this.clients) {
      client.answerAtOnce = true;
      // What was not answered while the disk was full is sent again.
      client.drop();
    }
  }

  private isQuiet(): boolean {
    const waiting = this.clients.find((client) => !client.connected || client.state.outgoing.size > 0);
    const owed = [...this.oracle.sessions.values()].some((session) => session.owed.size > 0);
    if (waiting === undefined && !owed && this.quietPolls >= 3) return true;
    // Some sleep for long; what is measured is the time since all are back.
    if (this.clients.every((client) => client.connected)) this.quietPolls++;
    if (this.quietPolls < QUIET_POLLS_MAX) return false;
    if (waiting !== undefined && !this.oracle.damaged) {
      const keys = [...waiting.state.outgoing.values()].map(({ message }) => message.key);
      this.oracle.break(`${waiting.clientId} was never answered: ${keys.join(" ")}`);
    }
    return true;
  }

  /** Who subscribes now gets the retained messages as they are. */
  private probe(): void {
    const { timeline, oracle } = this;
    const client = new ModelClient(
      {
        number: 99,
        version: 4,
        stored: false,
        expirySeconds: 0,
        receiveMaximum: 65_535,
        answerMs: 0,
        keepAliveSeconds: 0,
      },
      this.clientWorld(),
    );
    client.onConnected = () => client.subscribe([{ topic: "r/#", qos: 1 }]);
    client.connect(true, false);
    timeline.after(3 * QUIET_POLL_MS, () => {
      const found: Map<string, SimMessage> = client.retainedSeen;
      oracle.finish(found);
      this.finished = true;
    });
  }

  private trace(who: string, event: string): void {
    this.options.trace?.(`${String(this.timeline.nowMs).padStart(8)} ${who.padEnd(6)} ${event}`);
  }
}
