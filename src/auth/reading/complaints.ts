import { Document, type Path, type Position } from "../../text/document.ts";
import { excerpt, type Problem, placelessProblem } from "../../text/problem.ts";
import { maskSecrets } from "./mask.ts";

/** Nobody reads more at once, and what causes them is mostly one thing. */
export const PROBLEMS_MAX = 100;

type Severity = Problem["severity"];
const SEVERITIES: readonly Severity[] = ["error", "warning", "note"];

/** Gathers what is wrong with rules, with its places when they are from a file. Secrets in the lines shown are covered. */
export class Complaints {
  readonly document: Document | undefined;
  /** The document as it is shown: most need none, so it is made when something is wrong. */
  private shown: Document | undefined;
  private readonly kept: Readonly<Record<Severity, Problem[]>> = { error: [], warning: [], note: [] };
  private readonly counts: Record<Severity, number> = { error: 0, warning: 0, note: 0 };

  /** No document: the rules were made by a program. */
  constructor(document: Document | undefined) {
    this.document = document;
  }

  get hasErrors(): boolean {
    return this.errorCount > 0;
  }

  get errorCount(): number {
    return this.counts.error;
  }

  /** Where the value at `path` stands; of a path that is not there, its nearest ancestor. */
  at(path: Path): Position {
    return this.document?.at(path) ?? NOWHERE;
  }

  atKey(path: Path): Position {
    return this.document?.atKey(path) ?? NOWHERE;
  }

  /** `position`: may be an entry's place, whose text is shown when its line in the file is a brace alone. */
  say(severity: Severity, position: Position & { text?: string }, message: string, hint?: string): void {
    this.counts[severity]++;
    const kept = this.kept[severity];
    if (kept.length === PROBLEMS_MAX) return;
    const { document } = this;
    if (document === undefined) {
      kept.push(placelessProblem(severity, message, hint));
      return;
    }
    this.shown ??= new Document(maskSecrets(document), document.file, undefined, document.root);
    const problem = this.shown.problem(severity, position, message, hint);
    const { text } = position;
    const isBare = text !== undefined && /^\s*[[{]?\s*$/.test(problem.sourceLine ?? "");
    kept.push(isBare ? { ...problem, ...excerpt(text, 1), sourceColumn: 1 } : problem);
  }

  /** Errors first, then warnings, then notes, each in the order of the file; then how many more there are of each. */
  get problems(): Problem[] {
    const sorted = SEVERITIES.flatMap((severity) =>
      this.kept[severity].toSorted((a, b) => a.line - b.line || a.column - b.column),
    );
    const problems = sorted.slice(0, PROBLEMS_MAX);
    return [...problems, ...SEVERITIES.flatMap((severity) => this.left(severity, problems))];
  }

  private left(severity: Severity, shown: readonly Problem[]): Problem[] {
    const count = this.counts[severity] - shown.filter((problem) => problem.severity === severity).length;
    if (count === 0) return [];
    const file = this.document?.file ?? "";
    const message = `${count} more ${severity}${count === 1 ? " is" : "s are"} not shown`;
    return [{ severity, file, line: 0, column: 0, message, count }];
  }
}

const NOWHERE: Position = { line: 0, column: 0 };
