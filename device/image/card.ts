import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runTool } from "../../packaging/run-tool.ts";

const MIB = 1024 * 1024;

/** Flash is erased in blocks of up to 4 MiB: partitions begin at their borders. */
const ALIGN_MIB = 4;
const FIRMWARE_MIB = 256;
/** What the first start finds, before it grows to the end of the card. */
const DATA_MIB = 128;

/** Also in etc/fstab and cmdline.txt. A label of FAT has 11 characters. */
const LABELS = { firmware: "MQTT-BROKER", root: "mqtt-root", data: "mqtt-data" } as const;

/** The folders that become the partitions, in this order. */
export interface Folders {
  firmware: string;
  root: string;
  data: string;
}

/**
 * Writes an image of a card with a partition table of DOS, the only one that every Pi starts from: no loop device and no
 * mount are needed. Throws Error when a tool fails.
 */
export function writeCard(image: string, { firmware, root, data }: Folders): void {
  const stage = mkdtempSync(`${image}-`);
  try {
    const parts = [
      { type: "c", bootable: true, mib: FIRMWARE_MIB, file: fat(join(stage, "firmware"), firmware) },
      { type: "83", bootable: false, ...rootOf(join(stage, "root"), root) },
      { type: "83", bootable: false, mib: DATA_MIB, file: dataOf(join(stage, "data"), data) },
    ];
    const lines = ["label: dos"];
    let startMib = ALIGN_MIB;
    const starts = parts.map(({ type, bootable, mib }) => {
      const start = startMib;
      lines.push(`start=${start}MiB, size=${mib}MiB, type=${type}${bootable ? ", bootable" : ""}`);
      startMib += Math.ceil(mib / ALIGN_MIB) * ALIGN_MIB;
      return start;
    });
    const part = join(stage, "card");
    writeFileSync(part, "");
    truncateSync(part, startMib * MIB);
    writeFileSync(join(stage, "table"), `${lines.join("\n")}\n`);
    runTool("sh", ["-c", 'sfdisk --quiet "$1" <"$2"', "sh", part, join(stage, "table")]);
    for (const [index, { file }] of parts.entries()) {
      const words = [
        `if=${file}`,
        `of=${part}`,
        "bs=1M",
        `seek=${starts[index]}`,
        "conv=notrunc,sparse",
        "status=none",
      ];
      runTool("dd", words);
    }
    runTool("cp", ["--sparse=always", part, `${image}.part`]);
    runTool("mv", [`${image}.part`, image]);
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

function fat(file: string, folder: string): string {
  runTool("mkfs.vfat", ["-F", "32", "-n", LABELS.firmware, "--invariant", "-C", file, String(FIRMWARE_MIB * 1024)]);
  const contents = readdirSync(folder).map((name) => join(folder, name));
  runTool("mcopy", ["-s", "-m", "-i", file, ...contents, "::/"]);
  return file;
}

/** Read-only for ever: it needs no journal, and little more space than its files. */
function rootOf(file: string, folder: string): { mib: number; file: string } {
  const usedKib = Number(runTool("du", ["-sk", folder]).split("\t")[0]);
  const mib = Math.ceil((usedKib / 1024) * 1.06) + 32;
  const words = ["-O", "^has_journal", "-m", "0", "-L", LABELS.root, "-d", folder, file, `${mib}M`];
  runTool("mke2fs", ["-q", "-t", "ext4", "-b", "4096", ...words]);
  return { mib, file };
}

/** Laid out for the card that it grows to: blocks, inodes and a journal of a size that a small file system would not get. */
function dataOf(file: string, folder: string): string {
  const layout = ["-b", "4096", "-i", "16384", "-I", "256", "-J", "size=16", "-m", "1", "-E", "lazy_itable_init=0"];
  const words = ["-L", LABELS.data, "-d", folder, file, `${DATA_MIB}M`];
  runTool("mke2fs", ["-q", "-t", "ext4", ...layout, ...words]);
  return file;
}
