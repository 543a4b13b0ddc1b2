import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

/**
 * Before the tests: the Debian packages that they use. As root they are installed; anybody else is told the line to run.
 * `packaging/node test/prepare.ts [package|image]`: those of `npm test`, `npm run package:test` or `npm run image:test`.
 */
interface Need {
  debianPackage: string;
  present: () => boolean;
}

const CLIENTS: Need = { debianPackage: "mosquitto-clients", present: () => runs("mosquitto_rr", ["--version"]) };
const SSH: Need = { debianPackage: "openssh-client", present: () => runs("ssh", ["-V"]) };

/**
 * Real clients to talk to the broker, another broker that it is a client of, Python's client for the example, a compiler for the Arduino one
 * and, with OpenSSL's headers, for the bench's generator, certificates, a wrong clock, network namespaces, a terminal,
 * a browser, pairs of serial lines, another responder of mDNS, small disks, what speaks to systemd, keys for the image's settings.
 */
const TESTS: readonly Need[] = [
  CLIENTS,
  { debianPackage: "mosquitto", present: () => existsSync("/usr/sbin/mosquitto") },
  { debianPackage: "python3-paho-mqtt", present: () => runs("/usr/bin/python3", ["-c", "import paho.mqtt.client"]) },
  { debianPackage: "g++", present: () => runs("g++", ["--version"]) && runs("cc", ["--version"]) },
  { debianPackage: "libssl-dev", present: () => existsSync("/usr/include/openssl/ssl.h") },
  { debianPackage: "openssl", present: () => runs("openssl", ["version"]) },
  { debianPackage: "faketime", present: () => runs("faketime", ["--version"]) },
  { debianPackage: "iproute2", present: () => runs("ip", ["-V"]) },
  { debianPackage: "bsdutils", present: () => runs("script", ["--version"]) },
  { debianPackage: "util-linux", present: () => runs("unshare", ["--version"]) && runs("setpriv", ["--version"]) },
  { debianPackage: "mount", present: () => runs("mount", ["--version"]) },
  { debianPackage: "chromium", present: () => runs("chromium", ["--version"]) },
  { debianPackage: "socat", present: () => runs("socat", ["-V"]) },
  { debianPackage: "avahi-daemon", present: () => runs("avahi-daemon", ["--version"]) },
  { debianPackage: "avahi-utils", present: () => runs("avahi-browse", ["--version"]) },
  { debianPackage: "dbus", present: () => runs("dbus-daemon", ["--version"]) },
  { debianPackage: "systemd", present: () => runs("systemd-notify", ["--version"]) },
  { debianPackage: "e2fsprogs", present: () => runs("mkfs.ext4", ["-V"]) },
  SSH,
];

/** A machine for the image, what writes to its first partition, and who asks it from outside. */
const IMAGE_TESTS: readonly Need[] = [
  { debianPackage: "qemu-system-arm", present: () => runs("qemu-system-aarch64", ["--version"]) },
  { debianPackage: "mtools", present: () => runs("mcopy", ["--version"]) },
  CLIENTS,
  SSH,
];

const ARM64_LIBRARIES = "/usr/aarch64-linux-gnu/lib";

/** Programs for ARM64 are made and run there by what is there anyway, and elsewhere with these. */
const EMULATION: readonly Need[] = [
  {
    debianPackage: "qemu-user-static",
    present: () => runs("qemu-aarch64-static", ["--version"]) && existsSync("/usr/lib/binfmt.d/qemu-aarch64.conf"),
  },
  { debianPackage: "gcc-aarch64-linux-gnu", present: () => runs("aarch64-linux-gnu-gcc", ["--version"]) },
  { debianPackage: "libc6-dev-arm64-cross", present: () => existsSync(`${ARM64_LIBRARIES}/libc.a`) },
  { debianPackage: "libc6-arm64-cross", present: () => existsSync(`${ARM64_LIBRARIES}/libc.so.6`) },
  { debianPackage: "libstdc++6-arm64-cross", present: () => existsSync(`${ARM64_LIBRARIES}/libstdc++.so.6`) },
];

/**
 * All of `npm test`, since its tests of the program are run on the executable, and of the image; trees of Debian, one that
 * boots, Debian's own check of packages, and who shows the manual.
 */
const PACKAGE_TESTS: readonly Need[] = [
  ...TESTS,
  ...IMAGE_TESTS,
  ...(process.arch === "arm64" ? [] : EMULATION),
  { debianPackage: "mmdebstrap", present: () => runs("mmdebstrap", ["--version"]) },
  { debianPackage: "systemd-container", present: () => runs("systemd-nspawn", ["--version"]) },
  { debianPackage: "lintian", present: () => runs("lintian", ["--version"]) },
  { debianPackage: "groff", present: () => runs("groff", ["--version"]) },
  { debianPackage: "man-db", present: () => runs("man", ["--version"]) },
];

const LISTS: Readonly<Record<string, readonly Need[]>> = { package: PACKAGE_TESTS, image: IMAGE_TESTS };

const [word] = process.argv.slice(2);
const needs = word === undefined ? TESTS : LISTS[word];
if (needs === undefined)
  throw new Error(`Not understood: ${word}. It is test/prepare.ts [${Object.keys(LISTS).join("|")}]`);
const missing = missingOf(needs);
if (missing.length > 0) process.exitCode = install(missing, needs);

/** Some are needed by two lists. */
function missingOf(all: readonly Need[]): string[] {
  return [...new Set(all)].filter(({ present }) => !present()).map(({ debianPackage }) => debianPackage);
}

function install(packages: readonly string[], all: readonly Need[]): number {
  const line = `apt-get install -y --no-install-recommends ${packages.join(" ")}`;
  if (process.getuid?.() !== 0) {
    console.error(`The tests need Debian packages that are not installed. Run this once:\n  sudo ${line}`);
    return 1;
  }
  console.log(`Installing what the tests need: ${packages.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  for (const command of ["apt-get update", line]) {
    const { status, stdout, stderr } = spawnSync("sh", ["-c", command], { env, encoding: "utf8" });
    if (status === 0) continue;
    console.error(`${command} failed:\n${stdout}${stderr}`);
    return 1;
  }
  const still = missingOf(all);
  if (still.length === 0) return 0;
  console.error(`Still missing after ${line}: ${still.join(" ")}`);
  return 1;
}

/** mosquitto_rr has no exit code for --version worth asking, so it is enough that it starts. */
function runs(command: string, words: readonly string[]): boolean {
  const { error, status } = spawnSync(command, words, { stdio: "ignore" });
  return error === undefined && (status === 0 || command === "mosquitto_rr");
}
