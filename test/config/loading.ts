import assert from "node:assert/strict";
import { parseCommandLine } from "../../src/cli/arguments.ts";
import { type Loaded, loadSettings } from "../../src/config/load.ts";
import type { Settings, TcpListenerSettings } from "../../src/config/settings.ts";
import { formatProblem } from "../../src/text/problem.ts";
import { memoryFiles } from "./memory-files.ts";

/** The configuration that the tests' working directory has. */
export const MAIN = "/base/mqtt-broker.json5";

export type Texts = Readonly<Record<string, string>>;

export async function load(
  argv: readonly string[],
  texts: Texts = {},
  environment: Record<string, string> = {},
): Promise<Loaded> {
  return await loadSettings(parseCommandLine(argv, environment), environment, memoryFiles(texts));
}

export async function settingsOf(
  argv: readonly string[],
  texts: Texts = {},
  environment: Record<string, string> = {},
): Promise<Settings> {
  const { settings, problems } = await load(argv, texts, environment);
  assert.ok(settings, problems.map(formatProblem).join("\n"));
  return settings;
}

/** The listeners, which must all be of TCP. */
export function tcpListeners({ listeners }: Settings): TcpListenerSettings[] {
  return listeners.map((listener) => {
    assert.equal(listener.type, "tcp");
    return listener;
  });
}

export function headlines(loaded: Loaded): string[] {
  return loaded.problems.map((problem) => formatProblem(problem).split("\n")[0]!);
}
