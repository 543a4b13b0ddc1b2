import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  emptyFolder,
  type Running,
  type RunningBroker,
  type StartOptions,
  startBroker,
  startProgram,
} from "../smoke/program.ts";
import { connect, type RawClient } from "../support/raw-client.ts";
import { UNPRIVILEGED } from "../support/unprivileged.ts";
import { FullDisk, QUOTA_EXCEEDED } from "./full-disk.ts";
import { DISK_KINDS, SmallDisk } from "./small-disk.ts";

/** Only failures wait so long. */
const END_MS_MAX = 5_000;

const WORDS = ["--tcp-port", "0", "--bind", "127.0.0.1"];

for (const kind of DISK_KINDS) {
  test(`a full ${kind}: new messages are refused, everything else goes on, nothing acknowledged is lost`, async (context) => {
    const full = await FullDisk.start(context, await SmallDisk.make(context, kind, 24));
    await full.publishUntilRefused();

    const publisher = await full.connect({ version: 5 });
    assert.equal(await publisher.publish("kept/one", "x", { qos: 1 }), QUOTA_EXCEEDED, "QoS 1 for a stored session");
    assert.equal(await publisher.publish("kept/two", "x", { qos: 2 }), QUOTA_EXCEEDED, "QoS 2 for a stored session");
    assert.equal(await publisher.publish("sign", "x", { qos: 1, retain: true }), QUOTA_EXCEEDED, "a retained one");
    const old = await full.connect({ version: 4 });
    old.sendPublish("kept/one", "x", { qos: 1 });
    await old.expectClose();

    const live = await full.connect({ version: 5 });
    await live.subscribe("live", { qos: 1 });
    await publisher.publish("live", "still", { qos: 0 });
    await live.expect("publish", { topic: "live", payload: "still", qos: 0 });
    assert.equal(await publisher.publish("live", "for nobody's disk", { qos: 1 }), 0);
    await live.expect("publish", { topic: "live", payload: "for nobody's disk", qos: 1 });
    await live.subscribe("sign");
    await live.expect("publish", { topic: "sign", payload: "before", retain: true });

    await full.receiveSome(20);
    full.disk.free();
    await full.untilAccepted();
    await full.untilAnswered();
  });

  test(`a ${kind} that is full at the start: what was acknowledged is there, and it recovers by itself`, async (context) => {
    const full = await FullDisk.start(context, await SmallDisk.make(context, kind, 24));
    await full.publishUntilRefused();
    await full.restart();
    await full.receiveAll();
    await full.stopInOrder();
    full.disk.free();
    await full.untilAccepted();
    await full.restart();
    await full.receiveAll();
  });
}

test("two brokers on one folder: the second is refused with the pid of the first", async (context) => {
  const folder = emptyFolder(context);
  const first = await startBroker(context, [...WORDS, "--data-dir", folder]);
  const second = startProgram(context, [...WORDS, "--data-dir", folder]);
  assert.equal(await codeOf(second), 1, second.stdout);
  const errors = second.lines.filter(({ level }) => level === "error").map(({ message }) => message);
  assert.ok(
    errors.some((message) => message.includes(folder) && new RegExp(`\\b${first.program.pid}\\b`).test(message)),
    `no line names ${folder} and ${first.program.pid}:\n${second.stdout}`,
  );
  await serves(first.port);
  await first.program.stop("SIGKILL");
  const third = await startBroker(context, [...WORDS, "--data-dir", folder]);
  await serves(third.port);
});

/** Places where nothing can be kept, each with the words and the surroundings of a program that is given it. */
const HOPELESS: Readonly<Record<string, (context: TestContext) => Promise<{ folder: string } & StartOptions>>> = {
  "a file where the data folder should be": async (context) => {
    const folder = join(emptyFolder(context), "data");
    writeFileSync(folder, "not a folder");
    return { folder };
  },
  "a read-only disk": async (context) => {
    const disk = await SmallDisk.make(context, "tmpfs", 8);
    disk.makeReadOnly();
    return { folder: disk.folder, before: disk.before };
  },
  "a folder of somebody else": async (context) => {
    const folder = join(emptyFolder(context), "data");
    mkdirSync(folder);
    return { folder, ...(await asSomebodyElse(context, folder)) };
  },
  "a folder that may be read and not written": async (context) => {
    const folder = join(emptyFolder(context), "data");
    mkdirSync(folder);
    const somebody = await asSomebodyElse(context, folder);
    chmodSync(folder, 0o555);
    return { folder, ...somebody };
  },
};

