import { readdirSync, realpathSync } from "node:fs";
import { isGlob, type LineSettings } from "./line-spec.ts";
import { type LineHandler, type LineState, type LineTools, SerialLine } from "./serial-line.ts";
import { identityOf } from "./tty.ts";

/** How often globs are looked through. */
const SCAN_MS = 500;

interface Glob {
  readonly settings: LineSettings;
  readonly folder: string;
  readonly pattern: RegExp;
}

/**
 * All serial lines: those with a path are kept for ever, those of a glob as long as their devices are there. No device is
 * opened twice, whatever paths lead to it: a path has precedence over a glob, and an earlier line over a later one.
 */
export class LineSet {
  private readonly handler: LineHandler;
  private readonly tools: LineTools;
  private readonly globs: Glob[] = [];
  /** Those with a path of their own first, as they stand in the settings. */
  private readonly all: SerialLine[] = [];
  private readonly ofGlobs = new Map<SerialLine, Glob>();
  private readonly told = new Set<string>();
  private readonly closing = new Set<Promise<void>>();
  private timer: NodeJS.Timeout | undefined;

  /** `tools.claim` is the set's own. */
  constructor(settings: readonly LineSettings[], handler: LineHandler, tools: Omit<LineTools, "claim">) {
    this.handler = handler;
    this.tools = { ...tools, claim: (device, line) => this.claim(device, line) };
    for (const one of settings) {
      if (isGlob(one.path)) this.globs.push(globOf(one));
      else this.add(one, one.path, one.name);
    }
  }

  /** Lines that there are now, with their devices or without. */
  get lines(): readonly SerialLine[] {
    return this.all;
  }

  /** Begins to open lines, and to look for what fits the globs. */
  start(): void {
    for (const line of this.all) line.start();
    if (this.globs.length === 0) return;
    this.timer = setInterval(this.scan, SCAN_MS);
    this.scan();
    const found = new Set(this.ofGlobs.values());
    for (const glob of this.globs) {
      if (found.has(glob)) continue;
      this.tools.log.info("Waiting for serial lines", { path: glob.settings.path, reason: "nothing fits it yet" });
    }
  }

  /** For $SYS: every line, counters and all. */
  states(): LineState[] {
    return this.all.map((line) => line.state());
  }

  /** Resolves when every device is closed. Idempotent. */
  async close(): Promise<void> {
    clearInterval(this.timer);
    await Promise.all([...this.all.map((line) => line.close()), ...this.closing]);
  }

  private readonly scan = (): void => {
    for (const line of [...this.ofGlobs.keys()]) {
      const { path } = line.settings;
      const isSuperfluous = identityOf(path) === undefined || this.othersAt(realPath(path), line).length > 0;
      if (!line.isUp && isSuperfluous) this.letGo(line);
    }
    for (const glob of this.globs) {
      const { settings, folder, pattern } = glob;
      for (const file of namesIn(folder)) {
        const path = folder + file;
        if (!pattern.test(file) || this.othersAt(realPath(path)).length > 0) continue;
        const line = this.add(settings, path, settings.name === "" ? "" : `${settings.name}-${file}`);
        this.ofGlobs.set(line, glob);
        line.start();
      }
    }
  };

  private add(settings: LineSettings, path: string, wished: string): SerialLine {
    const usual = wished === "" ? path.slice(path.lastIndexOf("/") + 1) : wished;
    // Names become topics, so each line has its own.
    const name = this.all.some((line) => line.name === usual) ? path.slice(1).replaceAll("/", "-") : usual;
    const line = new SerialLine({ ...settings, path, name }, this.handler, this.tools);
    this.all.push(line);
    return line;
  }

  private letGo(line: SerialLine): void {
    this.ofGlobs.delete(line);
    this.all.splice(this.all.indexOf(line), 1);
    const closing = line.close().finally(() => this.closing.delete(closing));
    this.closing.add(closing);
  }

  private othersAt(device: string, line?: SerialLine): SerialLine[] {
    return this.all.filter((other) => other !== line && realPath(other.settings.path) === device);
  }

  private claim(device: string, line: SerialLine): boolean {
    for (const other of this.othersAt(device, line)) {
      if (this.ofGlobs.has(other) && !this.ofGlobs.has(line)) {
        // The name by which a device is known may appear a moment after the device.
        const wasUp = other.isUp;
        this.letGo(other);
        if (wasUp) return false;
      } else if (other.isUp || this.all.indexOf(other) < this.all.indexOf(line)) {
        this.tellOfTwo(device, line, other);
        return false;
      }
    }
    return true;
  }

  private tellOfTwo(device: string, line: SerialLine, other: SerialLine): void {
    const key = `${line.name} ${other.name} ${device}`;
    if (this.ofGlobs.has(line) || this.told.has(key)) return;
    this.told.add(key);
    const reason = `${other.settings.path} is the same device and has it: leave one of the two out`;
    this.tools.log.warn("Two serial lines lead to one device", { line: line.name, device, reason });
  }
}

function globOf(settings: LineSettings): Glob {
  const folder = settings.path.slice(0, settings.path.lastIndexOf("/") + 1);
  return { settings, folder, pattern: patternOf(settings.path.slice(folder.length)) };
}

/** `*` and `?` as a shell has them. */
function patternOf(glob: string): RegExp {
  const source = glob.replace(/[^\w]/gu, (sign) =>
    sign === "*" ? ".*" : sign === "?" ? "." : `\\u{${sign.codePointAt(0)!.toString(16)}}`,
  );
  return new RegExp(`^${source}$`, "su");
}

/** The device's own path; where the path leads nowhere, the path. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}
