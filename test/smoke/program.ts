import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The program as users start it, in a process and a folder of its own. */
const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

/** The words that start it: the sources, or the executable that EXECUTABLE_UNDER_TEST names. */
export function programWords(nodeWords: readonly string[] = []): [string, ...string[]] {
  const executable = process.env.EXECUTABLE_UNDER_TEST;
  return executable === undefined ? [process.execPath, ...nodeWords, MAIN] : [executable];
}

/** Stripping the types takes half of a start: a hundred starts need it done once. */
const COMPILE_CACHE = join(tmpdir(), `mqtt-broker-compile-cache-${process.getuid?.() ?? 0}`);

/** Only failures wait so long; generous, because several suites share the processor. */
const WAIT_MS_MAX = 20_000;

const running = new Set<Running>();
// Whatever ends the tests, nothing that they started goes on.
process.on("exit", () => {
  for (const { child } of running) child.kill("SIGKILL");
});

/** What processes and folders live as long as: mostly a test. */
export interface Lifetime {
  after(end: () => void | Promise<void>): void;
}

export interface StartOptions {
  /** Working directory; without one an empty folder that is removed after the test. */
  cwd?: string;
  /** Beside what the tests were started with, of which no MQTT_BROKER_ name is handed on. */
  env?: Readonly<Record<string, string>>;
  /** Written to standard input, which is then closed. Without it standard input stays open. */
  input?: string;
  /** What stands before the program's own words: a command that executes the rest, such as `sh -c … sh`. */
  before?: readonly string[];
  /** In place of the sources: an executable, and what stands between it and its words. */
  program?: readonly string[];
  /** Arguments of Node.js itself. */
  nodeWords?: readonly string[];
}

/** One line of the log in JSON. */
export interface LogLine {
  time: string;
  level: string;
  message: string;
  [field: string]: unknown;
}

/** How a process ended. `code` is null when a signal ended it. */
export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** Milliseconds from its start, or for `stop` from the signal. */
  tookMs: number;
}

/** A process that runs, with all that it has written. */
export class Running {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly cwd: string;
  stdout = "";
  stderr = "";
  readonly ended: Promise<Ended>;
  private readonly startedMs = performance.now();
  private isOver = false;
  private wake: () => void = () => {};

  constructor(command: string, words: readonly string[], cwd: string, env: NodeJS.ProcessEnv, input?: string) {
    this.child = spawn(command, words, { cwd, env, stdio: "pipe" });
    if (this.child.pid === undefined) throw new Error(`Cannot start ${command}`);
    this.pid = this.child.pid;
    this.cwd = cwd;
    running.add(this);
    this.child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
      this.wake();
    });
    this.child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
      this.wake();
    });
    // It may end without having read what we have for it.
    this.child.stdin!.on("error", () => {});
    if (input !== undefined) this.child.stdin!.end(input);
    this.ended = once(this.child, "close").then(([code, signal]) => {
      this.isOver = true;
      running.delete(this);
      this.wake();
      return { code, signal, tookMs: performance.now() - this.startedMs } as Ended;
    });
  }

  /** The log, where it is in JSON; lines in other forms are left out. */
  get lines(): LogLine[] {
    return this.stdout
      .split("\n")
      .slice(0, -1)
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as LogLine);
  }

  /** Waits for a line of the log with this message; rejects when the process ends or time is up. */
  async line(message: string | RegExp, more: (line: LogLine) => boolean = () => true): Promise<LogLine> {
    const fits = (line: LogLine): boolean =>
      (typeof message === "string" ? line.message === message : message.test(line.message)) && more(line);
    await this.until(() => this.lines.some(fits), `a line "${message}"`);
    return this.lines.find(fits)!;
  }

  /** Waits for text on standard output. */
  async saw(text: string | RegExp): Promise<void> {
    const found = (): boolean => (typeof text === "string" ? this.stdout.includes(text) : text.test(this.stdout));
    await this.until(found, String(text));
  }

  type(line: string): void {
    this.child.stdin!.write(`${line}\n`);
  }

  /** Sends the signal and waits for the end. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<Ended> {
    const sentMs = performance.now();
    try {
      if (!this.isOver) process.kill(this.pid, signal);
    } catch (error) {
      // It has ended, and what it wrote has not all been read yet.
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
    return { ...(await this.ended), tookMs: performance.now() - sentMs };
  }

  async until(condition: () => boolean, expected: string): Promise<void> {
    const deadlineMs = performance.now() + WAIT_MS_MAX;
    while (!condition()) {
      const leftMs = deadlineMs - performance.now();
      if (this.isOver || leftMs <= 0) {
        const state = this.isOver ? "It ended" : "Time is up";
        throw new Error(`${state} without ${expected}. It wrote:\n${this.stdout}${this.stderr}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(leftMs, 1000));
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

/** A broker that listens. */
export interface RunningBroker {
  program: Running;
  /** Of the first listener. */
  port: number;
  /** Of all listeners, in their order. */
  ports: number[];
}

