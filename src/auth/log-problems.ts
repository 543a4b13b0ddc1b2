import type { Log } from "../core/ports.ts";
import { formatProblem, type Problem } from "../text/problem.ts";

/** Problems of one reading that the log shows; `check` shows all. */
const LOGGED_MAX = 20;

/** Errors and warnings, with the line of the file and a caret. Each line is one of the log, since the journal shows lines. */
export function logProblems(log: Log, problems: readonly Problem[]): void {
  const told = problems.filter(({ severity }) => severity !== "note");
  for (const problem of told.slice(0, LOGGED_MAX)) {
    // The level says already that it is a warning.
    for (const line of formatProblem({ ...problem, severity: "error" }).split("\n")) {
      if (problem.severity === "error") log.error(line);
      else log.warn(line);
    }
  }
  const more = told.length - LOGGED_MAX;
  if (more > 0) log.error(`… and ${more} more of these: mqtt-broker check shows all`);
}

/** "1 error", "3 errors". */
export function countErrors(problems: readonly Problem[]): string {
  const errors = problems.filter(({ severity }) => severity === "error").length;
  return `${errors} error${errors === 1 ? "" : "s"}`;
}
