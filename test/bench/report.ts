import { writeFileSync } from "node:fs";
import { type Column, type Row, renderTable, type Samples } from "./table.ts";

/** What a run found, for people and for --json. */
export interface Report {
  startedMs: number;
  /** The processor, and versions of what was measured. */
  machine: string;
  /** What the ratios are. */
  legend: string;
  rounds: number;
  rows: readonly Row[];
  columns: readonly Column[];
  /** Lines below the table: what the reader has to know of these figures. */
  notes: readonly string[];
  samples: Samples;
  /** Messages lost and the like, and scenarios that failed. */
  failures: readonly string[];
}

/** Overwrites one line for whoever watches; a file or pipe gets the report only. */
export function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

/** Prints the report, and writes it with all samples to `jsonFile` when there is one. */
export function printReport(report: Report, jsonFile: string | undefined): void {
  const { machine, rounds, rows, notes, failures, startedMs } = report;
  progress("");
  console.log(`${machine}; medians of ${rounds} (least..greatest), per second unless said; ${report.legend}\n`);
  console.log(renderTable(rows, report.columns));
  if (notes.length > 0) console.log(`\n${notes.join("\n")}`);
  if (failures.length > 0) console.log(`\nFaults:\n${failures.join("\n")}`);
  console.log(`\n${Math.round((Date.now() - startedMs) / 1000)} s`);
  if (jsonFile === undefined) return;
  const samples = Object.fromEntries([...report.samples].map(([name, map]) => [name, Object.fromEntries(map)]));
  const date = new Date(startedMs).toISOString();
  writeFileSync(jsonFile, `${JSON.stringify({ date, machine, rounds, rows, notes, samples, failures }, null, 2)}\n`);
}
