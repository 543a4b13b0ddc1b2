import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { ARM64_ROOM, debianMirror } from "../../device/image/base-tree.ts";
import type { Architecture } from "../../packaging/architecture.ts";
import { DEBIAN_NAMES, hostArchitecture } from "../../packaging/architecture.ts";
import { runTool } from "../../packaging/run-tool.ts";
import type { Lifetime } from "../smoke/program.ts";
import { debianTree } from "./debian-tree.ts";

const RELEASE = "bookworm";

/** What the package depends on, so that dpkg alone can install it. */
const PACKAGES = ["systemd", "libstdc++6"];

/** Of this machine's devices, those that programs need. */
const DEVICES = ["null", "zero", "full", "random", "urandom"];

/** In the room a command has processes and mounts of its own, and with these words nothing else of the machine either. */
export const ALONE = ["unshare", "--net", "--ipc", "--uts"];

const ENTER = `
root=$1; shift
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev"
for device in ${DEVICES.join(" ")}; do touch "$root/dev/$device"; mount --bind /dev/$device "$root/dev/$device"; done
exec chroot "$root" "$@"
`;

const RUN_SECONDS_MAX = 300;

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A small Debian in a folder, without a running systemd, that is removed after the test. */
export class DebianChroot {
  readonly root: string;

  constructor(context: Lifetime, architecture: Architecture) {
    const tree = architecture === hostArchitecture() ? debianTree(RELEASE, PACKAGES) : foreignTree(architecture);
    const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-chroot-"));
    context.after(() => rmSync(folder, { recursive: true, force: true }));
    this.root = join(folder, "root");
    runTool("cp", ["--archive", "--reflink=auto", tree, this.root]);
  }

  /** Runs a command in it to its end, as root, without a network. */
  run(...words: readonly string[]): Outcome {
    const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8", DEBIAN_FRONTEND: "noninteractive" };
    // As the first process of its namespace: with it all others end.
    const bounded = ["timeout", "--kill-after=5", String(RUN_SECONDS_MAX), "sh", "-ec", ENTER, "sh", this.root];
    const { status, stdout, stderr } = spawnSync(ARM64_ROOM, [...ALONE, ...bounded, ...words], {
      encoding: "utf8",
      env: { ...env, MQTT_BROKER_MDNS: "off" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    return { code: status, stdout, stderr };
  }

  /** The same, for what has to succeed: returns what it wrote. */
  must(...words: readonly string[]): string {
    const { code, stdout, stderr } = this.run(...words);
    if (code !== 0) throw new Error(`${words.join(" ")} ended with ${code}:\n${stdout}${stderr}`);
    return stdout;
  }

  /** Puts a file of this machine into its /tmp. Returns the name that it has there. */
  bring(file: string): string {
    const name = `/tmp/${basename(file)}`;
    runTool("cp", ["--reflink=auto", file, this.path(name)]);
    return name;
  }

  /** Where a path of it is on this machine. */
  path(path: string): string {
    return join(this.root, path);
  }

  has(path: string): boolean {
    return existsSync(this.path(path));
  }

  read(path: string): string {
    return readFileSync(this.path(path), "utf8");
  }

  write(path: string, text: string, mode?: number): void {
    mkdirSync(dirname(this.path(path)), { recursive: true });
    writeFileSync(this.path(path), text);
    if (mode !== undefined) chmodSync(this.path(path), mode);
  }

  /** "root:mqtt-broker 640". */
  rights(path: string): string {
    return this.must("stat", "-c", "%U:%G %a", path).trim();
  }

  bytes(path: string): number {
    return statSync(this.path(path)).size;
  }
}

/** As `debianTree`, for the other architecture: its own programs install it, which takes some minutes. */
function foreignTree(architecture: Architecture): string {
  const name = DEBIAN_NAMES[architecture];
  const folder = join(import.meta.dirname, "../../build/trees", `${RELEASE}-${name}`);
  if (existsSync(folder)) return folder;
  mkdirSync(dirname(folder), { recursive: true });
  const made = `${folder}.${process.pid}`;
  try {
    // In the room's namespace of users no device can be made; they are mounted where a command runs.
    const words = ["--mode=root", "--skip=check/qemu,output/mknod", "--variant=minbase", "--format=directory"];
    const what = [`--architectures=${name}`, `--include=${PACKAGES.join(",")}`, RELEASE, made, debianMirror()];
    runTool(ARM64_ROOM, ["mmdebstrap", "--quiet", ...words, ...what]);
    renameSync(made, folder);
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
  return folder;
}
