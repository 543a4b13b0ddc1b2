import { setTimeout as sleep } from "node:timers/promises";
import { SeededRandom } from "../hostile/random.ts";
import { emptyFolder, type Lifetime } from "../smoke/program.ts";
import { BrokerProcess, freePort } from "./broker-process.ts";
import { Changer } from "./changer.ts";
import { Publisher, type Stream } from "./publisher.ts";
import { RetainedWriter } from "./retained-writer.ts";
import { SecondOpinion } from "./second-opinion.ts";
import { Subscriber } from "./subscriber.ts";
import { Verdict } from "./verdict.ts";

export interface CrashOptions {
  /** Gives the same choices again; when what happens cannot be repeated, since the processes are real. */
  seed: number;
  /** How often the broker is started, works, and ends; at least one. */
  rounds: number;
  /** Of the program, beside port and data folder. */
  words?: readonly string[];
  /** Told after each round. */
  report?: (line: string) => void;
}

export interface CrashResult {
  verdict: Verdict;
  kills: number;
  /** Of the slowest start. */
  startMsMax: number;
}

/** How often the clients do something. */
const TICK_MS = 4;

/** The end waits for all that is under way; only failures wait so long without anything arriving. */
const DRAIN_MS_MAX = 3_000;

/** A queue that is full gives messages up, which is not what is looked for here. */
const ROOMY = ["--limit", "queuedMessages=1000000", "--limit", "queuedBytes=1GiB"];

/**
 * Runs the real program on a folder, lets clients work, kills it at random moments and starts it again, and at the end
 * lets everything arrive: then the verdict says what was promised and not kept.
 */
export async function crash(context: Lifetime, options: CrashOptions): Promise<CrashResult> {
  const random = new SeededRandom(options.seed);
  const verdict = new Verdict();
  const port = await freePort(random);
  const words = ["--data-dir", emptyFolder(context), ...ROOMY, ...(options.words ?? [])];
  const broker = new BrokerProcess(context, port, words, verdict);
  const town = new Town(port, random, verdict);
  const ticking = setInterval(() => town.work(), TICK_MS);
  try {
    await broker.start();
    await town.settle();
    for (let round = 1; round <= options.rounds; round++) {
      verdict.round = round;
      await runRound(broker, town, random, round);
      options.report?.(`round ${round}: ${town.describe()}`);
    }
    verdict.round++;
    await finish(broker, town);
  } finally {
    clearInterval(ticking);
    town.leave();
  }
  return { verdict, kills: broker.kills, startMsMax: Math.max(...broker.startsMs) };
}

/** The broker runs already; it ends, and runs again. Every eighth end is an orderly one, every fifth start is in vain. */
async function runRound(broker: BrokerProcess, town: Town, random: SeededRandom, round: number): Promise<void> {
  town.window = 1 + random.below(24);
  const visits = round === 1 ? Promise.resolve() : town.resume();
  // Some live long enough to look at everything, some are hit while their clients return.
  await sleep(random.below(3) === 0 ? random.below(120) : 150 + random.below(300));
  if (round % 8 === 0) await broker.stop();
  else await broker.kill();
  await visits;
  if (round % 5 === 0) await broker.startInVain(random);
  await broker.start();
}

/** Everything arrives, an orderly restart changes nothing, and then the account is made up. */
async function finish(broker: BrokerProcess, town: Town): Promise<void> {
  town.window = 8;
  const visits = town.resume(true);
  await sleep(200);
  town.window = 0;
  await town.drain();
  await broker.stop();
  await visits;
  await broker.start();
  const last = town.resume(true);
  await town.drain();
  await town.look();
  await broker.kill();
  await last;
  town.judge();
}

/** All who work with the broker. */
class Town {
  /** How many messages each publisher may have under way; none when it is 0. */
  window = 0;
  private readonly port: number;
  private readonly random: SeededRandom;
  private readonly verdict: Verdict;
  private readonly publishers: readonly Publisher[];
  private readonly residents: readonly Subscriber[];
  /** Subscribers that sleep most of the time. */
  private readonly sleepers: readonly Subscriber[];
  private readonly writers: readonly RetainedWriter[];
  private readonly changer: Changer;
  private readonly opinion: SecondOpinion;

