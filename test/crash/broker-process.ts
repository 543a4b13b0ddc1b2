import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { SeededRandom } from "../hostile/random.ts";
import { type Lifetime, type Running, startBroker, startProgram } from "../smoke/program.ts";
import type { Verdict } from "./verdict.ts";

/** Words in a warning after which something is not as it was. */
const LOSS = /\blost\b|damaged|cannot be read|moved aside/i;

/** The real program on one folder and one port, killed and started again. */
export class BrokerProcess {
  /** Milliseconds from each start to the line that says where it listens. */
  readonly startsMs: number[] = [];
  kills = 0;
  readonly port: number;
  private readonly context: Lifetime;
  private readonly words: readonly string[];
  private readonly verdict: Verdict;
  private program: Running | undefined;

  /** `words`: of the program, beside the port. */
  constructor(context: Lifetime, port: number, words: readonly string[], verdict: Verdict) {
    this.context = context;
    this.port = port;
    this.words = ["--bind", "127.0.0.1", "--tcp-port", `${port}`, ...words];
    this.verdict = verdict;
  }

  /** Resolves when it accepts connections. */
  async start(): Promise<void> {
    const startedMs = performance.now();
    this.program = (await startBroker(this.context, this.words)).program;
    this.startsMs.push(performance.now() - startedMs);
  }

  /** Starts it and kills it before it can have done much. */
  async startInVain(random: SeededRandom): Promise<void> {
    this.program = startProgram(this.context, this.words);
    await sleep(random.below(400));
    await this.kill();
  }

  async kill(): Promise<void> {
    const { signal, code } = await this.program!.stop("SIGKILL");
    this.kills++;
    if (signal !== "SIGKILL") this.verdict.violated("broken", `the broker ended by itself with ${code}`);
    this.judge();
  }

  /** An orderly stop. */
  async stop(): Promise<void> {
    this.verdict.isStopping = true;
    const { code } = await this.program!.stop();
    if (code !== 0) this.verdict.violated("broken", `the broker stopped with ${code}`);
    this.judge();
    this.verdict.isStopping = false;
  }

  /** Nothing that happens here is an error to the broker, and nothing gets damaged. */
  private judge(): void {
    const { lines, stderr } = this.program!;
    for (const line of lines) {
      if (line.level !== "error" && !(line.level === "warn" && LOSS.test(line.message))) continue;
      this.verdict.violated("broken", `the broker logs ${JSON.stringify(line)}`);
    }
    if (stderr !== "") this.verdict.violated("broken", `the broker wrote ${stderr}`);
  }
}

/**
 * A free port below those that the system gives to outgoing connections: a client that tries to connect while nobody
 * listens could else be given the very port, and be connected to itself.
 */
export async function freePort(random: SeededRandom): Promise<number> {
  for (;;) {
    const server = createServer();
    try {
      const port = 20_000 + random.below(12_000);
      await once(server.listen(port, "127.0.0.1"), "listening");
      return port;
    } catch {
      // Somebody else's; the next one then.
    } finally {
      server.close();
    }
  }
}
