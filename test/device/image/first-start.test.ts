import assert from "node:assert/strict";
import { existsSync, rmSync, statSync } from "node:fs";
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

test("a boot partition that cannot be opened hinders nothing", (context) => {
  const machine = machineWith(context);
  machine.write("data/settings/host-name", "workshop");
  machine.command("mount", "exit 32");
  const { calls, output } = start(machine);
  assert.equal(calls.includes("hostname workshop"), true);
  assert.match(machine.read("dev/tty0"), SECRET);
  assert.match(output, /^the boot partition, where mqtt-broker\.txt is, could not be opened: /);
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
