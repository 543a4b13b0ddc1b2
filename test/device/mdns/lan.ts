/** Networks of a test's own: machines that are Linux namespaces, joined by cables, with Avahi where it is asked for. */
import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  emptyFolder,
  type Lifetime,
  type Running,
  runCommand,
  startCommand,
  startProgram,
} from "../../smoke/program.ts";

const ADVERTISE = join(import.meta.dirname, "advertise.ts");

/**
 * An address is there as soon as it is given. Avahi gives its folder to a user of its own, but in a namespace that anybody
 * can make there is only one: that one then.
 */
const SETUP = [
  "mount -t tmpfs tmpfs /run",
  "printf 'root:x:0:0::/:/bin/sh\\navahi:x:0:0::/:/bin/sh\\n' > /run/passwd && mount --bind /run/passwd /etc/passwd",
  "printf 'root:x:0:\\navahi:x:0:\\n' > /run/group && mount --bind /run/group /etc/group",
  "ip link set lo up",
  "echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad",
].join(" && ");
/** With two families avahi-browse shows an address of either. */
const WITHOUT_IPV6 = "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6";
const STAY = "echo ready && exec sleep infinity";

const BUS_CONFIGURATION = (socket: string): string =>
  `<busconfig><type>system</type><listen>unix:path=${socket}</listen><auth>EXTERNAL</auth>
  <policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
  </busconfig>`;

/** The machines of one test, which end with it. */
export class Lan {
  private readonly context: Lifetime;
  private readonly setup: string;
  private readonly started: Running[] = [];
  private holder: Promise<Running> | undefined;

  constructor(context: Lifetime, { ipv6 }: { ipv6: boolean } = { ipv6: false }) {
    this.context = context;
    this.setup = [SETUP, ...(ipv6 ? [] : [WITHOUT_IPV6]), STAY].join(" && ");
    // The last first, and each to its end: some end by themselves when what they need is gone.
    context.after(async () => {
      for (const process of this.started.reverse()) {
        // What is frozen cannot end.
        process.child.kill("SIGCONT");
        await process.stop();
      }
    });
  }

  async machine(name: string): Promise<Machine> {
    this.holder ??= this.ready("unshare", ["--map-root-user", "--net", "--mount", "sh", "-c", this.setup]);
    const words = [...into(await this.holder), "unshare", "--net", "--mount", "sh", "-c", this.setup];
    const process = await this.ready("nsenter", words);
    return new Machine(this.context, name, process, this.started);
  }

  private async ready(command: string, words: readonly string[]): Promise<Running> {
    const process = startCommand(this.context, command, words);
    await process.saw("ready\n");
    return process;
  }
}

/** A gateway at 192.0.2.1, and a sensor at 192.0.2.2 that has Avahi, on one network. */
export async function edgeAndSensor(context: Lifetime): Promise<{ edge: Machine; sensor: Machine }> {
  const lan = new Lan(context);
  const [edge, sensor] = await Promise.all([lan.machine("edge"), lan.machine("sensor")]);
  await edge.join("eth0", "192.0.2.1", sensor, "eth0", "192.0.2.2");
  await sensor.startAvahi();
  return { edge, sensor };
}

/** One of them. */
export class Machine {
  readonly name: string;
  readonly folder: string;
  private readonly context: Lifetime;
  private readonly process: Running;
  /** Of all machines, to be stopped in time. */
  private readonly started: Running[];
  /** Of the daemons that it runs. */
  private bus: Running | undefined;
  private avahi: Running | undefined;

  constructor(context: Lifetime, name: string, process: Running, started: Running[]) {
    this.context = context;
    this.started = started;
    this.name = name;
    this.process = process;
    this.folder = emptyFolder(context);
  }

  /** A cable from an interface of this machine to one of another, with an address of a /24 at each end. */
  async join(name: string, address: string, other: Machine, otherName: string, otherAddress: string): Promise<void> {
    const peer = ["peer", "name", otherName, "netns", String(other.process.pid)];
    await this.run("ip", "link", "add", name, "type", "veth", ...peer);
    await Promise.all([this.up(name, address), other.up(otherName, otherAddress)]);
    // The kernel takes a moment, up to a second, to say that a cable is plugged in at both ends.
    const running = (interfaceName: string): string =>
      `until ip link show dev ${interfaceName} | grep -q "state UP"; do sleep 0.05; done`;
    await Promise.all([this.run("sh", "-c", running(name)), other.run("sh", "-c", running(otherName))]);
  }

  async up(name: string, address: string): Promise<void> {
    await this.run("sh", "-c", `ip addr add ${address}/24 dev ${name} && ip link set ${name} up`);
  }

  /** Runs a command there, which must succeed; resolves with what it printed. */
  async run(...words: string[]): Promise<string> {
    const { result, stdout, stderr } = await runCommand(this.context, "nsenter", [...into(this.process), ...words], {
      env: this.environment,
    });
    assert.equal(result.code, 0, `${words.join(" ")}: ${stderr}`);
    return stdout;
  }

  start(...words: string[]): Running {
    const process = startCommand(this.context, "nsenter", [...into(this.process), ...words], { env: this.environment });
    this.started.push(process);
    return process;
  }

