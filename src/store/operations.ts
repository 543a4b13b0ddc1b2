import { setTimeout as sleep } from "node:timers/promises";
import type { Store, StoreEvents, StoreFigures, StoreTrouble, Table } from "../core/store.ts";
import { HookKeeper } from "./hook-keeper.ts";
import type { HookOperations } from "./hook-operations.ts";
import { joined, type Keeper } from "./keeper.ts";
import { MemoryStore } from "./memory.ts";
import { NineKeeper } from "./nine-keeper.ts";
import type { NineOperations, NineOptions } from "./nine-operations.ts";

/** Several batches that wait are written as one, up to this size. */
const WRITE_BYTES_MAX = 1024 * 1024;
const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 5_000;
/** How long `close` waits while nothing can be written. */
const CLOSE_MS_MAX = 2_000;

/** What has been written for another broker's store; see `storeFromOperations`. */
export type StoreOperations = NineOperations | HookOperations;

/**
 * A store made of operations that somebody has written for another broker: the nine of MQTT-Server's Store interface
 * (NineOperations), or mochi's Stored… hooks together with the On… hooks that write (HookOperations). All may answer
 * at once or with a promise; what they were given is durable when it resolves, and they are called one after the other.
 *
 * Such a store holds everything in memory too, queues as well, because the operations cannot read one record or a part
 * of a queue; and it reads all of it when it opens. An operation that fails is tried again until it succeeds, and
 * meanwhile nothing that would have to be kept is acknowledged. One that never answers
 * keeps the broker from stopping. It cannot tell that another broker uses the same place.
 *
 * What can be promised differs; each of the two interfaces says it of itself. In short: with the nine operations nothing
 * is missing. With hooks every acknowledged message outlives a crash, but a crash in the middle of a batch leaves a part
 * of it, so that a QoS 2 message may come twice, and wills are not kept.
 */
export function storeFromOperations(operations: StoreOperations, options: NineOptions = {}): Store {
  const missing = REQUIRED.filter((name) => !isFunction(operations, name));
  if (missing.length === 0)
    return new OperationsStore("operations", new NineKeeper(operations as NineOperations, options));
  if (STORED.some((name) => isFunction(operations, name))) {
    return new OperationsStore("hooks", new HookKeeper(operations as HookOperations));
  }
  throw new TypeError(`These are no operations of a store: ${missing.join(", ")} must be a function`);
}

const REQUIRED = ["saveSession", "loadSession", "deleteSession", "storeRetained", "getRetained"];
const STORED = ["storedClients", "storedSubscriptions", "storedInflightMessages", "storedRetainedMessages"];

function isFunction(object: object, name: string): boolean {
  return typeof (object as Record<string, unknown>)[name] === "function";
}

interface Waiting {
  bytes: Uint8Array;
  /** The batches up to here. */
  count: number;
}

/** Reads from memory, and has a keeper write in the background what is committed. */
class OperationsStore implements Store {
  readonly kind: string;
  private readonly keeper: Keeper;
  private readonly memory = new MemoryStore();
  private events: StoreEvents | undefined;
  /** What reading cost. */
  private before: StoreFigures = this.memory.figures();
  private handedOver = 0;
  private told = 0;
  private commits = 0;
  private waiting: Waiting[] = [];
  private working: Promise<void> | undefined;
  private trouble: StoreTrouble | undefined;
  private closing: AbortController = new AbortController();
  private closesAtMs = Number.POSITIVE_INFINITY;

  constructor(kind: string, keeper: Keeper) {
    this.kind = kind;
    this.keeper = keeper;
  }

  async open(events: StoreEvents): Promise<void> {
    this.events = events;
    this.memory.commit(await this.keeper.load((loss) => events.onLost(loss)));
    this.before = this.memory.figures();
  }

  commit(batch: Uint8Array): void {
    this.memory.commit(batch);
    this.handedOver++;
    this.waiting.push({ bytes: batch, count: this.handedOver });
    this.working ??= this.work();
  }

  read(table: Table, first: number, last: number, bytesMax: number, valueBytesMax?: number): Promise<Uint8Array> {
    return this.memory.read(table, first, last, bytesMax, valueBytesMax);
  }

  readKeys(table: Table, keys: readonly number[]): Promise<Uint8Array> {
    return this.memory.readKeys(table, keys);
  }

  figures(): StoreFigures {
    const { records, bytes } = this.memory.figures();
    const { before, commits } = this;
    return { commits, records: records - before.records, bytes: bytes - before.bytes, diskBytes: 0 };
  }

  async close(): Promise<void> {
    this.closesAtMs = performance.now() + CLOSE_MS_MAX;
    this.closing.abort();
    await this.working;
    await this.memory.close();
    await this.keeper.close();
  }

  private async work(): Promise<void> {
    // Batches of the same turn go together, and nothing is told from inside of `commit`.
    await new Promise<void>((resolve) => setImmediate(resolve));
    try {
      while (this.waiting.length > 0) await this.write(this.takeWaiting());
    } catch (error) {
      if (!(error instanceof GivenUp)) this.events?.onFailed(error as Error);
      // Nothing more is written: `working` stays.
      return;
    }
    this.working = undefined;
  }

  private takeWaiting(): Waiting {
    let size = 0;
    let taken = 0;
    while (
      taken < this.waiting.length &&
      (taken === 0 || size + this.waiting[taken]!.bytes.length <= WRITE_BYTES_MAX)
    ) {
      size += this.waiting[taken]!.bytes.length;
      taken++;
    }
    const batches = this.waiting.splice(0, taken);
    return { bytes: joined(batches.map(({ bytes }) => bytes)), count: batches.at(-1)!.count };
  }

  private async write({ bytes, count }: Waiting): Promise<void> {
    for (const call of this.keeper.calls(bytes)) {
      if (call === undefined) this.tell(count);
      else await this.attempt(call);
    }
    this.tell(count);
  }

  private tell(count: number): void {
    if (this.told === count) return;
    this.told = count;
    this.commits++;
    this.events?.onDurable(count);
  }

  /** Calls until it succeeds. Throws GivenUp when it does not while the store is being closed. */
  private async attempt(call: () => unknown): Promise<void> {
    for (let pauseMs = RETRY_MS_MIN; ; pauseMs = Math.min(2 * pauseMs, RETRY_MS_MAX)) {
      try {
        await call();
        break;
      } catch (error) {
        this.failed(error);
      }
      if (performance.now() >= this.closesAtMs) throw new GivenUp();
      if (this.closing.signal.aborted) await sleep(RETRY_MS_MIN);
      else await sleep(pauseMs, undefined, { signal: this.closing.signal }).catch(() => undefined);
    }
    if (this.trouble === undefined) return;
    this.trouble = undefined;
    this.events?.onRecovered();
  }

  private failed(error: unknown): void {
    if (this.trouble !== undefined) return;
    const reason = error instanceof Error ? error.message : String(error);
    const code = (error as { code?: unknown } | undefined)?.code;
    this.trouble = { kind: code === "ENOSPC" || code === "EDQUOT" ? "full" : "unwritable", reason };
    this.events?.onTrouble(this.trouble);
  }
}

class GivenUp extends Error {}
