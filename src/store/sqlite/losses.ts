import { STORE_KEY_MAX, STORE_TABLES, type StoreLoss, type StoreTable } from "../../core/store.ts";

/** Records that are named one by one; when there are more, the rest is told as ranges. */
const NAMED_MAX = 1_000;

interface LostRange {
  first: number;
  last: number;
  reason: string;
  /** Further places in the same range. */
  more: number;
}

/** Gathers what was lost and tells it in few words: ranges that overlap become one. */
export class Losses {
  /** Times that `onLost` was called. */
  told = 0;
  private readonly onLost: (loss: StoreLoss) => void;
  private readonly ranges = new Map<StoreTable, LostRange[]>(STORE_TABLES.map((table) => [table, []]));
  private readonly text = new TextDecoder();
  private named = 0;

  constructor(onLost: (loss: StoreLoss) => void) {
    this.onLost = onLost;
  }

  /**
   * A damaged record between two keys that are still there: its own key is as little to be trusted as its name, but
   * the name helps whoever reads it.
   */
  addRecord(table: StoreTable, before: number, behind: number, name: string, reason: string): void {
    this.named++;
    if (name === "" || this.named > NAMED_MAX) this.addRange(table, before, behind, reason);
    else this.tell(table, before + 1, behind - 1, name, reason);
  }

  /** All that was between two keys. */
  addRange(table: StoreTable, before: number, behind: number, reason: string): void {
    if (before + 1 < behind) this.ranges.get(table)!.push({ first: before + 1, last: behind - 1, reason, more: 0 });
  }

  addTable(table: StoreTable, reason: string): void {
    this.addRange(table, -1, STORE_KEY_MAX + 1, reason);
  }

  /** Tells what has not been told. */
  end(): void {
    for (const [table, ranges] of this.ranges) {
      for (const { first, last, reason, more } of merge(ranges)) {
        this.tell(table, first, last, "", more === 0 ? reason : `${reason}, and ${more} more`);
      }
      ranges.length = 0;
    }
  }

  nameOf(bytes: Uint8Array): string {
    return this.text.decode(bytes);
  }

  private tell(table: StoreTable, first: number, last: number, name: string, reason: string): void {
    this.told++;
    this.onLost(
      first === last ? { table, key: first, name, reason } : { table, key: first, lastKey: last, name, reason },
    );
  }
}

function merge(ranges: LostRange[]): LostRange[] {
  const merged: LostRange[] = [];
  for (const range of ranges.sort((a, b) => a.first - b.first)) {
    const previous = merged.at(-1);
    if (previous === undefined || range.first > previous.last) {
      merged.push(range);
      continue;
    }
    previous.last = Math.max(previous.last, range.last);
    previous.more++;
  }
  return merged;
}