  /** avahi-daemon, with a D-Bus of its own. */
  async startAvahi(): Promise<void> {
    await this.startBus();
    const file = join(this.folder, "avahi.conf");
    const publish = "[publish]\npublish-workstation=no\npublish-hinfo=no\n";
    writeFileSync(file, `[server]\nhost-name=${this.name}\nratelimit-burst=100000\n${publish}`);
    this.avahi = this.start("avahi-daemon", "-f", file, "--no-drop-root", "--no-chroot", "--no-rlimits");
    const { avahi } = this;
    await avahi.until(() => avahi.stderr.includes("Server startup complete"), "its complete startup");
  }

  /** What its avahi-daemon has said. */
  get avahiLog(): string {
    return this.avahi?.stderr ?? "";
  }

  /** It is there and answers nobody, as long as the test runs. */
  freezeAvahi(): void {
    this.avahi!.child.kill("SIGSTOP");
  }

  async stopAvahi(): Promise<void> {
    await this.avahi?.stop();
  }

  async startBus(): Promise<void> {
    if (this.bus !== undefined) return;
    const file = join(this.folder, "bus.conf");
    rmSync(this.socket, { force: true });
    mkdirSync(this.folder, { recursive: true });
    writeFileSync(file, BUS_CONFIGURATION(this.socket));
    const words = ["--nofork", "--nopidfile", "--nosyslog", "--print-address"];
    this.bus = this.start("dbus-daemon", `--config-file=${file}`, ...words);
    await this.bus.saw("unix:");
  }

  /** Avahi ends with it. */
  async stopBus(): Promise<void> {
    await this.bus?.stop();
    await this.avahi?.ended;
    this.bus = undefined;
  }

  /** What people see who look for services: avahi-browse, as long as the test runs. */
  browse(type = "--all"): Browser {
    return new Browser(this.start("avahi-browse", "--resolve", "--parsable", type));
  }

  /** Our part. `hasteMs`: how soon it is to stop. */
  advertise(mode: string, name: string, listening: readonly object[], hasteMs?: number): Running {
    const haste = hasteMs === undefined ? [] : [String(hasteMs)];
    return this.start(process.execPath, ADVERTISE, mode, name, JSON.stringify(listening), ...haste);
  }

  /** The whole program, found by mDNS as by default; its data and configuration are in the folder of the machine. */
  broker(...words: string[]): Running {
    const before = ["nsenter", ...into(this.process), `--wd=${this.folder}`];
    const env = { ...this.environment, MQTT_BROKER_MDNS: "auto" };
    const program = startProgram(this.context, words, { before, env, cwd: this.folder });
    this.started.push(program);
    return program;
  }

  private get socket(): string {
    return join(this.folder, "bus");
  }

  private get environment(): Record<string, string> {
    return { DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${this.socket}` };
  }
}

/** A service as it was resolved. */
export interface Seen {
  name: string;
  type: string;
  host: string;
  address: string;
  port: number;
  txt: string[];
}

/** avahi-browse, which goes on. */
export class Browser {
  readonly process: Running;

  constructor(process: Running) {
    this.process = process;
  }

  /** Waits for a service that was resolved by IPv4 and fits; resolves with it. */
  async seen(fits: (service: Seen) => boolean, what: string): Promise<Seen> {
    const find = (): Seen | undefined => this.all.find(fits);
    await this.process.until(() => find() !== undefined, what);
    return find()!;
  }

  /** Waits until a service has said goodbye on each network and family. */
  async gone(name: string, type: string): Promise<void> {
    await this.process.until(() => !this.names(type).includes(name), `the end of ${name}`);
  }

  /** Instances of a type that are there now. */
  names(type: string): string[] {
    const there = new Map<string, string>();
    for (const [event, network, family, name, seenType] of this.lines) {
      const key = [network, family, name, seenType].join(";");
      if (seenType === type && event === "+") there.set(key, name!);
      if (seenType === type && event === "-") there.delete(key);
    }
    return [...new Set(there.values())];
  }

  /** All that were ever resolved by IPv4. */
  get all(): Seen[] {
    return this.lines
      .filter(([event, , family]) => event === "=" && family === "IPv4")
      .map(([, , , name = "", type = "", , host = "", address = "", port, txt = ""]) => {
        const texts = [...txt.matchAll(/"([^"]*)"/g)].map(([, text]) => text!);
        // The last is heard first.
        return { name, type, host, address, port: Number(port), txt: texts.reverse() };
      });
  }

  private get lines(): string[][] {
    const lines = this.process.stdout.split("\n").slice(0, -1);
    return lines.map((line) => line.split(";").map(unescaped));
  }
}

/** avahi-browse writes what is no letter or digit as \DDD. */
function unescaped(text: string): string {
  const bytes = text.replace(/\\(\d{3})/g, (_, code) => String.fromCharCode(Number(code)));
  return Buffer.from(bytes, "latin1").toString("utf8");
}

function into({ pid }: Running): string[] {
  return ["--preserve-credentials", "--user", "--net", "--mount", "--target", String(pid)];
}
