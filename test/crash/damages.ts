import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { SeededRandom } from "../hostile/random.ts";
import type { Belief } from "./estate.ts";

export const DATABASE = "mqtt-broker.db";
export const LOG = `${DATABASE}-wal`;

/** Something that may happen to the files of a broker that does not run. */
export interface Damage {
  name: string;
  /** What may be lost at most: all, some of the records, only what the log had, or nothing. */
  loses: "all" | "some" | "tail" | "nothing";
  /** Which of the two kept folders it happens to: with everything in the database, or with a part still in the log. */
  to: "stopped" | "killed";
  /** What must be found somewhere in the folder afterwards: the file of this name as it was after the damage. */
  keeps?: string;
  do(folder: string): void;
}

/** The state that must be there, as far as anything is. */
export function beliefOf({ to, loses }: Damage): Belief {
  return { since: to === "killed" && loses !== "nothing" ? "first" : "last" };
}

/** Many small ones; the same for the same seed. `sizes`: of the files of a folder as a killed broker left it. */
export function damages(seed: number, sizes: { database: number; log: number }): Damage[] {
  const random = new SeededRandom(seed);
  return [
    ...truncations(sizes),
    ...zeroings(random, sizes),
    ...flips(random, sizes),
    ...replacements(),
    ...strangers(),
  ];
}

function truncations({ database, log }: { database: number; log: number }): Damage[] {
  const ofDatabase = [
    0,
    1,
    100,
    4_095,
    4_096,
    8_192,
    database / 8,
    database / 2,
    (database * 7) / 8,
    database - 4_096,
    database - 1,
  ];
  const ofLog = [0, 1, 32, 56, 4_151, 4_152, log / 2, (log * 7) / 8, log - 4_120, log - 1];
  return [
    ...ofDatabase.map(Math.floor).map(
      (length): Damage => ({
        name: `the database cut off at ${length}`,
        loses: length < (database * 3) / 4 ? "all" : "some",
        to: "stopped",
        ...(length > 0 && { keeps: DATABASE }),
        do: (folder) => truncateSync(join(folder, DATABASE), length),
      }),
    ),
    ...ofLog.map(Math.floor).map(
      (length): Damage => ({
        name: `the log cut off at ${length}`,
        loses: "tail",
        to: "killed",
        do: (folder) => truncateSync(join(folder, LOG), length),
      }),
    ),
  ];
}

/** The failure that SD cards have: blocks that read as zeros. */
function zeroings(random: SeededRandom, { database, log }: { database: number; log: number }): Damage[] {
  const zero = (file: string, block: number, blocks: number) => (folder: string) =>
    overwrite(join(folder, file), block * 4_096, Buffer.alloc(blocks * 4_096));
  const blocks = [1, 2, 3, 4, ...Array.from({ length: 5 }, () => 5 + random.below(database / 4_096 - 5))];
  return [
    { name: "the first block of the database zeroed", loses: "all", to: "stopped", do: zero(DATABASE, 0, 1) },
    ...blocks.map(
      (block): Damage => ({
        name: `block ${block} of the database zeroed`,
        loses: "some",
        to: "stopped",
        do: zero(DATABASE, block, 1),
      }),
    ),
    { name: "sixteen blocks of the database zeroed", loses: "some", to: "stopped", do: zero(DATABASE, 20, 16) },
    { name: "all blocks zeroed", loses: "all", to: "stopped", do: zero(DATABASE, 0, Math.floor(database / 4_096)) },
    { name: "the first block of the log zeroed", loses: "tail", to: "killed", do: zero(LOG, 0, 1) },
    {
      name: "a block of the log zeroed",
      loses: "tail",
      to: "killed",
      do: zero(LOG, 1 + random.below(log / 4_096 - 2), 1),
    },
  ];
}

function flips(random: SeededRandom, { database, log }: { database: number; log: number }): Damage[] {
  const flip = (file: string, loses: Damage["loses"], to: Damage["to"], size: number) => (): Damage => {
    const at = random.below(size);
    const bit = random.below(8);
    return {
      name: `bit ${bit} of byte ${at} of ${file} flipped`,
      loses,
      to,
      do: (folder) => {
        const path = join(folder, file);
        overwrite(path, at, Buffer.of(readFileSync(path)[at]! ^ (1 << bit)));
      },
    };
  };
  return [
    { name: "the number of a queued message's session flipped", loses: "some", to: "stopped", do: flipSession },
    ...Array.from({ length: 3 }, flip(DATABASE, "all", "stopped", 100)),
    ...Array.from({ length: 8 }, flip(DATABASE, "some", "stopped", database)),
    ...Array.from({ length: 4 }, flip(LOG, "tail", "killed", log)),
  ];
}

