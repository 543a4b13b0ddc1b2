import type { BrokerName } from "./brokers.ts";
import type { DurableName } from "./durable/brokers.ts";
import { type Figure, PER_CPU, type Sample, type Subject, type Target, type Unit } from "./scenarios.ts";

export type Column = BrokerName | DurableName;

/** All samples of a run by scenario and broker, one for each round that succeeded. */
export type Samples = Map<string, Map<Column, Sample[]>>;

export interface Row {
  scenario: string;
  figure: string;
  unit: Unit;
  /** Medians, with the least and the greatest of the rounds. */
  cells: Partial<Record<Column, Cell>>;
  /** Our median divided by Mosquitto's, or that of the column that the figure or the scenario names. */
  ratio?: number;
  target?: string;
  met?: boolean;
}

export interface Cell {
  median: number;
  min: number;
  max: number;
}

/** Above this share of time spent waiting for a core, something else on the machine took part in the figure. */
export const DISTURBED_FROM = 0.05;

export function rowsOf(scenarios: readonly Subject[], samples: Samples): Row[] {
  return scenarios.flatMap((scenario) => scenario.figures.map((figure) => rowOf(scenario, figure, samples)));
}

function rowOf(scenario: Subject, figure: Figure, samples: Samples): Row {
  const cells: Row["cells"] = {};
  for (const [broker, list] of samples.get(scenario.name) ?? []) {
    const values = list.map((sample) => sample.values[figure.name]).filter((value) => value !== undefined);
    if (values.length > 0) cells[broker] = cellOf(values);
  }
  const row: Row = { scenario: scenario.title, figure: figure.name, unit: figure.unit, cells };
  const against = figure.against ?? scenario.against ?? "mosquitto";
  const other = cells[against];
  if (cells.ours !== undefined && other !== undefined && other.median !== 0) {
    row.ratio = cells.ours.median / other.median;
  }
  if (figure.target !== undefined) {
    row.target = targetText(figure.target, figure.unit, figure.against);
    const met = isMet(figure.target, cells.ours?.median, row.ratio);
    if (met !== undefined) row.met = met;
  }
  return row;
}

export function cellOf(values: readonly number[]): Cell {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)! };
}

function isMet(target: Target, ours: number | undefined, ratio: number | undefined): boolean | undefined {
  const value = target.kind.startsWith("ratio") ? ratio : ours;
  if (value === undefined) return undefined;
  return target.kind.endsWith("at least") ? value >= target.value : value <= target.value;
}

function targetText(target: Target, unit: Unit, against: Column | undefined): string {
  const sign = target.kind.endsWith("at least") ? ">=" : "<=";
  if (!target.kind.startsWith("ratio")) return `${sign} ${format(target.value, unit)}`;
  return `${sign} ${target.value}x${against === undefined ? "" : ` ${against}`}`;
}

/** 1234567 per second -> "1,235k"; below 10,000 in full. */
export function format(value: number, unit: Unit): string {
  const whole = (number: number): string => Math.round(number).toLocaleString("en-US");
  if (unit === "x") return value.toFixed(2);
  if (unit === "MB" || unit === "%") return value.toFixed(value < 10 ? 1 : 0);
  return unit === "per second" && value >= 10_000 ? `${whole(value / 1000)}k` : whole(value);
}

function cellText(cell: Cell | undefined, unit: Unit): string {
  if (cell === undefined) return "-";
  const median = format(cell.median, unit);
  if (cell.min === cell.max) return median;
  return `${median} (${format(cell.min, unit)}..${format(cell.max, unit)})`;
}

function verdict(row: Row): string {
  if (row.met === undefined) return row.target ?? "";
  return `${row.target} ${row.met ? "met" : "MISSED"}`;
}

/** The rows as text with aligned columns: median (least..greatest), our ratio to Mosquitto, the target. */
export function renderTable(rows: readonly Row[], brokers: readonly Column[]): string {
  const lines = [["", "", ...brokers, "ratio", "target"]];
  let before = "";
  for (const row of rows) {
    const unit = row.figure === PER_CPU || row.unit === "per second" ? "" : `, ${row.unit}`;
    lines.push([
      row.scenario === before ? "" : row.scenario,
      row.figure + unit,
      ...brokers.map((broker) => cellText(row.cells[broker], row.unit)),
      row.ratio === undefined ? "" : `${row.ratio.toFixed(2)}x`,
      verdict(row),
    ]);
    before = row.scenario;
  }
  const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  const isText = (column: number): boolean => column < 2 || column === widths.length - 1;
  return lines
    .map((line) => line.map((text, i) => (isText(i) ? text.padEnd(widths[i]!) : text.padStart(widths[i]!))))
    .map((line) => line.join("  ").trimEnd())
    .join("\n");
}

/** One line for each scenario in which the sink is not twice as fast as the best broker: the generator may limit it. */
export function ceilingNotes(rows: readonly Row[], samples: Samples, scenarios: readonly Subject[]): string[] {
  const notes: string[] = [];
  for (const row of rows) {
    const sink = row.cells.sink;
    if ((row.figure !== "messages" && row.figure !== "connects") || sink === undefined) continue;
    const [name, best] = bestOf(row);
    if (name !== undefined && sink.median < 2 * best) {
      const times = (sink.median / best).toFixed(2);
      const busy = generatorBusy(row, name, samples, scenarios);
      notes.push(
        `${row.scenario}: the sink is only ${times} times as fast as ${name}, with which the generator was ${busy} % busy`,
      );
    }
  }
  return notes;
}

function generatorBusy(row: Row, name: Column, samples: Samples, scenarios: readonly Subject[]): string {
  const scenario = scenarios.find(({ title }) => title === row.scenario);
  const list = (scenario && samples.get(scenario.name)?.get(name)) ?? [];
  return cellOf(list.map(({ values }) => values["generator CPU"] ?? 0)).median.toFixed(0);
}

function bestOf(row: Row): [Column | undefined, number] {
  let best: [Column | undefined, number] = [undefined, 0];
  for (const [name, cell] of Object.entries(row.cells) as [Column, Cell][]) {
    if (name !== "sink" && cell.median > best[1]) best = [name, cell.median];
  }
  return best;
}
