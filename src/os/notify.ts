import { spawn } from "node:child_process";
import { constants } from "node:os";
import { getSystemErrorMap } from "node:util";
import type { Log } from "../core/ports.ts";
import { loadDatagrams, type SendDatagram } from "./datagram.ts";

/** After so long a message is tried again that systemd's socket did not take because its queue was full. */
const AGAIN_MS = 100;

/** Messages that may wait, when the service manager takes none: of more than these only the newest are of use. */
const WAITING_MAX = 32;

/** What came of a message: "later" asks to be tried again. */
type Outcome = "done" | "later";

/** One way to the service manager. A promise resolves when the next message may follow, and never rejects. */
export type NotifyWay = (assignments: readonly string[]) => Outcome | Promise<Outcome>;

/**
 * Tells the service manager of our state, as sd_notify(3) says: assignments such as "READY=1", one message after the other.
 * What cannot be told is logged once, and the broker goes on.
 */
export class Notifier {
  private readonly way: NotifyWay;
  private readonly waiting: (readonly string[])[] = [];
  private isBusy = false;

  constructor(way: NotifyWay) {
    this.way = way;
  }

  /** Sent at once unless others wait; then in its turn. */
  tell(...assignments: readonly string[]): void {
    // The first one may be on its way.
    if (this.waiting.length === WAITING_MAX) this.waiting.splice(1, 1);
    this.waiting.push(assignments);
    this.next();
  }

  /** As `tell`, unless the same waits already to be said. */
  tellOnce(assignment: string): void {
    // The first one may be on its way, and what it says be over when it arrives.
    if (!this.waiting.some(([waits], index) => index > 0 && waits === assignment)) this.tell(assignment);
  }

  /** For what may be left out, since it is said again soon: false when others wait, and it is. */
  mention(...assignments: readonly string[]): boolean {
    if (this.waiting.length > 0) return false;
    this.tell(...assignments);
    return true;
  }

  private next(): void {
    while (!this.isBusy && this.waiting.length > 0) {
      const outcome = this.way(this.waiting[0]!);
      if (outcome === "done") {
        this.waiting.shift();
        continue;
      }
      this.isBusy = true;
      if (outcome === "later") setTimeout(() => this.goOn("later"), AGAIN_MS).unref();
      else void outcome.then((result) => this.goOn(result));
    }
  }

  private goOn(outcome: Outcome): void {
    if (outcome === "done") this.waiting.shift();
    this.isBusy = false;
    this.next();
  }
}

/**
 * The notifier of this process by its NOTIFY_SOCKET; undefined when nobody wants to be told. Without the add-on each message
 * takes a process `systemd-notify`, which units allow by NotifyAccess=all. `load` throws an Error where there is no add-on.
 */
export function openNotifier(
  environment: Readonly<Record<string, string | undefined>>,
  log: Log,
  load: () => SendDatagram = loadDatagrams,
): Notifier | undefined {
  const { NOTIFY_SOCKET: path } = environment;
  if (path === undefined || path === "") return undefined;
  if (!/^[@/]./.test(path)) {
    log.warn("The service manager cannot be told: NOTIFY_SOCKET is neither a path nor a name that begins with @", {
      path,
    });
    return undefined;
  }
  let hasFailed = false;
  const failed = (reason: string): void => {
    if (!hasFailed) log.warn("The service manager could not be told that we live: see NOTIFY_SOCKET", { path, reason });
    hasFailed = true;
  };
  try {
    return new Notifier(bySocket(path, load(), failed));
  } catch (error) {
    log.info("The service manager is told by systemd-notify, a process for each message", {
      reason: (error as Error).message,
    });
    return new Notifier(byCommand(environment, failed));
  }
}

function bySocket(path: string, send: SendDatagram, failed: (reason: string) => void): NotifyWay {
  const { EAGAIN, ENOBUFS } = constants.errno;
  return (assignments) => {
    const errno = send(path, Buffer.from(assignments.join("\n")));
    if (errno === EAGAIN || errno === ENOBUFS) return "later";
    if (errno !== 0) failed(getSystemErrorMap().get(-errno)?.join(": ") ?? `errno ${errno}`);
    return "done";
  };
}

function byCommand(
  environment: Readonly<Record<string, string | undefined>>,
  failed: (reason: string) => void,
): NotifyWay {
  return (assignments) =>
    new Promise((resolve) => {
      const { NOTIFY_SOCKET, PATH } = environment;
      const child = spawn("systemd-notify", assignments, { stdio: "ignore", env: { NOTIFY_SOCKET, PATH } });
      // It knows when systemd has seen the message, so the next one cannot overtake it.
      child.on("error", ({ message }) => {
        failed(message);
        resolve("done");
      });
      child.on("exit", (code, signal) => {
        if (code !== 0) failed(`systemd-notify ended with ${code ?? signal}`);
        resolve("done");
      });
      child.unref();
    });
}

/** Milliseconds within which the service manager wants to hear "WATCHDOG=1" of process `pid`; undefined: it does not wait for that. */
export function watchdogMs(environment: Readonly<Record<string, string | undefined>>, pid: number): number | undefined {
  const { WATCHDOG_USEC = "", WATCHDOG_PID } = environment;
  // Children inherit the environment of who is watched.
  if (WATCHDOG_PID !== undefined && WATCHDOG_PID !== "" && WATCHDOG_PID !== String(pid)) return undefined;
  if (!/^\d{1,15}$/.test(WATCHDOG_USEC) || Number(WATCHDOG_USEC) === 0) return undefined;
  return Number(WATCHDOG_USEC) / 1000;
}

/** CLOCK_MONOTONIC in microseconds, as RELOADING=1 has to come with. */
export function monotonicUsec(): string {
  return String(process.hrtime.bigint() / 1000n);
}
