import { Document, type Path, type Position } from "../text/document.ts";
import { type Problem, placelessProblem } from "../text/problem.ts";
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

  say(severity: Severity, position: Position, message: string, hint?: string): void {
    this.counts[severity]++;
    const kept = this.kept[severity];
    if (kept.length === PROBLEMS_MAX) return;
    const { document } = this;
    if (document === undefined) {
      kept.push(placelessProblem(severity, message, hint));
      return;
    }
    this.shown ??= new Document(maskSecrets(document), document.file, undefined, document.root);
    kept.push(this.shown.problem(severity, position, message, hint));
  }

  /** Errors first, then warnings, then notes, each in the order of the file; the last one says how many more there are. */
  get problems(): Problem[] {
    const sorted = SEVERITIES.flatMap((severity) =>
      this.kept[severity].toSorted((a, b) => a.line - b.line || a.column - b.column),
    );
    const problems = sorted.slice(0, PROBLEMS_MAX);
    const left = SEVERITIES.reduce((sum, severity) => sum + this.counts[severity], 0) - problems.length;
    if (left > 0) {
      const severity = SEVERITIES.find(
        (each) => this.counts[each] > problems.filter((one) => one.severity === each).length,
      );
      const file = this.document?.file ?? "";
      problems.push({
        severity: severity!,
        file,
        line: 0,
        column: 0,
        message: `And ${left} more, which are not shown`,
      });
    }
    return problems;
  }
}

const NOWHERE: Position = { line: 0, column: 0 };
