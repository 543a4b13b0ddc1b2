import { join } from "node:path";
import { formatDurability } from "../config/durability.ts";
import type { Files } from "../config/files.ts";
import { loadSettings } from "../config/load.ts";
import { type ListenerSettings, type Settings, STORE_FILE } from "../config/settings.ts";
import { formatProblem } from "../text/problem.ts";
import { formatSize } from "../text/size.ts";
import type { CommandLine } from "./arguments.ts";

/**
 * `mqtt-broker check`: loads everything as `run` does, opens nothing, and writes every problem with its place.
 * Returns the exit code: 0, or 2 when `run` would refuse to start.
 */
export async function check(
  commandLine: CommandLine,
  environment: Readonly<Record<string, string | undefined>>,
  files: Files,
  write: (text: string) => void,
): Promise<number> {
  const { settings, problems } = await loadSettings(commandLine, environment, files);
  for (const problem of problems) write(`${formatProblem(problem)}\n`);
  if (settings === undefined) {
    const errors = problems.filter(({ severity }) => severity === "error").length;
    write(`Configuration is not valid: ${errors} ${errors === 1 ? "error" : "errors"}\n`);
    return 2;
  }
  write(`Configuration is valid\n${summary(settings)}`);
  return 0;
}

const ANONYMOUS = {
  local: "from this machine only",
  all: "from everywhere",
  none: "not let in",
} as const;

function summary(settings: Settings): string {
  const { listeners, files, anonymous } = settings;
  const lines = [
    `Files read: ${files.length === 0 ? "none" : files.join(", ")}`,
    ...listeners.map((listener) => `Would listen on ${listenerUrl(listener)}`),
    `Clients without a user name: ${ANONYMOUS[anonymous]}`,
    ...storage(settings),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

function storage({ store, dataDir, options: { durability } }: Settings): string[] {
  if (store.type === "memory") return ["Storage: memory, nothing outlives the process"];
  const place = store.type === "module" ? store.module : join(dataDir, STORE_FILE);
  const clock = { auto: "believed when the system has set it", trusted: "believed", untrusted: "not believed" };
  return [
    `Storage: ${store.type}, ${place}${store.required ? ", required" : ""}`,
    `Durability: ${formatDurability(durability.delayMs)}`,
    ...durability.topics.map(({ topicFilter, delayMs }) => `  ${topicFilter}: ${formatDurability(delayMs)}`),
    ...(store.dailyBudgetBytes === undefined
      ? []
      : [`Written in a day: at most ${formatSize(store.dailyBudgetBytes)}`]),
    `Clock at start and stop: ${clock[store.clock]}`,
  ];
}

function listenerUrl({ type, host, port }: ListenerSettings): string {
  return `${type}://${host.includes(":") ? `[${host}]` : host}:${port === 0 ? "(a free port)" : port}`;
}
