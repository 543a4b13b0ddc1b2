import { dirname, join, resolve } from "node:path";
import { TextError } from "../text/document.ts";
import { hasErrors, type Problem } from "../text/problem.ts";
import { buildSettings } from "./build.ts";
import type { Files } from "./files.ts";
import { append, emptyLayer, type GivenLayers, type Layer, override } from "./layer.ts";
import { listenersOfOptions } from "./listener.ts";
import type { Settings } from "./settings.ts";

/** `settings` exists when no problem is an error; problems are in the order in which things were read. */
export interface Loaded {
  settings: Settings | undefined;
  problems: Problem[];
}

interface Read {
  layer: Layer;
  problems: Problem[];
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Finds and reads the configuration, lays environment and options over it, and checks the whole.
 * Never throws for what a user wrote: every mistake is a problem, those of the command line first.
 */
export async function loadSettings(commandLine: GivenLayers, environment: Environment, files: Files): Promise<Loaded> {
  const problems = [...commandLine.problems];
  const given = override(commandLine.environment, commandLine.options);
  given.listeners = listenersOfOptions(given.values);
  const named = given.values.get("config")?.at(-1);
  const candidates = named === undefined ? configurationPlaces(environment) : [String(named.value)];
  const main = named === undefined ? firstOf(candidates, files, problems) : candidates[0];
  const read: string[] = [];
  let layer = emptyLayer();
  if (main !== undefined) {
    const before = problems.length;
    if (readable(main, files, problems) === undefined && named !== undefined && problems.length === before) {
      problems.push(named.origin.problem("error", `${main} does not exist`));
    }
    for (const file of [main, ...dropIns(main, files, problems)]) {
      const one = await readFile(file, files, problems);
      if (one === undefined) continue;
      read.push(file);
      layer = append(layer, one);
    }
  }
  const merged = override(layer, given);
  const dropInPlace = main === undefined ? [] : [join(dirname(main), "conf.d/")];
  const places = [...candidates, ...dropInPlace].map((place) => absolute(files.workingDirectory, place));
  const authPlaces = authPlacesOf(main, environment);
  const settings = buildSettings(merged, { environment, files, read, places, authPlaces, problems });
  return { settings: hasErrors(problems) ? undefined : settings, problems };
}

/** Where a configuration may be that nobody named: the first that there is counts. */
export function configurationPlaces(environment: Environment): string[] {
  const fromSystemd = configurationDirectory(environment);
  return [
    ...(fromSystemd === undefined ? [] : [join(fromSystemd, "mqtt-broker.json5")]),
    "mqtt-broker.json5",
    "config/config.yaml",
    "/etc/mqtt-broker/mqtt-broker.json5",
  ];
}

function firstOf(candidates: readonly string[], files: Files, problems: Problem[]): string | undefined {
  return candidates.find((file) => readable(file, files, problems) !== undefined);
}

/** Where a file of users and rules may be that nobody named: beside the configuration, else in the working directory. */
function authPlacesOf(main: string | undefined, environment: Environment): string[] {
  const directories = [main === undefined ? undefined : dirname(main), configurationDirectory(environment), "."];
  return directories.flatMap((directory) => (directory === undefined ? [] : [join(directory, "auth.json5")]));
}

/** `resolve` takes the slash at the end away, which tells a directory from a file. */
function absolute(workingDirectory: string, place: string): string {
  return place.endsWith("/") ? `${resolve(workingDirectory, place)}/` : resolve(workingDirectory, place);
}

/** systemd separates several directories by colons; the first is the most important. */
function configurationDirectory(environment: Environment): string | undefined {
  const first = environment.CONFIGURATION_DIRECTORY?.split(":")[0];
  return first === "" ? undefined : first;
}

function dropIns(main: string, files: Files, problems: Problem[]): string[] {
  const directory = join(dirname(main), "conf.d");
  try {
    const names = files.list(resolve(files.workingDirectory, directory)) ?? [];
    // By code unit, so that the order is the same under every locale.
    return names
      .filter((name) => name.endsWith(".json5") && !name.startsWith("."))
      .sort((a, b) => (a < b ? -1 : 1))
      .map((name) => join(directory, name));
  } catch (error) {
    problems.push(unreadable(directory, error));
    return [];
  }
}

async function readFile(file: string, files: Files, problems: Problem[]): Promise<Layer | undefined> {
  const text = readable(file, files, []);
  if (text === undefined) return undefined;
  try {
    const isYaml = /\.ya?ml$/i.test(file);
    const { layer, problems: found } = isYaml ? await readYaml(text, file) : await readJson5(text, file);
    problems.push(...found);
    return layer;
  } catch (error) {
    if (!(error instanceof TextError)) throw error;
    problems.push(error.toProblem());
    return undefined;
  }
}

// Readers and parsers are loaded when there is something to read: many brokers run without a file, and none needs both.

async function readYaml(text: string, file: string): Promise<Read> {
  const { readMqttServerYaml } = await import("./mqtt-server-yaml.ts");
  const { parseYaml } = await import("../text/yaml-document.ts");
  return readMqttServerYaml(parseYaml(text, file));
}

async function readJson5(text: string, file: string): Promise<Read> {
  const { readConfiguration } = await import("./schema.ts");
  const { parseJson5 } = await import("../text/json5-document.ts");
  return readConfiguration(parseJson5(text, file));
}

/** The text of a file; undefined when there is none or it cannot be read, which is a problem. */
function readable(file: string, files: Files, problems: Problem[]): string | undefined {
  try {
    return files.read(resolve(files.workingDirectory, file));
  } catch (error) {
    if (!problems.some((problem) => problem.file === file)) problems.push(unreadable(file, error));
    return undefined;
  }
}

function unreadable(file: string, error: unknown): Problem {
  const message = `Cannot be read: ${(error as Error).message}`;
  return { severity: "error", file, line: 0, column: 0, message };
}
