import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { userInfo } from "node:os";
import { basename } from "node:path";
import type { LineSettings } from "./line-spec.ts";

/** Why a line cannot be opened. */
export interface LineTrouble {
  /** A sentence's end, to stand behind "The serial line cannot be opened: ". Says what to do. */
  readonly message: string;
  /** Stays the same while nothing changes, so that it is said once. */
  readonly kind: "absent" | "denied" | "held" | "other";
}

/** A process that has a device open. */
export interface Holder {
  readonly pid: number;
  readonly program: string;
}

/** What Node.js calls its processes, whatever they run. */
const NODE_THREAD = "MainThread";

/** Programs that take serial lines unasked, and how to stop them. */
const STOPPERS: Readonly<Record<string, (device: string) => string>> = {
  agetty: (device) => `sudo systemctl disable --now serial-getty@${device.replace(/^\/dev\//, "")}.service`,
  ModemManager: () => "sudo systemctl disable --now ModemManager, or install 60-mqtt-broker-serial.rules",
};

/** The kind of what `OpenTty` rejected with. */
export function troubleKind(error: unknown): LineTrouble["kind"] {
  const { message } = error as Error;
  // The package tells it by the system's words alone.
  if (/No such (?:file|device)|ENOENT/.test(message)) return "absent";
  if (/Permission denied|EACCES|Operation not permitted/.test(message)) return "denied";
  if (/busy|Cannot lock port|EBUSY/.test(message)) return "held";
  return "other";
}

/** Explains what `OpenTty` rejected with. Looks at the device, and through /proc for who holds it. Never rejects. */
export async function troubleOf(error: unknown, path: string, device: string, line: LineSettings): Promise<string> {
  switch (troubleKind(error)) {
    case "absent":
      return `${path} is not there; it is opened as soon as it is plugged in`;
    case "denied":
      return await denial(device);
    case "held":
      return await occupation(device);
    default: {
      const { message } = error as Error;
      if (/Inappropriate ioctl/.test(message)) return `${device} is no serial device`;
      if (/baud rate/.test(message)) return `${device} cannot do ${line.baudRate} baud: choose another rate`;
      return `the system said: ${message}`;
    }
  }
}

/**
 * Who else has the device open: all processes that we may look at, but this one. Takes some milliseconds for each hundred
 * processes. Never rejects.
 */
export async function holdersOf(device: string): Promise<Holder[]> {
  const wanted = await stat(device).catch(() => undefined);
  const holders: Holder[] = [];
  for (const name of await readdir("/proc").catch(() => [])) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    if (!(await holds(name, device, wanted?.rdev))) continue;
    holders.push({ pid, program: await programOf(name) });
  }
  return holders;
}

/** "minicom (pid 812)", "cat (pid 7) and minicom (pid 812)". */
export function holdersText(holders: readonly Holder[]): string {
  return holders.map(({ program, pid }) => `${program} (pid ${pid})`).join(" and ");
}

/** `rdev`: of the device, which may be open by another name. */
async function holds(pid: string, device: string, rdev: number | undefined): Promise<boolean> {
  const isPseudo = device.startsWith("/dev/pts/");
  let found = false;
  for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
    const open = `/proc/${pid}/fd/${fd}`;
    const target = await readlink(open).catch(() => "");
    // Who made a pseudo terminal often keeps it open too, and reads only the end that is its own.
    if (isPseudo && target.endsWith("/ptmx")) return false;
    found ||= target === device;
    // Only what can be a device is looked at: a file on a file system that hangs would stop us.
    if (found || isPseudo || rdev === undefined || !target.startsWith("/dev/")) continue;
    const node = await stat(open).catch(() => undefined);
    found = node?.isCharacterDevice() === true && node.rdev === rdev;
  }
  return found;
}

async function programOf(pid: string): Promise<string> {
  const name = (await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "a program")).trim();
  if (name !== NODE_THREAD) return name;
  const words = await readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "");
  return basename(words.split("\0", 1)[0]!) || name;
}

async function occupation(device: string): Promise<string> {
  const holders = await holdersOf(device);
  if (holders.length === 0) {
    return `${device} is held by another program, which we may not see: find it with sudo fuser -v ${device} and stop it`;
  }
  return `${device} is held by ${holdersText(holders)}: ${adviceFor(holders, device)}`;
}

/** What to do so that we alone have the device. */
export function adviceFor(holders: readonly Holder[], device: string): string {
  for (const { program } of holders) {
    if (Object.hasOwn(STOPPERS, program)) return `stop it with ${STOPPERS[program]!(device)}`;
  }
  return "stop it, the line is taken as soon as it is free";
}

async function denial(device: string): Promise<string> {
  const found = await stat(device).catch(() => undefined);
  if (found === undefined) return `this user may not reach ${device}: look at the rights of its folder`;
  const group = await nameOf(found.gid, "/etc/group");
  const owner = await nameOf(found.uid, "/etc/passwd");
  const mode = (found.mode & 0o777).toString(8).padStart(4, "0");
  const facts = `this user may not open ${device}, which belongs to ${owner}:${group} with the rights ${mode}`;
  if ((found.mode & 0o060) !== 0o060 || found.gid === 0) {
    return `${facts}: install 60-mqtt-broker-serial.rules, which gives it to the group dialout`;
  }
  return `${facts}: sudo usermod -aG ${group} ${userName()}, then start the broker again`;
}

/** Of a number, by a file with lines such as "dialout:x:20:". The number itself where the file has none. */
async function nameOf(id: number, file: string): Promise<string> {
  const text = await readFile(file, "utf8").catch(() => "");
  for (const line of text.split("\n")) {
    const [name, , number] = line.split(":");
    if (name !== undefined && number === String(id)) return name;
  }
  return String(id);
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A container's user need not have a name.
    return String(process.getuid?.() ?? "USER");
  }
}
