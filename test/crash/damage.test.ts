import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cpSync, globSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { emptyFolder, type Lifetime, type RunningBroker, startBroker } from "../smoke/program.ts";
import { beliefOf, DATABASE, type Damage, damages, LOG } from "./damages.ts";
import { Estate } from "./estate.ts";

/** Of the small damages, how much of the estate must come back. */
const SALVAGED_PART_MIN = 0.8;

/** Processes at a time. */
const WORKERS = 3;

/** Of how many damages one is looked at after a second start too. */
const AGAIN_EVERY = 4;

const seed = Date.now() % 1_000_000;
const estate = new Estate();
let stopped = "";
let killed = "";

before(async () => {
  const ends: (() => void | Promise<void>)[] = [];
  const life: Lifetime = { after: (end) => void ends.push(end) };
  process.once("exit", () => {
    for (const end of ends.reverse()) void end();
  });
  killed = emptyFolder(life);
  stopped = emptyFolder(life);
  const first = await start(life, killed);
  await estate.publishFirst(first.port);
  await first.program.stop();
  const second = await start(life, killed);
  await estate.publishSecond(second.port);
  await second.program.stop("SIGKILL");
  cpSync(killed, stopped, { recursive: true });
  const third = await start(life, stopped);
  await third.program.stop();
});

test("what is not damaged is whole, killed or stopped", async (context) => {
  for (const folder of [killed, stopped]) {
    const broker = await start(context, copy(context, folder));
    const { missing, wrong } = await estate.inspect(broker.port, { since: "last" });
    assert.deepEqual({ missing, wrong }, { missing: [], wrong: [] });
    assert.deepEqual(complaints(broker), []);
    await broker.program.stop("SIGKILL");
  }
});

test("a damaged store: the broker starts and serves what is left, nothing else, and says what is lost", async (context) => {
  const sizes = { database: statSync(join(stopped, DATABASE)).size, log: statSync(join(killed, LOG)).size };
  const waiting = damages(seed, sizes);
  const count = waiting.length;
  const found: string[] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const damage = next;
      try {
        found.push(
          ...(await consequences(context, damage, waiting.length % AGAIN_EVERY === 0)).map(
            (text) => `${damage.name}: ${text}`,
          ),
        );
      } catch (error) {
        found.push(`${damage.name}: ${error instanceof Error ? error.message : error}`);
      }
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, work));
  context.diagnostic(
    `damage: seed ${seed}, ${count} damages to a database of ${sizes.database} bytes, log ${sizes.log}`,
  );
  assert.equal(found.length, 0, `seed ${seed}:\n${found.join("\n")}`);
});

/** What is not as it should be after a damage, and `again` after another start. */
async function consequences(context: Lifetime, damage: Damage, again: boolean): Promise<string[]> {
  const folder = copy(context, damage.to === "killed" ? killed : stopped);
  damage.do(folder);
  const kept = damage.keeps && digest(join(folder, damage.keeps));
  const broker = await start(context, folder);
  const { right, missing, wrong } = await estate.inspect(broker.port, beliefOf(damage));
  const said = complaints(broker);
  const found = wrong.map((what) => `serves ${what}`);
  if (missing.length > 0 && (damage.loses === "nothing" || damage.loses === "tail")) {
    found.push(`lacks ${missing.length} without need: ${missing.slice(0, 5).join(", ")}`);
  }
  if (damage.loses === "some" && right < SALVAGED_PART_MIN * (right + missing.length)) {
    const all = right + missing.length;
    found.push(`only ${right} of ${all} came back`);
  }
  if (missing.length > 0 && said.length === 0) found.push(`lacks ${missing.length} without a word`);
  if (damage.loses === "nothing" && said.length > 0) found.push(`complains without reason: ${said[0]}`);
  if (kept !== undefined && !files(folder).some((file) => digest(file) === kept)) found.push("the file was not kept");
  await broker.program.stop("SIGKILL");
  return said.length > 0 && again ? [...found, ...(await secondStart(context, folder))] : found;
}

/** What was repaired stays repaired. */
async function secondStart(context: Lifetime, folder: string): Promise<string[]> {
  const broker = await start(context, folder);
  const said = complaints(broker);
  await broker.program.stop("SIGKILL");
  return said.length === 0 ? [] : [`complains again: ${said[0]}`];
}

function start(life: Lifetime, folder: string): Promise<RunningBroker> {
  // Fewer clients than any system allows, so that no warning says that it allows no more.
  const words = ["--tcp-port", "0", "--bind", "127.0.0.1", "--limit", "clients=100", "--limit", "connecting=20"];
  return startBroker(life, [...words, "--data-dir", folder]);
}

function complaints({ program }: RunningBroker): string[] {
  return program.lines.filter(({ level }) => level === "warn" || level === "error").map((line) => JSON.stringify(line));
}

function copy(context: Lifetime, folder: string): string {
  const own = emptyFolder(context);
  cpSync(folder, own, { recursive: true });
  return own;
}

function files(folder: string): string[] {
  return globSync("**/*", { cwd: folder, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function digest(file: string): string {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}
