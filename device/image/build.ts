import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join, relative } from "node:path";
import { runTool } from "../../packaging/run-tool.ts";
import { VERSION } from "../../src/version.ts";
import { ARM64_ROOM, baseTree } from "./base-tree.ts";
import { writeCard } from "./card.ts";

/**
 * `npm run image [-- PACKAGE]`: build/mqtt-broker-VERSION-rpi-arm64.img, a card for a Raspberry Pi, of Debian's packages
 * and the broker's for ARM64: PACKAGE, or the one in build/. Needs root, for the owners of files.
 */
const ROOT = join(import.meta.dirname, "../..");
const BUILD = join(ROOT, "build");

/** What the image is made with, and Debian's package of it. */
const TOOLS: Readonly<Record<string, string>> = {
  mmdebstrap: "mmdebstrap",
  "qemu-aarch64-static": "qemu-user-static",
  zstd: "zstd",
  sfdisk: "fdisk",
  "mkfs.vfat": "dosfstools",
  mcopy: "mtools",
  mke2fs: "e2fsprogs",
};

try {
  main(process.argv.slice(2));
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}

function main([word, ...more]: readonly string[]): void {
  if (word?.startsWith("-") === true || more.length > 0) throw new Error("It is npm run image [-- PACKAGE]");
  const debianPackage = word ?? join(BUILD, `mqtt-broker_${VERSION}_arm64.deb`);
  if (!existsSync(debianPackage)) {
    throw new Error(`${relative("", debianPackage)} is not there: npm run package -- arm64 makes it`);
  }
  if (process.getuid?.() !== 0)
    throw new Error("The image has files of several owners, so only root can make it: sudo");
  demandTools();
  const kept = join(BUILD, "image");
  const base = baseTree(kept);
  const stage = mkdtempSync(join(kept, "stage-"));
  try {
    const folders = { root: join(stage, "root"), data: join(stage, "data"), firmware: join(stage, "firmware") };
    for (const folder of Object.values(folders)) mkdirSync(folder);
    runTool("tar", ["--zstd", "--numeric-owner", "-xpf", base, "-C", folders.root]);
    chmodSync(folders.root, 0o755);
    putOverlay(folders.root);
    runTool(ARM64_ROOM, [join(import.meta.dirname, "configure.sh"), folders.root, debianPackage]);
    runTool(join(import.meta.dirname, "data-tree.sh"), [folders.root, folders.data]);
    putFirmware(folders.root, folders.firmware);
    const image = join(BUILD, `mqtt-broker-${VERSION}-rpi-arm64.img`);
    writeCard(image, folders);
    console.log(`${relative("", image)} of ${basename(debianPackage)}`);
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

function demandTools(): void {
  const missing = Object.keys(TOOLS).filter((tool) => !runs(tool));
  if (missing.length === 0) return;
  const packages = missing.map((tool) => TOOLS[tool]).join(" ");
  throw new Error(`Missing: ${missing.join(", ")}. On Debian: apt-get install --no-install-recommends ${packages}`);
}

function runs(tool: string): boolean {
  try {
    runTool("sh", ["-c", 'command -v "$1"', "sh", tool]);
    return true;
  } catch {
    return false;
  }
}

/** Whoever built it, in the image they are root's; who may run them is as in the sources. */
function putOverlay(root: string): void {
  const own = join(import.meta.dirname, "root");
  const words = ["-C", own, "--owner=0", "--group=0", "--mode=u=rwX,go=rX", "-c", "."];
  runTool("sh", ["-c", 'into=$1; shift; tar "$@" | tar --no-overwrite-dir -xpC "$into"', "sh", root, ...words]);
}

/** Kernel, initramfs and the Pi's own files move to the partition that the Pi starts from, beside the settings. */
function putFirmware(root: string, firmware: string): void {
  cpSync(join(root, "boot/firmware"), firmware, { recursive: true });
  rmSync(join(root, "boot"), { recursive: true });
  mkdirSync(join(root, "boot/firmware"), { recursive: true });
  const line = readFileSync(join(firmware, "cmdline.txt"), "utf8").trim();
  const kept = line.split(" ").filter((word) => !/^(?:console|root|rw|fsck\.repair|cma|panic)(?:=|$)/.test(word));
  // The last console is the main one.
  const added = ["console=ttyS1,115200", "console=tty0", "root=LABEL=mqtt-root", "ro", "fsck.repair=yes", "panic=10"];
  const words = [...kept, ...added].join(" ");
  // Debian's own default on each board: a size for CMA up to the Pi 3, and none on a Pi 4, which would not start with it.
  writeFileSync(join(firmware, "cmdline.txt"), `${words} cma=64M\n`);
  writeFileSync(join(firmware, "cmdline-pi4.txt"), `${words}\n`);
  appendFileSync(join(firmware, "config.txt"), "\n[pi4]\ncmdline=cmdline-pi4.txt\n[all]\n");
  const settings = readFileSync(join(import.meta.dirname, "boot/mqtt-broker.txt"), "utf8");
  // For editors that know no other ends of lines.
  writeFileSync(join(firmware, "mqtt-broker.txt"), settings.replaceAll("\n", "\r\n"));
}
