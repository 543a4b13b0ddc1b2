import { LineSet } from "../../../device/serial/line-set.ts";
import { type LineMistake, type LineSettings, parseLine } from "../../../device/serial/line-spec.ts";
import { type LineTools, SerialLine } from "../../../device/serial/serial-line.ts";
import { NotedLog, PtyFolder, Recorder } from "./pty.ts";

/** Lines and devices of one test. */
export class Rig {
  readonly folder = new PtyFolder();
  readonly log = new NotedLog();
  readonly heard = new Recorder();
  private readonly opened: { close(): Promise<void> }[] = [];

  /** A line at `path` in the folder, started: `open("meter", "framing=raw")`. */
  readonly open = (path: string, settings = "framing=slip-crc", tools: Partial<LineTools> = {}): SerialLine => {
    const line = new SerialLine(this.read(`${path},${settings}`), this.heard, { ...this.tools, ...tools });
    this.opened.push(line);
    line.start();
    return line;
  };

  /** A set of lines, each as on the command line but in the folder. */
  readonly openSet = (...specs: string[]): LineSet => {
    const set = new LineSet(
      specs.map((spec) => this.read(spec)),
      this.heard,
      this.tools,
    );
    this.opened.push(set);
    set.start();
    return set;
  };

  async close(): Promise<void> {
    await Promise.all(this.opened.map((one) => one.close()));
    await this.folder.close();
  }

  private get tools(): Omit<LineTools, "claim"> {
    return { clock: { nowMs: () => performance.now() }, log: this.log };
  }

  private read(spec: string): LineSettings {
    const mistakes: LineMistake[] = [];
    const settings = parseLine(this.folder.at(spec), mistakes);
    if (settings === undefined) throw new Error(mistakes.map(({ message }) => message).join("; "));
    return settings;
  }
}

/** The body of a test that has a rig of its own, so that tests which mostly wait can wait together. */
export function withRig(body: (rig: Rig) => Promise<void>): () => Promise<void> {
  return async () => {
    const rig = new Rig();
    try {
      await body(rig);
    } finally {
      await rig.close();
    }
  };
}
