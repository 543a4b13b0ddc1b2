import type { Log } from "../core/ports.ts";
import { countsText, formatPlaced, formatProblem, type Problem } from "../text/problem.ts";

/** Problems of one reading that the log shows; `check` shows all. */
const LOGGED_MAX = 20;

/** Errors and warnings, each one line: with the line of the file and what to do, for people below it and with a caret. */
export function logProblems(log: Log, problems: readonly Problem[]): void {
  const told = problems.filter(({ severity }) => severity !== "note");
  for (const problem of told.slice(0, LOGGED_MAX)) logProblem(log, problem);
  const left = told.slice(LOGGED_MAX);
  if (left.length > 0) log.warn(`… and ${countsText(left)} more: mqtt-broker check shows all`);
}

function logProblem(log: Log, problem: Problem): void {
  const { severity, message, sourceLine: source, hint } = problem;
  // The level says already that it is a warning. A tab would be shown as its number.
  const [, ...below] = formatProblem({ ...problem, severity: "error" })
    .replaceAll("\t", "  ")
    .split("\n");
  const placed = formatPlaced(problem, message);
  if (severity === "error") log.error(placed, { source, hint }, below);
  else log.warn(placed, { source, hint }, below);
}

/** "1 error", "3 errors". */
export function countErrors(problems: readonly Problem[]): string {
  return countsText(problems.filter(({ severity }) => severity === "error"));
}
