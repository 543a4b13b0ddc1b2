import { constants } from "node:os";
import type { Readable, Writable } from "node:stream";

/** What a command of the small clients sees of the process it runs in. */
export interface ClientIo {
  stdin: Readable;
  stdout: Writable;
  stderr: Writable;
  env: Readonly<Record<string, string | undefined>>;
  /** Ends the command in order, as SIGINT does; when absent the process's SIGINT and SIGTERM are followed. */
  interrupt?: AbortSignal;
}

/** Exit codes that scripts know: those of mosquitto's clients, and 2 for usage as everywhere in this program. */
export const ExitCode = { Ok: 0, Failed: 1, Usage: 2, ConnectionLost: 7, TimedOut: 27 } as const;

/** The command line is wrong: nothing was opened yet. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}

/** Standard output, written no faster than it is read. Bytes are passed on untouched. */
export class Output {
  /** Called once when the reader went away: nothing more can be printed. */
  onClosed: () => void = () => {};
  /** True when the reader went away (EPIPE) or the stream failed. */
  closed = false;
  readonly #stream: Writable;
  readonly #onError = (): void => {
    if (this.closed) return;
    this.closed = true;
    this.onClosed();
  };

  constructor(stream: Writable) {
    this.#stream = stream;
    stream.on("error", this.#onError);
    stream.on("close", this.#onError);
  }

  /** Resolves when more may be written, at once after the reader went away. */
  async write(bytes: Uint8Array | string): Promise<void> {
    if (this.closed || bytes.length === 0) return;
    if (this.#stream.write(bytes)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#stream.off("drain", done).off("error", done).off("close", done);
        resolve();
      };
      this.#stream.on("drain", done).on("error", done).on("close", done);
    });
  }

  /** Resolves when all that was written has been taken, so that a process may end without losing the tail. */
  async finish(): Promise<void> {
    if (!this.closed) await new Promise<void>((resolve) => this.#stream.write("", () => resolve()));
    this.#stream.off("close", this.#onError);
    // The error listener stays: a late EPIPE must not become an uncaught exception.
  }
}

/**
 * Calls `stop` once at SIGINT, SIGTERM or `io.interrupt`, with the exit code a shell gives for the signal (0 for
 * `io.interrupt`). A second signal ends the process by its default action. Returns what stops listening.
 */
export function whenInterrupted(io: ClientIo, stop: (exitCode: number) => void): () => void {
  const { interrupt } = io;
  if (interrupt !== undefined) {
    const onAbort = (): void => stop(ExitCode.Ok);
    if (interrupt.aborted) queueMicrotask(onAbort);
    interrupt.addEventListener("abort", onAbort, { once: true });
    return () => interrupt.removeEventListener("abort", onAbort);
  }
  const onSignal = (signal: NodeJS.Signals): void => {
    release();
    stop(128 + constants.signals[signal]);
  };
  const release = (): void => {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return release;
}
