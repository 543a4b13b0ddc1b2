import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

/**
 * Before the tests: the Debian packages that they use. As root they are installed; anybody else is told the line to run.
 * What each is for: real clients to talk to the broker, another broker that it is a client of, Python's client for the example, a compiler for the Arduino one
 * and, with OpenSSL's headers, for the bench's generator, certificates, a wrong clock, network namespaces, a terminal,
 * a browser, pairs of serial lines, another responder of mDNS, small disks, what speaks to systemd, keys for the image's settings.
 */
const NEEDS: readonly { debianPackage: string; present: () => boolean }[] = [
  { debianPackage: "mosquitto-clients", present: () => runs("mosquitto_rr", ["--version"]) },
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
  { debianPackage: "openssh-client", present: () => runs("ssh", ["-V"]) },
];

const missing = NEEDS.filter(({ present }) => !present()).map(({ debianPackage }) => debianPackage);
if (missing.length > 0) process.exitCode = install(missing);

function install(packages: readonly string[]): number {
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
  const still = NEEDS.filter(({ present }) => !present()).map(({ debianPackage }) => debianPackage);
  if (still.length === 0) return 0;
  console.error(`Still missing after ${line}: ${still.join(" ")}`);
  return 1;
}

/** mosquitto_rr has no exit code for --version worth asking, so it is enough that it starts. */
function runs(command: string, words: readonly string[]): boolean {
  const { error, status } = spawnSync(command, words, { stdio: "ignore" });
  return error === undefined && (status === 0 || command === "mosquitto_rr");
}
