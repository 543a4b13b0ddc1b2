import { createHmac, randomBytes } from "node:crypto";
import type { Secret } from "../reading/read-auth.ts";
import { secretCostMs, verify } from "./password.ts";

/** Remembered at most, of passwords that were right: each costs some 200 bytes. */
const REMEMBERED_MAX = 4096;
const WAITING_MAX = 200;

/** Why an answer could not be had: the client may come again. */
export class Busy {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

interface Job {
  run(): Promise<void>;
  giveUp(reason: string): void;
}

/**
 * The line for everything about a login that takes work. So many are worked on at a time, in other threads; so many wait,
 * of one address a quarter of them at most; and addresses take turns, so that one which tries passwords holds up itself
 * most of all.
 *
 * A password that was right is remembered, or a thousand clients that come back after a power cut would wait for a
 * thousand hashes. What is kept is a keyed digest, with a key that leaves the process never; of another secret, user or
 * password it is another one. Equal ones that wait are computed once.
 */
export class HashQueue {
  private readonly workersMax: number;
  private readonly waitingMax: number;
  private readonly rememberedMax: number;
  private readonly check: (secret: Secret, password: Uint8Array) => boolean | Promise<boolean>;
  private readonly key = randomBytes(32);
  /** By address, the next to be served first. */
  private readonly lines = new Map<string, Job[]>();
  /** The oldest first. */
  private readonly remembered = new Set<string>();
  private readonly underWay = new Map<string, Promise<boolean | Busy>>();
  private waitingCount = 0;
  private working = 0;

  /** `workersMax`: hashes at a time, 1 or more. `check` is for tests. */
  constructor(
    given: {
      workersMax?: number;
      waitingMax?: number;
      rememberedMax?: number;
      check?: (secret: Secret, password: Uint8Array) => boolean | Promise<boolean>;
    } = {},
  ) {
    this.workersMax = given.workersMax ?? 2;
    this.waitingMax = given.waitingMax ?? WAITING_MAX;
    this.rememberedMax = given.rememberedMax ?? REMEMBERED_MAX;
    this.check = given.check ?? verify;
  }

  /** Jobs that wait for a worker. */
  get waiting(): number {
    return this.waitingCount;
  }

  /**
   * Is it this user's password? At once where that takes no work or is known from before. Never rejects: what went wrong
   * is Busy. `address` is whose turn it takes.
   */
  verify(
    address: string,
    userName: string,
    secret: Secret,
    password: Uint8Array,
  ): boolean | Busy | Promise<boolean | Busy> {
    // Not asked of the remembered ones: quick hashes take no longer than that.
    if (secretCostMs(secret) === 0) return this.check(secret, password);
    const print = this.printOf(userName, secret, password);
    if (this.remembered.delete(print)) {
      this.remembered.add(print);
      return true;
    }
    const before = this.underWay.get(print);
    if (before !== undefined) return before;
    const answer = this.run(address, async () => this.check(secret, password));
    if (answer instanceof Busy) return answer;
    this.underWay.set(print, answer);
    return answer.then((right) => {
      this.underWay.delete(print);
      if (right === true) this.remember(print);
      return right;
    });
  }

  /** Runs a task when it is its turn; Busy when there is no room for it or when it fails. Never rejects. */
  run<Result>(address: string, task: () => Promise<Result>): Busy | Promise<Result | Busy> {
    const line = this.lines.get(address);
    if (this.working >= this.workersMax) {
      if (this.waitingCount >= this.waitingMax) return new Busy(`${this.waitingMax} logins are waiting already`);
      const ownMax = Math.max(1, Math.floor(this.waitingMax / 4));
      if (line !== undefined && line.length >= ownMax) {
        return new Busy(`${ownMax} logins from this address are waiting already`);
      }
    }
    return new Promise((resolve) => {
      const job: Job = {
        run: async () => resolve(await task()),
        giveUp: (reason) => resolve(new Busy(reason)),
      };
      if (line === undefined) this.lines.set(address, [job]);
      else line.push(job);
      this.waitingCount++;
      this.next();
    });
  }

  private next(): void {
    while (this.working < this.workersMax) {
      const job = this.take();
      if (job === undefined) return;
      this.working++;
      void this.work(job);
    }
  }

  private async work(job: Job): Promise<void> {
    try {
      await job.run();
    } catch (error) {
      job.giveUp(`it could not be checked: ${error instanceof Error ? error.message : String(error)}`);
    }
    this.working--;
    this.next();
  }

  /** The first of the address whose turn it is, which then goes to the end. */
  private take(): Job | undefined {
    for (const [address, line] of this.lines) {
      const job = line.shift();
      this.lines.delete(address);
      if (line.length > 0) this.lines.set(address, line);
      this.waitingCount--;
      return job;
    }
    return undefined;
  }

  private remember(print: string): void {
    this.remembered.add(print);
    if (this.remembered.size <= this.rememberedMax) return;
    for (const oldest of this.remembered) {
      this.remembered.delete(oldest);
      return;
    }
  }

  /** Lengths come before what they are of, so that no two triples give the same bytes. */
  private printOf(userName: string, secret: Secret, password: Uint8Array): string {
    const hmac = createHmac("sha256", this.key);
    for (const part of [Buffer.from(userName), Buffer.from(JSON.stringify(secret)), password]) {
      hmac.update(`${part.length}:`).update(part);
    }
    return hmac.digest("base64");
  }
}
