import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { suite, type TestContext, test } from "node:test";
import { storeHelp } from "../../src/cli/store.ts";
import { STORE_COMMANDS } from "../../src/cli/store-options.ts";
import { Table } from "../../src/core/store.ts";
import { FolderLock } from "../../src/store/sqlite/folder-lock.ts";
import { STORE_FILE } from "../../src/store/sqlite/schema.ts";
import { Snapshot } from "../../src/store/sqlite/snapshot.ts";
import { EXPORT, emptyFolder, runStoreCommand, type StoreResult } from "./store-kit.ts";

const FILE = "mqtt-broker.db";

/** A folder with a store that holds `text`. */
async function restored(context: TestContext, text: string = EXPORT): Promise<string> {
  const folder = emptyFolder(context);
  const result = await runStoreCommand(["import", "--data-dir", folder], { input: text });
  assert.deepEqual(result, {
    code: 0,
    stdout: `Imported ${text.split("\n").length - 2} records into ${folder}\n`,
    stderr: "",
  });
  return folder;
}

function change(folder: string, sql: string): void {
  const database = new DatabaseSync(join(folder, FILE));
  database.exec(sql);
  database.close();
}

async function exported(folder: string): Promise<StoreResult> {
  return await runStoreCommand(["export", "--data-dir", folder]);
}

