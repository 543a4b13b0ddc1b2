import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const START_MS_MAX = 15_000;

/** A program that a test has started. */
export interface Program {
  /** All it has written so far. */
  output(): string;
  /** Waits until its output matches. */
  shows(pattern: RegExp): Promise<RegExpExecArray>;
  /** Waits for the port of `Listening on …`. */
  port(): Promise<number>;
  /** Sends the signal and waits for the end; resolves with the exit code. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
  /** Waits for the end that it comes to by itself. */
  exit(): Promise<number | null>;
}

/** Starts a program, with a data folder of its own; whatever the test forgets is killed after it. */
export function startProgram(
  context: { after(action: () => void | Promise<unknown>): void },
  command: string,
  words: readonly string[],
  options: { cwd: string; env?: Record<string, string> },
): Program {
  const dataDir = mkdtempSync(join(tmpdir(), "mqtt-broker-example-"));
  const env = { ...process.env, MQTT_BROKER_MDNS: "off", MQTT_BROKER_DATA_DIR: dataDir, ...options.env };
  const child: ChildProcess = spawn(command, words, { cwd: options.cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  const exited = once(child, "exit").then(([code]) => code as number | null);
  let output = "";
  child.stdout!.on("data", (chunk) => {
    output += chunk;
  });
  child.stderr!.on("data", (chunk) => {
    output += chunk;
  });
  context.after(async () => {
    child.kill("SIGKILL");
    await exited;
    rmSync(dataDir, { recursive: true, force: true });
  });
  const shows = async (pattern: RegExp): Promise<RegExpExecArray> => {
    const deadline = Date.now() + START_MS_MAX;
    for (;;) {
      const match = pattern.exec(output);
      if (match !== null) return match;
      if (child.exitCode !== null || Date.now() > deadline) assert.fail(`Expected ${pattern}, but got: ${output}`);
      await sleep(10);
    }
  };
  return {
    output: () => output,
    shows,
    port: async () => Number((await shows(/Listening on tcp:\/\/\S*:(\d+)/))[1]),
    end: (signal = "SIGTERM") => {
      child.kill(signal);
      return exited;
    },
    exit: () => exited,
  };
}
