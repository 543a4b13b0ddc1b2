import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { type Architecture, DEBIAN_NAMES } from "./architecture.ts";
import { type Contents, contentsOf } from "./deb/contents.ts";
import { controlFile } from "./deb/control.ts";
import { buildTime } from "./deb/source-date.ts";
import { runTool } from "./run-tool.ts";
import { demandSize } from "./sizes.ts";

/** In millions of bytes: people fetch it over mobile networks. */
const MB_MAX = 32;

/** In the order of the names that dpkg knows; all of them are shell scripts beside this file's folder. */
const MAINTAINER_SCRIPTS = ["postinst", "prerm", "postrm"] as const;

/** xz takes most of a minute and is what is published; none is for tests, which install it at once. */
const COMPRESSION = {
  release: ["-Zxz", "-z6"],
  none: ["-Znone"],
} as const;

export interface DebOptions {
  architecture: Architecture;
  /** The finished executable for that architecture. It is copied as it is: stripping it would break it. */
  executable: string;
  /** Where the package is put; made when it is not there. */
  folder: string;
  version: string;
  /** Default: release. Only that one is held to the budget. */
  compression?: keyof typeof COMPRESSION;
  /** The budget, in millions of bytes; default: 32. */
  megabytesMax?: number;
}

/**
 * Makes the Debian package of an executable, on a machine of any architecture, with dpkg-deb alone. Returns its path.
 * Throws Error when something that goes into it is missing, when dpkg-deb fails, or when it is over the budget of 32 MB.
 */
export function buildDeb(options: DebOptions): string {
  const { architecture, executable, folder, version, compression = "release", megabytesMax = MB_MAX } = options;
  const debian = DEBIAN_NAMES[architecture];
  const file = join(folder, `mqtt-broker_${version}_${debian}.deb`);
  const stage = mkdtempSync(join(tmpdir(), "mqtt-broker-deb-"));
  try {
    const contents = contentsOf({ executable, version });
    for (const item of contents) put(stage, item);
    putControl(stage, debian, version, contents);
    openFolders(stage);
    setTimes(stage, buildTime());
    mkdirSync(folder, { recursive: true });
    // It gets its name when it is whole: packing takes a while.
    const part = `${file}.part`;
    const env = { ...process.env, SOURCE_DATE_EPOCH: String(buildTime()) };
    runTool("dpkg-deb", ["--root-owner-group", ...COMPRESSION[compression], "--build", stage, part], { env });
    if (compression === "release") demandSize(part, megabytesMax);
    renameSync(part, file);
  } finally {
    rmSync(stage, { recursive: true, force: true });
    rmSync(`${file}.part`, { force: true });
  }
  return file;
}

function put(stage: string, { path, mode, from, bytes }: Contents[number]): void {
  const target = join(stage, path);
  mkdirSync(dirname(target), { recursive: true });
  if (from === undefined) writeFileSync(target, bytes);
  else {
    try {
      copyFileSync(from, target);
    } catch (error) {
      throw new Error(`Cannot put ${from} into the package as ${path}: ${(error as Error).message}`);
    }
  }
  chmodSync(target, mode);
}

function putControl(stage: string, architecture: string, version: string, contents: Contents): void {
  const control = join(stage, "DEBIAN");
  mkdirSync(control);
  const write = (name: string, text: string, mode = 0o644): void => {
    writeFileSync(join(control, name), text);
    chmodSync(join(control, name), mode);
  };
  const kilobytes = Math.ceil(contents.reduce((sum, { path }) => sum + statSync(join(stage, path)).size, 0) / 1024);
  write("control", controlFile({ architecture, version, kilobytes }));
  write("conffiles", linesOf(contents.filter(({ conffile }) => conffile === true).map(({ path }) => path)));
  const sums = contents.filter(({ conffile }) => conffile !== true).map(({ path }) => sumLine(stage, path));
  write("md5sums", linesOf(sums));
  for (const name of MAINTAINER_SCRIPTS) {
    write(name, readFileSync(join(import.meta.dirname, "deb", name), "utf8"), 0o755);
  }
}

function sumLine(stage: string, path: string): string {
  const sum = createHash("md5")
    .update(readFileSync(join(stage, path)))
    .digest("hex");
  return `${sum}  ${relative("/", path)}`;
}

function linesOf(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}

/** They become folders of the system, whatever the umask of who builds would make of them. */
function openFolders(stage: string): void {
  for (const entry of readdirSync(stage, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) chmodSync(join(entry.parentPath, entry.name), 0o755);
  }
  // mkdtemp makes it for its owner alone, and it becomes the root of the file system.
  chmodSync(stage, 0o755);
}

/** The same sources give the same package: no time of the day at which it was made is in it. */
function setTimes(stage: string, seconds: number): void {
  for (const name of [...readdirSync(stage, { recursive: true, encoding: "utf8" }), "."]) {
    lutimesSync(join(stage, name), seconds, seconds);
  }
}
