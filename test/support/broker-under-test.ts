import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** A broker on loopback that tests of clients talk to. */
export interface BrokerUnderTest {
  port: number;
  /** Unix socket of the same broker. */
  unixPath: string;
  /** Ends it and removes its files. Idempotent. */
  stop(): Promise<void>;
}

export interface BrokerOptions {
  /** Users and passwords; without any, everybody may connect. Users may use topics under `ok/` only. */
  users?: Readonly<Record<string, string>>;
}

const START_TIMEOUT_MS = 10_000;

/** Starts a broker on a free port of 127.0.0.1; resolves when it accepts connections. */
export async function startBroker(options: BrokerOptions = {}): Promise<BrokerUnderTest> {
  const folder = await mkdtemp(join(tmpdir(), "broker-under-test-"));
  const port = await freePort();
  const unixPath = join(folder, "mqtt.sock");
  const users = Object.entries(options.users ?? {});
  const lines = [`listener ${port} 127.0.0.1`, `listener 0 ${unixPath}`, "persistence false", "user root"];
  if (users.length === 0) lines.push("allow_anonymous true");
  else {
    await writeFile(join(folder, "passwords"), users.map(([name, password]) => `${name}:${password}\n`).join(""));
    await run("mosquitto_passwd", ["-U", join(folder, "passwords")]);
    await writeFile(join(folder, "acl"), "pattern readwrite ok/#\n");
    lines.push(
      "allow_anonymous false",
      `password_file ${join(folder, "passwords")}`,
      `acl_file ${join(folder, "acl")}`,
    );
  }
  await writeFile(join(folder, "mosquitto.conf"), `${lines.join("\n")}\n`);
  const child = spawn("/usr/sbin/mosquitto", ["-c", join(folder, "mosquitto.conf")], { stdio: "ignore" });
  const exited = once(child, "exit");
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await accepts(port))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      await stop();
      throw new Error(`Cannot start a broker on port ${port}`);
    }
    await sleep(20);
  }
  return { port, unixPath, stop };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("Cannot find a free port");
  return address.port;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => resolve(true)).on("error", () => resolve(false));
    socket.on("connect", () => socket.destroy());
  });
}

async function run(command: string, args: readonly string[]): Promise<void> {
  const [code] = await once(spawn(command, args, { stdio: "ignore" }), "exit");
  if (code !== 0) throw new Error(`${command} ended with ${code}`);
}