suite("store export and import", () => {
  test("what is imported and exported again is equal", async (context) => {
    const folder = await restored(context);
    assert.deepEqual(await exported(folder), { code: 0, stdout: EXPORT, stderr: "" });
  });

  test("through files it is the same, and only the owner can read them", async (context) => {
    const folder = await restored(context);
    const file = join(emptyFolder(context), "backup.jsonl");
    const result = await runStoreCommand(["export", file, `--data-dir=${folder}`]);
    assert.deepEqual(result, { code: 0, stdout: "", stderr: "" });
    assert.equal(readFileSync(file, "utf8"), EXPORT);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const other = join(emptyFolder(context), "new", "folder");
    const imported = await runStoreCommand(["import", "--data-dir", other, file]);
    assert.deepEqual(imported, { code: 0, stdout: `Imported 13 records into ${other}\n`, stderr: "" });
    assert.equal((await exported(other)).stdout, EXPORT);
    assert.deepEqual(
      readdirSync(other).filter((name) => !name.startsWith("mqtt-broker.lock")),
      [FILE],
    );
  });

  test("an empty store has a header only", async (context) => {
    const header = EXPORT.slice(0, EXPORT.indexOf("\n") + 1);
    assert.equal((await exported(await restored(context, header))).stdout, header);
  });

  test("lines of a megabyte, empty lines and line ends of Windows are read", async (context) => {
    const payload = "ä".repeat(1_000_000);
    const long = JSON.stringify({
      type: "retained",
      key: 9,
      topicName: "l",
      qos: 0,
      retain: true,
      expiresAtMs: null,
      payload,
    });
    const folder = emptyFolder(context);
    const [header, ...others] = EXPORT.trimEnd().split("\n");
    const input = [header, long, ...others].join("\r\n\r\n");
    const result = await runStoreCommand(["import", "--data-dir", folder, "-"], { input });
    assert.equal(result.stderr, "");
    const { stdout } = await exported(folder);
    assert.ok(stdout.includes(`${long}\n`));
    assert.equal(stdout.replace(`${long}\n`, ""), EXPORT);
  });

  test("a running broker is exported as it was at one moment, and is not held up", async (context) => {
    const folder = await restored(context);
    const lock = new FolderLock(folder);
    const broker = new DatabaseSync(join(folder, FILE));
    broker.exec("PRAGMA journal_mode = WAL");
    // Committed and still in the log only; then begun and not committed.
    broker.exec("DELETE FROM retained WHERE key = 1");
    broker.exec("BEGIN; DELETE FROM session");
    const { code, stdout } = await exported(folder);
    assert.equal(code, 0);
    const without = EXPORT.split("\n")
      .filter((line) => !line.includes("tomatoes"))
      .join("\n");
    assert.equal(stdout, without);
    broker.exec("COMMIT");
    assert.ok(!(await exported(folder)).stdout.includes('"session","key"'));
    broker.close();
    lock.release();
  });

  test("a snapshot does not move while a broker goes on", async (context) => {
    const folder = await restored(context);
    change(folder, "PRAGMA journal_mode = WAL");
    const snapshot = new Snapshot(join(folder, FILE), () => assert.fail());
    assert.equal([...snapshot.records(Table.Clock)].length, 1);
    change(folder, "DELETE FROM retained");
    assert.deepEqual(
      [...snapshot.records(Table.Retained)].map(({ key }) => key),
      [1, 2],
    );
    snapshot.close();
  });

  test("a record whose checksum is wrong is named and left out", async (context) => {
    const folder = await restored(context);
    change(
      folder,
      "UPDATE retained SET value = CAST('x' AS BLOB) WHERE key = 2; UPDATE queue SET key = 7 WHERE key = 2097152",
    );
    const { code, stdout, stderr } = await exported(folder);
    assert.equal(code, 1);
    assert.equal(
      stderr,
      'queue 7: its checksum does not match\nretained 2 "greenhouse/2/name": its checksum does not match\n',
    );
    const lines = EXPORT.split("\n").filter(
      (line) => !line.includes("greenhouse/2") && !line.includes('"key":2097152'),
    );
    assert.equal(stdout, lines.join("\n"));
  });

  test("an export whose reader goes away fails", async (context) => {
    const folder = await restored(context);
    const { code, stderr } = await runStoreCommand(["export", "--data-dir", folder], { closed: true });
    assert.deepEqual([code, stderr], [1, "Standard output was closed: the export is not complete\n"]);
  });

  test("a backup that fails leaves the one before it alone", async (context) => {
    const folder = await restored(context);
    const file = join(emptyFolder(context), "backup.jsonl");
    writeFileSync(file, "old");
    mkdirSync(`${file}.part`);
    const result = await runStoreCommand(["export", file, "--data-dir", folder]);
    assert.equal(result.code, 1);
    assert.match(result.stderr, /^Cannot write .*backup\.jsonl: EISDIR/);
    assert.equal(readFileSync(file, "utf8"), "old");
  });

  for (const [title, input, message] of [
    ["no input", "", "It is empty, and an export begins with a header"],
    [
      "a line without a header",
      '{"type":"clock"}\n',
      'Line 1: An export begins with {"type":"mqtt-broker-store","format":1}',
    ],
    [
      "a later format",
      '{"type":"mqtt-broker-store","format":2}\n',
      "Line 1: Its format is 2, and this version of mqtt-broker reads 1",
    ],
    ["a line that is cut off", EXPORT.slice(0, -5), /^Line 14: It is not JSON: /],
    [
      "a mistake",
      `${EXPORT}{"type":"clock","key":0}\n`,
      "Line 15: ageMs is missing: it is a whole number from 0 to 9007199254740991",
    ],
    ["a key twice", `${EXPORT}${EXPORT.split("\n")[12]}\n`, "1 records of retained have a key that another one has"],
  ] as const) {
    test(`an import of ${title} is refused, and nothing is left of it`, async (context) => {
      const folder = emptyFolder(context);
      const { code, stderr } = await runStoreCommand(["import", "--data-dir", folder], { input });
      assert.equal(code, 1);
      const start = `Cannot import standard input into ${folder}: `;
      assert.equal(stderr.slice(0, start.length), start);
      if (typeof message === "string") assert.equal(stderr.slice(start.length), `${message}\n`);
      else assert.match(stderr.slice(start.length), message);
      assert.deepEqual(
        readdirSync(folder).filter((name) => name !== "mqtt-broker.lock"),
        [],
      );
      assert.equal((await runStoreCommand(["import", "--data-dir", folder], { input: EXPORT })).code, 0);
    });
  }

  test("a file that is not there is refused before the folder is made", async (context) => {
    const folder = join(emptyFolder(context), "new");
    const result = await runStoreCommand(["import", "/nowhere/backup.jsonl", "--data-dir", folder]);
    assert.equal(result.code, 1);
    assert.match(result.stderr, /^Cannot import \/nowhere\/backup\.jsonl into .*: ENOENT/);
    assert.equal(existsSync(folder), false);
  });

  test("a folder that has a store is refused, and keeps it", async (context) => {
    const folder = await restored(context);
    const header = EXPORT.slice(0, EXPORT.indexOf("\n") + 1);
    const result = await runStoreCommand(["import", "--data-dir", folder], { input: header });
    assert.deepEqual(result, {
      code: 1,
      stdout: "",
      stderr:
        `Cannot import standard input into ${folder}: ${folder} has a store already: ` +
        "import into another folder, or move its files away\n",
    });
    assert.equal((await exported(folder)).stdout, EXPORT);
  });

  test("what an import left that was killed is removed by the next", async (context) => {
    const folder = emptyFolder(context);
    mkdirSync(join(folder, "mqtt-broker.import"));
    writeFileSync(join(folder, "mqtt-broker.import", FILE), "half");
    assert.equal((await runStoreCommand(["import", "--data-dir", folder], { input: EXPORT })).code, 0);
    assert.equal((await exported(folder)).stdout, EXPORT);
  });
});

