import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { DEBIAN_NAMES, hostArchitecture } from "../../packaging/architecture.ts";
import { buildDeb } from "../../packaging/deb.ts";
import { VERSION } from "../../src/version.ts";
import type { SystemdMachine } from "./systemd-machine.ts";

const UNIT = "mqtt-broker.service";
const RULES = "/etc/mqtt-broker/auth.json5";
const DROP_IN = `/etc/systemd/system/${UNIT}.d/test.conf`;
/** Its fields are in the journal's own form, and each line is an object. */
type JournalEntry = Readonly<Record<string, string>>;

/** The service as it is installed from its package, seen through its systemd. */
export class Service {
  readonly machine: SystemdMachine;
  private rules = "";

  constructor(machine: SystemdMachine) {
    this.machine = machine;
  }

  /** By dpkg, with the executable that `npm run package` has made. */
  install(): void {
    const architecture = hostArchitecture();
    const executable = join(import.meta.dirname, `../../build/mqtt-broker-linux-${architecture}`);
    if (!existsSync(executable)) throw new Error(`${executable} is not there: run npm run package first`);
    const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-service-"));
    try {
      const deb = buildDeb({ architecture, executable, folder, version: VERSION, compression: "none" });
      const name = `mqtt-broker_${VERSION}_${DEBIAN_NAMES[architecture]}.deb`;
      if (basename(deb) !== name) throw new Error(`The package is called ${deb}, not ${name}`);
      this.machine.write(`/root/${name}`, readFileSync(deb));
      this.machine.must("dpkg", "--install", `/root/${name}`);
      this.rules = this.machine.read(RULES);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** What systemd knows: "ActiveState", "MainPID", "StatusText", … */
  get(property: string): string {
    return this.machine.must("systemctl", "show", UNIT, "--value", "--property", property).trim();
  }

  get pid(): number {
    return Number(this.get("MainPID"));
  }

  systemctl(command: string, ...more: string[]): void {
    this.machine.must("systemctl", command, UNIT, ...more);
  }

  /** More lines of the unit, in place of those before; they hold when it starts the next time. */
  dropIn(...lines: string[]): void {
    this.machine.write(DROP_IN, `[Service]\n${lines.join("\n")}\n`);
    this.machine.must("systemctl", "daemon-reload");
  }

  /** As it was installed, and running, unless it is not installed any more. */
  restore(): void {
    if (!this.machine.exists("/usr/bin/mqtt-broker")) return;
    this.machine.write(RULES, this.rules, 0o640);
    this.machine.run("systemctl", "stop", "mqtt-broker.socket");
    if (this.machine.exists(DROP_IN)) {
      this.machine.must("rm", DROP_IN);
      this.machine.must("systemctl", "daemon-reload");
      this.systemctl("stop");
    }
    this.systemctl("start");
  }

  /** Of the journal, what the broker and systemd have said of the service since the mark. */
  journal(since: string): JournalEntry[] {
    return this.find("--after-cursor", since, "--unit", UNIT);
  }

  /** The entries of the journal that these words of journalctl ask for. */
  find(...words: string[]): JournalEntry[] {
    const lines = this.machine.must("journalctl", "--output", "json", ...words).split("\n");
    return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as JournalEntry);
  }

  /** Where the journal ends now. */
  mark(): string {
    this.machine.must("journalctl", "--sync");
    return /^-- cursor: (.+)$/m.exec(this.machine.must("journalctl", "--lines", "0", "--show-cursor"))![1]!;
  }

  messages(since: string): string[] {
    return this.journal(since).map(({ MESSAGE = "" }) => MESSAGE);
  }

  /** Waits until another process runs, and is ready. */
  async restarted(before: number): Promise<number> {
    await this.machine.until(`another process than ${before} is ready`, () => {
      const { pid } = this;
      return pid !== 0 && pid !== before && this.get("ActiveState") === "active";
    });
    return this.pid;
  }
}
