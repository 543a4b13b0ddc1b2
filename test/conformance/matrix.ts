import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Which normative statements of the specifications are shown by tests: collected from the names of the tests, never
 * kept by hand. Run as a program it prints the counts and everything that is open.
 */

export type SpecificationVersion = "5.0" | "3.1.1";
export const VERSIONS: readonly SpecificationVersion[] = ["5.0", "3.1.1"];

/** An entry of `statements-*.json`. `state` is written only for what no test of a server can show, with the reason. */
export interface Statement {
  id: string;
  section: string;
  text: string;
  actor: "server" | "client" | "both" | "none";
  state?: "client's duty" | "not applicable";
  why?: string;
}

export type State = "tested" | "client's duty" | "not applicable" | "open";

export interface Judged extends Statement {
  verdict: State;
  /** Test files whose names cite it. */
  tests: string[];
}

export function statements(version: SpecificationVersion): Statement[] {
  return JSON.parse(readFileSync(join(import.meta.dirname, `statements-${version}.json`), "utf8")) as Statement[];
}

/** From "5.0 MQTT-3.1.2-22" to the test files that cite it. */
export type Citations = Map<string, Set<string>>;

/** Reads all test files below a folder; comments do not count, for a comment shows nothing. */
export function citations(folder: string): Citations {
  const found: Citations = new Map();
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" }).sort()) {
    if (!name.endsWith(".test.ts")) continue;
    for (const cited of citedIn(readFileSync(join(folder, name), "utf8"))) {
      if (!found.has(cited)) found.set(cited, new Set());
      found.get(cited)?.add(name);
    }
  }
  return found;
}

/** `5.0 [MQTT-1.5.4-1] [MQTT-1.5.4-2]` cites two: a version holds for all the brackets that follow it. */
export function citedIn(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const found: string[] = [];
  for (const [, version, brackets] of code.matchAll(/\b(5\.0|3\.1\.1) ((?:\[MQTT-[\d.]+-\d+\][ ,]*)+)/g)) {
    for (const [, id] of brackets!.matchAll(/\[(MQTT-[\d.]+-\d+)\]/g)) found.push(`${version} ${id}`);
  }
  return found;
}

/** A test outweighs a written state: a client's duty whose neglect the broker answers is tested by that answer. */
export function judge(version: SpecificationVersion, cited: Citations): Judged[] {
  return statements(version).map((statement) => {
    const tests = [...(cited.get(`${version} ${statement.id}`) ?? [])];
    return { ...statement, verdict: tests.length > 0 ? "tested" : (statement.state ?? "open"), tests };
  });
}

/** "5.0: 251 statements: 230 tested, 21 client's duty, 0 not applicable, 0 open". */
export function summary(version: SpecificationVersion, judged: readonly Judged[]): string {
  const count = (state: State) => `${judged.filter((statement) => statement.verdict === state).length} ${state}`;
  const states = (["tested", "client's duty", "not applicable", "open"] as const).map(count).join(", ");
  return `${version}: ${judged.length} statements: ${states}`;
}

if (import.meta.main) {
  const cited = citations(join(import.meta.dirname, ".."));
  for (const version of VERSIONS) {
    const judged = judge(version, cited);
    console.log(summary(version, judged));
    for (const { id, actor, text, verdict } of judged) {
      if (verdict === "open") console.log(`  open: ${id} (${actor}) ${text}`);
    }
  }
}
