import assert from "node:assert/strict";
import { test } from "node:test";
import { countErrors, logProblems } from "../../src/auth/log-problems.ts";
import type { Problem } from "../../src/text/problem.ts";
import { logTo } from "../support/log-to.ts";

const PROBLEM: Problem = { severity: "error", file: "a.json5", line: 2, column: 3, message: "Odd" };

/** What is logged, as [level, message, fields, lines below]. */
function logged(problems: readonly Problem[]): unknown[][] {
  const calls: unknown[][] = [];
  const log = logTo((...call) => void calls.push(call));
  logProblems(log, problems);
  return calls;
}

test("a problem is one line: fields for programs, and lines with a caret that stands right for people", () => {
  assert.deepEqual(logged([{ ...PROBLEM, sourceLine: "\t{ usr: 1 }", hint: "Do that" }]), [
    [
      "error",
      "a.json5:2:3: Odd",
      { source: "\t{ usr: 1 }", hint: "Do that" },
      ["      { usr: 1 }", "       ^", "  Do that"],
    ],
  ]);
});

test("a warning is one by its level, and notes are not logged", () => {
  assert.deepEqual(
    logged([
      { ...PROBLEM, severity: "warning" },
      { ...PROBLEM, severity: "note" },
    ]),
    [["warn", "a.json5:2:3: Odd", { source: undefined, hint: undefined }, []]],
  );
});

test("of many the first twenty are logged, and the others counted", () => {
  const calls = logged([...Array<Problem>(25).fill(PROBLEM), { ...PROBLEM, count: 10 }]);
  assert.equal(calls.length, 21);
  assert.deepEqual(calls.at(-1), ["warn", "… and 15 errors more: mqtt-broker check shows all"]);
  assert.equal(countErrors([PROBLEM, { ...PROBLEM, severity: "warning" }]), "1 error");
});
