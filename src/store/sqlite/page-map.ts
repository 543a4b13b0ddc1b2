import type { Interior } from "./damaged-page.ts";
import { PAGE_BYTES } from "./schema.ts";

/** What a page is used for, by the numbers of SQLite's pointer map; an entry that cannot be one is Unknown. */
export const Use = { Unknown: 0, Root: 1, Free: 2, FirstOverflow: 3, Overflow: 4, Child: 5 } as const;

const ENTRY_BYTES = 5;
const ENTRIES_PER_PAGE = Math.floor(PAGE_BYTES / ENTRY_BYTES);
/** The page that locks lie in holds nothing. */
const LOCK_PAGE = 0x40000000 / PAGE_BYTES + 1;
/** A page of the map is wrong as a whole when it is contradicted more often than confirmed, and by more than chance. */
const CONTRADICTIONS_MAX = 4;

/**
 * The pointer map of a file with auto_vacuum: for each page what it is used for and by which other page. Every 820th
 * page, from page 2, is a page of it, with an entry for each of the pages up to the next.
 */
export class PageMap {
  /** False for a file that has none: then every use is Unknown. */
  isUsed = true;
  /** Some entry cannot be read. */
  hasUnknown = false;
  private readonly pageCount: number;
  private readonly uses: Uint8Array;
  private readonly parents: Uint32Array;
  /** The first word of each page: on overflow pages, the next one. */
  private readonly nexts: Uint32Array;

  constructor(pageCount: number) {
    this.pageCount = pageCount;
    this.uses = new Uint8Array(pageCount + 1);
    this.parents = new Uint32Array(pageCount + 1);
    this.nexts = new Uint32Array(pageCount + 1);
  }

  isMapPage(page: number): boolean {
    return this.isUsed && page === mapPageOf(page);
  }

  useOf(page: number): number {
    return this.uses[page] ?? Use.Unknown;
  }

  /** Page by which this one is used; 0 for roots and free pages. */
  parentOf(page: number): number {
    return this.parents[page]!;
  }

  setNext(page: number, word: number): void {
    this.nexts[page] = word;
  }

  load(mapPage: number, bytes: Buffer): void {
    for (let index = 0; index < ENTRIES_PER_PAGE; index++) {
      const page = mapPage + 1 + index;
      if (page > this.pageCount) return;
      const use = bytes[index * ENTRY_BYTES]!;
      const parent = bytes.readUInt32BE(index * ENTRY_BYTES + 1);
      const isAlone = use === Use.Root || use === Use.Free;
      const isUsed = use >= Use.FirstOverflow && use <= Use.Child && parent > 1 && parent <= this.pageCount;
      if (!(isAlone && parent === 0) && !isUsed) continue;
      this.uses[page] = use;
      this.parents[page] = parent;
    }
  }

  /** Forgets pages of the map that are not where they belong: what they say of other pages is said of strangers. */
  distrustWhereContradicted(interiors: ReadonlyMap<number, Interior>): void {
    const balances = new Map<number, number>();
    const count = (page: number, isConfirmed: boolean): void => {
      const mapPage = mapPageOf(page);
      balances.set(mapPage, (balances.get(mapPage) ?? 0) + (isConfirmed ? 1 : -1));
    };
    for (const [page, { children }] of interiors) {
      if (this.useOf(page) === Use.Free) continue;
      for (const child of children) {
        if (child <= this.pageCount && this.useOf(child) !== Use.Unknown) {
          count(child, this.useOf(child) === Use.Child && this.parentOf(child) === page);
        }
      }
    }
    for (let page = 2; page <= this.pageCount; page++) {
      const use = this.useOf(page);
      const parent = this.parentOf(page);
      if (use === Use.Overflow) count(page, this.nexts[parent] === page);
      else if (use === Use.Child && interiors.get(parent)?.children.includes(page) === false) count(page, false);
    }
    for (const [mapPage, balance] of balances) {
      if (balance < -CONTRADICTIONS_MAX) this.uses.fill(Use.Unknown, mapPage + 1, mapPage + 1 + ENTRIES_PER_PAGE);
    }
    for (let page = 3; page <= this.pageCount; page++) {
      if (this.useOf(page) === Use.Unknown && !this.isMapPage(page) && page !== LOCK_PAGE) this.hasUnknown = true;
    }
  }
}

/** The page of the map that has the entry of `page`; the page itself when it is one of the map. */
function mapPageOf(page: number): number {
  const group = Math.floor((page - 2) / (ENTRIES_PER_PAGE + 1));
  const mapPage = group * (ENTRIES_PER_PAGE + 1) + 2;
  return mapPage === LOCK_PAGE ? mapPage + 1 : mapPage;
}
