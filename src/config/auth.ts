import { resolve } from "node:path";
import type { Problem } from "../text/problem.ts";
import type { Files } from "./files.ts";
import type { Origin } from "./layer.ts";
import type { Picker } from "./picker.ts";
import type { Anonymous, AuthSettings } from "./settings.ts";

/**
 * Who may connect. `defaultPlaces`: where the file of users and rules may be when none is named. One that was asked for must
 * be there, or its rules would be missing without a word.
 */
export function authSettings(
  pick: Picker,
  files: Files,
  defaultPlaces: readonly string[],
  problems: Problem[],
): AuthSettings {
  const anonymous = anonymousOf(pick.value<boolean | string | undefined>("auth.allowAnonymous", undefined));
  const named = pick.path("auth.file");
  const places = named === undefined ? defaultPlaces.map((place) => resolve(files.workingDirectory, place)) : [named];
  const candidates = [...new Set(places)];
  const file = candidates.find((path) => exists(path, files, problems));
  if (named !== undefined && file === undefined) {
    const hint = `mqtt-broker passwd add NAME --auth-file ${named} makes one`;
    problems.push(pick.origin("auth.file").problem("error", `${named} does not exist`, hint));
  }
  if (anonymous === "all") warnAnonymous(pick.origin("auth.allowAnonymous"), file !== undefined, problems);
  const hashWorkers = pick.value("auth.hashWorkers", 2);
  return { file, named: named !== undefined, candidates, anonymous, hashWorkers };
}

/** What cannot be told is an error, and counts as there: to go on without its rules could let in anybody. */
function exists(path: string, files: Files, problems: Problem[]): boolean {
  try {
    return files.exists(path);
  } catch (error) {
    const message = `Cannot be read: ${(error as Error).message}`;
    problems.push({ severity: "error", file: path, line: 0, column: 0, message });
    return true;
  }
}

function anonymousOf(value: boolean | string | undefined): Anonymous | undefined {
  if (value === undefined) return undefined;
  return value === true ? "all" : value === false ? "none" : "local";
}

function warnAnonymous(origin: Origin, hasRules: boolean, problems: Problem[]): void {
  const rights = hasRules
    ? "connect without a password, and do what the rules allow to anonymous"
    : "connect, publish and subscribe";
  problems.push(origin.problem("warning", `everybody who reaches a listener may ${rights}`));
}
