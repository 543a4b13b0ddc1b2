/** What the package's scripts do to a service that runs: upgrades, and a configuration with a mistake. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, suite, test } from "node:test";
import { hostArchitecture } from "../../packaging/architecture.ts";
import { emptyFolder } from "../smoke/program.ts";
import { quickPackage } from "./built.ts";
import { laterPackage } from "./later-package.ts";
import { SystemdMachine } from "./systemd-machine.ts";
import { Service } from "./systemd-service.ts";

const CONFIGURATION = "/etc/mqtt-broker/mqtt-broker.json5";

suite("a running service", () => {
  const ends: (() => void | Promise<void>)[] = [];
  const lifetime = { after: (end: () => void | Promise<void>) => ends.unshift(end) };
  let machine: SystemdMachine;
  let service: Service;
  let file: string;

  before(async () => {
    machine = await SystemdMachine.boot(lifetime, "bookworm");
    service = new Service(machine);
    service.install();
    file = quickPackage(hostArchitecture(), emptyFolder(lifetime));
  });
  after(async () => {
    for (const end of ends) await end();
  });

  const upgrade = (version: string) => {
    const later = laterPackage(lifetime, file, version, (text) => text);
    machine.write("/var/tmp/later.deb", readFileSync(later));
    return machine.run("dpkg", "--install", "/var/tmp/later.deb");
  };

  test("is restarted by an upgrade, and has what it had", () => {
    machine.client("mosquitto_pub", "-q", "1", "-r", "-t", "kept", "-m", "yes");
    const { pid } = service;
    const { code, stderr } = upgrade("90.0");
    assert.equal(code, 0, stderr);
    assert.notEqual(service.pid, pid);
    assert.equal(service.get("ActiveState"), "active");
    assert.equal(machine.client("mosquitto_sub", "-t", "kept", "-C", "1", "-W", "5").stdout, "yes\n");
  });

  test("stays stopped when it was stopped and disabled, also when it is upgraded", () => {
    machine.must("systemctl", "disable", "--now", "mqtt-broker.service");
    assert.equal(upgrade("91.0").code, 0);
    assert.equal(service.get("UnitFileState"), "disabled");
    assert.equal(service.get("ActiveState"), "inactive");
    machine.must("systemctl", "enable", "--now", "mqtt-broker.service");
  });

  test("stays stopped through an upgrade when somebody has stopped it, and runs when it is installed again", () => {
    service.systemctl("stop");
    assert.equal(upgrade("91.1").code, 0);
    assert.equal(service.get("ActiveState"), "inactive");
    assert.equal(service.get("UnitFileState"), "enabled");
    machine.must("systemctl", "mask", "mqtt-broker.service");
    assert.equal(upgrade("91.2").code, 0);
    assert.equal(service.get("UnitFileState"), "masked");
    machine.must("systemctl", "unmask", "mqtt-broker.service");
    assert.equal(service.get("ActiveState"), "inactive");
    service.systemctl("start");
    assert.equal(upgrade("91.3").code, 0);
    assert.equal(service.get("ActiveState"), "active");
    service.systemctl("stop");
    machine.must("dpkg", "--remove", "mqtt-broker");
    assert.equal(upgrade("91.4").code, 0);
    assert.equal(service.get("ActiveState"), "active");
  });

  test("with a mistake in its configuration keeps no upgrade from ending, and who upgrades is told", async () => {
    const right = machine.read(CONFIGURATION);
    machine.write(CONFIGURATION, "{ listners: [] }\n");
    const { code, stdout, stderr } = upgrade("92.0");
    assert.equal(code, 0, stderr);
    assert.match(
      stdout + stderr,
      /mqtt-broker does not run: mqtt-broker check and journalctl -u mqtt-broker say why\./,
    );
    assert.equal(
      machine.must("dpkg-query", "-W", "-f", "$" + "{Status} $" + "{Version}", "mqtt-broker"),
      "install ok installed 92.0",
    );
    // Put right, it comes back by itself.
    machine.write(CONFIGURATION, right);
    await machine.until("it runs again", () => service.get("ActiveState") === "active");
  });

  test("is stopped when the package is removed, and systemd forgets it when it is purged", () => {
    const { pid } = service;
    machine.must("dpkg", "--remove", "mqtt-broker");
    assert.equal(machine.exists(`/proc/${pid}`), false);
    assert.ok(machine.exists(CONFIGURATION));
    // A disk of its own: what was kept there is deleted, and the disk stays where it is.
    const disk = "/var/lib/mqtt-broker";
    machine.must("mount", "-t", "tmpfs", "tmpfs", disk);
    machine.write(`${disk}/mqtt-broker.db`, "kept");
    const { code, stderr } = machine.run("dpkg", "--purge", "mqtt-broker");
    assert.equal(code, 0, stderr);
    assert.match(stderr, /\/var\/lib\/mqtt-broker cannot be removed: is something mounted there\?/);
    assert.equal(machine.must("ls", "-A", disk), "");
    machine.must("umount", disk);
    machine.must("rm", "-r", disk);
    assert.equal(service.get("LoadState"), "not-found");
    for (const folder of ["/etc/mqtt-broker", "/var/lib/mqtt-broker", "/var/cache/mqtt-broker", "/run/mqtt-broker"]) {
      assert.equal(machine.exists(folder), false, folder);
    }
  });
});