suite("store and a running broker", () => {
  for (const command of ["import", "repair", "compact"]) {
    test(`${command} is refused, with the process that runs`, async (context) => {
      const folder = command === "import" ? emptyFolder(context) : await restored(context);
      const lock = new FolderLock(folder);
      const { code, stderr } = await runStoreCommand([command, "--data-dir", folder], { input: EXPORT });
      lock.release();
      assert.equal(code, 1);
      assert.match(stderr, new RegExp(`${folder} is in use by another broker of this process \\(${process.pid}\\)\n$`));
      assert.equal(existsSync(join(folder, FILE)), command !== "import");
    });
  }
});

suite("store verify and repair", () => {
  test("a store that is whole is said to be", async (context) => {
    const folder = await restored(context);
    const result = await runStoreCommand(["verify", "--data-dir", folder]);
    assert.deepEqual(result, { code: 0, stdout: `${join(folder, FILE)} is intact: 13 records\n`, stderr: "" });
  });

  test("a wrong checksum is named, and repaired by leaving the record out", async (context) => {
    const folder = await restored(context);
    change(folder, "UPDATE retained SET value = CAST('x' AS BLOB) WHERE key = 2");
    const before = readFileSync(join(folder, FILE));
    const result = await runStoreCommand(["verify", "--data-dir", folder]);
    assert.equal(result.code, 1);
    assert.equal(result.stdout, "");
    assert.match(
      result.stderr,
      /^retained 2 "greenhouse\/2\/name": its checksum does not match\n.* is damaged: 1 fault/,
    );

    const repaired = await runStoreCommand(["repair", "--data-dir", folder]);
    assert.equal(repaired.code, 0, repaired.stderr);
    assert.match(repaired.stdout, /^Saved 12 records, 1 loss told one by one; the old file is (.*)\n$/);
    const kept = /the old file is (.*)\n/.exec(repaired.stdout)![1]!;
    assert.deepEqual(readFileSync(kept), before);
    const { code, stdout } = await exported(folder);
    assert.equal(code, 0);
    assert.equal(
      stdout,
      EXPORT.split("\n")
        .filter((line) => !line.includes("greenhouse/2"))
        .join("\n"),
    );
    assert.equal((await runStoreCommand(["verify", "--data-dir", folder])).code, 0);
  });

  test("a zeroed first page is told, and the records are repaired", async (context) => {
    const folder = await restored(context);
    const path = join(folder, FILE);
    writeFileSync(path, Buffer.concat([Buffer.alloc(4096), readFileSync(path).subarray(4096)]));
    const result = await runStoreCommand(["verify", "--data-dir", folder]);
    assert.equal(result.code, 1);
    assert.match(result.stderr, /not a database|is damaged/);
    assert.equal((await exported(folder)).code, 1);
    assert.equal((await runStoreCommand(["repair", "--data-dir", folder])).code, 0);
    assert.equal((await exported(folder)).stdout, EXPORT);
  });

  test("what the broker had not yet moved into the file is repaired too", async (context) => {
    const folder = await restored(context);
    const broker = new DatabaseSync(join(folder, FILE));
    broker.exec("PRAGMA journal_mode = WAL; DELETE FROM retained WHERE key = 1");
    const other = emptyFolder(context);
    for (const name of [FILE, `${FILE}-wal`]) writeFileSync(join(other, name), readFileSync(join(folder, name)));
    broker.close();
    assert.equal((await runStoreCommand(["repair", "--data-dir", other])).code, 0);
    assert.equal(
      (await exported(other)).stdout,
      EXPORT.split("\n")
        .filter((line) => !line.includes("tomatoes"))
        .join("\n"),
    );
    assert.deepEqual(
      readdirSync(other).filter((name) => /db-(wal|shm)$/.test(name)),
      [],
    );
  });
});

