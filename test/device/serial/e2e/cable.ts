import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, lstatSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { until } from "../pty.ts";
import { Noise } from "./noise.ts";

/** How often octets are carried on. */
const STEP_MS = 4;
/** A machine that is busy for longer carries nothing meanwhile; what it could have carried is not counted either. */
const STALL_MS_MAX = 100;
const CHUNK_BYTES = 4096;

/** Octets one way, no faster than the line is. */
class Way {
  readonly noise: Noise;
  /** Octets that there was time for, since the beginning. */
  capacity = 0;
  /** Octets that were carried, before noise. */
  carried = 0;

  constructor(seed: number) {
    this.noise = new Noise(seed);
  }
}

/**
 * A serial cable: at one end a pseudo terminal whose link the broker opens, at the other this test, and between them a
 * relay that carries `bytesPerSecond` each way, since a pseudo terminal has no speed.
 */
export class Cable {
  /** To the broker, and from it. */
  readonly up: Way;
  readonly down: Way;
  onData: (bytes: Uint8Array) => void = () => {};
  /** Time has passed. */
  onStep: () => void = () => {};
  private readonly link: string;
  /** The other pseudo terminal, where this test is: its name fits no pattern. */
  private readonly far: string;
  private readonly bytesPerSecond: number;
  private readonly chunk = Buffer.alloc(CHUNK_BYTES);
  private outgoing: Buffer[] = [];
  private waiting = 0;
  private unwritten: Buffer = Buffer.alloc(0);
  private socat: ChildProcess | undefined;
  private fd = -1;
  private steppedMs = performance.now();
  private readonly timer = setInterval(() => this.step(), STEP_MS);

  constructor(link: string, bytesPerSecond: number, seed = 1) {
    this.link = link;
    this.far = join(dirname(link), `.far-${basename(link)}`);
    this.bytesPerSecond = bytesPerSecond;
    this.up = new Way(seed);
    this.down = new Way(seed + 1);
  }

  get isPlugged(): boolean {
    return this.fd !== -1;
  }

  /** Octets that `write` was given and the line has not carried. */
  get waitingBytes(): number {
    return this.waiting;
  }

  async plug(): Promise<void> {
    const { link, far } = this;
    const ends = [link, far].map((path) => `pty,raw,echo=0,link=${path}`);
    this.socat = spawn("socat", ["-b256", ...ends], { stdio: "ignore" });
    await until(() => exists(link) && exists(far), `socat to make ${link}`);
    this.fd = openSync(far, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
  }

  /** As a plug that is pulled: both the device and what is on its way are gone. */
  async unplug(): Promise<void> {
    const { socat } = this;
    if (socat === undefined) return;
    this.socat = undefined;
    closeSync(this.fd);
    this.fd = -1;
    this.outgoing = [];
    this.waiting = 0;
    this.unwritten = Buffer.alloc(0);
    const gone = once(socat, "exit");
    socat.kill("SIGKILL");
    await gone;
    for (const link of [this.link, this.far]) rmSync(link, { force: true });
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    await this.unplug();
  }

  /** To the broker; what is written while nothing is plugged in is lost. */
  write(bytes: Uint8Array): void {
    if (this.fd === -1) return;
    this.outgoing.push(Buffer.from(bytes));
    this.waiting += bytes.length;
  }

  private step(): void {
    const nowMs = performance.now();
    const passedMs = Math.min(STALL_MS_MAX, nowMs - this.steppedMs);
    this.steppedMs = nowMs;
    for (const way of [this.up, this.down]) {
      const before = Math.floor(way.capacity);
      way.capacity += (passedMs * this.bytesPerSecond) / 1000;
      // Nobody who has nothing to send can send the more later.
      const allowed = Math.floor(way.capacity) - before;
      if (this.fd !== -1 && allowed > 0)
        way.carried += way === this.up ? this.carryUp(allowed) : this.carryDown(allowed);
    }
    this.onStep();
  }

  private carryUp(allowed: number): number {
    if (this.unwritten.length === 0 && this.waiting > 0) {
      const all = Buffer.concat(this.outgoing);
      const next = all.subarray(0, allowed);
      this.outgoing = next.length === all.length ? [] : [all.subarray(allowed)];
      this.waiting -= next.length;
      this.unwritten = this.up.noise.apply(next);
      this.flush();
      return next.length;
    }
    this.flush();
    return 0;
  }

  private flush(): void {
    if (this.unwritten.length === 0) return;
    const count = unlessBlocked(() => writeSync(this.fd, this.unwritten));
    this.unwritten = this.unwritten.subarray(count);
  }

  private carryDown(allowed: number): number {
    const count = unlessBlocked(() => readSync(this.fd, this.chunk, 0, Math.min(allowed, CHUNK_BYTES), null));
    if (count > 0) this.onData(this.down.noise.apply(Buffer.from(this.chunk.subarray(0, count))));
    return count;
  }
}

/** 0: nothing goes at the moment, or ever again. */
function unlessBlocked(act: () => number): number {
  try {
    return act();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EAGAIN" || code === "EIO") return 0;
    throw error;
  }
}

function exists(link: string): boolean {
  try {
    return lstatSync(link).isSymbolicLink();
  } catch {
    return false;
  }
}
