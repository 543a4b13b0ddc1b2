/** The package in an empty Debian: installed, upgraded, removed and purged. Without a running systemd. */
import assert from "node:assert/strict";
import { basename } from "node:path";
import { after, before, suite, test } from "node:test";
import { ARCHITECTURES, DEBIAN_NAMES } from "../../packaging/architecture.ts";
import { VERSION } from "../../src/version.ts";
import { emptyFolder, type Lifetime } from "../smoke/program.ts";
import { quickPackage } from "./built.ts";
import { DebianChroot } from "./debian-chroot.ts";
import { laterPackage } from "./later-package.ts";

const RULES = "/etc/mqtt-broker/auth.json5";
const CONFIGURATION = "/etc/mqtt-broker/mqtt-broker.json5";
const WANTED = "/etc/systemd/system/multi-user.target.wants/mqtt-broker.service";

/** What of the package is there, apart from the package manager's own notes. */
function traces(machine: DebianChroot): string[] {
  const found = machine.must(
    ...["find", "/etc", "/lib/systemd", "/lib/udev", "/usr", "/var", "/run", "-path", "/var/lib/dpkg", "-prune"],
    ...["-o", "-name", "*mqtt-broker*", "-print"],
  );
  return found.trim().split("\n").filter(Boolean).sort();
}

for (const architecture of ARCHITECTURES) {
  suite(`the package for ${DEBIAN_NAMES[architecture]}`, () => {
    const ends: (() => void | Promise<void>)[] = [];
    const lifetime: Lifetime = { after: (end) => ends.unshift(end) };
    let machine: DebianChroot;
    let file: string;
    before(() => {
      file = quickPackage(architecture, emptyFolder(lifetime));
      machine = new DebianChroot(lifetime, architecture);
    });
    after(async () => {
      for (const end of ends) await end();
    });
    installTests(() => ({ machine, file }));
  });
}