suite("store compact", () => {
  test("gives back what is free, and keeps all else", async (context) => {
    const big = JSON.stringify({
      type: "retained",
      key: 9,
      topicName: "l",
      qos: 0,
      retain: true,
      expiresAtMs: null,
      payload: "x".repeat(1_000_000),
    });
    const folder = await restored(context, `${EXPORT}${big}\n`);
    change(folder, "DELETE FROM retained WHERE key = 9");
    const before = statSync(join(folder, FILE)).size;
    const result = await runStoreCommand(["compact", "--data-dir", folder]);
    const after = statSync(join(folder, FILE)).size;
    assert.deepEqual(result, { code: 0, stdout: `${folder}: ${before} bytes before, ${after} now\n`, stderr: "" });
    assert.ok(after < 100_000 && before > 1_000_000, `${before} ${after}`);
    assert.equal((await exported(folder)).stdout, EXPORT);
    assert.equal((await runStoreCommand(["verify", "--data-dir", folder])).code, 0);
  });
});

suite("store inspect", () => {
  test("shows sessions, queues and retained messages as tables", async (context) => {
    const folder = await restored(context);
    const { code, stdout, stderr } = await runStoreCommand(["inspect", "--data-dir", folder]);
    assert.deepEqual([code, stderr], [0, ""]);
    const [first, ...lines] = stdout.split("\n");
    assert.match(first!, /mqtt-broker\.db: format version 1, \d+ bytes, 0 of them free, and 0 in the write-ahead log$/);
    assert.deepEqual(lines, [
      "Written last: 2023-11-14T22:13:20.000Z",
      "Payloads kept once for several sessions: 1",
      "",
      "2 sessions",
      "CLIENT                 USER  MQTT   ENDS       SUBSCRIPTIONS  QUEUED  BYTES  INCOMING",
      '"dash board\\u001b[2J"  ann   5.0    connected  0              1       10     1',
      "pump                   -     3.1.1  in 1m      2              2       20     0",
      "",
      "2 retained messages",
      "TOPIC              BYTES  QOS  EXPIRES",
      "greenhouse/1/name  8      1    never",
      "greenhouse/2/name  14     1    never",
      "",
    ]);
  });

  test("--json gives the same to programs", async (context) => {
    const folder = await restored(context);
    const { code, stdout } = await runStoreCommand(["inspect", "--json", "--data-dir", folder]);
    assert.equal(code, 0);
    const { file, fileBytes, logBytes, freeBytes, tables, ...rest } = JSON.parse(stdout);
    assert.equal(file, join(folder, FILE));
    assert.deepEqual([fileBytes % 4096, fileBytes > 4096, logBytes, freeBytes], [0, true, 0, 0]);
    assert.deepEqual(
      tables.map(({ table, records }: { table: string; records: number }) => [table, records]),
      [
        ["clock", 1],
        ["session", 2],
        ["subscription", 2],
        ["incoming", 1],
        ["queue", 3],
        ["message", 1],
        ["retained", 2],
        ["totals", 1],
      ],
    );
    assert.deepEqual(rest, {
      formatVersion: 1,
      clock: { ageMs: 1_000_000, wallMs: 1_700_000_000_000, trusted: true },
      sessions: [
        {
          clientId: "dash board\u001b[2J",
          userName: "ann",
          protocolVersion: 5,
          connected: true,
          expiresAtMs: null,
          subscriptions: [],
          queuedMessages: 1,
          queuedBytes: 10,
          incoming: 1,
        },
        {
          clientId: "pump",
          userName: null,
          protocolVersion: 4,
          connected: false,
          expiresAtMs: 1_060_000,
          subscriptions: ["pump/#", "all"],
          queuedMessages: 2,
          queuedBytes: 20,
          incoming: 0,
        },
      ],
      retained: [
        { topicName: "greenhouse/1/name", bytes: 8, qos: 1, expiresAtMs: null },
        { topicName: "greenhouse/2/name", bytes: 14, qos: 1, expiresAtMs: null },
      ],
      sharedMessages: 1,
    });
  });

  test("a record that cannot be understood is named, and the rest is shown", async (context) => {
    const folder = await restored(context, `${EXPORT}{"type":"raw","table":"session","key":9,"name":"n","value":""}\n`);
    const { code, stdout, stderr } = await runStoreCommand(["inspect", "--data-dir", folder]);
    assert.equal(code, 1);
    assert.match(stderr, /^session 9: .*\n$/);
    assert.match(stdout, /^2 sessions$/m);
  });
});

