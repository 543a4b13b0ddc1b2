import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { GENERATOR_CORE, start, stop } from "./processes.ts";

/** One line of the generator: the stage it has reached and its figures. */
export type Stage = { stage: string } & Record<string, number>;

const sources = join(import.meta.dirname, "generator");

/** Compiles the load generator into `folder` and returns its path. Throws with the line that installs a compiler. */
export function compileGenerator(folder: string): string {
  const path = join(folder, "generator");
  const files = readdirSync(sources).filter((name) => name.endsWith(".c"));
  const compiled = spawnSync(
    "cc",
    ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-o", path, ...files, "-lssl", "-lcrypto"],
    {
      cwd: sources,
      encoding: "utf8",
    },
  );
  if (compiled.error !== undefined) {
    throw new Error("There is no C compiler for the load generator: apt-get install -y gcc libc6-dev libssl-dev");
  }
  if (/openssl\/\w+\.h|-l(ssl|crypto)\b/.test(compiled.stderr)) {
    throw new Error("The load generator needs OpenSSL to compile: apt-get install -y libssl-dev");
  }
  if (compiled.status !== 0) throw new Error(`Cannot compile the load generator: ${compiled.stderr}`);
  return path;
}

/** The generator has a core for itself, or takes part in all as the brokers do. */
export type GeneratorCore = typeof GENERATOR_CORE | "any";

/**
 * Runs a scenario and returns all stages by name. Between two stages the generator waits: `onStage` may look at the
 * broker meanwhile. Throws what the generator complains of; it ends by itself after `timeoutSeconds`, and is ended
 * ten seconds later otherwise.
 */
export async function runGenerator(
  generator: string,
  args: readonly string[],
  timeoutSeconds: number,
  onStage: (stage: string) => Promise<void> = async () => {},
  core: GeneratorCore = GENERATOR_CORE,
): Promise<Map<string, Stage>> {
  const command = [generator, ...args, "--timeout", String(timeoutSeconds)];
  const started = start(command, core, { cwd: "/", env: {}, readsStdout: true });
  const impatience = setTimeout(() => started.child.kill("SIGKILL"), (timeoutSeconds + 10) * 1000);
  const stages = new Map<string, Stage>();
  try {
    for await (const line of createInterface({ input: started.child.stdout! })) {
      const stage = JSON.parse(line) as Stage & { error?: string };
      if (stage.stage === "error") throw new Error(stage.error);
      stages.set(stage.stage, stage);
      if (stage.stage === "result") continue;
      await onStage(stage.stage);
      started.child.stdin?.write("\n");
    }
    if (!stages.has("result")) throw new Error(`The generator ended without a result: ${started.complaint()}`);
    return stages;
  } finally {
    clearTimeout(impatience);
    await stop(started);
  }
}
