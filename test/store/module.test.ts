/** A store of the user's own that the configuration names, in the broker that runs as a program. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { type Program, startProgram } from "../examples/program.ts";
import { connect } from "../support/raw-client.ts";

const MAIN = join(import.meta.dirname, "../../src/main.ts");

/** A store that tells in a file that it was opened and closed. */
const TELLS = `
  import { appendFileSync } from "node:fs";
  const tell = (word) => appendFileSync(new URL("told", import.meta.url), word + " ");
  const telling = (MemoryStore) => class extends MemoryStore {
    async open(events) { tell("open"); await super.open(events); }
    async close() { tell("close"); await super.close(); }
  };`;

/** A store that forgets everything, but answers. */
const FORGETS = `
  import { appendFileSync } from "node:fs";
  const tell = (word: string): void => appendFileSync(new URL("told", import.meta.url), word + " ");
  let told: { onDurable(count: number): void };
  let batches = 0;
  const store = {
    async open(events: typeof told) { tell("open"); told = events; },
    commit() { const count = ++batches; setImmediate(() => told.onDurable(count)); },
    async read() { return new Uint8Array(0); },
    async readKeys() { return new Uint8Array(0); },
    figures: () => ({ commits: batches, records: 0, bytes: 0, diskBytes: 0 }),
    async close() { tell("close"); },
  };
  export { store as default };`;

function folderWith(context: TestContext, files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-store-module-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

function start(context: TestContext, folder: string, ...words: string[]): Program {
  const all = [MAIN, "--tcp-port", "0", "--log-format", "text", ...words];
  return startProgram(context, process.execPath, all, { cwd: folder });
}

suite("a store's module that works", { concurrency: 2 }, () => {
  const good: [name: string, file: string, text: string][] = [
    ["exports a function", "s.mjs", `${TELLS} export const store = (t) => new (telling(t.MemoryStore))();`],
    [
      "exports a function that makes one later",
      "s.mjs",
      `${TELLS} export const store = async (t) => new (telling(t.MemoryStore))();`,
    ],
    ["exports a store, by default and in TypeScript", "s.ts", FORGETS],
  ];
  for (const [name, file, text] of good) {
    test(name, async (context) => {
      const folder = folderWith(context, { [file]: text });
      const program = start(context, folder, "--store", "module", "--store-module", file);
      const client = await connect(await program.port());
      assert.equal(await client.publish("t", "x", { qos: 1 }), 0x10);
      client.socket.destroy();
      assert.equal(await program.end(), 0);
      assert.equal(readFileSync(join(folder, "told"), "utf8"), "open close ");
    });
  }

  test("is told where the broker keeps things, and gets what it needs to be a store", async (context) => {
    const names = ["STORE_TABLES", "Table", "Batch", "BatchReader", "BatchOp", "BATCH_HEAD_BYTES", "StoreInUse"];
    names.push("MemoryStore", "storeFromOperations", "dataDir", "log");
    const text = `export const store = (tools) => {
      tools.log.info(Object.keys(tools).sort().join(" ") + " in " + tools.dataDir);
      return new tools.MemoryStore();
    };`;
    const folder = folderWith(context, {
      "s.mjs": text,
      "mqtt-broker.json5": '{ store: { type: "module", module: "s.mjs" } }',
    });
    const program = start(context, folder, "--config", "mqtt-broker.json5", "--data-dir", "kept");
    await program.shows(new RegExp(`${names.sort().join(" ")} in ${join(folder, "kept")}$`, "m"));
    assert.equal(await program.end(), 0);
  });
});

suite("a store's module that does not", { concurrency: 2 }, () => {
  const kind = "open() {}, commit() {}, read() {}, readKeys() {}, figures() {}, close() {}";
  const bad: [name: string, text: string, expected: RegExp][] = [
    ["cannot be read", "export const store = ;", /Cannot load the store \S+s\.mjs: Unexpected token/],
    [
      "throws",
      "export const store = () => { throw new Error('no wire'); };",
      /Cannot load the store \S+s\.mjs: no wire/,
    ],
    [
      "exports nothing",
      "export const other = 1;",
      /Cannot use the store \S+s\.mjs: it must export "store" or a default, an object or a function that returns one/,
    ],
    [
      "lacks methods",
      "export const store = { open() {}, read() {}, commit: 1 };",
      /Cannot use the store \S+s\.mjs: commit, readKeys, figures, close must be a function/,
    ],
    [
      "cannot be given a name",
      `export const store = Object.freeze({ ${kind} });`,
      /Cannot use the store \S+s\.mjs: it needs a "kind"/,
    ],
  ];
  for (const [name, text, expected] of bad) {
    test(`${name}: the broker does not start, and says why`, async (context) => {
      const program = start(
        context,
        folderWith(context, { "s.mjs": text }),
        "--store",
        "module",
        "--store-module",
        "s.mjs",
      );
      assert.equal(await program.exit(), 1);
      assert.match(program.output(), expected);
    });
  }
});
