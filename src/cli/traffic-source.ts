import { join, resolve } from "node:path";
import { askBroker } from "../admin/ask-broker.ts";
import { controlPathsToAsk } from "../admin/control-path.ts";
import { readTraffic, type Traffic } from "../auth/traffic/traffic.ts";
import { readTrafficFile, TRAFFIC_FILE } from "../auth/traffic/traffic-file.ts";
import type { Files } from "../config/files.ts";
import { loadSettings } from "../config/load.ts";
import type { Settings } from "../config/settings.ts";
import { formatProblem } from "../text/problem.ts";
import { parseCommandLine } from "./arguments.ts";
import { UsageError } from "./client-io.ts";
import type { WordOption, Words } from "./words.ts";

/** Options of all commands that speak of a broker's data folder. */
export const FOLDER_OPTIONS = {
  "data-dir": { takes: "the data folder of the broker" },
  config: { takes: "the configuration file of the broker" },
} as const satisfies Record<string, WordOption>;

/** Whose data folder: the one that is named, else that of a broker which is started here. */
export interface Folder {
  readonly path: string;
  readonly isNamed: boolean;
  /** undefined: the configuration was not read, since the folder is named. */
  readonly settings: Settings | undefined;
}

/** Rejects with UsageError when the configuration is not valid. */
export async function findDataFolder(
  words: Words,
  environment: Readonly<Record<string, string | undefined>>,
  files: Files,
): Promise<Folder> {
  const config = words.value("config");
  const named = words.value("data-dir") ?? environment.MQTT_BROKER_DATA_DIR?.trim();
  if (named !== undefined && named !== "" && config === undefined) {
    return { path: resolve(files.workingDirectory, named), isNamed: true, settings: undefined };
  }
  const line = parseCommandLine(["check", ...(config === undefined ? [] : [`--config=${config}`])], environment);
  const { settings, problems } = await loadSettings(line, environment, files);
  if (settings === undefined) {
    const errors = problems.filter(({ severity }) => severity === "error").map(formatProblem);
    throw new UsageError([...errors, "With --data-dir the configuration is not read"].join("\n"));
  }
  const path = named === undefined || named === "" ? settings.dataDir : resolve(files.workingDirectory, named);
  return { path, isNamed: config !== undefined || path !== settings.dataDir, settings };
}

/** What an operation of the running broker answers; undefined when none runs there. Rejects with AskError. */
export function askAt(
  { path, isNamed }: Folder,
  operation: string,
  given: Readonly<Record<string, string>> = {},
): Promise<unknown[] | undefined> {
  return askBroker(controlPathsToAsk(path, isNamed), operation, given);
}

/**
 * The record of traffic: the file that is named, else of the running broker, else what the last one has left on disk. Rejects
 * with a message that says what to do.
 */
export async function findTraffic(file: string | undefined, folder: Folder, files: Files): Promise<Traffic> {
  if (file !== undefined) {
    const path = resolve(files.workingDirectory, file);
    return fromFile(path) ?? missing(`There is no file ${path}`);
  }
  const items = await askAt(folder, "traffic");
  if (items !== undefined) return readTraffic(items);
  const path = join(folder.path, TRAFFIC_FILE);
  return (
    fromFile(path) ??
    missing(
      `There is no record of traffic: no broker runs with the data folder ${folder.path}, and there is no ${TRAFFIC_FILE} in it. ` +
        "A broker makes it while it runs; name its folder with --data-dir, or a copy of the file with --traffic",
    )
  );
}

function fromFile(path: string): Traffic | undefined {
  try {
    return readTrafficFile(path);
  } catch (error) {
    throw new Error(`Cannot use ${path} as a record of traffic: ${(error as Error).message}`);
  }
}

function missing(message: string): never {
  throw new Error(message);
}
