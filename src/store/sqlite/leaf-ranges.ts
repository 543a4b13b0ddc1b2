import type { LeafPage } from "./damaged-page.ts";
import type { DamagedRecord } from "./damaged-record.ts";

/** The first and the last whole record of a leaf. */
export interface LeafRange {
  table: number;
  first: number;
  last: number;
}

/** First and last key of each leaf page, proved by the checksums of the records that have them. */
export class LeafRanges {
  private readonly tables: Int8Array;
  private readonly firsts: Float64Array;
  private readonly lasts: Float64Array;
  private guess = 0;

  constructor(pageCount: number) {
    this.tables = new Int8Array(pageCount + 1).fill(-1);
    this.firsts = new Float64Array(pageCount + 1);
    this.lasts = new Float64Array(pageCount + 1);
  }

  get(page: number): LeafRange | undefined {
    const table = this.tables[page]!;
    return table < 0 ? undefined : { table, first: this.firsts[page]!, last: this.lasts[page]! };
  }

  probe(page: number, leaf: LeafPage, record: DamagedRecord): void {
    const end = leaf.cellCount;
    const prove = (index: number): number => (leaf.cell(index) && record.read(leaf) ? record.tableOf(this.guess) : -1);
    for (let index = 0; index < end; index++) {
      const table = prove(index);
      if (table < 0) continue;
      this.guess = table;
      this.tables[page] = table;
      this.firsts[page] = leaf.key;
      break;
    }
    if (this.tables[page]! < 0) return;
    for (let index = end - 1; index >= 0; index--) {
      if (prove(index) !== this.guess) continue;
      this.lasts[page] = leaf.key;
      return;
    }
  }
}
