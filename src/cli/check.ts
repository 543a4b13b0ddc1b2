import { join } from "node:path";
import { formatDurability } from "../config/durability.ts";
import type { Files } from "../config/files.ts";
import { chosenSocket } from "../config/given-sockets.ts";
import { loadSettings } from "../config/load.ts";
import { type ListenerSettings, type Settings, STORE_FILE } from "../config/settings.ts";
import { checkTls, provenBy } from "../listeners.ts";
import { countsText, formatProblem, placelessProblem } from "../text/problem.ts";
import { formatSize } from "../text/size.ts";
import type { CommandLine } from "./arguments.ts";
import { checkAuth } from "./check-auth.ts";
import { rehearseFile } from "./rehearse.ts";

/**
 * `mqtt-broker check`: loads everything as `run` does, opens nothing, and writes every problem with its place.
 * Returns the exit code: 0, or 2 when something is wrong with the configuration or with the file of users and rules.
 */
export async function check(
  commandLine: CommandLine,
  environment: Readonly<Record<string, string | undefined>>,
  files: Files,
  write: (text: string) => void,
): Promise<number> {
  if (commandLine.rest.length > 0) return await rehearseFile(commandLine.rest, environment, files, write);
  const { settings, problems } = await loadSettings(commandLine, environment, files);
  for (const problem of problems) write(`${formatProblem(problem)}\n`);
  if (settings === undefined) {
    write(`Configuration is not valid: ${countsText(problems)}\n`);
    return 2;
  }
  const tls = await checkTls(settings);
  const unusable = tls.unusable.map((reason) => placelessProblem("error", reason));
  const expired = tls.expired.map((reason) => placelessProblem("warning", reason));
  for (const problem of [...unusable, ...expired]) write(`${formatProblem(problem)}\n`);
  if (unusable.length > 0) {
    write(`Configuration is not valid: ${countsText(unusable)}\n`);
    return 2;
  }
  const auth = await checkAuth(settings.auth, files.workingDirectory, provenBy(settings));
  for (const problem of auth.problems) write(`${formatProblem(problem)}\n`);
  if (auth.lines === undefined) {
    write(`${auth.name} is not valid: ${countsText(auth.problems)}\n`);
    return 2;
  }
  write(`Configuration is valid\n${summary(settings, auth.lines)}`);
  if (auth.problems.length > 0) write(`${auth.name} can be used, with ${countsText(auth.problems)}\n`);
  return 0;
}

function summary(settings: Settings, auth: readonly string[]): string {
  const { listeners, files, mqttSn } = settings;
  const lines = [
    `Files read: ${files.length === 0 ? "none" : files.join(", ")}`,
    ...listeners.map((listener) => `Would listen on ${listenerUrl(listener)}`),
    ...(mqttSn.upstream === undefined
      ? []
      : [`MQTT-SN clients would be one client of ${mqttSn.upstream.url}, called ${mqttSn.upstream.clientId}`]),
    ...auth,
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

function listenerUrl(listener: ListenerSettings): string {
  if (listener.type === "unix") return `unix:${listener.path}`;
  const path = "webSocket" in listener ? (listener.webSocket.path ?? "/mqtt") : "";
  const given = chosenSocket(listener);
  if (given !== undefined || listener.type === "fd") {
    const scheme = listener.type === "fd" ? "" : `${listener.type}+`;
    return `${scheme}fd:${given?.fd ?? given?.fdName}${path && `:${path}`}`;
  }
  const { type, port } = listener;
  const host = listener.interface === undefined ? listener.host : `%${listener.interface}`;
  return `${type}://${host.includes(":") ? `[${host}]` : host}:${port === 0 ? "(a free port)" : port}${path}`;
}
