import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { connectAsync } from "mqtt";
import { VERSION } from "../../src/version.ts";
import { ImageMachine } from "./image-machine.ts";

/** The image, started by QEMU: each test goes on where the one before has left the machine. */
const BUILD = join(import.meta.dirname, "../../build");
const IMAGE = join(BUILD, `mqtt-broker-${VERSION}-rpi-arm64.img`);
const EXECUTABLE = join(BUILD, "mqtt-broker-linux-arm64");

const SETTINGS = [
  "\uFEFFhost-name = workshop",
  "wifi-name = somewhere",
  "wifi-password = not the real one",
  "wifi-contry = DE",
];

let machine: ImageMachine;
let login: readonly string[] = [];

before(() => {
  for (const [file, made] of [
    [IMAGE, "npm run image"],
    [EXECUTABLE, "npm run package -- arm64"],
  ]) {
    if (!existsSync(file!)) throw new Error(`${file} is not there: ${made} makes it`);
  }
  machine = new ImageMachine(IMAGE);
});

after(async () => await machine?.remove());

test("the first start shows a password, with which clients publish from outside and nobody does without", async (context) => {
  machine.writeToBoot("mqtt-broker.txt", [...SETTINGS, `ssh-key = ${machine.sshKey}`, ""].join("\r\n"));
  const startedMs = performance.now();
  await machine.start();
  const secret = await machine.shows(/password {2}((?:[a-kmnp-z2-9]{4}-){3}[a-kmnp-z2-9]{4})\n/);
  login = ["-u", "admin", "-P", secret];
  await serves();
  context.diagnostic(`to the first answer of the broker: ${((performance.now() - startedMs) / 1000).toFixed(0)} s`);
  assert.equal(machine.client("mosquitto_pub", ["-t", "a", "-m", "x", "-q", "1"]).status, 5);
  assert.equal(machine.client("mosquitto_pub", [...login, "-t", "kept", "-m", "before", "-q", "1", "-r"]).status, 0);
  assert.equal(retained(), "before");
});

test("mistakes of mqtt-broker.txt are on the screen, the password of the Wi-Fi is gone, and the name holds", async () => {
  const fault = /^mqtt-broker: mqtt-broker\.txt, line 4: no setting has this name; they are host-name, /m;
  assert.match(machine.screen, fault);
  await machine.reachable();
  assert.equal(machine.ssh("hostname").output, "workshop");
  const conf = machine.ssh("cat /run/mqtt-broker-image/wpa_supplicant.conf").output;
  assert.equal(conf, 'network={\n  ssid=736f6d657768657265\n  scan_ssid=1\n  psk="not the real one"\n}');
});

test("Wi-Fi begins when its chip is there, with a configuration that wpa_supplicant understands", async () => {
  assert.equal(machine.ssh("systemctl is-active mqtt-broker-wifi").output, "inactive");
  assert.equal(machine.ssh("modprobe mac80211_hwsim radios=1").output, "");
  const scans = () => machine.ssh("journalctl -b -o cat -u mqtt-broker-wifi | grep -c 'Successfully initialized'");
  await machine.until("wpa_supplicant runs", () => (scans().output === "1" ? true : undefined));
  assert.equal(machine.ssh("systemctl is-active mqtt-broker-wifi").output, "active");
});

test("the root is read-only, the data partition has grown to the card, logs are in RAM, the watchdog runs", () => {
  assert.equal(machine.ssh("touch /usr/x /etc/x").output.match(/Read-only file system/g)?.length, 2);
  const kib = Number(machine.ssh("findmnt --bytes --noheadings --output SIZE /data").output) / 1024;
  assert.equal(kib > 900 * 1024, true, `${kib} KiB`);
  assert.equal(machine.ssh("findmnt --noheadings --output SOURCE,FSTYPE /var/log").output, "tmpfs tmpfs");
  assert.equal(machine.ssh("ls -A /var/log/journal").status, 2);
  assert.equal(machine.ssh("cd /sys/class/watchdog/watchdog0 && cat state timeout").output, "active\n14");
  assert.equal(machine.ssh("systemctl is-active systemd-timesyncd mqtt-broker").output, "active\nactive");
  assert.equal(machine.ssh("systemctl --failed --no-legend").output, "");
});

test("the first password is on the screen only", () => {
  const secret = login[3]!;
  assert.equal(machine.ssh(`journalctl -b -o cat | grep -cF ${secret}`).output, "0");
  assert.equal(machine.ssh(`grep -rlF ${secret} /data /run /boot/firmware`).output, "");
});

test("nobody can log in at the screen, and ssh takes no password", () => {
  assert.equal(machine.ssh("systemctl list-units --type=service --state=active --no-legend '*getty*'").output, "");
  assert.equal(machine.ssh("awk -F: '$2 !~ /^[!*]/' /etc/shadow").output, "");
  assert.match(machine.ssh("sshd -T").output, /^passwordauthentication no$[\s\S]*^kbdinteractiveauthentication no$/m);
});

test("after a restart the retained message is there, and no other password is made", async () => {
  await machine.shutDown();
  assert.match(machine.readFromBoot("mqtt-broker.txt"), /^wifi-password = {17}\r$/m);
  assert.match(machine.readFromBoot("mqtt-broker-errors.txt"), /^mqtt-broker\.txt, line 4: .*\r\n$/);
  await machine.start();
  await serves();
  assert.equal(retained(), "before");
  assert.doesNotMatch(machine.screen, /password {2}/);
});

