import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** One line of what the node prints. */
export interface NodeEvent {
  event: string;
  topic?: string;
  data?: string;
  qos?: number;
  dup?: boolean;
  retain?: boolean;
  by?: string;
}

/** The node as a process, with all that it has told so far. */
export class NodeProgram {
  readonly events: NodeEvent[] = [];
  private readonly child: ChildProcess;
  private readonly exited: Promise<unknown>;
  private stderr = "";

  constructor(program: string, words: readonly string[]) {
    this.child = spawn(program, words, { stdio: ["ignore", "pipe", "pipe"] });
    this.exited = once(this.child, "close");
    createInterface(this.child.stdout!).on("line", (line) => this.events.push(JSON.parse(line)));
    this.child.stderr!.on("data", (chunk: Buffer) => {
      this.stderr += chunk;
    });
  }

  /** What was told by events of this name, by their `data`, `topic`, or name. */
  told(event: string): string[] {
    return this.events.filter((one) => one.event === event).map((one) => one.data ?? one.topic ?? one.event);
  }

  /** Waits until the node has ended, or kills it after 8 seconds; throws when it ended badly. */
  async end(): Promise<void> {
    const limit = setTimeout(() => this.kill(), 8000);
    await this.exited;
    clearTimeout(limit);
    const { exitCode, signalCode } = this.child;
    if (exitCode !== 0 || this.stderr !== "")
      throw new Error(`It ended with ${exitCode ?? signalCode}\n${this.stderr}`);
  }

  async stop(): Promise<void> {
    this.child.kill("SIGTERM");
    await this.end();
  }

  kill(): void {
    this.child.kill("SIGKILL");
  }
}