/** The head of a queued message is read without its checksum first, and says whose it is. */
function flipSession(folder: string): void {
  const path = join(folder, DATABASE);
  const database = new DatabaseSync(path);
  const { key } = database.prepare("SELECT max(key) AS key FROM queue").get() as { key: number };
  const { value } = database.prepare("SELECT value FROM queue WHERE key = ?").get(key) as { value: Uint8Array };
  // Its number begins there, see src/core/queue-record.ts.
  value[8]! ^= 4;
  database.prepare("UPDATE queue SET value = ? WHERE key = ?").run(value, key);
  database.close();
}

function replacements(): Damage[] {
  const byFolder = (file: string) => (folder: string) => {
    rmSync(join(folder, file), { force: true });
    mkdirSync(join(folder, file));
    writeFileSync(join(folder, file, "something"), "x");
  };
  const swap = (folder: string): void => {
    renameSync(join(folder, DATABASE), join(folder, "between"));
    renameSync(join(folder, LOG), join(folder, DATABASE));
    renameSync(join(folder, "between"), join(folder, LOG));
  };
  const remove = (file: string) => (folder: string) => rmSync(join(folder, file));
  return [
    { name: "a folder in place of the database", loses: "all", to: "stopped", do: byFolder(DATABASE) },
    { name: "a folder in place of the log", loses: "tail", to: "killed", do: byFolder(LOG) },
    { name: "a folder in place of the shared memory", loses: "tail", to: "killed", do: byFolder(`${DATABASE}-shm`) },
    { name: "no database", loses: "all", to: "stopped", do: remove(DATABASE) },
    { name: "no database, but its log", loses: "all", to: "killed", do: remove(DATABASE) },
    { name: "database and log swapped", loses: "all", to: "killed", keeps: DATABASE, do: swap },
    {
      name: "nonsense in the shared memory",
      loses: "nothing",
      to: "killed",
      do: (folder) => writeFileSync(join(folder, `${DATABASE}-shm`), Buffer.alloc(32_768, 0xa5)),
    },
    {
      name: "nonsense in place of everything else",
      loses: "nothing",
      to: "killed",
      do: (folder) => {
        for (const name of ["mqtt-broker.lock", "mqtt-broker.pid"]) writeFileSync(join(folder, name), "nonsense");
      },
    },
  ];
}

function strangers(): Damage[] {
  const write = (content: string | Buffer) => (folder: string) => writeFileSync(join(folder, DATABASE), content);
  const withDatabase = (sql: string, fresh: boolean) => (folder: string) => {
    const path = join(folder, DATABASE);
    if (fresh) rmSync(path);
    const database = new DatabaseSync(path);
    database.exec(sql);
    database.close();
  };
  const common = { loses: "all", to: "stopped", keeps: DATABASE } as const;
  return [
    { name: "a text file in place of the database", ...common, do: write("Shopping: milk, eggs.\n".repeat(900)) },
    { name: "noise in place of the database", ...common, do: write(new SeededRandom(5).bytes(40_000)) },
    {
      name: "somebody else's database",
      ...common,
      do: withDatabase("CREATE TABLE retained (topic TEXT, value TEXT); INSERT INTO retained VALUES ('a', 'b')", true),
    },
    {
      name: "a newer format",
      ...common,
      do: withDatabase("PRAGMA user_version = 99; CREATE TABLE more (key INTEGER PRIMARY KEY)", false),
    },
    {
      name: "a flipped bit in the version",
      loses: "some",
      to: "stopped",
      do: withDatabase("PRAGMA user_version = 65", false),
    },
    { name: "a table that is missing", loses: "some", to: "stopped", do: withDatabase("DROP TABLE totals", false) },
  ];
}

function overwrite(path: string, at: number, bytes: Uint8Array): void {
  const size = statSync(path).size;
  const file = openSync(path, "r+");
  writeSync(file, bytes, 0, Math.min(bytes.length, size - at), at);
  closeSync(file);
}
