import { constants } from "node:os";

export interface SignalActions {
  /** SIGTERM or SIGINT came: begin an orderly stop. Called once. */
  stop(signal: NodeJS.Signals): void;
  /** SIGHUP came: read configuration and permissions again. */
  reload(): void;
}

/** The part of `process` that signals come through; a test hands in its own. */
export interface SignalSource {
  on(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
  off(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
  exit(code: number): void;
}

const STOP_SIGNALS: readonly NodeJS.Signals[] = ["SIGTERM", "SIGINT"];

/**
 * Follows the signals an operator and systemd send. A second stop signal ends the process at once with
 * 128 + its number, as a shell reports it: whoever sends it doesn't want to wait for the orderly stop.
 * Returns what takes the listeners away again.
 */
export function watchSignals(actions: SignalActions, source: SignalSource = process): () => void {
  let stopping = false;
  const onStop = (signal: NodeJS.Signals): void => {
    if (stopping) {
      source.exit(128 + constants.signals[signal]);
      return;
    }
    stopping = true;
    actions.stop(signal);
  };
  const onReload = (): void => {
    if (!stopping) actions.reload();
  };
  for (const signal of STOP_SIGNALS) source.on(signal, onStop);
  source.on("SIGHUP", onReload);
  return () => {
    for (const signal of STOP_SIGNALS) source.off(signal, onStop);
    source.off("SIGHUP", onReload);
  };
}

/**
 * Keeps SIGHUP, which ends a process that does not listen for it, from ending one that starts: a damaged store takes a minute.
 * Returns what ends that, and tells whether one came.
 */
export function holdHangup(source: Pick<SignalSource, "on" | "off"> = process): () => boolean {
  let hasCome = false;
  const onHangup = (): void => {
    hasCome = true;
  };
  source.on("SIGHUP", onHangup);
  return () => {
    source.off("SIGHUP", onHangup);
    return hasCome;
  };
}