for (const [place, make] of Object.entries(HOPELESS)) {
  test(`${place}: the broker says so and serves without`, async (context) => {
    const { folder, ...options } = await make(context);
    const broker = await startBroker(context, [...WORDS, "--data-dir", folder], options);
    assertNamed(broker, folder);
    await serves(broker.port);
  });

  test(`${place}: with --require-store the broker does not start`, async (context) => {
    const { folder, ...options } = await make(context);
    const words = [...WORDS, "--data-dir", folder, "--require-store"];
    const program = startProgram(context, words, options);
    assert.equal(await codeOf(program), 1, program.stdout);
    const errors = program.lines.filter(({ level }) => level === "error");
    assert.ok(JSON.stringify(errors).includes(folder), `no error names ${folder}:\n${program.stdout}`);
  });
}

if (DISK_KINDS.includes("ext4")) {
  test("an ext4 that turns itself read-only: nothing is acknowledged that is not kept, everything else goes on", async (context) => {
    const disk = await SmallDisk.make(context, "ext4", 24);
    const broker = await startBroker(context, [...WORDS, "--data-dir", disk.folder], { before: disk.before });
    const sleeper = await sleeping(broker.port);
    const publisher = await connect(broker.port);
    assert.equal(await publisher.publish("kept", "before", { qos: 1 }), 0);
    disk.fail();
    publisher.sendPublish("kept", "after", { qos: 1 });
    await broker.program.line(/./, ({ level, reason = "", message }) => {
      return level !== "info" && `${message} ${reason}`.includes(disk.folder);
    });
    const another = await connect(broker.port);
    assert.notEqual(await another.publish("kept", "afterwards", { qos: 1 }), 0, "it acknowledges what it cannot keep");
    await serves(broker.port);
    const again = await connect(broker.port, { clientId: sleeper, clean: false, properties: SESSION });
    assert.equal(again.connack.sessionPresent, true);
    await again.expect("publish", { topic: "kept", payload: "before", qos: 1 });
    await broker.program.stop("SIGKILL");
  });
} else {
  test("disks are tried as tmpfs only, and this says so", (context) => {
    context.diagnostic("No loop device is to be had here: a full ext4 and one that turns read-only are not tried");
  });
}

/** The exit code; "running" when it does not end. */
function codeOf(program: Running): Promise<number | null | "running"> {
  return Promise.race([program.ended.then(({ code }) => code), sleep(END_MS_MAX, "running" as const, { ref: false })]);
}

const SESSION = { sessionExpiryInterval: 3_600 };

/** A stored session that is not connected; returns its client identifier. */
async function sleeping(port: number): Promise<string> {
  const client = await connect(port, { clientId: "sleeper", clean: false, properties: SESSION });
  assert.deepEqual(await client.subscribe("kept/#", { qos: 1 }), [1]);
  await client.disconnect();
  return client.clientId;
}

async function serves(port: number): Promise<void> {
  const client: RawClient = await connect(port);
  await client.subscribe("still/here", { qos: 1 });
  assert.equal(await client.publish("still/here", "yes", { qos: 1 }), 0);
  await client.expect("publish", { topic: "still/here", payload: "yes", qos: 1 });
  await client.disconnect();
}

function assertNamed({ program }: RunningBroker, folder: string): void {
  const lines = program.lines.filter(({ level }) => level === "error" || level === "warn");
  assert.ok(JSON.stringify(lines).includes(folder), `no warning names ${folder}:\n${program.stdout}`);
}

/** Surroundings of a program that is not root, or that is not the owner of the folder. */
async function asSomebodyElse(context: TestContext, folder: string): Promise<StartOptions> {
  chmodSync(folder, 0o700);
  if (process.getuid?.() !== 0) {
    // Nobody else's identity is to be had: what counts is that the folder is closed to us.
    chmodSync(folder, 0o000);
    context.after(() => chmodSync(folder, 0o700));
    return {};
  }
  chownSync(folder, 65_534, 65_534);
  return { before: UNPRIVILEGED };
}
