import { BATCH_HEAD_BYTES, Batch, BatchReader } from "../../src/core/batch.ts";
import { STORE_KEY_MAX, type Store, type StoreEvents, type StoreLoss, type Table } from "../../src/core/store.ts";

/** A store's events, as they came, and waiting for one. */
export class Recorder implements StoreEvents {
  durable = 0;
  failure: Error | undefined;
  readonly losses: StoreLoss[] = [];
  /** "full", "unwritable", "recovered": what was told of trouble, in order. */
  readonly troubles: string[] = [];
  readonly reasons: string[] = [];
  /** What went to the log. */
  readonly notes: string[] = [];
  readonly log = {
    warn: (message: string) => this.notes.push(message),
    info: (message: string) => this.notes.push(message),
  };
  private onEvent: (() => void) | undefined;

  onDurable(count: number): void {
    this.durable = count;
    this.onEvent?.();
  }

  onTrouble({ kind, reason }: { kind: string; reason: string }): void {
    this.troubles.push(kind);
    this.reasons.push(reason);
    this.onEvent?.();
  }

  onRecovered(): void {
    this.troubles.push("recovered");
    this.onEvent?.();
  }

  onLost(loss: StoreLoss): void {
    this.losses.push(loss);
  }

  onFailed(error: Error): void {
    this.failure = error;
    this.onEvent?.();
  }

  async until(what: string, isSo: () => boolean, timeoutMs = 10_000): Promise<void> {
    const endMs = performance.now() + timeoutMs;
    while (!isSo()) {
      const leftMs = endMs - performance.now();
      if (leftMs <= 0) throw new Error(`Not within ${timeoutMs} ms: ${what}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(leftMs, 50));
        this.onEvent = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

export function commit(store: Store, fill: (batch: Batch) => void): void {
  const batch = new Batch();
  fill(batch);
  store.commit(batch.bytes.subarray(0, batch.length));
}

export function put(batch: Batch, table: Table, key: number, name: string, value: string | Uint8Array): void {
  const nameBytes = Buffer.from(name);
  const valueBytes = Buffer.from(value);
  const at = batch.put(table, key, nameBytes.length, valueBytes.length) + BATCH_HEAD_BYTES;
  batch.bytes.set(nameBytes, at);
  batch.bytes.set(valueBytes, at + nameBytes.length);
}

export async function keysOf(store: Store, table: Table): Promise<number[]> {
  const keys: number[] = [];
  for (;;) {
    const page = await store.read(table, (keys.at(-1) ?? -1) + 1, STORE_KEY_MAX, 1024 * 1024);
    if (page.length === 0) return keys;
    const reader = new BatchReader(page);
    while (reader.next()) keys.push(reader.key);
  }
}

/** Name and value of each record, by its key. */
export async function recordsOf(store: Store, table: Table): Promise<Record<number, string>> {
  const records: Record<number, string> = {};
  const reader = new BatchReader(await store.read(table, 0, STORE_KEY_MAX, Number.MAX_SAFE_INTEGER));
  while (reader.next()) records[reader.key] = `${Buffer.from(reader.name)}=${Buffer.from(reader.value)}`;
  return records;
}
