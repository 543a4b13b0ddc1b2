import { spawnSync } from "node:child_process";
import type { Tool } from "./architecture.ts";

/** Runs a command to its end. Throws with all that it wrote when it fails. */
export function runTool(
  command: string,
  words: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): string {
  const { error, status, signal, stdout, stderr } = spawnSync(command, words, { ...options, encoding: "utf8" });
  if (error !== undefined) throw new Error(`Cannot run ${command}: ${error.message}`, { cause: error });
  if (status === 0) return stdout;
  throw new Error(`${[command, ...words].join(" ")} failed (${signal ?? status}):\n${stdout}${stderr}`);
}

/** The same for one that a Debian package has, which is named when it is missing. */
export function runDebianTool({ command, debianPackages }: Tool, words: readonly string[]): string {
  try {
    return runTool(command, words);
  } catch (error) {
    const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException;
    if (code !== "ENOENT") throw error;
    throw new Error(`${command} is missing. On Debian: apt-get install ${debianPackages}`, { cause: error });
  }
}
