import assert from "node:assert/strict";
import { existsSync, mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { FakeMachine } from "./fake-machine.ts";

const APPLY = "usr/lib/mqtt-broker-image/settings-apply";
const SECRET = /password {2}((?:[a-kmnp-z2-9]{4}-){3}[a-kmnp-z2-9]{4})$/m;
const FIRST = {
  passwd: "mqtt-broker passwd add admin --admin all --password-stdin --force --auth-file /etc/mqtt-broker/auth.json5",
  mount: "mount /boot/firmware",
  writable: "mount -o remount,rw /boot/firmware",
  umount: "umount /boot/firmware",
};

function machineWith(context: TestContext, settings?: string): FakeMachine {
  const machine = new FakeMachine(context);
  for (const name of ["mount", "umount", "hostname", "systemctl"]) machine.command(name);
  machine.command("mqtt-broker", `cat >"$MQTT_BROKER_IMAGE_ROOT/password"`);
  if (settings !== undefined) machine.write("boot/firmware/mqtt-broker.txt", settings);
  return machine;
}

function start(machine: FakeMachine): { calls: string[]; output: string } {
  const { status, stdout, stderr } = machine.run(APPLY);
  assert.equal(status, 0, stderr);
  return { calls: machine.called(), output: stdout + stderr };
}

test("the first start makes a password, shows it on every screen and nowhere else; the second makes none", (context) => {
  const machine = machineWith(context);
  const { calls, output } = start(machine);
  const secret = SECRET.exec(machine.read("dev/tty0"))?.[1];
  assert.equal(machine.read("password"), secret);
  assert.equal(SECRET.exec(machine.read("dev/ttyS1"))?.[1], secret);
  assert.deepEqual(calls, [FIRST.mount, FIRST.passwd, FIRST.umount]);
  assert.equal(output, "");
  rmSync(join(machine.root, "dev/tty0"));
  assert.deepEqual(start(machine).calls, [FIRST.mount, FIRST.umount]);
  assert.equal(existsSync(join(machine.root, "dev/tty0")), false);
});

test("no two machines get the same password", (context) => {
  const secrets = [1, 2, 3].map(() => {
    const machine = machineWith(context);
    start(machine);
    return machine.read("password");
  });
  assert.equal(new Set(secrets).size, 3);
});

test("who was shown no password, since the power went, is shown another one", (context) => {
  const machine = machineWith(context);
  machine.command("mqtt-broker", "cat >/dev/null; kill -9 $PPID");
  assert.equal(machine.run(APPLY).signal, "SIGKILL");
  assert.equal(existsSync(join(machine.root, "dev/tty0")), false);
  machine.command("mqtt-broker", "cat >/dev/null");
  start(machine);
  assert.match(machine.read("dev/tty0"), SECRET);
});

for (const given of [undefined, "open sesame"]) {
  const whose = given === undefined ? "that was shown last" : "of mqtt-broker.txt";
  test(`wherever the power goes on the first start, the password ${whose} holds after the next`, (context) => {
    const text = [
      "host-name = house",
      "wifi-name = home",
      "wifi-password = 12345678",
      `admin-password = ${given ?? ""}`,
      "",
    ];
    let cuts = 0;
    for (let isOver = false; !isOver; cuts++) {
      const machine = machineWith(context, text.join("\n"));
      machine.cutPowerAt(cuts + 1, { "mqtt-broker": `cat >"$MQTT_BROKER_IMAGE_ROOT/password"` });
      isOver = machine.run(APPLY).signal === null;
      machine.cutPowerAt(0, { "mqtt-broker": `cat >"$MQTT_BROKER_IMAGE_ROOT/password"` });
      start(machine);
      const screen = existsSync(join(machine.root, "dev/tty0")) ? machine.read("dev/tty0") : "";
      const shown = [...screen.matchAll(new RegExp(SECRET, "gm"))].map(([, secret]) => secret);
      assert.equal(machine.read("password"), given ?? shown.at(-1), `${cuts}`);
      assert.equal(shown.length > 0, given === undefined, `${cuts}`);
      const left = machine.read("boot/firmware/mqtt-broker.txt");
      assert.equal(
        left,
        text.join("\n").replace(/(?<=password = ).+/g, (secret) => " ".repeat(secret.length)),
      );
      assert.equal(machine.read("data/settings/host-name"), "house");
      assert.match(machine.read("run/mqtt-broker-image/wpa_supplicant.conf"), /psk="12345678"/);
    }
    assert.equal(cuts > 15, true, `${cuts}`);
  });
}

test("a password of mqtt-broker.txt is taken in place of one, and vanishes from there with the one of Wi-Fi", (context) => {
  const text = [
    "\uFEFFadmin-password = open sesame 1!",
    "# admin-password = a note",
    "wifi-name = home",
    'wifi-password = "12 34"567',
    "host-name = workshop",
    "",
  ].join("\r\n");
  const machine = machineWith(context, text);
  const { calls } = start(machine);
  assert.equal(machine.read("password"), "open sesame 1!");
  assert.equal(existsSync(join(machine.root, "dev/tty0")), false);
  const left = text.replace("open sesame 1!", " ".repeat(14)).replace('"12 34"567', " ".repeat(10));
  assert.equal(machine.read("boot/firmware/mqtt-broker.txt"), left);
  assert.deepEqual(calls, [
    FIRST.mount,
    FIRST.writable,
    FIRST.passwd,
    FIRST.writable,
    FIRST.umount,
    "hostname workshop",
  ]);
  const conf = ["network={", "  ssid=686f6d65", "  scan_ssid=1", '  psk=""12 34"567"', "}", ""].join("\n");
  assert.equal(machine.read("run/mqtt-broker-image/wpa_supplicant.conf"), conf);
  assert.equal(statSync(join(machine.root, "run/mqtt-broker-image/wpa_supplicant.conf")).mode & 0o777, 0o600);
  // The next start finds them blank and keeps what it has.
  assert.deepEqual(start(machine).calls, [FIRST.mount, FIRST.umount, "hostname workshop"]);
  assert.equal(machine.read("run/mqtt-broker-image/wpa_supplicant.conf"), conf);
});

test("a password that was not taken stays in the file, and the reason is told", (context) => {
  const machine = machineWith(context, "admin-password = open sesame\n");
  machine.command("mqtt-broker", "cat >/dev/null; echo 'auth.json5:3: a comma is missing' >&2; exit 1");
  const { output } = start(machine);
  assert.equal(machine.read("boot/firmware/mqtt-broker.txt"), "admin-password = open sesame\n");
  const line = "the administrator's password was not set: auth.json5:3: a comma is missing";
  // Once for the file's, once for the one that it would make.
  assert.equal(output, `${line}\n${line}\n`);
  assert.equal(machine.read("dev/ttyS1"), `mqtt-broker: ${line}\nmqtt-broker: ${line}\n`);
});

test("mistakes are on the screens and in a file beside the settings until they are put right", (context) => {
  const machine = machineWith(context, "\nhost-name = my house\nwifi-country = de\n");
  start(machine);
  const told = /^mqtt-broker\.txt, line 2: host-name has letters .*: host-name = workshop\r\n$/;
  assert.match(machine.read("boot/firmware/mqtt-broker-errors.txt"), told);
  assert.match(machine.read("dev/tty0"), /^mqtt-broker: mqtt-broker\.txt, line 2: host-name has letters/m);
  assert.equal(machine.read("data/settings/wifi-country"), "DE");
  // The same again writes nothing to the card.
  assert.deepEqual(start(machine).calls, [FIRST.mount, FIRST.umount]);
  machine.write("boot/firmware/mqtt-broker.txt", "host-name = house\n");
  start(machine);
  assert.equal(existsSync(join(machine.root, "boot/firmware/mqtt-broker-errors.txt")), false);
});

test("a file that an editor has named otherwise, and a folder in place of one, are told", (context) => {
  const machine = machineWith(context);
  machine.write("boot/firmware/mqtt-broker.txt.txt", "host-name = house\n");
  mkdirSync(join(machine.root, "boot/firmware/mqtt-broker.txt"));
  start(machine);
  assert.equal(
    machine.read("boot/firmware/mqtt-broker-errors.txt"),
    "mqtt-broker.txt.txt is not read: the file of settings is called mqtt-broker.txt\r\nmqtt-broker.txt cannot be read as a text file: put one there\r\n",
  );
  assert.match(machine.read("dev/tty0"), SECRET);
});

test("of many mistakes the screen shows twenty", (context) => {
  const machine = machineWith(context, "what\n".repeat(3000));
  const lines = start(machine).output.split("\n").slice(0, -1);
  assert.equal(lines.length, 21);
  assert.match(lines[19]!, /^mqtt-broker\.txt, line 20: there is no = in it/);
  assert.equal(lines[20], "mqtt-broker.txt has 2980 more mistakes: is it the file of settings?");
});

test("a secret that cannot be blanked, since the boot partition cannot be written, is told", (context) => {
  const machine = machineWith(context, "admin-password = open sesame\n");
  machine.command("mount", '[ "$1" != -o ]');
  const { output } = start(machine);
  assert.equal(
    output,
    "admin-password could not be blanked in mqtt-broker.txt, and can be read there by whoever has the card: take it out yourself\n",
  );
  assert.equal(machine.read("boot/firmware/mqtt-broker.txt"), "admin-password = open sesame\n");
});

test("a boot partition that cannot be opened hinders nothing", (context) => {
  const machine = machineWith(context);
  machine.write("data/settings/host-name", "workshop");
  machine.command("mount", "exit 32");
  const { calls, output } = start(machine);
  assert.equal(calls.includes("hostname workshop"), true);
  assert.match(machine.read("dev/tty0"), SECRET);
  assert.match(output, /^the boot partition, where mqtt-broker\.txt is, could not be opened: /);
});

test("without a data partition the screens and the boot partition say what to do, until there is one", (context) => {
  const machine = machineWith(context);
  const { status } = machine.run("usr/lib/mqtt-broker-image/no-data");
  assert.deepEqual([status, machine.called()], [0, ["mount -o rw /boot/firmware", FIRST.umount]]);
  const text =
    "the card's data partition cannot be opened, so the broker does not run: write the image anew, to another card if this happens again";
  for (const screen of ["tty0", "ttyS1"]) assert.equal(machine.read(`dev/${screen}`), `mqtt-broker: ${text}\n`);
  assert.equal(machine.read("boot/firmware/mqtt-broker-errors.txt"), `${text}\r\n`);
  start(machine);
  assert.equal(existsSync(join(machine.root, "boot/firmware/mqtt-broker-errors.txt")), false);
});

test("ssh starts with a key only, and has a host key of its own that stays", (context) => {
  const machine = machineWith(context);
  const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
  assert.deepEqual(
    start(machine).calls.filter((call) => call.includes("ssh")),
    [],
  );
  machine.write("boot/firmware/mqtt-broker.txt", `ssh-key = ${key}\n`);
  const begun = "systemctl start --no-block ssh.service";
  assert.equal(start(machine).calls.at(-1), begun);
  assert.equal(machine.read("data/settings/ssh-key"), key);
  const host = machine.read("data/ssh/host-key");
  assert.equal(statSync(join(machine.root, "data/ssh/host-key")).mode & 0o777, 0o600);
  start(machine);
  assert.equal(machine.read("data/ssh/host-key"), host);
  // A power cut while it was written.
  machine.write("data/ssh/host-key", "");
  start(machine);
  assert.match(machine.read("data/ssh/host-key"), /^-----BEGIN OPENSSH PRIVATE KEY-----/);
  machine.write("boot/firmware/mqtt-broker.txt", "ssh-key = none\n");
  assert.equal(start(machine).calls.includes(begun), false);
});
