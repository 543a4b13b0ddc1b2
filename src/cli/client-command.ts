import { clientHelp } from "./client-help.ts";
import { type ClientIo, ExitCode, Output, UsageError, whenInterrupted } from "./client-io.ts";
import type { ClientCommand } from "./client-option-table.ts";
import { type ClientOptions, parseClientOptions } from "./client-options.ts";
import { ConnectionError, plainReason } from "./connection-error.ts";
import type { ReceivedMessage } from "./message-format.ts";
import type { ConnectSettings, SmallClient } from "./mqtt-client.ts";

/** One run of pub, sub or rr: what it was told, where it prints, and how it ends. */
export class ClientRun {
  readonly options: ClientOptions;
  readonly io: ClientIo;
  readonly output: Output;
  /** Resolves with the exit code when something ends the run: `finish`, an interrupt, the time of -W. */
  readonly ended: Promise<number>;
  /** True once `finish` was called. */
  over = false;
  /** True once the client is being closed. */
  closed = false;
  readonly #resolve: (exitCode: number) => void;

  constructor(options: ClientOptions, io: ClientIo) {
    this.options = options;
    this.io = io;
    this.output = new Output(io.stdout);
    const { promise, resolve } = Promise.withResolvers<number>();
    this.ended = promise;
    this.#resolve = resolve;
  }

  /** Ends the run; the first exit code counts. */
  finish(exitCode: number): void {
    this.over = true;
    this.#resolve(exitCode);
  }

  /** A line on standard error, unless --quiet. */
  complain(message: string): void {
    if (!this.options.quiet) this.io.stderr.write(`${message}\n`);
  }

  /** Says why there is no connection, and ends the run with the code a script expects for it. */
  finishWithout(error: unknown): void {
    this.complain(error instanceof ConnectionError ? error.message : `Error: ${plainReason(error)}`);
    this.finish(error instanceof ConnectionError ? error.exitCode : ExitCode.Failed);
  }

  /** What openClient is to print for -d: undefined without it. */
  get debug(): { debug(line: string): void } | undefined {
    if (!this.options.debug) return undefined;
    return {
      debug: (line) => {
        this.output.write(`${line}\n`).catch(() => {});
      },
    };
  }
}

/**
 * Runs pub, sub or rr: reads the command line, calls `body`, ends in order. Returns the exit code.
 * `body` starts the work and returns its client; the run lasts until `run.finish`.
 */
export async function runClientCommand(
  command: ClientCommand,
  argv: readonly string[],
  io: ClientIo,
  body: (run: ClientRun) => Promise<SmallClient>,
): Promise<number> {
  let options: ClientOptions;
  try {
    options = parseClientOptions(command, argv);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    io.stderr.write(`Error: ${error.message}\n\nUse 'mqtt-broker ${command} --help' to see usage.\n`);
    return ExitCode.Usage;
  }
  const run = new ClientRun(options, io);
  if (options.help) {
    await run.output.write(clientHelp(command));
    await run.output.finish();
    return ExitCode.Ok;
  }
  run.output.onClosed = () => run.finish(ExitCode.Ok);
  // Stopping is how sub and rr end; a pub that was stopped may not have sent everything.
  const release = whenInterrupted(io, (exitCode) => run.finish(command === "pub" ? exitCode : ExitCode.Ok));
  const timer = startTimeout(run);
  let client: SmallClient | undefined;
  body(run).then(
    (opened) => {
      client = opened;
      // The run may have ended while the client was being opened.
      if (run.closed) opened.end().catch(() => {});
    },
    (error: unknown) => run.finishWithout(error),
  );
  const exitCode = await run.ended;
  clearTimeout(timer);
  // One more turn of the event loop, so that what was just received is acknowledged before DISCONNECT.
  await new Promise((resolve) => setImmediate(resolve));
  run.closed = true;
  await client?.end();
  release();
  // Standard input that is still open would keep the process alive.
  if (options.source?.from.startsWith("stdin") === true) io.stdin.destroy();
  await run.output.finish();
  return exitCode;
}

function startTimeout(run: ClientRun): NodeJS.Timeout | undefined {
  const { timeoutSeconds } = run.options;
  if (timeoutSeconds === undefined) return undefined;
  return setTimeout(() => {
    run.complain("Timed out");
    run.finish(ExitCode.TimedOut);
  }, timeoutSeconds * 1000);
}

/** Prints one message as -F, -v and -N say; the promise resolves when the next may be printed. */
export async function printMessage(run: ClientRun, message: ReceivedMessage): Promise<void> {
  const { format, verbose, lineEnd, pretty } = run.options;
  const newline = lineEnd ? "\n" : "";
  if (format !== undefined) {
    const context = { pretty, onProblem: (text: string) => run.complain(text) };
    const bytes = format(message, arrival(), context);
    return run.output.write(Buffer.concat([bytes, Buffer.from(newline)]));
  }
  if (message.payload.length === 0) {
    // An empty payload would be an empty line, which no script could tell from a payload of a newline.
    return verbose && lineEnd ? run.output.write(`${message.topicName} (null)\n`) : undefined;
  }
  const start = verbose ? `${message.topicName} ` : "";
  return run.output.write(Buffer.concat([Buffer.from(start), message.payload, Buffer.from(newline)]));
}

/** The wall clock with the resolution that performance.now has. */
function arrival(): { date: Date; nanoseconds: number } {
  const now = performance.timeOrigin + performance.now();
  return { date: new Date(now), nanoseconds: Math.floor((now % 1000) * 1e6) };
}

/** Tells about a password that 3.x cannot send. */
export function warnAboutPassword(run: ClientRun, settings: ConnectSettings): void {
  if (run.options.password !== undefined && settings.password === undefined) {
    run.complain("Warning: Not using password since username not set.");
  }
}
