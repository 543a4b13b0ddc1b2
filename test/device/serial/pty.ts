import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { lstatSync, mkdtempSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Frame, FramingName } from "../../../device/serial/framing/framing.ts";
import type { LineHandler, SerialLine } from "../../../device/serial/serial-line.ts";
import type { Log } from "../../../src/core/ports.ts";

/** Longest wait of a test for something that takes some milliseconds. */
const PATIENCE_MS = 5000;

/** A folder for the paths of lines, removed by `close`. */
export class PtyFolder {
  readonly path = mkdtempSync(join(tmpdir(), "mqtt-serial-"));
  private readonly ptys = new Set<Pty>();

  at(name: string): string {
    return join(this.path, name);
  }

  /** A pseudo terminal whose link `name` is there, made by socat; the test is at its other end. */
  async plug(name: string): Promise<Pty> {
    const pty = await Pty.open(this.at(name));
    this.ptys.add(pty);
    return pty;
  }

  async close(): Promise<void> {
    for (const pty of this.ptys) await pty.unplug();
    rmSync(this.path, { recursive: true });
  }
}

export class Pty {
  /** "/dev/pts/3" */
  readonly device: string;
  private readonly link: string;
  private readonly socat: ChildProcessWithoutNullStreams;
  private received = Buffer.alloc(0);

  private constructor(link: string, socat: ChildProcessWithoutNullStreams) {
    this.link = link;
    this.device = readlinkSync(link);
    this.socat = socat;
    socat.stdin.on("error", () => {});
    socat.stdout.on("data", (bytes: Buffer) => {
      this.received = Buffer.concat([this.received, bytes]);
    });
  }

  static async open(link: string): Promise<Pty> {
    const socat = spawn("socat", ["STDIO", `pty,raw,echo=0,link=${link}`]);
    await until(() => linkExists(link), `socat to make ${link}`);
    return new Pty(link, socat);
  }

  /** Everything that came from the line. */
  get sent(): Buffer {
    return this.received;
  }

  write(bytes: Uint8Array): void {
    this.socat.stdin.write(bytes);
  }

  /** Takes nothing from the line any more. */
  async stopReading(): Promise<void> {
    this.socat.kill("SIGSTOP");
    const state = `/proc/${this.socat.pid}/stat`;
    await until(() => readFileSync(state, "latin1").includes(") T "), "socat to stop");
  }

  goOnReading(): void {
    this.socat.kill("SIGCONT");
  }

  /** The device is gone at once, as when a plug is pulled; its link too. */
  async unplug(): Promise<void> {
    if (this.socat.exitCode !== null || this.socat.signalCode !== null) return;
    const gone = once(this.socat, "exit");
    this.socat.kill("SIGKILL");
    await gone;
    // Another one may have taken its place.
    if (linkExists(this.link) && readlinkSync(this.link) === this.device) rmSync(this.link);
  }
}

/** Waits until `isTrue`; `what` stands in the error when that takes too long. */
export async function until(isTrue: () => boolean, what: string, patienceMs = PATIENCE_MS): Promise<void> {
  const endMs = performance.now() + patienceMs;
  while (!isTrue()) {
    if (performance.now() > endMs) throw new Error(`Waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Notes what lines report, as texts: "up ttyA", "frame ttyA 020d". */
export class Recorder implements LineHandler {
  readonly events: string[] = [];

  onUp(line: SerialLine): void {
    this.events.push(`up ${line.name}`);
  }

  onDown(line: SerialLine, reason: string): void {
    this.events.push(`down ${line.name}: ${reason}`);
  }

  onFrame(line: SerialLine, frame: Frame): void {
    this.events.push(`frame ${line.name} ${Buffer.from(frame.message).toString("hex")}`);
  }

  onFraming(line: SerialLine, name: FramingName): void {
    this.events.push(`framing ${line.name} ${name}`);
  }

  onDrain(line: SerialLine): void {
    this.events.push(`drain ${line.name}`);
  }

  count(event: string): number {
    return this.events.filter((one) => one === event).length;
  }

  async heard(event: string, times = 1): Promise<void> {
    await until(() => this.count(event) >= times, `"${event}" ${times} times in ${JSON.stringify(this.events)}`);
  }
}

/** Keeps lines of the log: "warn Serial line lost reason=…". */
export class NotedLog implements Log {
  readonly lines: string[] = [];
  readonly error = this.noting("error");
  readonly warn = this.noting("warn");
  readonly info = this.noting("info");
  readonly debug = this.noting("debug");
  readonly trace = this.noting("trace");

  enabled(): boolean {
    return true;
  }

  /** The first line that begins so, as soon as there is one. */
  async line(beginning: string): Promise<string> {
    await until(() => this.find(beginning) !== undefined, `"${beginning}" in the log: ${this.lines.join("\n")}`);
    return this.find(beginning)!;
  }

  find(beginning: string): string | undefined {
    return this.lines.find((line) => line.startsWith(beginning));
  }

  private noting(level: string): Log["warn"] {
    return (message, fields = {}) => {
      const facts = Object.entries(fields).map(([name, value]) => `${name}=${value}`);
      this.lines.push([level, message, ...facts].join(" "));
    };
  }
}

function linkExists(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink();
  } catch {
    return false;
  }
}
