import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connectAsync, type IClientOptions, type MqttClient } from "mqtt";
import { UdpDevice } from "../gateway/mqttsn/udp-device.ts";
import { emptyFolder, type Lifetime, type Running, type StartOptions, startProgram } from "../smoke/program.ts";
import { freePort } from "../support/free-port.ts";

/** Only failures wait so long. */
const WAIT_MS_MAX = 10_000;

/** The other broker: Mosquitto, on a port that stays its own when it is stopped and started again. */
export class OtherBroker {
  readonly port: number;
  readonly url: string;
  log = "";
  private readonly context: TestContext;
  private readonly folder: string;
  private end: () => Promise<void> = async () => {};

  private constructor(context: TestContext, port: number, settings: string) {
    this.context = context;
    this.port = port;
    this.url = `mqtt://127.0.0.1:${port}`;
    this.folder = emptyFolder(context);
    const lines = [
      // As root it would give up its rights, and then could not read its folder.
      "user root",
      `listener ${port} 127.0.0.1`,
      "persistence true",
      `persistence_location ${this.folder}/`,
      "log_type all",
      "log_dest stderr",
    ];
    writeFileSync(join(this.folder, "mosquitto.conf"), `${[...lines, settings].join("\n")}\n`);
  }

  /** `settings`: lines of its configuration. */
  static async start(context: TestContext, settings = "allow_anonymous true"): Promise<OtherBroker> {
    const broker = new OtherBroker(context, await freePort(), settings);
    await broker.start();
    return broker;
  }

  async start(): Promise<void> {
    const child = spawn("mosquitto", ["-c", join(this.folder, "mosquitto.conf")], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
    });
    this.context.after(() => void child.kill("SIGKILL"));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.log += text;
    });
    const exit = once(child, "exit");
    this.end = async () => {
      child.kill("SIGTERM");
      await exit;
    };
    const from = this.log.length;
    await until(() => /mosquitto version \S+ running/.test(this.log.slice(from)), `mosquitto runs: ${this.log}`);
  }

  /** It keeps what it has on its disk. */
  async stop(): Promise<void> {
    await this.end();
  }

  /** A client of it. */
  watch(topicFilter: string | undefined, options: IClientOptions = {}): Promise<Watcher> {
    return watch(this.context, this.port, topicFilter, options);
  }

  /** Lines of its log that match. */
  lines(pattern: RegExp): string[] {
    return this.log.split("\n").filter((line) => pattern.test(line));
  }
}

export interface Watcher {
  readonly client: MqttClient;
  /** "topic payload qos1 retain", in the order in which they came. */
  readonly heard: string[];
  /** Until it has heard so many; then they are returned, and forgotten. */
  until(count: number): Promise<string[]>;
  publish(topic: string, payload: string, qos?: 0 | 1 | 2, retain?: boolean): Promise<void>;
}

/** A client on loopback that subscribes to the filter by QoS 2, and keeps Retain as it was published. */
export async function watch(
  context: TestContext,
  port: number,
  topicFilter?: string,
  options: IClientOptions = {},
): Promise<Watcher> {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5, reconnectPeriod: 0, ...options });
  const heard: string[] = [];
  client.on("error", () => {});
  client.on("message", (topic, payload, { qos, retain }) => {
    heard.push([topic, payload, ...(qos > 0 ? [`qos${qos}`] : []), ...(retain ? ["retain"] : [])].join(" "));
  });
  context.after(() => void client.end(true));
  if (topicFilter !== undefined) await client.subscribeAsync(topicFilter, { qos: 2, rap: true });
  return {
    client,
    heard,
    until: async (count) => {
      await until(
        () => heard.length >= count,
        () => `${count} messages, but ${heard.join(", ")}`,
      );
      return heard.splice(0);
    },
    publish: async (topic, payload, qos = 1, retain = false) => {
      await client.publishAsync(topic, payload, { qos, retain });
    },
  };
}

export interface Ours {
  readonly program: Running;
  readonly port: number;
  /** Of MQTT-SN. */
  readonly snPort: number;
}

/** Our broker, with MQTT-SN over UDP and an upstream; resolves when devices can come. */
export async function startOurs(
  context: Lifetime,
  upstream: string,
  words: readonly string[] = [],
  options: StartOptions = {},
): Promise<Ours> {
  const own = ["--bind=127.0.0.1", "--tcp-port=0", "--mqtt-sn-port=0", `--mqtt-sn-upstream=${upstream}`];
  const program = startProgram(context, [...own, ...words], options);
  const portOf = (scheme: string): number => {
    const [, port] = new RegExp(`Listening on ${scheme}://127\\.0\\.0\\.1:(\\d+)`).exec(program.stdout) ?? [];
    return Number(port);
  };
  await program.until(() => portOf("mqtt-sn-udp") > 0 && portOf("tcp") > 0, "its ports");
  return { program, port: portOf("tcp"), snPort: portOf("mqtt-sn-udp") };
}

/** Until the other broker has let ours in so often. */
export async function connected({ program }: Ours, times = 1): Promise<void> {
  const isLine = ({ message }: { message: string }): boolean =>
    message === "Connected with the other broker of the MQTT-SN clients";
  await program.until(() => program.lines.filter(isLine).length >= times, `connection ${times} with the other broker`);
}

/** A device that is connected. */
export async function joinDevice(context: TestContext, clientId: string, { snPort }: Ours): Promise<UdpDevice> {
  const device = await UdpDevice.open(context, clientId, snPort);
  device.connect();
  await device.until("CONNACK code0");
  return device;
}

/** The device publishes by QoS 1 and has been told that the message is safe. */
export async function publishSafely(device: UdpDevice, topic: string, data: string, messageId: number): Promise<void> {
  if (![...device.topics.values()].includes(topic)) {
    const identifier = device.register(topic);
    await device.until(`REGACK #${identifier} code0`);
  }
  device.publish(topic, data, { qos: 1, messageId });
  await device.until(`PUBACK #${messageId} code0`);
}

export async function subscribe(device: UdpDevice, topicFilter: string, qos: 0 | 1 | 2 = 1): Promise<void> {
  const identifier = device.subscribe(topicFilter, qos);
  await device.until(`SUBACK #${identifier} qos${qos} code0`);
}

export async function until(
  condition: () => boolean | Promise<boolean>,
  expected: string | (() => string),
): Promise<void> {
  for (const startedMs = performance.now(); !(await condition()); await sleep(5)) {
    if (performance.now() - startedMs < WAIT_MS_MAX) continue;
    throw new Error(`Time is up without ${typeof expected === "string" ? expected : expected()}`);
  }
}
