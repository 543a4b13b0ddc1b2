import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { current, executable, FACTORY, SECONDS, SLOTS, slots, slotsMachine, UPDATE } from "./slots-machine.ts";

test("an update goes into the slot that is not in use, and serves", (context) => {
  const machine = slotsMachine(context);
  for (const [version, slot] of [
    ["2", "a"],
    ["3", "b"],
    ["4", "a"],
  ]) {
    const file = machine.write("new", executable(version!));
    const { status, stdout, stderr } = machine.run(UPDATE, [file], SECONDS);
    assert.deepEqual([status, stderr], [0, ""]);
    assert.match(
      stdout,
      new RegExp(`^Trying mqtt-broker ${version} in slot ${slot} for a minute …\n.*\nIt serves, and stays\\.\n$`, "s"),
    );
    assert.equal(current(machine), `/data/slots/${slot}`);
    assert.equal(machine.read("data/slots/current"), executable(version!));
  }
  assert.deepEqual(slots(machine), ["a", "b", "current"]);
});

for (const [fault, what] of [
  ["never-ready", "does not become ready"],
  ["crashes", "is restarted after a crash"],
  ["ends", "ends"],
] as const) {
  test(`an executable that ${what} makes way for the one before, which is started again`, (context) => {
    const machine = slotsMachine(context);
    assert.equal(machine.run(UPDATE, [machine.write("good", executable("2"))], SECONDS).status, 0);
    machine.called();
    const { status, stdout, stderr } = machine.run(UPDATE, [machine.write("bad", executable("3", fault))], SECONDS);
    assert.equal(status, 1);
    assert.match(
      stdout,
      /The executable in slot b did not become ready, or ended within 1 s: going back to \S*\/slots\/a\./,
    );
    assert.equal(
      stderr,
      "mqtt-broker-update: it did not serve, and the one before is back: journalctl -u mqtt-broker -u mqtt-broker-trial@b says why\n",
    );
    assert.equal(current(machine), "/data/slots/a");
    assert.deepEqual(machine.called().slice(-2), [
      "systemctl reset-failed mqtt-broker.service",
      "systemctl start mqtt-broker.service",
    ]);
    assert.deepEqual(slots(machine), ["a", "b", "current"]);
  });
}

test("a power cut during the trial goes back at the next start", (context) => {
  const machine = slotsMachine(context);
  machine.write("data/slots/a", executable("2", "power"), 0o755);
  assert.equal(machine.run(SLOTS, ["try", "a"], SECONDS).signal, "SIGKILL");
  assert.equal(current(machine), "/data/slots/a");
  const { status, stdout } = machine.run(SLOTS, ["boot"]);
  assert.deepEqual(
    [status, stdout.replaceAll(machine.root, "")],
    [0, `An update was on trial when the power went: going back to /${FACTORY}. Start the update again.\n`],
  );
  assert.equal(current(machine), `/${FACTORY}`);
  assert.deepEqual(slots(machine), ["a", "current"]);
  assert.equal(machine.run(SLOTS, ["boot"]).stdout, "");
});

test("wherever the power goes in a trial, the executable of before runs at the next start, or the verdict holds", (context) => {
  /** The executables in use after the next start, one after the other as the power goes later. */
  const cutAnywhere = (fault: string): { found: Set<string>; cuts: number } => {
    const found = new Set<string>();
    for (let cuts = 0; ; cuts++) {
      const machine = slotsMachine(context);
      machine.write("data/slots/a", executable("2", fault), 0o755);
      machine.cutPowerAt(cuts + 1);
      if (machine.run(SLOTS, ["try", "a"], SECONDS).signal === null) return { found, cuts };
      machine.cutPowerAt(0);
      assert.equal(machine.run(SLOTS, ["boot"]).status, 0);
      assert.deepEqual(slots(machine), ["a", "current"]);
      found.add(current(machine));
    }
  };
  const good = cutAnywhere("");
  assert.deepEqual([...good.found], [`/${FACTORY}`, "/data/slots/a"]);
  const bad = cutAnywhere("never-ready");
  assert.deepEqual([...bad.found], [`/${FACTORY}`]);
  assert.equal(good.cuts > 12 && bad.cuts > good.cuts, true, `${good.cuts} and ${bad.cuts}`);
});

test("a slot without its executable goes back to what came with the image", (context) => {
  const machine = slotsMachine(context);
  assert.equal(machine.run(UPDATE, [machine.write("new", executable("2"))], SECONDS).status, 0);
  assert.equal(machine.run(SLOTS, ["boot"]).stdout, "");
  assert.equal(current(machine), "/data/slots/a");
  rmSync(join(machine.root, "data/slots/a"));
  assert.equal(
    machine.run(SLOTS, ["boot"]).stdout.replaceAll(machine.root, ""),
    "/data/slots/current is no executable: going back to the one that came with the image.\n",
  );
  assert.equal(current(machine), `/${FACTORY}`);
});

test("the executable of before is not thrown away to make room for itself", (context) => {
  const machine = slotsMachine(context);
  for (const version of ["2", "3"]) machine.run(UPDATE, [machine.write("new", executable(version))], SECONDS);
  const { status, stderr } = machine.run(UPDATE, [join(machine.root, "data/slots/a")], SECONDS);
  const advice = "is in the slot that makes room for the update: copy it to /tmp, and name the copy";
  assert.deepEqual([status, stderr.replaceAll(machine.root, "")], [1, `mqtt-broker-update: /data/slots/a ${advice}\n`]);
  assert.equal(machine.read("data/slots/a"), executable("2"));
  // Neither the one in use is: it would be tried beside itself.
  assert.equal(machine.run(UPDATE, [join(machine.root, "data/slots/current")], SECONDS).status, 0);
  assert.deepEqual([current(machine), machine.read("data/slots/a")], ["/data/slots/a", executable("3")]);
});

test("what is damaged, does not run or is not there is refused, and nothing changes", (context) => {
  const machine = slotsMachine(context);
  const file = machine.write("new", executable("2"));
  const sum = createHash("sha256").update(executable("2")).digest("hex");
  const refused = (words: string[]) => {
    const { status, stderr } = machine.run(UPDATE, words, SECONDS);
    assert.deepEqual([status, current(machine), slots(machine)], [1, `/${FACTORY}`, ["current"]]);
    return stderr.replaceAll(machine.root, "");
  };
  const other = "0".repeat(64);
  const damaged = `mqtt-broker-update: its SHA-256 is ${sum} and not ${other}: it is damaged or another file, so copy it again\n`;
  assert.equal(refused([file, other]), damaged);
  machine.write("new.sha256", `${other}  new\n`);
  assert.equal(refused([file]), damaged);
  // As a download leaves it that failed.
  machine.write("new.sha256", "");
  assert.equal(refused([file]), damaged.replace(other, ""));
  assert.equal(refused([file, ""]), damaged.replace(other, ""));
  assert.equal(refused(["missing"]), "mqtt-broker-update: missing is not there: name the executable to install\n");
  assert.match(
    refused([machine.write("truncated", "\x7fELF\x02")]),
    /^mqtt-broker-update: it does not run here, so it is not installed: is it mqtt-broker for linux-arm64, and whole\? It says: /,
  );
  assert.equal(machine.run(UPDATE, [file, sum.toUpperCase()], SECONDS).status, 0);
});
