import { once } from "node:events";
import { createReadStream } from "node:fs";
import { open, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import type { Files } from "../config/files.ts";
import { STORE_FILE } from "../config/settings.ts";
import type { StoreLoss, StoreTable } from "../core/store.ts";
import { type ClientIo, ExitCode, Output, UsageError } from "./client-io.ts";
import { describeLoss, exportRecords, importRecords, type RecordSource } from "./store-export.ts";
import { contentsToJson, contentsToText, countOf, readContents } from "./store-inspect.ts";
import { findFolder, parseStoreOptions, STORE_COMMANDS, type StoreOptions } from "./store-options.ts";
import type { StoredRecord } from "./store-record.ts";

/** What the store itself can do, without a broker; messages of its errors are for people. */
export interface StoreTools {
  /** All that is kept at this moment. */
  openSnapshot(path: string, onLost: (loss: StoreLoss) => void): RecordSource & { close(): void };
  figuresOf(path: string): FileFigures;
  /** Reads everything; `onFault` gets each damage. */
  verify(path: string, onFault: (fault: string) => void): { records: number };
  /** Only while no broker runs. Returns where the old file is. */
  repair(folder: string, onLost: (loss: StoreLoss) => void): Promise<{ records: number; movedTo: string }>;
  /** Only while no broker runs. */
  compact(folder: string): Promise<{ bytesBefore: number; bytesAfter: number }>;
  restore(folder: string, fill: (put: (record: StoredRecord) => void) => Promise<void>): Promise<void>;
}

export interface FileFigures {
  formatVersion: number;
  fileBytes: number;
  logBytes: number;
  freeBytes: number;
  tables: readonly { table: StoreTable; records: number; bytes: number }[];
}

/** What a command works with. */
interface StoreRun {
  options: StoreOptions;
  folder: string;
  path: string;
  io: ClientIo;
  output: Output;
  tools: StoreTools;
}

/**
 * `mqtt-broker store …`; `argv` begins after that word. Returns the exit code: 0, 1 when it failed or something is
 * damaged, 2 for usage. Never throws for what the user did or the file holds.
 */
export async function runStore(
  argv: readonly string[],
  io: ClientIo,
  files: Files,
  tools: StoreTools,
): Promise<number> {
  const output = new Output(io.stdout);
  try {
    const options = parseStoreOptions(argv);
    if (options === "help") {
      await output.write(storeHelp());
      return ExitCode.Ok;
    }
    const folder = await findFolder(options, io.env, files);
    const path = join(folder, STORE_FILE);
    if (options.command !== "import") await demandFile(path);
    return await COMMANDS[options.command]({ options, folder, path, io, output, tools });
  } catch (error) {
    io.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof UsageError ? ExitCode.Usage : ExitCode.Failed;
  } finally {
    await output.finish();
  }
}

/** What is missing is told from what this user may not see. */
async function demandFile(path: string): Promise<void> {
  try {
    await stat(path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(
      code === "ENOENT" ? `There is no store: ${path} does not exist` : `Cannot read ${path}: ${message}`,
    );
  }
}

const COMMANDS = {
  inspect,
  verify,
  export: exportStore,
  import: importStore,
  repair,
  compact,
} as const;

async function inspect({ options, path, io, output, tools }: StoreRun): Promise<number> {
  const faults = new Faults(io);
  const snapshot = tools.openSnapshot(path, faults.lost);
  try {
    const contents = readContents(snapshot, faults.told);
    const figures = tools.figuresOf(path);
    if (options.json) {
      await output.write(`${JSON.stringify({ file: path, ...figures, ...contentsToJson(contents) }, undefined, 2)}\n`);
    } else {
      const { formatVersion, fileBytes, logBytes, freeBytes } = figures;
      const sizes = `${fileBytes} bytes, ${freeBytes} of them free, and ${logBytes} in the write-ahead log`;
      await output.write(`${path}: format version ${formatVersion}, ${sizes}\n${contentsToText(contents)}`);
    }
  } finally {
    snapshot.close();
  }
  return faults.exitCode;
}

async function verify({ path, io, output, tools }: StoreRun): Promise<number> {
  const faults = new Faults(io);
  const { records } = tools.verify(path, faults.told);
  if (faults.count === 0) await output.write(`${path} is intact: ${countOf(records, "record")}\n`);
  else
    io.stderr.write(`${path} is damaged: ${countOf(faults.count, "fault")}; mqtt-broker store repair saves the rest\n`);
  return faults.exitCode;
}

async function exportStore({ options, path, io, output, tools }: StoreRun): Promise<number> {
  const faults = new Faults(io);
  const { file } = options;
  const snapshot = tools.openSnapshot(path, faults.lost);
  try {
    if (file === undefined || file === "-") await exportRecords(snapshot, (text) => writeOrStop(output, text));
    else await intoFile(file, (write) => exportRecords(snapshot, write));
  } finally {
    snapshot.close();
  }
  return faults.exitCode;
}

async function writeOrStop(output: Output, text: string): Promise<void> {
  await output.write(text);
  if (output.closed) throw new Error("Standard output was closed: the export is not complete");
}

/** The file gets its name when it is whole and on disk: a backup that failed replaces none that did not. */
async function intoFile(
  file: string,
  fill: (write: (text: string) => Promise<void>) => Promise<unknown>,
): Promise<void> {
  const part = `${file}.part`;
  let isMade = false;
  try {
    const handle = await open(part, "w", 0o600);
    isMade = true;
    try {
      await fill((text) => handle.writeFile(text));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(part, file);
  } catch (error) {
    if (isMade) await rm(part, { force: true });
    throw new Error(`Cannot write ${file}: ${(error as Error).message}`);
  }
}

async function importStore({ options, folder, io, output, tools }: StoreRun): Promise<number> {
  const { file } = options;
  const from = file === undefined || file === "-" ? "standard input" : file;
  const input = from === file ? createReadStream(file) : io.stdin;
  let count = 0;
  try {
    // Before the folder is touched: the file may not exist.
    if (from === file) await once(input, "open");
    await tools.restore(folder, async (put) => {
      count = await importRecords(linesOf(input), put);
    });
  } catch (error) {
    throw new Error(`Cannot import ${from} into ${folder}: ${(error as Error).message}`);
  } finally {
    input.destroy();
  }
  await output.write(`Imported ${countOf(count, "record")} into ${folder}\n`);
  return ExitCode.Ok;
}

/** Throws what reading throws, so that an error never passes for the end. */
async function* linesOf(input: Readable): AsyncGenerator<string> {
  // A line may have the longest payload in it, and comes in many pieces.
  let pieces: string[] = [];
  for await (const chunk of input.setEncoding("utf8")) {
    const [first, ...others] = String(chunk).split("\n");
    pieces.push(first!);
    for (const other of others) {
      yield pieces.join("");
      pieces = [other];
    }
  }
  yield pieces.join("");
}

async function repair({ folder, io, output, tools }: StoreRun): Promise<number> {
  const faults = new Faults(io);
  const { records, movedTo } = await tools.repair(folder, faults.lost);
  const lost = faults.count === 0 ? "nothing is lost" : `${countOf(faults.count, "loss")} told one by one`;
  await output.write(`Saved ${countOf(records, "record")}, ${lost}; the old file is ${movedTo}\n`);
  return ExitCode.Ok;
}

async function compact({ folder, output, tools }: StoreRun): Promise<number> {
  const { bytesBefore, bytesAfter } = await tools.compact(folder);
  await output.write(`${folder}: ${bytesBefore} bytes before, ${bytesAfter} now\n`);
  return ExitCode.Ok;
}

/** Tells each damage on standard error, and remembers that there was one. */
class Faults {
  count = 0;
  private readonly io: ClientIo;

  constructor(io: ClientIo) {
    this.io = io;
  }

  readonly told = (fault: string): void => {
    this.count++;
    this.io.stderr.write(`${fault}\n`);
  };

  readonly lost = (loss: StoreLoss): void => this.told(describeLoss(loss));

  get exitCode(): number {
    return this.count === 0 ? ExitCode.Ok : ExitCode.Failed;
  }
}

export function storeHelp(): string {
  const lines = Object.entries(STORE_COMMANDS).map(([name, { takes, help }]) => {
    return `  ${`${name} ${takes}`.padEnd(20)}${help}`;
  });
  return `Usage: mqtt-broker store COMMAND [--data-dir DIRECTORY] [--config FILE]

Works on the file in which the broker keeps sessions, queues and retained messages. Without --data-dir it is the one of
the broker that would start here. inspect, verify and export may be used while the broker runs; the others may not.

Commands:
${lines.join("\n")}

Exit codes: 0, 1 failed or damaged, 2 usage.
`;
}
