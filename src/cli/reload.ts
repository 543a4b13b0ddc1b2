import type { AuthFile } from "../auth/auth-file.ts";
import { countErrors, logProblems } from "../auth/log-problems.ts";
import type { Composed } from "../compose.ts";
import type { Loaded } from "../config/load.ts";
import type { Settings } from "../config/settings.ts";
import type { Log } from "../core/ports.ts";
import { certificatesToReissue, type Doors } from "../listeners.ts";
import { type FileWatch, watchFiles } from "../os/file-watch.ts";
import { formatProblem, type Problem } from "../text/problem.ts";
import { WaysIn } from "./ways-in.ts";

/** What takes effect without a restart: who may connect, and where. */
const AT_ONCE = /^(?:auth\.(?:file|allowAnonymous)|listeners|bind|socket\..+|tls\..+|ws\..+)$/;

/**
 * Follows the configuration while the broker runs. What it says of the file of users and rules takes effect at once; what
 * else has changed is named, and waits for a restart. A configuration with errors changes nothing.
 */
export class Reloader {
  private readonly started: Settings;
  private readonly read: () => Promise<Loaded>;
  private readonly auth: AuthFile;
  private readonly waysIn: WaysIn;
  private readonly doors: Doors;
  private readonly reissue: Composed["reissue"];
  private readonly log: Log;
  private current: Settings;
  private watch: FileWatch | undefined;
  private watched = "";
  /** What was logged last, so that it is not repeated for each touch of a file. */
  private told = "";
  private reading: Promise<void> = Promise.resolve();
  private configurationProblems: readonly Problem[] = [];

  /** `read` loads everything anew, as at the start; `composed`: what has files of its own. */
  constructor(
    settings: Settings,
    read: () => Promise<Loaded>,
    { broker, auth, doors, reissue }: Pick<Composed, "broker" | "auth" | "doors" | "reissue">,
    log: Log,
  ) {
    this.started = settings;
    this.current = settings;
    this.read = read;
    this.auth = auth;
    this.waysIn = new WaysIn(broker, (listener) => doors.make(listener), settings.listeners, log);
    this.doors = doors;
    this.reissue = reissue;
    this.log = log;
  }

  start(): void {
    this.follow();
  }

  stop(): void {
    this.watch?.close();
  }

  /** What the last readings found of the configuration, and of users and rules. */
  get problems(): readonly Problem[] {
    return [...this.configurationProblems, ...this.auth.problems];
  }

  /** Reads everything again, and says so. `why`: for the log, "SIGHUP". Resolves when what was read holds; never rejects. */
  reload(why: string): Promise<void> {
    this.log.info(`${why}: configuration, users and certificates are read again`);
    this.told = "";
    return this.look(async () => {
      await Promise.all([this.auth.reload(), this.doors.reloadTls()]);
    });
  }

  /** One reading after the other. */
  private look(afterwards: () => Promise<void> = async () => {}): Promise<void> {
    this.reading = this.reading
      .then(() => this.readAgain())
      .then(afterwards)
      .catch((error: unknown) => {
        this.log.error("The configuration could not be read again", { reason: (error as Error).stack });
      });
    return this.reading;
  }

  private async readAgain(): Promise<void> {
    const { log } = this;
    const { settings, problems } = await this.read();
    this.configurationProblems = problems;
    if (settings === undefined) {
      if (!this.isNews(problems.map(formatProblem).join("\n"))) return;
      logProblems(log, problems);
      log.error(
        `The configuration has ${countErrors(problems)}: nothing of it is taken, what was in force stays in force`,
      );
      return;
    }
    const before = this.current;
    this.current = settings;
    this.follow();
    for (const warning of settings.warnings) if (!before.warnings.includes(warning)) log.warn(warning);
    const taken = changedKeys(before, settings).filter((key) => AT_ONCE.test(key));
    if (taken.length > 0) log.info(`Changed in the configuration, in force from now on: ${taken.join(", ")}`);
    const waiting = changedKeys(this.started, settings).filter((key) => !AT_ONCE.test(key));
    if (this.isNews(waiting.join(", ")) && waiting.length > 0) {
      log.warn(`Changed in the configuration, in force after a restart: ${waiting.join(", ")}`);
    }
    await this.auth.configure(settings.auth);
    await this.reissue.follow(certificatesToReissue(settings));
    await this.waysIn.apply(settings.listeners);
  }

  private isNews(text: string): boolean {
    const isNews = text !== this.told;
    this.told = text;
    return isNews;
  }

  private follow(): void {
    const { places } = this.current;
    const key = places.join("\n");
    if (key === this.watched) return;
    this.watched = key;
    this.watch?.close();
    this.watch = watchFiles(places, () => void this.look(), this.log);
  }
}

/** The keys whose values differ, in the order of the alphabet. */
function changedKeys({ given: before }: Settings, { given: after }: Settings): string[] {
  const keys = new Set([...before.keys(), ...after.keys()]);
  return [...keys].filter((key) => before.get(key) !== after.get(key)).sort();
}