suite("store without a store", () => {
  for (const command of ["inspect", "verify", "export", "repair", "compact"]) {
    test(`${command} says that there is none, and makes none`, async (context) => {
      const folder = join(emptyFolder(context), "new");
      const result = await runStoreCommand([command, "--data-dir", folder]);
      const path = join(folder, FILE);
      assert.deepEqual(result, { code: 1, stdout: "", stderr: `There is no store: ${path} does not exist\n` });
      assert.equal(existsSync(folder), false);
    });
  }

  test("a folder that cannot be entered is told from one that is empty", async (context) => {
    const folder = join(emptyFolder(context), "file");
    writeFileSync(folder, "");
    const { code, stderr } = await runStoreCommand(["verify", "--data-dir", folder]);
    assert.equal(code, 1);
    assert.match(stderr, /^Cannot read .*file\/mqtt-broker\.db: ENOTDIR: /);
  });

  for (const [what, text, message] of [
    ["is no database", "hello", /^Cannot read .*mqtt-broker\.db: file is not a database\n$/],
    ["is empty", "", /^Cannot read .*mqtt-broker\.db: it was not made by mqtt-broker\n$/],
  ] as const) {
    test(`a file that ${what} is refused`, async (context) => {
      const folder = emptyFolder(context);
      writeFileSync(join(folder, FILE), text);
      for (const command of ["inspect", "export"]) {
        const { code, stdout, stderr } = await runStoreCommand([command, "--data-dir", folder]);
        assert.deepEqual([code, stdout], [1, ""]);
        assert.match(stderr, message);
      }
      assert.equal(readFileSync(join(folder, FILE), "utf8"), text);
    });
  }

  test("a store of a later format is refused with both versions", async (context) => {
    const folder = await restored(context);
    change(folder, "PRAGMA user_version = 2");
    const { code, stderr } = await exported(folder);
    assert.deepEqual(
      [code, stderr],
      [1, `Cannot read ${join(folder, FILE)}: it has format version 2, and this is 1\n`],
    );
  });
});

