import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { Table } from "../../src/core/store.ts";
import { placeTest } from "./place.ts";
import { recordsOf } from "./recorder.ts";

const ROUNDS = 5;

placeTest("a process that is killed leaves whole batches, in order, and each that it called durable", async (place) => {
  let first = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const told = await writeUntilKilled(place.folder, first, 20 + round * 60);
    const { store, recorder } = await place.open();
    const last = Number((await recordsOf(store, Table.Clock))[0]!.slice("last=".length));
    assert.ok(last >= told, `batch ${told} was called durable, ${last} is the last one there`);
    const expected: Record<number, string> = {};
    const gone = Math.floor((last - 109) / 10) * 10 + 10;
    for (let number = Math.max(0, gone); number <= last; number++) {
      expected[number] = `=${String(number).repeat(1 + (number % 50))}`;
    }
    assert.deepEqual(await recordsOf(store, Table.Queue), expected, `round ${round}, last ${last}`);
    assert.deepEqual({ losses: recorder.losses, notes: recorder.notes }, { losses: [], notes: [] });
    await store.close();
    first = last + 1;
  }
});

/** Returns the last batch that it called durable. */
async function writeUntilKilled(folder: string, first: number, afterMs: number): Promise<number> {
  const path = join(import.meta.dirname, "kill-run.ts");
  const child = spawn(process.execPath, [path, folder, String(first)], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.on("data", (bytes) => {
    if (text === "") setTimeout(() => child.kill("SIGKILL"), afterMs);
    text += bytes;
  });
  await once(child, "close");
  const whole = text.slice(0, text.lastIndexOf("\n")).split("\n");
  return Number(whole.at(-1));
}
