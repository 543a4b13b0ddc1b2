/** A start that takes longer than its timeout, because a damaged store is saved on a slow disk. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { after, before, suite, test } from "node:test";
import { stallingDisk } from "../bench/durable/stall.ts";
import { emptyFolder } from "../smoke/program.ts";
import { SystemdMachine } from "./systemd-machine.ts";
import { Service } from "./systemd-service.ts";

const DATABASE = "/var/lib/mqtt-broker/mqtt-broker.db";
const LIBRARY = "/usr/lib/stall.so";
const FLAG = "/etc/stalling";
const PAGE_BYTES = 4_096;

/** One synchronisation takes this long, which is longer than systemd is told to wait. */
const STALL_SECONDS = 22;
const TIMEOUT_SECONDS = 14;
const MESSAGES = 20;

for (const release of ["bookworm", "trixie"]) {
  suite(`a damaged store under the systemd of Debian's ${release}`, () => {
    const ends: (() => void | Promise<void>)[] = [];
    const lifetime = { after: (end: () => void | Promise<void>) => ends.unshift(end) };
    let machine: SystemdMachine;
    let service: Service;

    before(async () => {
      machine = await SystemdMachine.boot(lifetime, release);
      service = new Service(machine);
      service.install();
    });
    after(async () => {
      for (const end of ends) await end();
    });

    test("is saved for as long as it takes: systemd waits, is told what goes on, and a reload waits with it", async (t) => {
      const wanted = Array.from({ length: MESSAGES }, (_, index) => `kept/${index}`);
      for (const topic of wanted) {
        assert.equal(machine.client("mosquitto_pub", "-q", "1", "-r", "-t", topic, "-m", topic).code, 0);
      }
      service.systemctl("stop");
      // What says where the rest is; nothing of what was kept stands in it.
      const file = await open(machine.path(DATABASE), "r+");
      await file.write(new Uint8Array(PAGE_BYTES), 0, PAGE_BYTES, 0);
      await file.close();
      const { LD_PRELOAD } = stallingDisk(emptyFolder(t), 0, 0).env;
      machine.write(LIBRARY, readFileSync(LD_PRELOAD!), 0o755);
      const stall = `BENCH_STALL_FLAG=${FLAG} BENCH_STALL_MS=${STALL_SECONDS * 1000} BENCH_STALL_REST_MS=600000`;
      service.dropIn(`Environment=LD_PRELOAD=${LIBRARY} ${stall}`, `TimeoutStartSec=${TIMEOUT_SECONDS}`);
      machine.write(FLAG, "");

      const since = service.mark();
      const startedMs = performance.now();
      service.systemctl("start", "--no-block");
      const saving = "Starting for 10 seconds: what the store has kept is being restored";
      await machine.until("it says what goes on", () => service.get("StatusText") === saving, TIMEOUT_SECONDS * 1000);
      assert.equal(service.get("ActiveState"), "activating");
      service.systemctl("reload");
      assert.equal(service.get("ActiveState"), "active");
      const tookSeconds = (performance.now() - startedMs) / 1000;
      t.diagnostic(`${release}: ready after ${tookSeconds.toFixed(1)} s, with TimeoutStartSec=${TIMEOUT_SECONDS}`);
      assert.ok(tookSeconds > STALL_SECONDS, "the disk was not slow");
      assert.equal(service.get("NRestarts"), "0");
      assert.equal(service.get("StatusText"), "0 clients on tcp://[::]:1883");
      assert.match(service.messages(since).join("\n"), /is damaged: .* It is kept as .*; what can be read is saved/);
      const words = ["-t", "kept/#", "-C", String(MESSAGES), "-W", "3"];
      const found = machine.client("mosquitto_sub", ...words).stdout.split("\n");
      assert.deepEqual(found.filter(Boolean).sort(), wanted.sort());
    });
  });
}