suite("the command line of store", () => {
  test("the name of the file is the one that the settings know", () => assert.equal(STORE_FILE, FILE));

  for (const argv of [[], ["help"], ["--help"], ["export", "-h"]]) {
    test(`store ${argv.join(" ")} shows its help`, async () => {
      assert.deepEqual(await runStoreCommand(argv), { code: 0, stdout: storeHelp(), stderr: "" });
    });
  }

  test("the help names every command and fits 120 columns", () => {
    for (const name of Object.keys(STORE_COMMANDS)) assert.match(storeHelp(), new RegExp(`^  ${name} `, "m"));
    for (const line of storeHelp().split("\n")) assert.ok(line.length <= 120 && line === line.trimEnd(), line);
  });

  for (const [argv, message] of [
    [["exprot"], 'Unknown command store "exprot": did you mean export?'],
    [["frobnicate"], 'Unknown command store "frobnicate": mqtt-broker store --help lists them'],
    [["verify", "--data"], "Unknown option --data: did you mean --data-dir?"],
    [["verify", "--quick"], "Unknown option --quick: mqtt-broker store --help lists the options"],
    [["verify", "--data-dir"], "--data-dir needs the path of a folder"],
    [["verify", "--config="], "--config needs the path of a file"],
    [["verify", "x"], 'Unexpected argument "x"'],
    [["export", "x", "y"], 'Unexpected argument "y"'],
    [["export", "--json"], "--json is an option of inspect"],
  ] as const) {
    test(`store ${argv.join(" ")} is refused`, async () => {
      assert.deepEqual(await runStoreCommand(argv), { code: 2, stdout: "", stderr: `${message}\n` });
    });
  }

  for (const [title, env, config] of [
    ["the environment names", { MQTT_BROKER_DATA_DIR: "kept" }, "{ dataDir: 'other', broken: 1 }"],
    ["the configuration names", {}, "{ dataDir: 'kept' }"],
    ["systemd names", { STATE_DIRECTORY: "KEPT" }, "{}"],
  ] as const) {
    test(`the folder is the one that ${title}`, async (context) => {
      const cwd = emptyFolder(context);
      const kept = join(cwd, "kept");
      writeFileSync(join(cwd, "mqtt-broker.json5"), config);
      await runStoreCommand(["import", "--data-dir", kept], { input: EXPORT });
      const given = "STATE_DIRECTORY" in env ? { STATE_DIRECTORY: kept } : env;
      const result = await runStoreCommand(["export"], { cwd, env: given });
      assert.deepEqual(result, { code: 0, stdout: EXPORT, stderr: "" });
    });
  }

  test("--config names the configuration, and --data-dir is relative to the working directory", async (context) => {
    const cwd = emptyFolder(context);
    await runStoreCommand(["import", "--data-dir", "kept"], { cwd, input: EXPORT });
    mkdirSync(join(cwd, "etc"));
    writeFileSync(join(cwd, "etc", "a.json5"), "{ dataDir: '../kept' }");
    assert.equal((await runStoreCommand(["export", "--config", "etc/a.json5"], { cwd })).stdout, EXPORT);
  });

  test("a configuration that is not valid is refused, with its place and the way out", async (context) => {
    const cwd = emptyFolder(context);
    writeFileSync(join(cwd, "mqtt-broker.json5"), "{ dataDri: 'x' }");
    const { code, stdout, stderr } = await runStoreCommand(["verify"], { cwd });
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(
      stderr,
      /^mqtt-broker\.json5:1:3: Unknown key "dataDri"\n[\s\S]*\nWith --data-dir the configuration is not read\n$/,
    );
  });

  test("a store of the user's own is none of this command's", async (context) => {
    const cwd = emptyFolder(context);
    writeFileSync(join(cwd, "own.mjs"), "");
    writeFileSync(join(cwd, "mqtt-broker.json5"), "{ store: { module: 'own.mjs' } }");
    const { code, stderr } = await runStoreCommand(["verify"], { cwd });
    assert.deepEqual(
      [code, stderr],
      [2, `The store is ${join(cwd, "own.mjs")}: name another one's folder with --data-dir\n`],
    );
  });
});
