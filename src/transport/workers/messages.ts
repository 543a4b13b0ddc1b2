import type { LogFields, LogLevel, Peer } from "../../core/ports.ts";

/** What a thread that serves connections is started with. */
export interface WorkerStart {
  readonly toCore: SharedArrayBuffer;
  readonly toWorker: SharedArrayBuffer;
  /** The most talkative level that the broker's log prints. */
  readonly level: LogLevel;
  /** For whoever makes the thread's listeners; nothing that cannot be cloned. */
  readonly data: unknown;
}

/** Look at the shared memory. */
export const WAKE = 0;

/** What the core asks of a thread; each is answered by an `Answer` with its `id`. */
export type Request =
  | { readonly kind: "listen"; readonly id: number; readonly door: number; readonly settings: unknown }
  | { readonly kind: "close"; readonly id: number; readonly door: number }
  | { readonly kind: "reload"; readonly id: number };

export interface Answer {
  readonly kind: "answer";
  readonly id: number;
  /** Of "listen": where that is. */
  readonly url?: string;
  /** Why it could not be done. */
  readonly failure?: string;
}

export interface LogMessage {
  readonly kind: "log";
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields | undefined;
  readonly below: readonly string[] | undefined;
}

/** A client has come, by the listener of that number. */
export interface Opening {
  readonly door: number;
  readonly peer: Peer;
}

export type ToWorker = Request | typeof WAKE;
export type ToCore = Answer | LogMessage | typeof WAKE;
