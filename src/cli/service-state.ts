import { monotonicUsec, type Notifier } from "../os/notify.ts";
import { formatPlaced, type Problem } from "../text/problem.ts";

/** How often the status line is looked at: it is for people. */
const STATUS_INTERVAL_MS = 3_000;

/** A store that is restored for long asks for this much more, again and again, but not for ever: a start that hangs is to fail. */
const EXTEND_INTERVAL_MS = 10_000;
const EXTENSION_MS = 30_000;
const EXTENSIONS_MAX = 180;

/** Listeners that the status line names; of more only the number. */
const LISTENERS_MAX = 6;

/** What the status line tells, asked each time. */
export interface ServiceFigures {
  clients(): number;
  urls(): readonly string[];
  /** Why nothing outlives the process though it should; undefined: what is to be kept is kept. */
  unkept(): string | undefined;
  /** Why what was read last of configuration, users and rules is not in force. */
  problems(): readonly Problem[];
}

export interface ServiceStateTools {
  notifier: Notifier;
  /** Of `watchdogMs`. */
  watchdogMs: number | undefined;
}

/**
 * What the service manager hears of the broker: that it starts, is ready, reads its files again and stops, a line for
 * `systemctl status`, and that its event loop goes round. Type=notify of systemd.service(5), sd_notify(3).
 */
export class ServiceState {
  private readonly notifier: Notifier;
  private readonly watchdogMs: number | undefined;
  private figures: ServiceFigures | undefined;
  private state: "starting" | "ready" | "stopping" = "starting";
  private reloads = 0;
  private told = "";

  constructor({ notifier, watchdogMs }: ServiceStateTools) {
    this.notifier = notifier;
    this.watchdogMs = watchdogMs;
  }

  starting(): void {
    let extensions = 0;
    const timer = every(EXTEND_INTERVAL_MS, () => {
      extensions++;
      if (this.state !== "starting" || extensions > EXTENSIONS_MAX) {
        clearInterval(timer);
        return;
      }
      const seconds = (extensions * EXTEND_INTERVAL_MS) / 1000;
      const status = `STATUS=Starting for ${seconds} seconds: what the store has kept is being restored`;
      this.notifier.tell(`EXTEND_TIMEOUT_USEC=${EXTENSION_MS * 1000}`, status);
    });
  }

  /** All listeners listen. */
  ready(figures: ServiceFigures): void {
    if (this.state !== "starting") return;
    this.state = "ready";
    this.figures = figures;
    this.sayReady();
    every(STATUS_INTERVAL_MS, () => this.sayStatus());
    if (this.watchdogMs !== undefined) every(this.watchdogMs / 2, () => this.notifier.tellOnce("WATCHDOG=1"));
  }

  /** Resolves when `work` has, which reads files again; while several do so, until the last one has. Rejects as `work`. */
  async reloading(work: () => Promise<void>): Promise<void> {
    if (this.state !== "ready") return work();
    this.reloads++;
    if (this.reloads === 1) {
      const status = "STATUS=Reading configuration, users and certificates again";
      this.notifier.tell("RELOADING=1", `MONOTONIC_USEC=${monotonicUsec()}`, status);
    }
    try {
      await work();
    } finally {
      this.reloads--;
      if (this.reloads === 0 && this.state === "ready") this.sayReady();
    }
  }

  /** The watchdog goes on to be told that we live: an orderly stop has clients to serve. */
  stopping(): void {
    this.state = "stopping";
    this.notifier.tell("STOPPING=1", "STATUS=Stopping");
  }

  /** It ends without having been ready: until the next start the line says why. */
  failed(reason: string): void {
    this.state = "stopping";
    this.notifier.tell(`STATUS=${oneLine(`Not started: ${reason}`)}`);
  }

  /** The same, for what is wrong with the configuration. */
  refused(problems: readonly Problem[]): void {
    const [problem] = problems.filter(({ severity }) => severity === "error");
    if (problem !== undefined) this.failed(formatPlaced(problem, problem.message));
  }

  private sayReady(): void {
    this.told = statusOf(this.figures!);
    this.notifier.tell("READY=1", `STATUS=${this.told}`);
  }

  private sayStatus(): void {
    if (this.state !== "ready" || this.reloads > 0) return;
    const status = statusOf(this.figures!);
    if (status !== this.told && this.notifier.mention(`STATUS=${status}`)) this.told = status;
  }
}

function every(ms: number, action: () => void): NodeJS.Timeout {
  return setInterval(action, ms).unref();
}

/** "3 clients on tcp://[::]:1883"; what is wrong comes first, since the line may be cut off. */
export function statusOf(figures: ServiceFigures): string {
  const clients = figures.clients();
  const urls = figures.urls();
  const unkept = figures.unkept();
  const [problem] = figures.problems().filter(({ severity }) => severity === "error");
  const wrong = problem === undefined ? "" : `Not in force: ${formatPlaced(problem, problem.message)}; `;
  const lost = unkept === undefined ? "" : `Nothing is kept: ${unkept}; `;
  const where = urls.length > LISTENERS_MAX ? `${urls.length} listeners` : urls.join(", ");
  return oneLine(`${lost}${wrong}${clients} client${clients === 1 ? "" : "s"} on ${where}`);
}

/** A line feed would begin another assignment. */
function oneLine(text: string): string {
  return text.replace(/\p{Cc}/gu, " ");
}
