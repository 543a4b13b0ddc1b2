import { parseArgs } from "node:util";
import { type Outcome, simulate } from "./run.ts";

/**
 * Seeded runs of the whole broker with virtual time, network and disk, and an oracle that knows what must not be.
 *
 *     npm run sim -- --seconds 600        as many seeds as fit, from a fresh one on
 *     npm run sim -- --runs 1000 --seed 1 these seeds
 *     npm run sim -- --seed 7 --trace     one seed, with all that happens
 *
 * `--memory`: without a store and without crashes. `--harsh`: a slow disk, and the power fails often.
 */
const LAST_LINES = 60;

const { values } = parseArgs({
  options: {
    seconds: { type: "string" },
    runs: { type: "string" },
    seed: { type: "string" },
    trace: { type: "boolean", default: false },
    memory: { type: "boolean", default: false },
    harsh: { type: "boolean", default: false },
  },
});
const startedMs = Date.now();
const first = values.seed === undefined ? startedMs % 2 ** 31 : Number(values.seed);
const one = values.seed !== undefined && values.seconds === undefined && values.runs === undefined;
const runsMax = values.runs === undefined ? (one ? 1 : Number.POSITIVE_INFINITY) : Number(values.runs);
const untilMs = values.seconds === undefined ? Number.POSITIVE_INFINITY : startedMs + 1000 * Number(values.seconds);
const { memory, harsh } = values;
const options = { withStore: !memory, damage: !memory && !harsh, isHarsh: harsh };

console.log(`seeds from ${first} on`);
const total = { runs: 0, crashes: 0, messages: 0, deliveries: 0, happenings: 0 };
for (let seed = first; total.runs < runsMax && Date.now() < untilMs; seed++) {
  const traced = values.trace ? { trace: console.log } : {};
  const outcome = await simulate(seed, { ...options, ...traced });
  total.runs++;
  for (const name of ["crashes", "messages", "deliveries", "happenings"] as const) total[name] += outcome[name];
  if (outcome.violation === undefined) continue;
  if (values.trace) console.log(`seed ${seed}: ${outcome.violation}`);
  else await tell(outcome);
  process.exitCode = 1;
  break;
}
const minutes = (Date.now() - startedMs) / 60_000;
console.log(
  `${total.runs} runs, ${Math.round(total.runs / minutes)} a minute: ${total.happenings} happenings, ` +
    `${total.crashes} crashes, ${total.messages} messages published, ${total.deliveries} delivered`,
);

/** The same seed again, now with its events. */
async function tell({ seed, violation, digest }: Outcome): Promise<void> {
  const lines: string[] = [];
  const again = await simulate(seed, { ...options, trace: (line) => lines.push(line) });
  console.log(lines.slice(-LAST_LINES).join("\n"));
  console.log(`seed ${seed}: ${violation}`);
  if (again.digest !== digest || again.violation !== violation) console.log("The run did not replay exactly.");
}
