import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runTool } from "../../packaging/run-tool.ts";
import { freePort } from "../support/free-port.ts";

/** The boot partition of the image begins here. */
const BOOT_OFFSET = "@@4M";

/** Emulation without any help of the processor is slow, on a busy machine several times so. */
const START_SECONDS_MAX = 600;

const running = new Set<ChildProcess>();
// Whatever ends the tests, no machine goes on.
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** A copy of the image as a card of 2 GiB, and the machine that it is in: QEMU's, with 2 processors and 1 GiB. */
export class ImageMachine {
  readonly folder = mkdtempSync(join(tmpdir(), "mqtt-broker-machine-"));
  mqttPort = 0;
  private sshPort = 0;
  private child: ChildProcess | undefined;
  private readonly card = join(this.folder, "card");
  private readonly key = join(this.folder, "key");
  /** A file: QEMU as a whole waits for who reads its standard output. */
  private readonly serial = join(this.folder, "screen");

  constructor(image: string) {
    runTool("cp", ["--sparse=always", image, this.card]);
    runTool("truncate", ["--size=2G", this.card]);
    runTool("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", this.key]);
  }

  /** What the machine has written on its screen since its last start. */
  get screen(): string {
    return readFileSync(this.serial, "utf8").replaceAll("\r", "");
  }

  /** The line for mqtt-broker.txt that lets `ssh` in. */
  get sshKey(): string {
    return readFileSync(`${this.key}.pub`, "utf8").trim();
  }

  /** While the machine is off. */
  writeToBoot(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text);
    runTool("mcopy", ["-o", "-i", `${this.card}${BOOT_OFFSET}`, join(this.folder, name), `::/${name}`]);
  }

  readFromBoot(name: string): string {
    return runTool("mtype", ["-i", `${this.card}${BOOT_OFFSET}`, `::/${name}`]);
  }

  /** As the Pi's firmware does: kernel, initramfs and command line come from the boot partition. */
  async start(): Promise<void> {
    const names = runTool("mdir", ["-b", "-i", `${this.card}${BOOT_OFFSET}`, "::/"]).split("\n");
    const copied = ["vmlinuz", "initrd.img"].map((kind) => {
      const name = names.find((one) => one.startsWith(`::/${kind}`));
      if (name === undefined) throw new Error(`The boot partition has no ${kind}: ${names.join(" ")}`);
      runTool("mcopy", ["-o", "-i", `${this.card}${BOOT_OFFSET}`, name, join(this.folder, kind)]);
      return join(this.folder, kind);
    });
    [this.mqttPort, this.sshPort] = [await freePort(), await freePort()];
    const forward = [`${this.mqttPort}-:1883`, `${this.sshPort}-:22`].map((ports) => `hostfwd=tcp:127.0.0.1:${ports}`);
    const words = [
      ...["-M", "virt", "-cpu", "cortex-a72", "-smp", "2", "-m", "1024", "-accel", "tcg,thread=multi"],
      ...["-display", "none", "-monitor", "none", "-serial", `file:${this.serial}`, "-no-reboot"],
      ...["-kernel", copied[0]!, "-initrd", copied[1]!],
      ...["-append", `${this.readFromBoot("cmdline.txt").trim()} console=ttyAMA0`],
      ...["-drive", `if=none,id=card,file=${this.card},format=raw`, "-device", "virtio-blk-pci,drive=card"],
      ...["-netdev", `user,id=net,${forward.join(",")}`, "-device", "virtio-net-pci,netdev=net,romfile="],
      ...["-device", "virtio-rng-pci", "-device", "i6300esb"],
      // On a busy machine the emulated one is too slow to feed its watchdog at each moment.
      ...["-action", "watchdog=none"],
    ];
    writeFileSync(this.serial, "");
    const child = spawn("qemu-system-aarch64", words, { stdio: ["ignore", "inherit", "inherit"] });
    child.once("exit", () => running.delete(child));
    running.add(child);
    this.child = child;
  }

  /** Until the screen shows this; its first group, or the whole. Rejects with the screen's last lines. */
  async shows(pattern: RegExp): Promise<string> {
    return await this.until(`the screen shows ${pattern}`, () => {
      const found = pattern.exec(this.screen);
      return found === null ? undefined : (found[1] ?? found[0]);
    });
  }

  /** Runs a command in the machine as root. Standard output and error together. */
  ssh(line: string, input?: Uint8Array): { status: number | null; output: string } {
    const { status, stdout, stderr } = spawnSync("ssh", [...this.sshWords(), line], {
      encoding: "utf8",
      timeout: START_SECONDS_MAX * 1000,
      maxBuffer: 64 * 1024 * 1024,
      ...(input !== undefined && { input }),
    });
    return { status, output: (stdout + stderr).trim() };
  }

  /** Until ssh lets in. */
  async reachable(): Promise<void> {
    await this.until("ssh lets in", () => (this.ssh("true").status === 0 ? true : undefined));
  }

  /** The same command, which goes on while the test does. */
  sshInBackground(line: string, input: Uint8Array): ChildProcess {
    const child = spawn("ssh", [...this.sshWords(), line], { stdio: ["pipe", "ignore", "ignore"] });
    running.add(child);
    child.once("exit", () => running.delete(child));
    child.stdin.on("error", () => {});
    child.stdin.end(input);
    return child;
  }

  /** Publishes or subscribes from outside of the machine, with the words of Mosquitto's clients. */
  client(
    program: "mosquitto_pub" | "mosquitto_sub",
    words: readonly string[],
  ): { status: number | null; output: string } {
    const { status, stdout, stderr } = spawnSync(program, ["-h", "127.0.0.1", "-p", String(this.mqttPort), ...words], {
      encoding: "utf8",
      // Ports of a machine that is not up yet are open, and nobody answers.
      timeout: 30_000,
    });
    return { status, output: (stdout + stderr).trim() };
  }

  /** Until `attempt` returns something. Rejects when the machine has ended, or after ten minutes. */
  async until<T>(what: string, attempt: () => T | undefined): Promise<T> {
    const deadline = performance.now() + START_SECONDS_MAX * 1000;
    for (;;) {
      const found = attempt();
      if (found !== undefined) return found;
      const ended = this.child?.exitCode != null || this.child?.signalCode != null;
      if (ended || performance.now() > deadline) {
        throw new Error(`Waited until ${what}, in vain. The screen:\n${this.screen.split("\n").slice(-40).join("\n")}`);
      }
      await sleep(500);
    }
  }

  /** Orderly: `systemctl reboot`, which ends QEMU. */
  async shutDown(): Promise<void> {
    this.ssh("systemctl reboot");
    await this.ended();
  }

  /** The power goes. */
  async cutPower(): Promise<void> {
    this.child?.kill("SIGKILL");
    await this.ended();
  }

  async remove(): Promise<void> {
    await this.cutPower();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async ended(): Promise<void> {
    const { child } = this;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }

  private sshWords(): string[] {
    const options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=20"];
    const words = ["BatchMode=yes", ...options].flatMap((option) => ["-o", option]);
    return ["-F", "none", "-i", this.key, "-p", String(this.sshPort), ...words, "root@127.0.0.1"];
  }
}
