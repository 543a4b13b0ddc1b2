import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runDebianTool } from "../../packaging/run-tool.ts";
import { type Lifetime, Running, startCommand } from "../smoke/program.ts";
import { debianTree } from "./debian-tree.ts";

/** What a Debian has that boots. */
const PACKAGES = ["systemd", "systemd-sysv", "dbus", "libstdc++6", "init-system-helpers", "procps"];

const CONTROL_GROUPS = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];

/**
 * In a mount namespace of its own, with control groups of its own: a Debian tree, changes of which stay in memory, boots. All
 * of it is gone when its processes are. systemd-nspawn wants a terminal, or says nothing of the boot.
 */
const BOOT = `
set -e
tree=$1 folder=$2 name=$3
for groups in ${CONTROL_GROUPS.join(" ")}; do
  if [ -e $groups/cgroup.procs ]; then mkdir $groups/$name; echo $$ > $groups/$name/cgroup.procs; fi
done
mount -t tmpfs tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay overlay -o "lowerdir=$tree,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
exec script -qfec "exec systemd-nspawn --quiet --directory=$folder/root --machine=$name --boot --register=no --keep-unit --private-network" /dev/null
`;

const BOOT_MS_MAX = 60_000;

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A machine with a systemd of its own, and a network with nothing but its loopback interface. */
export class SystemdMachine {
  readonly bootMs: number;
  /** Its systemd, as this machine knows it. */
  private readonly leader: number;

  private constructor(leader: number, bootMs: number) {
    this.leader = leader;
    this.bootMs = bootMs;
  }

  /** Boots Debian's `release`, and ends it with `context`. Root alone can. */
  static async boot(context: Lifetime, release: string): Promise<SystemdMachine> {
    if (process.getuid?.() !== 0) throw new Error("These tests boot a systemd of their own: run them as root");
    runDebianTool({ command: "systemd-nspawn", debianPackages: "systemd-container" }, ["--version"]);
    const tree = debianTree(release, PACKAGES);
    const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-machine-"));
    const name = folder.slice(folder.lastIndexOf("/") + 1);
    const startedMs = performance.now();
    const words = ["--mount", "--propagation", "private", "sh", "-c", BOOT, "sh", tree, folder, name];
    const program = new Running("unshare", words, tmpdir(), process.env, "");
    context.after(async () => {
      const first = leaderBelow(program.pid);
      // With the first process of its namespace all others end.
      if (first !== undefined) process.kill(first, "SIGKILL");
      else await program.stop("SIGKILL");
      await program.ended;
      for (const groups of CONTROL_GROUPS) await removeGroups(join(groups, name));
      rmSync(folder, { recursive: true, force: true });
    });
    const leader = await leaderOf(program, startedMs);
    const machine = new SystemdMachine(leader, performance.now() - startedMs);
    await machine.until(
      "it has booted",
      () => machine.run("systemctl", "is-system-running").stdout.trim() === "running",
    );
    return new SystemdMachine(leader, performance.now() - startedMs);
  }

  /** Runs a command of the machine to its end. */
  run(...words: readonly string[]): Outcome {
    const inside = ["-t", String(this.leader), "-m", "-u", "-i", "-n", "-p", "--", ...words];
    const { status: code, stdout, stderr } = spawnSync("nsenter", inside, { encoding: "utf8", timeout: 120_000 });
    return { code, stdout, stderr };
  }

  /** The same, for what has to succeed: returns what it wrote. */
  must(...words: readonly string[]): string {
    const { code, stdout, stderr } = this.run(...words);
    if (code !== 0) throw new Error(`${words.join(" ")} ended with ${code}:\n${stdout}${stderr}`);
    return stdout;
  }

  /** Words before a command of this machine, which then is in the network of the other. */
  get inNetwork(): readonly string[] {
    return ["nsenter", "-t", String(this.leader), "-n", "--"];
  }

  /** Runs a client of this machine in the network of the other one, to its end. */
  client(...words: readonly string[]): Outcome {
    const [command, ...rest] = [...this.inNetwork, ...words] as [string, ...string[]];
    const { status: code, stdout, stderr } = spawnSync(command, rest, { encoding: "utf8", timeout: 30_000 });
    return { code, stdout, stderr };
  }

  start(context: Lifetime, ...words: readonly string[]): Running {
    const [command, ...rest] = [...this.inNetwork, ...words] as [string, ...string[]];
    return startCommand(context, command, rest);
  }

  /** Where a path of the machine is on this one. */
  path(path: string): string {
    return `/proc/${this.leader}/root${path}`;
  }

  write(path: string, text: string | Uint8Array, mode = 0o644): void {
    mkdirSync(dirname(this.path(path)), { recursive: true });
    writeFileSync(this.path(path), text);
    chmodSync(this.path(path), mode);
  }

  read(path: string): string {
    return readFileSync(this.path(path), "utf8");
  }

  exists(path: string): boolean {
    return existsSync(this.path(path));
  }

  /** Looks again and again. */
  async until(expected: string, condition: () => boolean, msMax = BOOT_MS_MAX): Promise<void> {
    const deadlineMs = performance.now() + msMax;
    while (!condition()) {
      if (performance.now() > deadlineMs) throw new Error(`Not within ${msMax / 1000} s: ${expected}`);
      await sleep(50);
    }
  }
}

async function leaderOf(program: Running, startedMs: number): Promise<number> {
  for (;;) {
    const found = leaderBelow(program.pid);
    if (found !== undefined) return found;
    if (program.child.exitCode !== null || performance.now() - startedMs > BOOT_MS_MAX) {
      throw new Error(`It does not boot:\n${program.stdout}${program.stderr}`);
    }
    await sleep(20);
  }
}

/** The machine's first process: the one below ours whose number is 1 in there. */
function leaderBelow(pid: number): number | undefined {
  return descendants(pid).find((each) => /^NSpid:.*\t1$/m.test(fileOf(each, "status")));
}

function descendants(pid: number): number[] {
  const children = fileOf(pid, `task/${pid}/children`).split(" ").filter(Boolean).map(Number);
  return children.flatMap((child) => [child, ...descendants(child)]);
}

/** "" when the process has ended meanwhile. */
function fileOf(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "utf8");
  } catch {
    return "";
  }
}

/** Innermost first. Their last process may not be quite gone. */
async function removeGroups(folder: string): Promise<void> {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeGroups(join(folder, entry.name));
  }
  for (let tries = 1; ; tries++) {
    try {
      rmdirSync(folder);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EBUSY" || tries === 100) throw error;
      await sleep(20);
    }
  }
}
