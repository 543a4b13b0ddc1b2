import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { hostArchitecture } from "../../packaging/architecture.ts";
import { compileNative } from "../../packaging/native.ts";
import type { Log } from "../../src/core/ports.ts";
import { loadDatagrams } from "../../src/os/datagram.ts";
import { monotonicUsec, type Notifier, openNotifier, watchdogMs } from "../../src/os/notify.ts";
import { emptyFolder } from "../smoke/program.ts";
import { receiveDatagrams } from "../support/datagrams.ts";
import { logTo } from "../support/log-to.ts";

before(() => {
  compileNative(hostArchitecture());
});

function logOf(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const log = logTo((level, message, fields) => {
    lines.push(`${level} ${message}${fields?.reason === undefined ? "" : ` (${fields.reason})`}`);
  });
  return { log, lines };
}

const without = (): never => {
  throw new Error("there is no add-on here");
};

async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (!condition()) {
    assert.equal(performance.now() < deadlineMs, true, "It did not come in 10 seconds");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe("openNotifier()", () => {
  for (const kind of ["path", "abstract"] as const) {
    it(`tells a socket with ${kind === "path" ? "a path" : "an abstract name"}, one datagram for each message`, async (t) => {
      const folder = emptyFolder(t);
      const name = kind === "path" ? join(folder, "notify") : `@${folder}`;
      const receiver = await receiveDatagrams(t, name);
      const { log, lines } = logOf();
      const notifier = openNotifier({ NOTIFY_SOCKET: name }, log)!;
      notifier.tell("READY=1", "STATUS=3 clients, é");
      notifier.tell("WATCHDOG=1");
      assert.deepEqual(await receiver.count(2), ["READY=1\nSTATUS=3 clients, é", "WATCHDOG=1"]);
      assert.deepEqual(lines, []);
    });
  }

  it("is not there when nobody wants to be told, and says so when the name makes no sense", () => {
    const { log, lines } = logOf();
    assert.equal(openNotifier({}, log), undefined);
    assert.equal(openNotifier({ NOTIFY_SOCKET: "" }, log), undefined);
    assert.deepEqual(lines, []);
    assert.equal(openNotifier({ NOTIFY_SOCKET: "vsock:2:9999" }, log), undefined);
    assert.deepEqual(lines, [
      "warn The service manager cannot be told: NOTIFY_SOCKET is neither a path nor a name that begins with @",
    ]);
  });

  it("logs once why nobody hears it", (t) => {
    const { log, lines } = logOf();
    const notifier = openNotifier({ NOTIFY_SOCKET: join(emptyFolder(t), "nobody") }, log)!;
    notifier.tell("READY=1");
    notifier.tell("STATUS=Here");
    assert.deepEqual(lines, [
      "warn The service manager could not be told that we live: see NOTIFY_SOCKET (ENOENT: no such file or directory)",
    ]);
  });

  it("says that a name is too long for a socket", () => {
    const { log, lines } = logOf();
    openNotifier({ NOTIFY_SOCKET: `/${"n".repeat(107)}` }, log)!.tell("READY=1");
    assert.deepEqual(lines, [
      "warn The service manager could not be told that we live: see NOTIFY_SOCKET (ENAMETOOLONG: name too long)",
    ]);
  });

  it("keeps the order when the socket's queue is full, leaves out what is said again anyway, and does not wait", async (t) => {
    const name = join(emptyFolder(t), "notify");
    const receiver = await receiveDatagrams(t, name, { holds: true });
    const send = loadDatagrams();
    let filled = 0;
    while (send(name, Buffer.from("FILL")) === 0) filled++;
    const { log, lines } = logOf();
    const notifier = openNotifier({ NOTIFY_SOCKET: name }, log)!;
    // If it waited, it would do so for ever.
    notifier.tell("RELOADING=1");
    assert.equal(notifier.mention("STATUS=Busy"), false);
    notifier.tellOnce("WATCHDOG=1");
    notifier.tellOnce("WATCHDOG=1");
    notifier.tell("READY=1");
    receiver.release();
    const all = await receiver.count(filled + 3);
    assert.deepEqual(all.slice(filled), ["RELOADING=1", "WATCHDOG=1", "READY=1"]);
    assert.equal(notifier.mention("STATUS=Idle"), true);
    assert.deepEqual((await receiver.count(filled + 4)).slice(filled + 3), ["STATUS=Idle"]);
    assert.deepEqual(lines, []);
  });
});

describe("openNotifier() without the add-on", () => {
  it("tells by systemd-notify, in order, and says so", async (t) => {
    const name = join(emptyFolder(t), "notify");
    const receiver = await receiveDatagrams(t, name);
    const { log, lines } = logOf();
    // Its barrier is answered by nobody here: without it each message would take five seconds.
    const folder = commandThat(t, 'exec /usr/bin/systemd-notify --no-block "$@"');
    const notifier = openNotifier({ NOTIFY_SOCKET: name, PATH: `${folder}:/usr/bin:/bin` }, log, without)!;
    notifier.tell("RELOADING=1", "MONOTONIC_USEC=5");
    notifier.tell("READY=1", "STATUS=Two words");
    assert.deepEqual(await receiver.count(2), ["RELOADING=1\nMONOTONIC_USEC=5", "READY=1\nSTATUS=Two words"]);
    assert.deepEqual(lines, [
      "info The service manager is told by systemd-notify, a process for each message (there is no add-on here)",
    ]);
  });

  it("logs once that systemd-notify is missing or fails, and goes on", async (t) => {
    for (const [path, reason] of [
      [emptyFolder(t), "spawn systemd-notify ENOENT"],
      [commandThat(t, "exit 3"), "systemd-notify ended with 3"],
    ] as const) {
      const { log, lines } = logOf();
      const notifier: Notifier = openNotifier({ NOTIFY_SOCKET: "/nowhere", PATH: path }, log, without)!;
      notifier.tell("READY=1");
      notifier.tell("STATUS=Here");
      await until(() => lines.length >= 2 && notifier.mention("WATCHDOG=1"));
      assert.deepEqual(lines.slice(1), [
        `warn The service manager could not be told that we live: see NOTIFY_SOCKET (${reason})`,
      ]);
    }
  });
});

describe("watchdogMs()", () => {
  it("reads the interval in microseconds, of this process only", () => {
    assert.equal(watchdogMs({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "7" }, 7), 30_000);
    assert.equal(watchdogMs({ WATCHDOG_USEC: "500000" }, 7), 500);
    assert.equal(watchdogMs({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "8" }, 7), undefined);
    for (const WATCHDOG_USEC of ["0", "", "-5", "soon", "1e6"])
      assert.equal(watchdogMs({ WATCHDOG_USEC }, 7), undefined);
    assert.equal(watchdogMs({}, 7), undefined);
  });
});

describe("monotonicUsec()", () => {
  it("is the kernel's monotonic clock", () => {
    const before = BigInt(monotonicUsec());
    const script = "import time; print(time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000)";
    const kernel = BigInt(execFileSync("python3", ["-c", script], { encoding: "utf8" }).trim());
    assert.equal(before <= kernel && kernel <= BigInt(monotonicUsec()), true);
  });
});

/** A folder with a systemd-notify that does this. */
function commandThat(t: Parameters<typeof emptyFolder>[0], does: string): string {
  const folder = join(emptyFolder(t), "bin");
  mkdirSync(folder);
  const file = join(folder, "systemd-notify");
  writeFileSync(file, `#!/bin/sh\n${does}\n`);
  chmodSync(file, 0o755);
  return folder;
}
