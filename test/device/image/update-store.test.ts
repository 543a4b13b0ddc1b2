import assert from "node:assert/strict";
import { readdirSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { createFile } from "../../../src/store/sqlite/schema.ts";
import type { FakeMachine } from "./fake-machine.ts";
import { current, executable, FACTORY, SECONDS, SLOTS, slots, slotsMachine, stores, UPDATE } from "./slots-machine.ts";

const MAIN = join(import.meta.dirname, "../../../src/main.ts");
const BEFORE = `/${FACTORY}`;

function tryIn(machine: FakeMachine, text: string): { status: number | null; said: string } {
  const { status, stdout, stderr } = machine.run(UPDATE, [machine.write("new", text)], SECONDS);
  return { status, said: (stdout + stderr).replaceAll(machine.root, "").replace(/(?<=update-)\d{8}T\d{6}Z/, "TIME") };
}

test("an update that fails after it has changed the store's format finds the store of before put back, and its own kept", (context) => {
  const machine = slotsMachine(context);
  const { status, said } = tryIn(machine, executable("2", "ends", 2));
  assert.equal(status, 1);
  // Nobody has the store open while it is copied, and while it is put back.
  assert.deepEqual(
    machine.called().filter((call) => /^systemctl st(?:art|op)/.test(call)),
    [
      "systemctl start mqtt-broker-trial@a.service",
      ...["systemctl stop mqtt-broker.service", "systemctl start mqtt-broker.service"],
      ...["systemctl stop mqtt-broker.service", "systemctl start mqtt-broker.service"],
    ],
  );
  const kept = "/data/broker/mqtt-broker.db.update-TIME";
  const line = `The update left a store that /${FACTORY} cannot go on with. It is kept as ${kept}; the one of before the update is put back.\n`;
  assert.equal(said.includes(line), true, said);
  // The executable of before has started, and acknowledged something.
  assert.deepEqual(stores(machine), { "mqtt-broker.db": "1 kept 1", "mqtt-broker.db.update-TIME": "2 kept 2" });
  assert.deepEqual([current(machine), slots(machine)], [BEFORE, ["a", "current"]]);
});

test("an update that fails and leaves the format as it was loses nothing of what it acknowledged", (context) => {
  const machine = slotsMachine(context);
  assert.equal(tryIn(machine, executable("2", "ends")).status, 1);
  assert.deepEqual(stores(machine), { "mqtt-broker.db": "1 kept 2 1" });
  assert.deepEqual([current(machine), slots(machine)], [BEFORE, ["a", "current"]]);
});

test("an update that serves goes on with the store in its format, and the copy goes", (context) => {
  const machine = slotsMachine(context);
  assert.equal(tryIn(machine, executable("2", "", 2)).status, 0);
  assert.deepEqual(stores(machine), { "mqtt-broker.db": "2 kept 2" });
  assert.deepEqual(slots(machine), ["a", "current"]);
});

test("an older executable that would begin an empty store is not taken, and the store is as before", (context) => {
  const machine = slotsMachine(context);
  assert.equal(tryIn(machine, executable("2", "", 2)).status, 0);
  const { status, said } = tryIn(machine, executable("1"));
  assert.equal(status, 1);
  assert.match(said, /^The executable in slot b began an empty store, since it cannot read this one: is it older\?$/m);
  assert.deepEqual(stores(machine), {
    "mqtt-broker.db": "2 kept 2 2",
    "mqtt-broker.db.update-TIME": "1  1",
    "mqtt-broker.db.version-2": "2 kept 2",
  });
  assert.equal(current(machine), "/data/slots/a");
});

test("the log of a store that was not closed is copied and put back with it", (context) => {
  const machine = slotsMachine(context);
  machine.write("data/broker/mqtt-broker.db-wal", "log");
  machine.write("data/broker/mqtt-broker.db-shm", "index");
  const spoil = 'echo other >"$2/mqtt-broker.db-wal"; echo "2 spoilt" >"$2/mqtt-broker.db"; exit;;';
  tryIn(machine, executable("2", "ends", 2).replace("run)", `run) ${spoil} run)`));
  assert.deepEqual(stores(machine), {
    "mqtt-broker.db": "1 kept 1",
    "mqtt-broker.db-wal": "log",
    "mqtt-broker.db.update-TIME": "2 spoilt",
    "mqtt-broker.db.update-TIME-shm": "index",
    "mqtt-broker.db.update-TIME-wal": "other",
  });
});

test("a machine without a store is updated, and an update that fails leaves it none", (context) => {
  const machine = slotsMachine(context);
  rmSync(join(machine.root, "data/broker/mqtt-broker.db"));
  assert.equal(tryIn(machine, executable("2", "ends", 2)).status, 1);
  assert.deepEqual(stores(machine), { "mqtt-broker.db": "1  1", "mqtt-broker.db.update-TIME": "2  2" });
});

test("a trial that is ended from outside goes back at once, and not weeks later", (context) => {
  const machine = slotsMachine(context);
  machine.write("data/slots/a", executable("2", "", 2), 0o755);
  machine.command("sleep", "kill -9 $PPID");
  assert.equal(machine.run(SLOTS, ["try", "a"], SECONDS).signal, "SIGKILL");
  machine.called();
  const { status, stdout } = machine.run(SLOTS, ["stopped"]);
  assert.equal(status, 0);
  assert.match(stdout, /^The trial was ended before its verdict: going back to \S*\/factory\.$/m);
  assert.deepEqual(stores(machine), { "mqtt-broker.db": "1 kept 1", "mqtt-broker.db.update-TIME": "2 kept 2" });
  assert.deepEqual([current(machine), slots(machine)], [BEFORE, ["a", "current"]]);
  machine.called();
  // As after each trial that came to its end.
  assert.deepEqual([machine.run(SLOTS, ["stopped"]).stdout, machine.called()], ["", []]);
});

test("a link in place of the store leads to no file of others", (context) => {
  const machine = slotsMachine(context);
  machine.write("secret", "1 of root\n");
  rmSync(join(machine.root, "data/broker/mqtt-broker.db"));
  const ends = ["", "-wal"];
  for (const end of ends)
    symlinkSync(join(machine.root, "secret"), join(machine.root, `data/broker/mqtt-broker.db${end}`));
  const spoilt = executable("2", "never-ready", 2).replace("run)", 'run) rm "$2/mqtt-broker.db"; exit ;; run)');
  assert.equal(tryIn(machine, spoilt).status, 1);
  const links = ends.map((end) => readlinkSync(join(machine.root, `data/broker/mqtt-broker.db${end}`)));
  assert.deepEqual(links, [join(machine.root, "secret"), join(machine.root, "secret")]);
});

test("a broker that keeps no store is told nothing of one", (context) => {
  const machine = slotsMachine(context);
  rmSync(join(machine.root, "data/broker/mqtt-broker.db"));
  const { status, said } = tryIn(machine, executable("2", "ends").replace("  run)", "  run) exit ;; run)"));
  assert.equal(status, 1);
  assert.doesNotMatch(said, /store/);
});

test("without room for the copy the update is refused before the service is stopped", (context) => {
  const machine = slotsMachine(context);
  machine.write("data/broker/mqtt-broker.db", `1 ${"kept ".repeat(400_000)}\n`);
  machine.command("df", "echo Avail; echo 18000");
  const { status, said } = tryIn(machine, executable("2"));
  assert.equal(status, 1);
  assert.equal(
    said,
    "mqtt-broker-update: the data partition has 17 MiB free, and 17 are needed for a copy of the store while the update is on trial: see whether /data/broker has old mqtt-broker.db.* that nobody needs\n",
  );
  assert.deepEqual(
    machine.called().filter((call) => call.startsWith("systemctl")),
    [],
  );
  assert.deepEqual([current(machine), slots(machine)], [BEFORE, ["current"]]);
});

test("a copy that fails stops the trial, and the executable of before goes on", (context) => {
  const machine = slotsMachine(context);
  machine.command("cp", "exit 1");
  const { status, said } = tryIn(machine, executable("2", "", 2));
  assert.equal(status, 1);
  assert.match(said, /^The store could not be copied, so slot a is not tried\.$/m);
  assert.deepEqual(stores(machine), { "mqtt-broker.db": "1 kept 1" });
  assert.deepEqual([current(machine), slots(machine)], [BEFORE, ["a", "current"]]);
});

test("wherever the power goes in a trial that changes the format, nothing that was acknowledged is lost", (context) => {
  for (const fault of ["", "ends"]) {
    let isOver = false;
    for (let cut = 1; !isOver; cut++) {
      const machine = slotsMachine(context);
      machine.write("data/slots/a", executable("2", fault, 2), 0o755);
      machine.write("data/broker/mqtt-broker.db-wal", "log");
      machine.cutPowerAt(cut);
      isOver = machine.run(SLOTS, ["try", "a"], SECONDS).signal === null;
      machine.cutPowerAt(0);
      assert.equal(machine.run(SLOTS, ["boot"]).status, 0);
      nothingIsLost(machine, `${fault} ${cut}`);
    }
  }
});

test("wherever the power goes while a start goes back, the next start finishes it", (context) => {
  const inFile = executable("2", "power", 2);
  // The file alone looks as before, and is not.
  const inLog = inFile.replace("run)", 'run) echo "2 kept 2" >"$2/mqtt-broker.db-wal"; exit ;; run)');
  for (const [text, left] of [
    [inFile, { "mqtt-broker.db.update-TIME": "2 kept 2", "mqtt-broker.db.update-TIME-wal": "log" }],
    [inLog, { "mqtt-broker.db.update-TIME": "1 kept", "mqtt-broker.db.update-TIME-wal": "2 kept 2" }],
  ] as const) {
    let cuts = 0;
    for (let isOver = false; !isOver; cuts++) {
      const machine = slotsMachine(context);
      machine.write("data/slots/a", text, 0o755);
      machine.write("data/broker/mqtt-broker.db-wal", "log");
      assert.equal(machine.run(SLOTS, ["try", "a"], SECONDS).signal, "SIGKILL");
      machine.cutPowerAt(cuts + 1);
      isOver = machine.run(SLOTS, ["boot"]).signal === null;
      machine.cutPowerAt(0);
      assert.equal(machine.run(SLOTS, ["boot"]).status, 0);
      assert.deepEqual(stores(machine), { "mqtt-broker.db": "1 kept", "mqtt-broker.db-wal": "log", ...left });
      assert.deepEqual([current(machine), slots(machine)], [BEFORE, ["a", "current"]]);
    }
    assert.equal(cuts > 10, true, String(cuts));
  }
});

test("the broker itself is asked whether it reads the store: one of its own format, and one of a newer", (context) => {
  const bump =
    "PRAGMA user_version = 2; ALTER TABLE queue RENAME COLUMN crc TO sum; INSERT INTO queue VALUES (1, '', '', 1)";
  for (const [sql, versions] of [
    [bump, [1, 2]],
    ["", [1]],
  ] as const) {
    const machine = slotsMachine(context);
    machine.write(FACTORY, `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`, 0o755);
    rmSync(join(machine.root, "data/broker/mqtt-broker.db"));
    createFile(join(machine.root, "data/broker/mqtt-broker.db"));
    const run = `#!${process.execPath}\n// # power\nconst { DatabaseSync } = require("node:sqlite");
      const database = new DatabaseSync(process.argv[3] + "/mqtt-broker.db");
      database.exec("PRAGMA journal_mode = WAL");
      database.exec(${JSON.stringify(sql)});
      process.kill(process.pid, "SIGKILL")`;
    machine.write("data/slots/a", run, 0o755);
    assert.equal(machine.run(SLOTS, ["try", "a"], SECONDS).signal, "SIGKILL");
    assert.equal(machine.run(SLOTS, ["boot"]).status, 0);
    assert.equal(current(machine), BEFORE);
    const names = readdirSync(join(machine.root, "data/broker")).filter((name) => !/-(?:wal|shm)$/.test(name));
    const found = names.sort().map((name) => {
      const database = new DatabaseSync(join(machine.root, "data/broker", name));
      const { user_version: version } = database.prepare("PRAGMA user_version").get()!;
      database.close();
      return version;
    });
    assert.deepEqual(found, versions);
  }
});

/** The executable in use reads the store with what was there before, and what the update acknowledged is on the disk. */
function nothingIsLost(machine: FakeMachine, what: string): void {
  const found = stores(machine);
  const format = current(machine) === BEFORE ? "1" : "2";
  assert.match(found["mqtt-broker.db"] ?? "", new RegExp(`^${format} kept`), what);
  assert.equal(found["mqtt-broker.db-wal"], "log", what);
  const acknowledged = machine.called().filter((call) => call === "systemctl start mqtt-broker.service").length > 0;
  if (acknowledged) assert.match(Object.values(found).join("\n"), /^2 kept 2$/m, what);
  assert.equal("mqtt-broker.db.version-2" in found, false, what);
  assert.deepEqual(readdirSync(join(machine.root, "data/slots")).sort(), ["a", "current"], what);
}