test("when the power goes while clients publish, nothing that was acknowledged is lost", async (context) => {
  const [, username, , password] = login;
  const url = `mqtt://127.0.0.1:${machine.mqttPort}`;
  const client = await connectAsync(url, {
    username: username!,
    password: password!,
    protocolVersion: 5,
    reconnectPeriod: 0,
  });
  client.on("error", () => {});
  const acknowledged: string[] = [];
  const publish = async (from: number): Promise<void> => {
    for (let n = from; ; n += 8) {
      await client.publishAsync(`cut/${n}`, `value ${n}`, { qos: 1, retain: true });
      acknowledged.push(`cut/${n} value ${n}`);
    }
  };
  const publishers = Promise.allSettled(Array.from({ length: 8 }, (_, from) => publish(from)));
  await machine.until("200 messages are acknowledged", () => (acknowledged.length >= 200 ? true : undefined));
  await machine.cutPower();
  client.end(true);
  await publishers;
  await machine.start();
  await serves();
  const { output } = machine.client("mosquitto_sub", [...login, "-t", "cut/#", "-v", "--retained-only", "-W", "20"]);
  const kept = new Set(output.split("\n"));
  assert.deepEqual(
    acknowledged.filter((message) => !kept.has(message)),
    [],
  );
  context.diagnostic(`${acknowledged.length} acknowledged, ${kept.size} kept`);
  await machine.reachable();
  assert.equal(machine.ssh("systemctl --failed --no-legend").output, "");
});

test("an update serves from the other slot", () => {
  const { status, output } = machine.ssh(`mqtt-broker-update - ${digest(EXECUTABLE)}`, readFileSync(EXECUTABLE));
  assert.match(output, /^Trying mqtt-broker .* in slot a for a minute …\nIt serves, and stays\.$/);
  assert.equal(status, 0);
  assert.equal(machine.ssh("readlink /data/slots/current").output, "/data/slots/a");
  assert.match(machine.ssh("readlink /proc/$(systemctl show -P MainPID mqtt-broker)/exe").output, /^\/data\/slots\/a$/);
  assert.equal(retained(), "before");
});

test("an executable that does not become ready makes way for the one before", async () => {
  const broken = Buffer.from('#!/bin/sh\n[ "$1" != --version ] || exec echo broken\nexit 1\n');
  const { status, output } = machine.ssh("mqtt-broker-update -", broken);
  assert.match(
    output,
    /^Trying broken in slot b for a minute …\n[\s\S]*^mqtt-broker-update: it did not serve, and the one before is back: /m,
  );
  assert.equal(status, 1);
  assert.equal(machine.ssh("readlink /data/slots/current").output, "/data/slots/a");
  const said = machine.ssh("journalctl -o cat -u mqtt-broker-trial@b").output;
  assert.match(
    said,
    /^The executable in slot b did not become ready, or ended within 60 s: going back to \/data\/slots\/a\.$/m,
  );
  await serves();
  assert.equal(retained(), "before");
});

test("an executable that changes the store's format, and then fails, finds the store of before put back", async () => {
  // What a newer one would leave: another version in the file's head, and another column in its tables.
  const newer = `#!/bin/sh
[ "$1" != --version ] || exec echo newer
cd /var/lib/mqtt-broker || exit 1
sed -i 's/crc INTEGER/sum INTEGER/' mqtt-broker.db
printf '\\0\\0\\0\\2' | dd of=mqtt-broker.db bs=1 seek=60 conv=notrunc status=none
systemd-notify --ready
sleep 5
exit 1
`;
  const { status, output } = machine.ssh("mqtt-broker-update -", Buffer.from(newer));
  assert.equal(status, 1, output);
  const said = machine.ssh("journalctl -o cat -u mqtt-broker-trial@b").output;
  const [, kept] =
    /cannot go on with\. It is kept as (\S+); the one of before the update is put back\.$/m.exec(said) ?? [];
  assert.match(kept ?? said, /^\/data\/broker\/mqtt-broker\.db\.update-\d{8}T\d{6}Z$/);
  await serves();
  assert.equal(retained(), "before");
  assert.equal(machine.ssh(`od -An -tx1 -j60 -N4 ${kept}`).output, "00 00 00 02");
  const left = machine.ssh("ls -A /data/slots /data/broker | grep -c -e trial -e '^\\.' -e store -e version-").output;
  assert.equal(left, "0");
  const owners = machine.ssh("stat -c '%U %a' /data/broker/mqtt-broker.db /data/broker/mqtt-broker.db-*").output;
  assert.deepEqual(new Set(owners.split("\n")), new Set(["mqtt-broker 600"]));
});

test("an update that a power cut interrupts is taken back at the next start", async () => {
  const update = machine.sshInBackground("mqtt-broker-update -", readFileSync(EXECUTABLE));
  const isOnTrial = () => machine.ssh("readlink /data/slots/current").output === "/data/slots/b";
  await machine.until("slot b is on trial", () => (isOnTrial() ? true : undefined));
  await machine.cutPower();
  update.kill("SIGKILL");
  await machine.start();
  await serves();
  await machine.reachable();
  assert.equal(machine.ssh("readlink /data/slots/current").output, "/data/slots/a");
  const said = machine.ssh("journalctl -b -o cat -u mqtt-broker-slots").output;
  assert.match(
    said,
    /^An update was on trial when the power went: going back to \/data\/slots\/a\. Start the update again\.$/m,
  );
  assert.equal(retained(), "before");
});

/** Until the broker takes a message from outside. */
async function serves(): Promise<void> {
  await machine.until("the broker answers", () => {
    return machine.client("mosquitto_pub", [...login, "-t", "ping", "-m", "x", "-q", "1"]).status === 0
      ? true
      : undefined;
  });
}

function retained(): string {
  return machine.client("mosquitto_sub", [...login, "-t", "kept", "-C", "1", "-W", "30"]).output;
}

function digest(file: string): string {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}