/**
 * Starts the program with these words; it is killed after the test if it still runs. What it keeps is in `data`
 * of its working directory, unless the words say otherwise.
 */
export function startProgram(context: Lifetime, words: readonly string[], options: StartOptions = {}): Running {
  const cwd = options.cwd ?? emptyFolder(context);
  const start = options.program ?? programWords(options.nodeWords);
  const [command, ...rest] = [...(options.before ?? []), ...start, ...words] as [string, ...string[]];
  return startCommand(context, command, rest, { ...options, cwd });
}

/** As `startProgram`, for any command. */
export function startCommand(
  context: Lifetime,
  command: string,
  words: readonly string[],
  options: StartOptions = {},
): Running {
  const program = new Running(command, words, options.cwd ?? tmpdir(), environment(options.env), options.input);
  context.after(async () => {
    await program.stop("SIGKILL");
  });
  return program;
}

/** Runs the program to its end. */
export async function runProgram(
  context: Lifetime,
  words: readonly string[],
  options: StartOptions = {},
): Promise<Running & { result: Ended }> {
  const program = startProgram(context, words, { input: "", ...options });
  return Object.assign(program, { result: await program.ended });
}

/** Runs a command to its end. */
export async function runCommand(
  context: Lifetime,
  command: string,
  words: readonly string[],
  options: StartOptions = {},
): Promise<Running & { result: Ended }> {
  const program = startCommand(context, command, words, { input: "", ...options });
  return Object.assign(program, { result: await program.ended });
}

/** Starts a broker and waits until it accepts on all its listeners. */
export async function startBroker(
  context: Lifetime,
  words: readonly string[] = ["--tcp-port", "0"],
  options: StartOptions & { listeners?: number } = {},
): Promise<RunningBroker> {
  const program = startProgram(context, words, options);
  const ports = (): number[] =>
    [...program.stdout.matchAll(/Listening on tcp:\/\/(?:\[[^\]\s]*\]|[^:\s]*):(\d+)/g)].map((match) =>
      Number(match[1]),
    );
  await program.until(() => ports().length >= (options.listeners ?? 1), "a line that says where it listens");
  return { program, port: ports()[0]!, ports: ports() };
}

/** A folder that is removed after the test, when the programs that keep something in it have ended. */
export function emptyFolder(context: Lifetime): string {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-smoke-"));
  context.after(async () => {
    for (const program of running) if (program.cwd === folder) await program.stop("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

function environment(more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) =>
      !/^(MQTT_BROKER_|NODE_|JOURNAL_STREAM$|NOTIFY_SOCKET$|CONFIGURATION_DIRECTORY$|STATE_DIRECTORY$)/.test(name),
  );
  return { ...Object.fromEntries(kept), NODE_COMPILE_CACHE: COMPILE_CACHE, MQTT_BROKER_MDNS: "off", ...more };
}
