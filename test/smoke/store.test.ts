/** The store's commands beside the program that keeps it. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { connect } from "../support/raw-client.ts";
import { emptyFolder, type RunningBroker, runProgram, startBroker } from "./program.ts";

const KEEP = { clientId: "pump", clean: false, properties: { sessionExpiryInterval: 3600 } };

/** Leaves one sleeper with a message that waits for it, and one retained message. */
async function fill({ port }: RunningBroker): Promise<void> {
  const pump = await connect(port, KEEP);
  assert.deepEqual(await pump.subscribe("pump/#", { qos: 1 }), [1]);
  await pump.disconnect();
  const publisher = await connect(port);
  assert.equal(await publisher.publish("pump/orders", "on", { qos: 1 }), 0);
  assert.equal(await publisher.publish("name", "tomatoes", { qos: 1, retain: true }), 0x10);
  await publisher.disconnect();
}

async function assertFilled({ port }: RunningBroker): Promise<void> {
  const pump = await connect(port, KEEP);
  assert.equal(pump.connack.sessionPresent, true);
  await pump.expect("publish", { topic: "pump/orders", payload: "on", qos: 1 });
  await pump.subscribe("name");
  await pump.expect("publish", { topic: "name", payload: "tomatoes", retain: true });
  await pump.disconnect();
}

suite("mqtt-broker store", { concurrency: 3 }, () => {
  test("backs a running broker up, and another one goes on from the backup", async (context) => {
    const cwd = emptyFolder(context);
    const broker = await startBroker(context, ["--tcp-port", "0"], { cwd });
    await fill(broker);
    const backup = await runProgram(context, ["store", "export", "backup.jsonl"], { cwd });
    assert.deepEqual([backup.result.code, backup.stdout, backup.stderr], [0, "", ""]);
    await assertFilled(broker);
    const restored = await runProgram(context, ["store", "import", "backup.jsonl", "--data-dir", "other"], { cwd });
    assert.equal(restored.result.code, 0, restored.stderr);
    await assertFilled(await startBroker(context, ["--tcp-port", "0", "--data-dir", "other"], { cwd }));
  });

  test("shows and verifies what a running broker keeps, and changes nothing of it", async (context) => {
    const cwd = emptyFolder(context);
    const broker = await startBroker(context, ["--tcp-port", "0"], { cwd });
    await fill(broker);
    const shown = await runProgram(context, ["store", "inspect"], { cwd });
    assert.equal(shown.result.code, 0, shown.stderr);
    assert.match(shown.stdout, /^pump +- +5\.0 +in \S+ +1 +1 +\d+ +0$/m);
    assert.match(shown.stdout, /^name +8 +1 +never$/m);
    const verified = await runProgram(context, ["store", "verify"], { cwd });
    assert.equal(verified.result.code, 0, verified.stderr);
    for (const command of ["repair", "compact", "import"]) {
      const { result, stderr } = await runProgram(context, ["store", command], { cwd });
      assert.equal(result.code, 1);
      assert.match(stderr, new RegExp(`is in use by another mqtt-broker, process ${broker.program.pid}`));
    }
    await assertFilled(broker);
  });

  test("works after the broker ended, whichever way", async (context) => {
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      const cwd = emptyFolder(context);
      const broker = await startBroker(context, ["--tcp-port", "0"], { cwd });
      await fill(broker);
      await broker.program.stop(signal);
      for (const command of ["verify", "compact", "verify", "repair", "verify"]) {
        const { result, stderr } = await runProgram(context, ["store", command], { cwd });
        assert.equal(result.code, 0, `${command} after ${signal}: ${stderr}`);
      }
      await assertFilled(await startBroker(context, ["--tcp-port", "0"], { cwd }));
    }
  });

  test("--store memory leaves the data folder alone", async (context) => {
    const cwd = emptyFolder(context);
    const { program } = await startBroker(context, ["--tcp-port", "0", "--store", "memory"], { cwd });
    await program.stop();
    assert.deepEqual(readdirSync(cwd), []);
    const { result, stderr } = await runProgram(context, ["store", "verify"], { cwd });
    assert.deepEqual(
      [result.code, stderr],
      [1, `There is no store: ${join(cwd, "data", "mqtt-broker.db")} does not exist\n`],
    );
    assert.equal(existsSync(join(cwd, "data")), false);
  });
});
