import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { FakeMachine } from "./fake-machine.ts";

const SLOTS = "usr/lib/mqtt-broker-image/slots";
const UPDATE = "usr/sbin/mqtt-broker-update";
const FACTORY = "usr/lib/mqtt-broker-image/factory";
const SECONDS = { MQTT_BROKER_TRIAL_SECONDS: "2" };

/** An executable of which `broken` says how it fails. */
function executable(version: string, broken = ""): string {
  return `#!/bin/sh\n# ${broken}\n[ "$1" != --version ] || echo "mqtt-broker ${version}"\n`;
}

/**
 * A machine whose systemctl knows of the executable in use whether it becomes ready ("never-ready"), is restarted after
 * ("crashes"), is gone ("ends"), or is where the power goes ("power").
 */
function machineWith(context: TestContext): FakeMachine {
  const machine = new FakeMachine(context);
  machine.write(FACTORY, executable("1"), 0o755);
  symlinkSync(join(machine.root, FACTORY), join(machine.root, "data/slots/current"));
  const has = (word: string) => `grep -q '# ${word}' "$MQTT_BROKER_IMAGE_ROOT/data/slots/current"`;
  machine.command(
    "systemctl",
    `case "$1" in
       restart) if ${has("power")}; then kill -9 $PPID; fi; ! ${has("never-ready")} ;;
       show) if ${has("crashes")}; then echo x >>"$MQTT_BROKER_IMAGE_ROOT/n"; wc -l <"$MQTT_BROKER_IMAGE_ROOT/n"; else echo 0; fi ;;
       is-active) if ${has("ends")}; then echo failed; exit 3; else echo active; fi ;;
       start) exec '${join(import.meta.dirname, "../../../device/image/root", SLOTS)}' try "$(expr "$2" : '.*@\\(.\\)')" ;;
     esac`,
  );
  machine.command("sleep");
  // In place of another user, whom only root can become.
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell's
  machine.command("setpriv", 'while [ "$1" != "${1#--}" ]; do shift; done; exec "$@"');
  return machine;
}

function current(machine: FakeMachine): string {
  return readlinkSync(join(machine.root, "data/slots/current")).slice(machine.root.length);
}

function slots(machine: FakeMachine): string[] {
  return readdirSync(join(machine.root, "data/slots")).sort();
}

test("an update goes into the slot that is not in use, and serves", (context) => {
  const machine = machineWith(context);
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
    const machine = machineWith(context);
    assert.equal(machine.run(UPDATE, [machine.write("good", executable("2"))], SECONDS).status, 0);
    machine.called();
    const { status, stdout, stderr } = machine.run(UPDATE, [machine.write("bad", executable("3", fault))], SECONDS);
    assert.equal(status, 1);
    assert.match(
      stdout,
      /The executable in slot b did not become ready, or ended within 2 s: going back to \S*\/slots\/a\./,
    );
    assert.equal(
      stderr,
      "mqtt-broker-update: it did not serve, and the one before is back: journalctl -u mqtt-broker -u mqtt-broker-trial@b says why\n",
    );
    assert.equal(current(machine), "/data/slots/a");
    assert.deepEqual(machine.called().slice(-2), [
      "systemctl reset-failed mqtt-broker.service",
      "systemctl restart mqtt-broker.service",
    ]);
    assert.deepEqual(slots(machine), ["a", "b", "current"]);
  });
}

test("a power cut during the trial goes back at the next start", (context) => {
  const machine = machineWith(context);
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
  const cutAnywhere = (fault: string): string[] => {
    const found: string[] = [];
    // Each command that changes the disk, each time it runs. It still does its work, so where it ends the trial, that holds.
    for (const command of ["sync", "mv", "ln", "rm"]) {
      for (let nth = 1; ; nth++) {
        const machine = machineWith(context);
        machine.write("data/slots/a", executable("2", fault), 0o755);
        const count = '"$MQTT_BROKER_IMAGE_ROOT/count"';
        const cut = `echo x >>${count}; [ $(wc -l <${count}) != ${nth} ] || kill -9 $PPID`;
        machine.command(command, `${cut}; /bin/${command} "$@"`);
        if (machine.run(SLOTS, ["try", "a"], SECONDS).signal === null) break;
        machine.command(command, `exec /bin/${command} "$@"`);
        assert.equal(machine.run(SLOTS, ["boot"]).status, 0);
        assert.deepEqual(slots(machine), ["a", "current"]);
        found.push(`${command} ${nth}: ${current(machine)}`);
      }
    }
    return found;
  };
  const before = `/${FACTORY}`;
  const begun = [`sync 1: ${before}`, `sync 2: ${before}`, `sync 3: ${before}`];
  const moved = [`mv 1: ${before}`, `mv 2: ${before}`];
  const verdict = "/data/slots/a";
  assert.deepEqual(cutAnywhere(""), [...begun, `sync 4: ${verdict}`, ...moved, `ln 1: ${before}`, `rm 1: ${verdict}`]);
  assert.deepEqual(cutAnywhere("never-ready"), [
    ...[...begun, `sync 4: ${before}`, `sync 5: ${before}`],
    ...[...moved, `mv 3: ${before}`, `ln 1: ${before}`, `ln 2: ${before}`, `rm 1: ${before}`],
  ]);
});

test("a slot without its executable goes back to what came with the image", (context) => {
  const machine = machineWith(context);
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

test("what is damaged, does not run or is not there is refused, and nothing changes", (context) => {
  const machine = machineWith(context);
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
  assert.equal(refused(["missing"]), "mqtt-broker-update: missing is not there: name the executable to install\n");
  assert.match(
    refused([machine.write("truncated", "\x7fELF\x02")]),
    /^mqtt-broker-update: it does not run here, so it is not installed: is it mqtt-broker for linux-arm64, and whole\? It says: /,
  );
  assert.equal(machine.run(UPDATE, [file, sum.toUpperCase()], SECONDS).status, 0);
});