/** Each begins where the one before has ended: they are one life of a package. */
function installTests(given: () => { machine: DebianChroot; file: string }): void {
  test("is installed by apt, as the README says, with nothing else to be fetched", () => {
    const { machine, file } = given();
    machine.must("apt-get", "install", "--yes", machine.bring(file));
    assert.equal(machine.must("dpkg-query", "-W", "-f", "$" + "{Status}", "mqtt-broker"), "install ok installed");
  });

  test("has made an account without a shell, and folders of it", () => {
    const { machine } = given();
    assert.match(
      machine.must("getent", "passwd", "mqtt-broker"),
      /^mqtt-broker:x:\d{3}:\d{3}:[^:]*:\/var\/lib\/mqtt-broker:\/usr\/sbin\/nologin$/m,
    );
    assert.equal(machine.rights("/var/lib/mqtt-broker"), "mqtt-broker:mqtt-broker 700");
    assert.equal(machine.rights("/etc/mqtt-broker"), "root:root 755");
  });

  test("has rules that the broker may read and not change, and that others may not read", () => {
    const { machine } = given();
    assert.equal(machine.rights(RULES), "root:mqtt-broker 640");
    assert.equal(machine.rights(CONFIGURATION), "root:root 644");
    const as = (user: string, group: string, ...words: string[]) =>
      machine.run("setpriv", `--reuid=${user}`, `--regid=${group}`, "--clear-groups", ...words, RULES);
    assert.equal(as("mqtt-broker", "mqtt-broker", "cat").code, 0);
    assert.match(as("mqtt-broker", "mqtt-broker", "tee", "-a").stderr, /Permission denied/);
    assert.match(as("nobody", "nogroup", "cat").stderr, /Permission denied/);
  });

  test("starts at boot, once systemd runs", () => {
    const { machine } = given();
    assert.equal(machine.must("readlink", WANTED).trim(), "/lib/systemd/system/mqtt-broker.service");
    assert.equal(machine.has("/etc/systemd/system/sockets.target.wants/mqtt-broker.socket"), false);
  });

  test("has a program that runs, and finds its configuration from any folder without a complaint", () => {
    const { machine } = given();
    assert.ok(machine.must("mqtt-broker", "--version").startsWith(`mqtt-broker ${VERSION}`));
    const { code, stdout, stderr } = machine.run("mqtt-broker", "check");
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /\/etc\/mqtt-broker\/mqtt-broker\.json5/);
    assert.match(stdout, /\/etc\/mqtt-broker\/auth\.json5/);
    assert.doesNotMatch(stdout + stderr, /warning|error/i);
  });

  test("lets root add users: the file stays the service's, and in use", () => {
    const { machine } = given();
    machine.must("sh", "-c", "echo secret | mqtt-broker passwd add kim --password-stdin");
    assert.equal(machine.rights(RULES), "root:mqtt-broker 640");
    assert.match(machine.read(RULES), /name: "kim", method: "argon2id"/);
    machine.must("mqtt-broker", "explain", "--user", "kim", "publish", "door");
  });

  test("lets root make certificates that the service reads and others don't", () => {
    const { machine } = given();
    machine.must("mqtt-broker", "certs", "init", "--dir", "/var/lib/mqtt-broker/certs", "--force");
    assert.equal(machine.rights("/var/lib/mqtt-broker/certs/server.key"), "mqtt-broker:mqtt-broker 600");
  });

  test("can be configured again and again", () => {
    const { machine, file } = given();
    const rules = machine.read(RULES);
    machine.must("dpkg-reconfigure", "mqtt-broker");
    machine.must("dpkg", "--install", `/tmp/${basename(file)}`);
    assert.equal(machine.read(RULES), rules);
    assert.equal(machine.rights(RULES), "root:mqtt-broker 640");
  });

  test("is upgraded: what was changed stays, or is put aside, as was asked; nobody is asked", (context) => {
    const { machine, file } = given();
    const mine = machine.read(RULES);
    const upgrade = (version: string, choice: string) => {
      const later = laterPackage(context, file, version, (text) => `// Of ${version}.\n${text}`);
      const name = machine.bring(later);
      machine.must("dpkg", "--install", `--force-${choice}`, name);
      machine.must("rm", name);
    };
    upgrade("90.0", "confold");
    assert.equal(machine.read(RULES), mine);
    assert.match(machine.read(`${RULES}.dpkg-dist`), /^\/\/ Of 90\.0\.\n/);
    // One that nobody has changed is the new one without a word.
    assert.match(machine.read(CONFIGURATION), /^\/\/ Of 90\.0\.\n/);
    machine.must("systemctl", "--root=/", "disable", "mqtt-broker.service");
    upgrade("91.0", "confnew");
    assert.equal(machine.read(`${RULES}.dpkg-old`), mine);
    assert.match(machine.read(RULES), /^\/\/ Of 91\.0\.\n/);
    assert.equal(machine.rights(RULES), "root:mqtt-broker 640");
    assert.equal(machine.rights(`${RULES}.dpkg-old`), "root:mqtt-broker 640");
    assert.equal(machine.has(WANTED), false, "who has disabled the service does not want it back");
  });

  test("is removed: configuration and what was kept stay", () => {
    const { machine } = given();
    machine.write("/var/lib/mqtt-broker/mqtt-broker.db", "kept");
    machine.write("/etc/mqtt-broker/conf.d/mine.json5", "{}");
    machine.must("dpkg", "--remove", "mqtt-broker");
    assert.ok(traces(machine).includes("/etc/mqtt-broker"));
    for (const path of [
      RULES,
      CONFIGURATION,
      "/var/lib/mqtt-broker/mqtt-broker.db",
      "/etc/mqtt-broker/conf.d/mine.json5",
    ]) {
      assert.ok(machine.has(path), path);
    }
    for (const path of ["/usr/bin/mqtt-broker", "/lib/systemd/system/mqtt-broker.service"])
      assert.equal(machine.has(path), false, path);
  });

  test("is purged: nothing is left but the account", () => {
    const { machine } = given();
    machine.must("dpkg", "--purge", "mqtt-broker");
    assert.deepEqual(traces(machine), []);
    assert.match(machine.must("getent", "passwd", "mqtt-broker"), /^mqtt-broker:/);
  });
}
