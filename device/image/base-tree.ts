import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { runTool } from "../../packaging/run-tool.ts";

/** The room in which programs for ARM64 run. */
export const ARM64_ROOM = join(import.meta.dirname, "arm64-room.sh");

const SUITE = "trixie";

/** What the image has of Debian, beside what is essential there. */
const PACKAGES = [
  // The system.
  ...["systemd-sysv", "udev", "dbus", "systemd-timesyncd", "systemd-resolved", "iproute2", "kmod"],
  // What the broker's package needs, and the certificates of the authorities that everybody trusts.
  ...["adduser", "init-system-helpers", "libstdc++6", "ca-certificates"],
  // To start on a Pi.
  ...["linux-image-arm64", "raspi-firmware", "initramfs-tools", "zstd"],
  // Wi-Fi: what runs on the chip, where which channels are allowed, and who logs in.
  ...["firmware-brcm80211", "wireless-regdb", "wpasupplicant"],
  // The card: partitions and file systems.
  ...["fdisk", "e2fsprogs", "dosfstools"],
  // Runs only when mqtt-broker.txt brings a key.
  "openssh-server",
];

const WORDS = [
  ...["--mode=root", "--skip=check/qemu,output/mknod", "--arch=arm64", "--variant=minbase"],
  "--components=main,non-free-firmware",
  `--include=${PACKAGES.join(",")}`,
  ...["man", "locale", "doc"].map((folder) => `--dpkgopt=path-exclude=/usr/share/${folder}/*`),
  "--dpkgopt=path-include=/usr/share/doc/*/copyright",
  // raspi-firmware fills this folder, and the initramfs has the drivers of every board and of QEMU.
  "--essential-hook=mkdir -p $1/boot/firmware $1/etc/initramfs-tools/conf.d; echo MODULES=most > $1/etc/initramfs-tools/conf.d/mqtt-broker",
  // Once, at the end: it takes three minutes under qemu-user, and packages would do it several times.
  "--customize-hook=INITRD=Yes chroot $1 update-initramfs -c -k all",
  SUITE,
];

/**
 * Debian's packages for ARM64, installed and packed up in `folder`: takes 20 minutes where qemu-user does it, and is kept
 * as long as the list above stays. Returns its path. Throws Error with what the tools wrote.
 */
export function baseTree(folder: string): string {
  const key = createHash("sha256").update(JSON.stringify(WORDS)).digest("hex").slice(0, 12);
  const file = join(folder, `base-${key}.tar.zst`);
  if (existsSync(file)) return file;
  mkdirSync(folder, { recursive: true });
  const part = join(folder, `base-${key}.part.tar`);
  const mirror = debianMirror();
  const sources = [
    `deb ${mirror} ${SUITE} main non-free-firmware`,
    `deb ${mirror} ${SUITE}-updates main non-free-firmware`,
    `deb ${mirror}-security ${SUITE}-security main non-free-firmware`,
  ];
  console.log(`Installing ${SUITE} for arm64 into ${file}: 20 minutes on a machine of another kind`);
  try {
    // INITRD=No: the kernel's own hooks leave the initramfs to the one at the end.
    runTool(ARM64_ROOM, ["env", "INITRD=No", "mmdebstrap", ...WORDS, part, ...sources]);
    runTool("zstd", ["--quiet", "--rm", "-3", "-T0", part, "-o", `${part}.zst`]);
    renameSync(`${part}.zst`, file);
  } finally {
    for (const left of [part, `${part}.zst`]) rmSync(left, { force: true });
  }
  return file;
}

/** Where apt has Debian's packages from on this machine. Throws Error when it has them from nowhere. */
export function debianMirror(): string {
  const listed = runTool("apt-get", ["indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(LABEL)"]);
  const found = listed.split("\n").find((line) => line.endsWith(" Debian Debian"));
  if (found !== undefined) return found.split(" ")[0]!.replace(/\/$/, "");
  throw new Error("apt has no mirror of Debian: on a Debian machine apt-get update, then again");
}
