import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { UdpDevice } from "./udp-device.ts";

const SCRIPT = join(import.meta.dirname, "udp-broker.ts");

test("a sleeper's buffer and subscriptions outlive the process that is killed, and come after CONNECT", async (context) => {
  const path = folder(context);
  const before = await UdpBroker.start(context, path);
  const sleeper = await UdpDevice.open(context, "sleeper", before.port);
  const sender = await UdpDevice.open(context, "sender", before.port);
  sleeper.connect();
  await sleeper.until("CONNACK code0");
  sleeper.subscribe("t/+", 2);
  await sleeper.until("SUBACK #1 qos2 code0");
  sleeper.disconnect(600);
  await sleeper.until("DISCONNECT");
  sender.connect();
  await sender.until("CONNACK code0");
  for (const [number, qos] of [1, 2, 1].entries()) {
    sender.register(`t/${number}`);
    await sender.until(`REGACK #${number + 1} code0`);
    sender.publish(`t/${number}`, `${number}`, { qos: qos as 1 | 2, messageId: 10 + number });
    await sender.until(qos === 1 ? `PUBACK #${10 + number} code0` : `PUBREC #${10 + number}`);
  }
  await before.kill();

  const after = await UdpBroker.start(context, path);
  sleeper.port = after.port;
  sleeper.wake();
  assert.deepEqual(await sleeper.until("DISCONNECT"), ["DISCONNECT"]);
  sleeper.connect();
  // DUP: for all that the broker knows now, they may have been sent before.
  assert.deepEqual(await sleeper.until('PUBLISH t/2 "2" qos1 #3 dup'), [
    "CONNACK code0",
    "REGISTER t/0",
    'PUBLISH t/0 "0" qos1 #1 dup',
    "REGISTER t/1",
    'PUBLISH t/1 "1" qos2 #2 dup',
    "PUBREL #2",
    "REGISTER t/2",
    'PUBLISH t/2 "2" qos1 #3 dup',
  ]);
  // A number of before the cut is not known, or means what it meant.
  sender.port = after.port;
  sender.connect();
  await sender.until("CONNACK code0");
  sender.publish("t/0", "again", { qos: 1, messageId: 20 });
  assert.deepEqual(await sender.until("PUBACK #20 code2"), ["PUBACK #20 code2"]);
  const number = [...sender.topics].find(([, name]) => name === "t/0")?.[0];
  sender.register("t/0");
  await sender.until("REGACK #4 code0");
  assert.equal([...sender.topics].findLast(([, name]) => name === "t/0")?.[0], number);
});

function folder(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "mqttsn-"));
  context.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A broker as a process of its own; ended with the test. */
class UdpBroker {
  readonly port: number;
  private readonly child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.child = child;
    this.port = port;
  }

  static async start(context: TestContext, folder: string): Promise<UdpBroker> {
    const child = spawn(process.execPath, [SCRIPT, folder], { stdio: ["ignore", "pipe", "inherit"] });
    context.after(() => child.kill("SIGKILL"));
    const [line] = (await once(child.stdout!, "data")) as [Buffer];
    return new UdpBroker(child, Number(line.toString()));
  }

  /** As when the power goes. */
  async kill(): Promise<void> {
    const exit = once(this.child, "exit");
    this.child.kill("SIGKILL");
    await exit;
  }
}