  constructor(port: number, random: SeededRandom, verdict: Verdict) {
    this.port = port;
    this.random = random;
    this.verdict = verdict;
    this.publishers = ([5, 4, 5] as const).map(
      (version, index) => new Publisher(`p${index}`, version, random, verdict),
    );
    const subscriber = (name: string, version: 4 | 5, qos: 1 | 2, receiveMaximum?: number): Subscriber =>
      new Subscriber({ name, version, qos, ...(receiveMaximum !== undefined && { receiveMaximum }) }, random, verdict);
    this.residents = [subscriber("a", 5, 2, 5), subscriber("b", 4, 2), subscriber("c", 5, 1)];
    this.sleepers = [subscriber("d", 5, 2, 10), subscriber("e", 4, 2), subscriber("f", 5, 1)];
    this.writers = [new RetainedWriter("x", 5, 12, random, verdict), new RetainedWriter("y", 4, 8, random, verdict)];
    this.changer = new Changer("z", 12, random, verdict);
    this.opinion = new SecondOpinion(verdict);
  }

  /** The first time: whoever is to receive everything subscribes before anybody publishes. */
  async settle(): Promise<void> {
    const { port } = this;
    for (const subscriber of this.subscribers) await subscriber.connect(port);
    for (const sleeper of this.sleepers) await sleeper.peer.disconnect();
    for (const publisher of [...this.publishers, ...this.writers]) await publisher.connect(port);
    await this.opinion.connect(port);
    await this.changer.connect(port);
    void this.changer.work(port);
  }

  /** Everybody comes back, each at a moment of its own; sleepers now and then, or all of them with `wake`. */
  async resume(wake = false): Promise<void> {
    const { port, random } = this;
    const late = (): Promise<void> => sleep(random.below(25));
    await Promise.all([
      ...[...this.publishers, ...this.residents].map((client) => late().then(() => client.connect(port))),
      ...this.writers.map((writer) => writer.check(port).then(() => writer.connect(port))),
      ...this.sleepers.map((sleeper) => (wake ? sleeper.connect(port) : this.visit(sleeper))),
      this.changer.connect(port).then(async (done) => {
        if (done) await this.changer.check(port);
        await this.changer.work(port);
      }),
      this.opinion.connect(port),
    ]);
  }

  work(): void {
    for (const publisher of [...this.publishers, ...this.writers]) publisher.work(this.window);
    for (const subscriber of this.subscribers) subscriber.work();
    if (this.window > 0) this.opinion.work();
  }

  /** Resolves when all that was published has arrived, or nothing does any more. */
  async drain(): Promise<void> {
    let last = "";
    let deadlineMs = 0;
    while (!this.isComplete()) {
      const now = this.describe();
      if (now !== last) deadlineMs = performance.now() + DRAIN_MS_MAX;
      else if (performance.now() > deadlineMs) return;
      last = now;
      await sleep(20);
    }
  }

  /** A look at what is kept, while nobody writes. */
  async look(): Promise<void> {
    await Promise.all(this.writers.map((writer) => writer.check(this.port)));
    // What should not come has had time to.
    await Promise.all(this.subscribers.map(({ peer }) => peer.ping()));
  }

  judge(): void {
    const incomplete = [...this.publishers, ...this.writers, this.opinion].reduce(
      (sum, one) => sum + one.incomplete,
      0,
    );
    if (incomplete > 0) this.verdict.violated("stuck", `${incomplete} messages were never acknowledged`);
    for (const subscriber of this.subscribers) subscriber.judge(this.streams);
    this.opinion.judge();
  }

  leave(): void {
    const peers = [...this.publishers, ...this.subscribers, ...this.writers, this.changer].map(({ peer }) => peer);
    for (const peer of peers) peer.drop();
    this.opinion.close();
  }

  describe(): string {
    const { acknowledged, delivered, retained, subscriptions, opinions } = this.verdict.counts;
    const found = this.verdict.violations.length;
    return `${acknowledged} acknowledged, ${delivered}+${opinions} delivered, ${retained} retained and ${subscriptions} subscriptions looked at, ${found} violations`;
  }

  private get subscribers(): Subscriber[] {
    return [...this.residents, ...this.sleepers];
  }

  private get streams(): Stream[] {
    return this.publishers.flatMap(({ streams }) => streams);
  }

  private isComplete(): boolean {
    const { streams } = this;
    return (
      [...this.publishers, ...this.writers, this.opinion].every(({ incomplete }) => incomplete === 0) &&
      this.opinion.hasAll &&
      this.subscribers.every((subscriber) => subscriber.has(streams))
    );
  }

  /** A sleeper comes every third time, stays a while, and leaves with or without a word. */
  private async visit(sleeper: Subscriber): Promise<void> {
    const { random } = this;
    if (random.below(3) > 0) return;
    await sleep(random.below(200));
    if (!(await sleeper.connect(this.port))) return;
    await sleep(random.below(200));
    if (random.below(2) === 0) await sleeper.peer.disconnect();
    else sleeper.peer.drop();
  }
}
