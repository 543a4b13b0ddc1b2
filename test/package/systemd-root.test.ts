/** What root does in the folder of the service: it stays the service's, and the service's account gains nothing by it. */
import assert from "node:assert/strict";
import { after, afterEach, before, suite, test } from "node:test";
import { SystemdMachine } from "./systemd-machine.ts";
import { Service } from "./systemd-service.ts";

const DATA = "/var/lib/mqtt-broker";
const DATABASE = `${DATA}/mqtt-broker.db`;
const AS_SERVICE = ["setpriv", "--reuid=mqtt-broker", "--regid=mqtt-broker", "--clear-groups"];

for (const release of ["bookworm", "trixie"]) {
  suite(`root, under the systemd of Debian's ${release}`, () => {
    const ends: (() => void | Promise<void>)[] = [];
    let machine: SystemdMachine;
    let service: Service;

    before(async () => {
      machine = await SystemdMachine.boot({ after: (end) => ends.unshift(end) }, release);
      service = new Service(machine);
      service.install();
    });
    afterEach(() => service.restore());
    after(async () => {
      for (const end of ends) await end();
    });

    const publish = (topic: string, message: string) =>
      assert.equal(machine.client("mosquitto_pub", "-q", "1", "-r", "-t", topic, "-m", message).code, 0);
    const kept = (topic: string) => machine.client("mosquitto_sub", "-t", topic, "-C", "1", "-W", "3").stdout;
    const ownersIn = (folder: string) => {
      const lines = machine.must("find", folder, "-printf", "%u:%g\n").trim().split("\n");
      return [...new Set(lines)];
    };

    test("who has run the broker by hand, or put a backup back, finds it served by the service afterwards", () => {
      service.systemctl("stop");
      machine.must("sh", "-c", `rm -r ${DATA}/*; timeout --signal=INT 2 mqtt-broker run --tcp-port 1884 || true`);
      assert.ok(ownersIn(DATA).includes("root:root"), "root has left nothing: the test proves nothing");
      service.systemctl("start");
      assert.equal(service.get("StatusText"), "0 clients on tcp://[::]:1883");
      publish("after/root", "kept");
      service.systemctl("restart");
      assert.equal(kept("after/root"), "kept\n");
      assert.deepEqual(ownersIn(DATA), ["mqtt-broker:mqtt-broker"]);
    });

    test("sees in the status that nothing is kept, where the service cannot read its store", () => {
      service.systemctl("stop");
      service.dropIn("ExecStartPre=");
      machine.must("chown", "root", DATABASE);
      machine.must("chmod", "600", DATABASE);
      service.systemctl("start");
      const status = service.get("StatusText");
      machine.must("chown", "mqtt-broker", DATABASE);
      assert.equal(
        status,
        `Nothing is kept: Cannot read ${DATABASE}: EACCES: permission denied, open '${DATABASE}'; 0 clients on tcp://[::]:1883`,
      );
    });

    test("writes through no link, and gives no file away, that the service's account has put into its folder", () => {
      publish("before/links", "kept");
      service.systemctl("stop");
      machine.write("/etc/victim", "precious\n", 0o600);
      machine.must("rm", "-f", `${DATA}/mqtt-broker.lock`, `${DATA}/mqtt-broker.pid`);
      for (const name of ["lock", "pid", "other"]) {
        machine.must(...AS_SERVICE, "ln", "-s", "/etc/victim", `${DATA}/mqtt-broker.${name}`);
      }
      for (const command of ["compact", "repair"]) {
        const { code, stderr } = machine.run("mqtt-broker", "store", command);
        assert.equal(code, 1);
        assert.match(stderr, new RegExp(`Cannot write ${DATA}/mqtt-broker\\.lock: `));
      }
      assert.equal(machine.must("stat", "-c", "%U:%G %a", "/etc/victim"), "root:root 600\n");
      assert.equal(machine.read("/etc/victim"), "precious\n");
      machine.must("sh", "-c", `rm ${DATA}/mqtt-broker.lock ${DATA}/mqtt-broker.pid ${DATA}/mqtt-broker.other`);
    });

    test("works on the store of a stopped service, which goes on with it", () => {
      publish("before/tools", "kept");
      service.systemctl("stop");
      const backup = "/var/tmp/backup.jsonl";
      machine.must("chown", "root", DATABASE);
      for (const words of [["compact"], ["repair"], ["export", backup]]) machine.must("mqtt-broker", "store", ...words);
      assert.deepEqual(ownersIn(DATA), ["mqtt-broker:mqtt-broker"]);
      machine.must("sh", "-c", `rm -r ${DATA}/*`);
      machine.must("mqtt-broker", "store", "import", backup);
      assert.deepEqual(ownersIn(DATA), ["mqtt-broker:mqtt-broker"]);
      service.systemctl("start");
      assert.equal(kept("before/tools"), "kept\n");
    });

    test("is told how to work on a copy that belongs to the service's account, and lies where that cannot go", () => {
      const copy = "/srv/closed/copy";
      service.systemctl("stop");
      machine.must("sh", "-c", `mkdir /srv/closed; chmod 700 /srv/closed; cp -a ${DATA} ${copy}`);
      const compact = () => machine.run("mqtt-broker", "store", "compact", "--data-dir", copy);
      const { code, stderr } = compact();
      assert.equal(code, 1);
      const advice = `who cannot get there: if it is a copy, make it root's by chown -R root ${copy}`;
      assert.equal(stderr.replace(/user \d+/, "user N"), `${copy} belongs to the user N, ${advice}\n`);
      machine.must("chown", "-R", "root", copy);
      assert.equal(compact().code, 0);
    });
  });
}
