/**
 * Writes batches until it is killed, and says after each that is durable which one it was. Batch n puts record n of the
 * queue and its number into `clock`; every tenth takes away the ten records that came a hundred before.
 */
import { Table } from "../../src/core/store.ts";
import { SqliteStore } from "../../src/store/sqlite/store.ts";
import { commit, put, Recorder } from "./recorder.ts";

const recorder = new Recorder();
const first = Number(process.argv[3]);
const store = new SqliteStore({ folder: process.argv[2]! });
await store.open(recorder);
recorder.onDurable = (count) => {
  process.stdout.write(`${first + count - 1}\n`);
  for (let under = next - first - count; under < 5; under++) write();
};
let next = first;
for (let under = 0; under < 5; under++) write();

function write(): void {
  const number = next++;
  commit(store, (batch) => {
    put(batch, Table.Queue, number, "", String(number).repeat(1 + (number % 50)));
    if (number % 10 === 9) batch.deleteRange(Table.Queue, number - 109, number - 100);
    put(batch, Table.Clock, 0, "last", String(number));
  });
}
