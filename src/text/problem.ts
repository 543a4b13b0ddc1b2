/** Something to tell a person about a file, an option or the environment. */
export interface Problem {
  /** A note is a fact worth knowing when a file is looked at, and no reason to change it: only `check` shows it. */
  severity: "error" | "warning" | "note";
  /** "" when no file is concerned. */
  file: string;
  /** From 1; 0 when the whole file is meant. */
  line: number;
  /** From 1, in UTF-16 units; 0 when the whole line is meant. */
  column: number;
  message: string;
  /** How many it stands for, when it only counts those that are not shown; else 1. */
  count?: number;
  /** What to do about it. */
  hint?: string;
  /** The line of the file, or of a long line the part around the place, to be shown with a caret. */
  sourceLine?: string;
  /** Where the caret stands when `sourceLine` is a part of the line; else `column`. */
  sourceColumn?: number;
}

/** A problem that belongs to no place in a file. */
export function placelessProblem(severity: Problem["severity"], message: string, hint?: string): Problem {
  return { severity, file: "", line: 0, column: 0, message, ...(hint === undefined ? {} : { hint }) };
}

export function hasErrors(problems: readonly Problem[]): boolean {
  return problems.some((problem) => problem.severity === "error");
}

/** "2 errors, 1 warning"; what there is none of is left out. */
export function countsText(problems: readonly Problem[]): string {
  const parts = (["error", "warning", "note"] as const).map((severity) => {
    const those = problems.filter((problem) => problem.severity === severity);
    const count = those.reduce((sum, problem) => sum + (problem.count ?? 1), 0);
    return count === 0 ? "" : `${count} ${severity}${count === 1 ? "" : "s"}`;
  });
  return parts.filter((part) => part !== "").join(", ");
}

/**
 * Writes a problem as compilers do, so that editors can jump to it, with the source line and a caret:
 *
 *     auth.json5:5:13: Unknown key "usr"
 *         { name: "u1", usr: 1 }
 *                       ^
 *       Did you mean "user"?
 *
 * A warning or a note says so before its message. Several lines, without a newline at the end.
 */
export function formatProblem(problem: Problem): string {
  const message = problem.severity === "error" ? problem.message : `${problem.severity}: ${problem.message}`;
  const lines = [formatPlaced(problem, message)];
  const { sourceLine, column, sourceColumn } = problem;
  if (sourceLine !== undefined && column > 0) lines.push(...pointAt(sourceLine, sourceColumn ?? column));
  if (problem.hint !== undefined) lines.push(`  ${problem.hint}`);
  return lines.join("\n");
}

/** `message` after its place, on one line: "auth.json5:5:13: message". Parts of the place that are 0 are left out. */
export function formatPlaced({ file, line, column }: Problem, message: string): string {
  if (file === "") return message;
  const place = line === 0 ? [file] : column === 0 ? [file, line] : [file, line, column];
  return `${place.join(":")}: ${message}`;
}

/** A problem with its place and what to do about it, on one line. */
export function problemLine(problem: Problem): string {
  const { message, hint } = problem;
  return formatPlaced(problem, hint === undefined ? message : `${message}. ${hint}`);
}

/** Characters of a source line that are shown, and how many of them before the place: minified files are one line. */
const SHOWN_MAX = 100;
const SHOWN_BEFORE = 70;

/** Of the line `sourceLine` what a problem at `column` shows. */
export function excerpt(sourceLine: string, column: number): { sourceLine: string; sourceColumn?: number } {
  if (sourceLine.length <= SHOWN_MAX) return { sourceLine };
  const start = Math.max(0, column - 1 - SHOWN_BEFORE);
  return { sourceLine: sourceLine.slice(start, start + SHOWN_MAX), sourceColumn: column - start };
}

function pointAt(sourceLine: string, column: number): string[] {
  const shown = printable(sourceLine);
  // Tabs stay tabs under tabs, so that the caret stands right for every tab width.
  const padding = shown.slice(0, column - 1).replace(/[^\t]/g, " ");
  return [`    ${shown}`.trimEnd(), `    ${padding}^`];
}

/** Control characters of a broken file would reach the terminal otherwise. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones to be replaced
  return text.replace(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029]/g, "?");
}
