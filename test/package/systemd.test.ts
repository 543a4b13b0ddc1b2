import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { SystemdMachine } from "./systemd-machine.ts";
import { Service } from "./systemd-service.ts";

const RULES = "/etc/mqtt-broker/auth.json5";
/** All that the service can write to, each a mount of its own. */
const WRITABLE = "/run /run/mqtt-broker /dev /dev/shm /tmp /var/tmp /var/lib/mqtt-broker /var/cache/mqtt-broker";
const QOS_1 = ["-q", "1", "-V", "5"];

/** 252 is the one of Debian 12; 257, of Debian 13, knows more. */
for (const { release, unknownKeys } of [
  { release: "bookworm", unknownKeys: ["RestartSteps", "RestartMaxDelaySec"] },
  { release: "trixie", unknownKeys: [] },
]) {
  describe(`the service under the systemd of Debian's ${release}`, () => {
    const ends: (() => void | Promise<void>)[] = [];
    let machine: SystemdMachine;
    let service: Service;

    before(async () => {
      machine = await SystemdMachine.boot({ after: (end) => ends.push(end) }, release);
      service = new Service(machine);
    });

    // One failure does not make others.
    afterEach(() => service.restore());

    after(async () => {
      for (const end of ends) await end();
    });

    const publish = (topic: string, message: string, ...more: string[]) =>
      machine.client("mosquitto_pub", ...QOS_1, "-t", topic, "-m", message, ...more);
    /** The lines that come, by default of what is retained; it waits for two seconds at most. */
    const receive = (count: number, topic: string, ...more: string[]): string[] => {
      const words = ["-q", "1", "-t", topic, "-C", String(count), "-W", "2", ...more];
      return machine
        .client("mosquitto_sub", ...words)
        .stdout.split("\n")
        .filter((line) => line !== "");
    };

    it("is installed by dpkg, enabled and started, and listens", (t) => {
      t.diagnostic(
        `${release}: ${machine.must("systemctl", "--version").split("\n")[0]}, booted in ${Math.round(machine.bootMs)} ms`,
      );
      service.install();
      assert.equal(service.get("ActiveState"), "active");
      assert.equal(service.get("UnitFileState"), "enabled");
      assert.equal(service.get("StatusText"), "0 clients on tcp://[::]:1883");
      assert.equal(machine.must("stat", "-c", "%U %G", `/proc/${service.pid}`).trim(), "mqtt-broker mqtt-broker");
      assert.equal(machine.read(`/proc/${service.pid}/comm`), "mqtt-broker\n");
    });

    it("has a unit without mistakes, and an exposure of 2.0 at most", (t) => {
      const { code, stdout, stderr } = machine.run(
        "systemd-analyze",
        "verify",
        "--man=no",
        "mqtt-broker.service",
        "mqtt-broker.socket",
      );
      assert.equal(code, 0);
      const found = [...`${stdout}${stderr}`.matchAll(/^.*$/gm)].map(([line]) => line).filter((line) => line !== "");
      assert.deepEqual(
        found.map((line) => /Unknown key (?:name )?'(\w+)'/.exec(line)?.[1] ?? line),
        unknownKeys,
      );
      const table = machine.must("systemd-analyze", "security", "--no-pager", "mqtt-broker.service");
      const exposure = /exposure level for mqtt-broker\.service: ([\d.]+)/.exec(table)?.[1];
      t.diagnostic(`${release}: exposure ${exposure}`);
      assert.equal(Number(exposure) <= 2, true, table);
    });

    it("is active when it listens, and not before", () => {
      for (let times = 0; times < 3; times++) {
        service.systemctl("restart");
        const { code, stderr } = publish("t", "m");
        assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
      }
    });

    it("is not active when it cannot listen", async () => {
      service.systemctl("stop");
      service.dropIn("Environment=MQTT_BROKER_BIND=192.0.2.1", "Restart=no");
      const since = service.mark();
      assert.equal(machine.run("systemctl", "start", "mqtt-broker").code, 1);
      assert.equal(service.get("ActiveState"), "failed");
      assert.match(service.messages(since).join("\n"), /ERROR Cannot listen on tcp:\/\/192\.0\.2\.1:1883/);
      assert.match(service.get("StatusText"), /^Not started: Cannot listen on tcp:\/\/192\.0\.2\.1:1883/);
    });

    it("says in its status and as errors of the journal what is wrong with a configuration that it cannot start with", () => {
      service.systemctl("stop");
      service.dropIn("Restart=no");
      const file = "/etc/mqtt-broker/conf.d/wrong.json5";
      machine.write(file, "{ listners: [] }\n");
      const since = service.mark();
      assert.equal(machine.run("systemctl", "start", "mqtt-broker").code, 1);
      machine.must("rm", "-r", "/etc/mqtt-broker/conf.d");
      assert.equal(service.get("StatusText"), `Not started: ${file}:1:3: Unknown key "listners"`);
      const told = service.journal(since).filter(({ MESSAGE = "" }) => MESSAGE.startsWith("ERROR "));
      assert.deepEqual(
        told.map(({ MESSAGE, PRIORITY }) => [MESSAGE, PRIORITY]),
        [
          [`ERROR ${file}:1:3: Unknown key "listners"`, "3"],
          ["ERROR     { listners: [] }", "3"],
          ["ERROR       ^", "3"],
          ['ERROR   Did you mean "listeners"?', "3"],
        ],
      );
    });

    it("writes fields into the journal by which a client's lines are found", () => {
      assert.equal(publish("t", "m", "-i", "kitchen").code, 0);
      assert.equal(publish("t", "m", "-i", "hall").code, 0);
      machine.must("journalctl", "--sync");
      const found = service.find("MQTT_CLIENT=kitchen");
      assert.deepEqual(
        found.map(({ MESSAGE, PRIORITY, MQTT_LISTENER, _SYSTEMD_UNIT }) => [
          MESSAGE!.replace(/ client=kitchen.*/, ""),
          PRIORITY,
          MQTT_LISTENER,
          _SYSTEMD_UNIT,
        ]),
        [
          ["INFO  Client connected", "6", "tcp", "mqtt-broker.service"],
          ["INFO  Client disconnected", "6", "tcp", "mqtt-broker.service"],
        ],
      );
    });

    it("says in its status how many clients there are", async (t) => {
      const clients = ["a", "b"].map((id) => machine.start(t, "mosquitto_sub", "-i", id, "-t", "none"));
      await machine.until("two clients", () => service.get("StatusText") === "2 clients on tcp://[::]:1883", 10_000);
      for (const client of clients) await client.stop();
      await machine.until("no client", () => service.get("StatusText") === "0 clients on tcp://[::]:1883", 10_000);
    });

    it("is there again after SIGKILL, with all that it has acknowledged", async (t) => {
      assert.equal(machine.client("mosquitto_sub", "-c", "-i", "keeper", "-q", "1", "-t", "queue/#", "-E").code, 0);
      const wanted = Array.from({ length: 50 }, (_, index) => `message ${index}`);
      for (const message of wanted) assert.equal(publish("queue/1", message).code, 0);
      assert.equal(publish("state/door", "open", "-r").code, 0);
      const { pid } = service;
      const startedMs = performance.now();
      machine.must("kill", "-KILL", String(pid));
      await service.restarted(pid);
      t.diagnostic(`${release}: ready ${Math.round(performance.now() - startedMs)} ms after SIGKILL`);
      assert.equal(service.get("NRestarts"), "1");
      assert.deepEqual(receive(50, "queue/#", "-c", "-i", "keeper"), wanted);
      assert.deepEqual(receive(1, "state/#"), ["open"]);
    });

    it("takes a good auth.json5 at systemctl reload, and keeps the rules in force when it is a bad one", async () => {
      const shipped = machine.read(RULES);
      const denying = shipped.replace(
        /^( *)(\{ topic: "#", allow: .*)$/m,
        '$1$2\n$1{ topic: "secret/#", deny: { pub: ["@any"] } },',
      );
      assert.notEqual(denying, shipped);
      const { pid } = service;
      let since = service.mark();
      assert.equal(publish("secret/1", "m", "-r").stderr, "");
      machine.write(RULES, denying, 0o640);
      service.systemctl("reload");
      assert.match(service.messages(since).join("\n"), /SIGHUP: configuration, users and certificates are read again/);
      assert.match(publish("secret/1", "m").stderr, /Not authorized/);

      since = service.mark();
      const lines = denying.split("\n");
      const line = lines.findIndex((text) => text.includes("secret/#")) + 1;
      const bad = denying.replace("deny: { pub:", "dény: { pub:");
      const column = bad.split("\n")[line - 1]!.indexOf("dény") + 1;
      machine.write(RULES, bad, 0o640);
      service.systemctl("reload");
      const place = `${RULES}:${line}:${column}: `;
      const told = service.journal(since).find(({ MESSAGE = "" }) => MESSAGE.includes(place));
      assert.equal(told?.PRIORITY, "3", service.messages(since).join("\n"));
      assert.equal(service.get("StatusText").startsWith(`Not in force: ${place}`), true, service.get("StatusText"));
      assert.equal(service.get("ActiveState"), "active");
      assert.match(publish("secret/1", "m").stderr, /Not authorized/);
      assert.equal(publish("open/1", "m").stderr, "");

      machine.write(RULES, shipped, 0o640);
      service.systemctl("reload");
      assert.equal(service.get("StatusText"), "0 clients on tcp://[::]:1883");
      assert.equal(publish("secret/1", "m").stderr, "");
      assert.equal(service.pid, pid);
    });

    it("is not taken for failed when it is stopped while a reload waits", () => {
      service.systemctl("reload", "--no-block");
      service.systemctl("stop");
      assert.equal(service.get("ActiveState"), "inactive");
      assert.equal(service.get("Result"), "success");
    });

    it("is restarted by the watchdog when its event loop stands still, and left alone while it goes round", async (t) => {
      service.dropIn("WatchdogSec=3", "RestartSec=100ms");
      service.systemctl("restart");
      const { pid } = service;
      assert.equal(publish("state/door", "open", "-r").code, 0);
      await sleep(5_000);
      assert.equal(service.pid, pid);
      assert.equal(service.get("NRestarts"), "0");
      const since = service.mark();
      const startedMs = performance.now();
      machine.must("kill", "-STOP", String(pid));
      await service.restarted(pid);
      t.diagnostic(`${release}: ready ${Math.round(performance.now() - startedMs)} ms after SIGSTOP, WatchdogSec=3`);
      assert.match(service.messages(since).join("\n"), /Watchdog timeout/);
      assert.deepEqual(receive(1, "state/#"), ["open"]);
    });

    it("tells systemd by systemd-notify where nothing that it writes may be executed", async () => {
      service.dropIn(`NoExecPaths=/ ${WRITABLE}`, "ExecPaths=/usr /lib /lib64", "WatchdogSec=5");
      const since = service.mark();
      service.systemctl("restart");
      assert.match(service.messages(since).join("\n"), /INFO {2}The service manager is told by systemd-notify/);
      const { pid } = service;
      await sleep(8_000);
      assert.equal(service.pid, pid);
      assert.equal(service.get("StatusText"), "0 clients on tcp://[::]:1883");
      service.systemctl("reload");
      assert.equal(service.get("StatusText"), "0 clients on tcp://[::]:1883");
    });

    it("serves TLS and QUIC with a key that root alone can read, handed over as a credential", () => {
      machine.must("mqtt-broker", "certs", "init", "--dir", "/etc/ssl/broker", "--name", "localhost");
      service.dropIn(
        "LoadCredential=server.crt:/etc/ssl/broker/server.crt",
        "LoadCredential=server.key:/etc/ssl/broker/server.key",
        "Environment=MQTT_BROKER_TLS_PORT=8883 MQTT_BROKER_QUIC_PORT=14567 MQTT_BROKER_WORKER_THREADS=1",
        "Environment=MQTT_BROKER_SERVER_CRT=%d/server.crt MQTT_BROKER_SERVER_KEY=%d/server.key",
      );
      service.systemctl("restart");
      assert.equal(service.get("StatusText"), "0 clients on tls://[::]:8883, quic://[::]:14567");
      const authority = machine.path("/etc/ssl/broker/ca.crt");
      const { code, stderr } = publish("t", "m", "-h", "localhost", "-p", "8883", "--cafile", authority);
      assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    });

    it("listens below port 1024 with the one capability for that, and has none otherwise", () => {
      const capabilities = () => /^CapEff:\t(\w+)$/m.exec(machine.read(`/proc/${service.pid}/status`))?.[1];
      assert.equal(capabilities(), "0000000000000000");
      const port = "Environment=MQTT_BROKER_TCP_PORT=883";
      service.dropIn(port, "Restart=no");
      service.systemctl("stop");
      assert.equal(machine.run("systemctl", "start", "mqtt-broker").code, 1);
      const capability = "CAP_NET_BIND_SERVICE";
      service.dropIn(port, `CapabilityBoundingSet=${capability}`, `AmbientCapabilities=${capability}`);
      service.systemctl("start");
      assert.equal(capabilities(), "0000000000000400");
      assert.equal(publish("t", "m", "-p", "883").code, 0);
    });

    it("stops within 5 seconds, in order, also with clients", async (t) => {
      const client = machine.start(t, "mosquitto_sub", "-i", "listener", "-t", "none");
      await machine.until("a client", () => service.get("StatusText").startsWith("1 client "), 10_000);
      const startedMs = performance.now();
      service.systemctl("stop");
      const tookMs = performance.now() - startedMs;
      assert.equal(tookMs < 5_000, true, `It took ${tookMs} ms`);
      assert.equal(service.get("Result"), "success");
      assert.equal(service.get("ExecMainCode"), "1");
      assert.equal(service.get("ExecMainStatus"), "0");
      await client.stop();
    });

    it("is started by its first client when its socket is enabled, and its port outlives it", async (t) => {
      service.systemctl("stop");
      machine.must("systemctl", "start", "mqtt-broker.socket");
      assert.equal(service.get("ActiveState"), "inactive");
      assert.equal(publish("state/door", "open", "-r").code, 0);
      assert.equal(service.get("ActiveState"), "active");
      assert.equal(service.get("StatusText"), "0 clients on tcp://[::]:1883");
      const since = service.mark();
      const { pid } = service;
      // While there is no broker, a client waits.
      service.dropIn("RestartSec=1");
      machine.must("kill", "-KILL", String(pid));
      const startedMs = performance.now();
      const client = machine.start(t, "mosquitto_sub", "-t", "state/#", "-C", "1");
      await client.saw("open");
      t.diagnostic(`${release}: answered ${Math.round(performance.now() - startedMs)} ms after SIGKILL, by the socket`);
      assert.equal((await client.ended).code, 0);
      assert.doesNotMatch(service.messages(since).join("\n"), /ERROR/);
    });

    it("is removed and purged, and leaves no service behind", () => {
      machine.must("dpkg", "--purge", "mqtt-broker");
      assert.equal(machine.run("systemctl", "is-active", "mqtt-broker").stdout.trim(), "inactive");
      assert.equal(service.get("LoadState"), "not-found");
      assert.equal(machine.client("mosquitto_pub", "-t", "t", "-m", "m").code, 1);
      const left = ["/etc/mqtt-broker", "/var/lib/mqtt-broker", "/var/cache/mqtt-broker", "/run/mqtt-broker"];
      assert.deepEqual(
        left.filter((path) => machine.exists(path)),
        [],
      );
    });
  });
}
