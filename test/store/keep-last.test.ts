import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { connect, type MqttClient } from "mqtt";
import { placeTest } from "./place.ts";

const SCRIPT = join(import.meta.dirname, "keep-last-run.ts");
const ACKNOWLEDGED_AT_ONCE = 20;

class BrokerProcess {
  readonly child: ChildProcess;
  private readonly port: string;

  private constructor(child: ChildProcess, port: string) {
    this.child = child;
    this.port = port;
  }

  static async start(folder: string): Promise<BrokerProcess> {
    const child = spawn(process.execPath, [SCRIPT, folder], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await once(child.stdout!, "data")) as [Buffer];
    return new BrokerProcess(child, line.toString().trim());
  }

  connect(clientId: string): MqttClient {
    const session = { clean: false, properties: { sessionExpiryInterval: 3600 } };
    return connect(`mqtt://127.0.0.1:${this.port}`, { clientId, protocolVersion: 5, reconnectPeriod: 0, ...session });
  }

  async kill(): Promise<void> {
    if (this.child.signalCode !== null) return;
    const closed = once(this.child, "close");
    this.child.kill("SIGKILL");
    await closed;
  }
}

/** Resolves when all are acknowledged, and so on disk. */
async function publishAll(broker: BrokerProcess, messages: readonly string[]): Promise<void> {
  const publisher = broker.connect("publisher");
  for (let at = 0; at < messages.length; at += ACKNOWLEDGED_AT_ONCE) {
    const some = messages.slice(at, at + ACKNOWLEDGED_AT_ONCE);
    await Promise.all(some.map((message) => publisher.publishAsync(...split(message), { qos: 1 })));
  }
  await publisher.endAsync();
}

function split(message: string): [topic: string, payload: string] {
  const [topic, payload] = message.split(" ");
  return [topic!, payload!];
}

placeTest(
  "kill -9: of three hundred acknowledged set-points the sleeper gets the last, and every entry of its log",
  async (place) => {
    const numbers = Array.from({ length: 300 }, (_, index) => index + 1);
    const first = await BrokerProcess.start(place.folder);
    let second: BrokerProcess | undefined;
    try {
      const sleeper = first.connect("sleeper");
      await sleeper.subscribeAsync("#", { qos: 1 });
      await sleeper.endAsync();
      await publishAll(first, ["log 1", ...numbers.map((number) => `set/1 ${number}`), "set/2 a", "log 2"]);
      await first.kill();

      second = await BrokerProcess.start(place.folder);
      await publishAll(second, ["set/2 b", "end 0"]);
      const came: string[] = [];
      const client = second.connect("sleeper");
      await new Promise<void>((resolve) => {
        client.on("message", (topic, payload) => {
          came.push(`${topic} ${payload}`);
          if (topic === "end") resolve();
        });
      });
      await client.endAsync();
      assert.deepEqual(came, ["log 1", "set/1 300", "log 2", "set/2 b", "end 0"]);
    } finally {
      await first.kill();
      await second?.kill();
    }
  },
);
