import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const IMAGE_ROOT = join(import.meta.dirname, "../../../device/image/root");

const DISK_COMMANDS = ["cp", "dd", "ln", "mkdir", "mv", "rm", "sync"];

/** What a machine lives as long as: a test. */
export interface Lifetime {
  after(end: () => void): void;
}

/** A folder that stands for the root of the image's file system, and commands that only note what they were asked. */
export class FakeMachine {
  readonly root = mkdtempSync(join(tmpdir(), "mqtt-broker-image-"));
  private readonly commands = join(this.root, ".commands");
  private readonly calls = join(this.root, ".calls");

  constructor(lifetime: Lifetime) {
    lifetime.after(() => rmSync(this.root, { recursive: true, force: true }));
    for (const folder of ["run", "data/slots", "boot/firmware", "etc/mqtt-broker", "dev", ".commands"]) {
      mkdirSync(join(this.root, folder), { recursive: true });
    }
    this.write("sys/class/tty/console/active", "tty0 ttyS1\n");
    this.write(".calls", "");
  }

  /** A command of this name notes its words, then does what the shell script says. */
  command(name: string, script = ""): void {
    const note = `printf '%s\\n' "${name} $*" >>"${this.calls}"`;
    writeFileSync(join(this.commands, name), `#!/bin/sh\n${note}\n${script}\n`, { mode: 0o755 });
  }

  /**
   * The power goes at the command of this number, from 1 on, among those that change the disk; the command still does its
   * work. `others`: more of them, each with what it does. 0: it does not go any more.
   */
  cutPowerAt(number: number, others: Readonly<Record<string, string>> = {}): void {
    const count = this.write("count", "");
    const cut = `echo x >>'${count}'; [ $(wc -l <'${count}') != ${number} ] || kill -9 $PPID`;
    for (const name of DISK_COMMANDS) this.command(name, `${cut}; exec /bin/${name} "$@"`);
    for (const [name, script] of Object.entries(others)) this.command(name, `${script}; ${cut}`);
  }

  /** The calls of all commands so far, in their order; the list begins anew. */
  called(): string[] {
    const lines = readFileSync(this.calls, "utf8").split("\n").slice(0, -1);
    writeFileSync(this.calls, "");
    return lines.map((line) => line.replaceAll(this.root, ""));
  }

  write(path: string, text: string | Uint8Array, mode = 0o644): string {
    const file = join(this.root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text, { mode });
    return file;
  }

  read(path: string): string {
    return readFileSync(join(this.root, path), "utf8");
  }

  /** Runs a script of the image, by its path there. */
  run(
    script: string,
    words: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ): SpawnSyncReturns<string> {
    return spawnSync(join(IMAGE_ROOT, script), words, {
      encoding: "utf8",
      timeout: 20_000,
      env: { PATH: `${this.commands}:${process.env.PATH}`, MQTT_BROKER_IMAGE_ROOT: this.root, ...env },
    });
  }
}
