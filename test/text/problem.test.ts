import assert from "node:assert/strict";
import { test } from "node:test";
import {
  countsText,
  excerpt,
  formatPlaced,
  formatProblem,
  hasErrors,
  type Problem,
  placelessProblem,
  problemLine,
} from "../../src/text/problem.ts";

const PROBLEM: Problem = { severity: "error", file: "auth.json5", line: 5, column: 13, message: "Odd" };

test("a problem is written with file, line, column, source line, caret and hint", () => {
  const text = formatProblem({ ...PROBLEM, column: 3, sourceLine: "  usr: 1,", hint: 'Did you mean "user"?' });
  assert.equal(text, 'auth.json5:5:3: Odd\n      usr: 1,\n      ^\n  Did you mean "user"?');
});

test("a warning and a note say so", () => {
  assert.equal(formatProblem({ ...PROBLEM, severity: "note" }), "auth.json5:5:13: note: Odd");
  assert.equal(formatProblem({ ...PROBLEM, severity: "warning" }), "auth.json5:5:13: warning: Odd");
});

test("on one line it has its place and what to do", () => {
  assert.equal(problemLine({ ...PROBLEM, hint: "Do that" }), "auth.json5:5:13: Odd. Do that");
  assert.equal(problemLine(PROBLEM), "auth.json5:5:13: Odd");
});

test("problems are counted by severity, with those that one stands for", () => {
  const note: Problem = { ...PROBLEM, severity: "note" };
  assert.equal(countsText([note, PROBLEM, { ...PROBLEM, count: 20 }]), "21 errors, 1 note");
  assert.equal(countsText([]), "");
});

test("parts of the place that are 0 are left out", () => {
  assert.equal(formatProblem({ ...PROBLEM, column: 0 }), "auth.json5:5: Odd");
  assert.equal(formatProblem({ ...PROBLEM, line: 0, column: 0 }), "auth.json5: Odd");
  assert.equal(formatProblem({ ...PROBLEM, file: "", line: 0, column: 0 }), "Odd");
});

test("the caret stands under tabs", () => {
  assert.equal(
    formatProblem({ ...PROBLEM, column: 4, sourceLine: "\ta\tb" }),
    "auth.json5:5:4: Odd\n    \ta\tb\n    \t \t^",
  );
});

test("of a long line only the surroundings are shown", () => {
  const sourceLine = `${"a".repeat(5000)}B${"c".repeat(5000)}`;
  const [, shown, caret] = formatProblem({ ...PROBLEM, column: 5001, ...excerpt(sourceLine, 5001) }).split("\n");
  assert.equal(shown, `    ${"a".repeat(70)}B${"c".repeat(29)}`);
  assert.equal(caret, `    ${" ".repeat(70)}^`);
});

test("control characters of the source don't reach the terminal", () => {
  assert.equal(
    formatProblem({ ...PROBLEM, column: 1, sourceLine: "\u001b[2J\u0000" }),
    "auth.json5:5:1: Odd\n    ?[2J?\n    ^",
  );
});

test("a column beyond the line's end points behind it", () => {
  assert.equal(formatProblem({ ...PROBLEM, column: 4, sourceLine: "abc" }), "auth.json5:5:4: Odd\n    abc\n       ^");
});

test("a message is written after its place without its severity", () => {
  assert.equal(formatPlaced({ ...PROBLEM, severity: "warning" }, "Even"), "auth.json5:5:13: Even");
});

test("only errors are errors", () => {
  assert.equal(hasErrors([]), false);
  assert.equal(hasErrors([placelessProblem("warning", "a"), placelessProblem("note", "b")]), false);
  assert.equal(hasErrors([placelessProblem("warning", "a"), placelessProblem("error", "b")]), true);
});
