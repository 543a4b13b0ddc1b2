import { STORE_KEY_MAX, STORE_TABLES, type StoreTable } from "../../core/store.ts";
import { type DamagedFile, isHead } from "./damaged-file.ts";
import { FILE_HEAD_BYTES, type Interior, LeafPage, readInterior } from "./damaged-page.ts";
import { DamagedRecord, schemaRoots } from "./damaged-record.ts";
import { type LeafRange, LeafRanges } from "./leaf-ranges.ts";
import { PageMap, Use } from "./page-map.ts";

/** No b-tree of SQLite is deeper. */
const DEPTH_MAX = 20;
/** Behind page 1 and the first page of the map; SQLite keeps root pages together at the start of such a file. */
const FIRST_ROOT = 3;

const WHOLE = 1;
/** Whole, without a record: right for the root of an empty table only. */
const EMPTY = 2;

/** One table's tree: what is left of it. */
export interface DamagedTree {
  root: number;
  table: StoreTable | undefined;
  /** Leaf pages in the order of their keys. */
  leaves: number[];
  lost: LostPage[];
}

/** A page that should be there. `from` and `to` are places in `leaves` between which its records were. */
export interface LostPage {
  page: number;
  from: number;
  to: number;
  reason: string;
}

/**
 * Finds the leaf pages that are in use, in a file of which any page may be damaged.
 *
 * Pages that SQLite has freed keep what they held: records that were deleted or replaced, with checksums that are
 * right. So a page counts only when the file says that it is in use, and it says so twice: its parent lists it as a child,
 * and the pointer map (PageMap), which a file with auto_vacuum has, names its parent. The rule:
 *
 * - Both say the same: the page is in use there.
 * - The parent is unreadable or contradicts itself: the map alone is believed, for pages that it gives to this parent.
 * - The map's entry is unreadable, or names a parent that does not know the page: the parent that lists it is believed.
 * - The map says "free", or "child of another", and that other one agrees: the page is not in use here.
 *
 * Nothing is taken from a page for which neither speaks.
 *
 * What this cannot find out: pages have no checksum of their own, so a page that holds, whole, an older version of
 * itself, or a freed page whose keys fit its place, looks like the right one. SQLite's own check is fooled as well.
 */
export class DamagedTrees {
  private readonly file: DamagedFile;
  private readonly map: PageMap;
  private readonly interiors = new Map<number, Interior>();
  private readonly ranges: LeafRanges;
  /** WHOLE or EMPTY for leaf pages without an inner contradiction: surely no damaged interior page. */
  private readonly wholeLeaves: Uint8Array;
  /** By parent: children that only the map knows of. */
  private readonly unlisted = new Map<number, number[]>();
  private readonly isVisited: Uint8Array;
  private schema: ReadonlyMap<StoreTable, number> = new Map();

  constructor(file: DamagedFile) {
    this.file = file;
    this.isVisited = new Uint8Array(file.pageCount + 1);
    this.wholeLeaves = new Uint8Array(file.pageCount + 1);
    this.ranges = new LeafRanges(file.pageCount);
    this.map = new PageMap(file.pageCount);
    this.scan();
    this.map.distrustWhereContradicted(this.interiors);
    this.findUnlisted();
  }

  trees(): DamagedTree[] {
    return this.roots().map(({ root, table }) => {
      const tree: DamagedTree = { root, table, leaves: [], lost: [] };
      if (this.isVisited[root] !== 1) this.visit(root, tree, 0);
      return tree;
    });
  }

  /** Undefined for a page without one whole record. */
  rangeOf(leaf: number): LeafRange | undefined {
    return this.ranges.get(leaf);
  }

  /** One look at each page: what it is, and what it says of others. */
  private scan(): void {
    const { file, map } = this;
    const leaf = new LeafPage();
    const record = new DamagedRecord(file);
    const { bytes } = leaf;
    if (file.read(1, bytes)) {
      map.isUsed = !isWithoutMap(bytes);
      if (leaf.load(FILE_HEAD_BYTES)) this.schema = schemaRoots(leaf);
    }
    for (let page = 2; page <= file.pageCount; page++) {
      if (!file.read(page, bytes)) continue;
      if (map.isMapPage(page)) {
        map.load(page, bytes);
        continue;
      }
      map.setNext(page, bytes.readUInt32BE(0));
      const interior = readInterior(bytes);
      if (interior !== undefined) this.interiors.set(page, interior);
      else if (leaf.load()) {
        if (leaf.isWhole) this.wholeLeaves[page] = leaf.cellCount === 0 ? EMPTY : WHOLE;
        this.ranges.probe(page, leaf, record);
      }
    }
  }

  private findUnlisted(): void {
    const { map, interiors, unlisted } = this;
    for (let page = 2; page <= this.file.pageCount; page++) {
      if (map.useOf(page) !== Use.Child) continue;
      const parent = map.parentOf(page);
      if (parent === page || interiors.get(parent)?.children.includes(page)) continue;
      const siblings = unlisted.get(parent);
      if (siblings === undefined) unlisted.set(parent, [page]);
      else siblings.push(page);
    }
  }

  /** What the schema names and the map does not deny; what the map calls so; and where roots are, when neither is left. */
  private roots(): { root: number; table: StoreTable | undefined }[] {
    const { map } = this;
    const found = new Map<number, StoreTable | undefined>();
    for (const [table, root] of this.schema) {
      if (map.useOf(root) === Use.Root || map.useOf(root) === Use.Unknown) found.set(root, table);
    }
    for (let root = FIRST_ROOT; map.isUsed && root <= this.file.pageCount; root++) {
      const isUsual = root < FIRST_ROOT + STORE_TABLES.length && map.useOf(root) === Use.Unknown;
      if ((map.useOf(root) === Use.Root || isUsual) && !found.has(root)) found.set(root, undefined);
    }
    return [...found].map(([root, table]) => ({ root, table: table ?? this.usualTable(root, found) }));
  }

  /** The table that has this root in a file as we make it, unless another root is known to be that table's. */
  private usualTable(root: number, known: ReadonlyMap<number, StoreTable | undefined>): StoreTable | undefined {
    const table = STORE_TABLES[root - FIRST_ROOT];
    return [...known.values()].includes(table) ? undefined : table;
  }

  /** Appends the leaves below `page`, in the order of their keys. */
  private visit(page: number, tree: DamagedTree, depth: number): void {
    this.isVisited[page] = 1;
    const { leaves, lost } = tree;
    const from = leaves.length;
    const interior = this.interiors.get(page);
    const unlisted = this.unlisted.get(page) ?? [];
    if (interior === undefined && (unlisted.length === 0 || this.isLeaf(page))) {
      const mayBeEmpty = depth === 0 || this.wholeLeaves[page] === WHOLE;
      if (this.ranges.get(page) !== undefined || (mayBeEmpty && this.isWholeLeaf(page))) leaves.push(page);
      else lost.push({ page, from, to: from, reason: `page ${page} cannot be read` });
      return;
    }
    if (depth === DEPTH_MAX) {
      lost.push({ page, from, to: from, reason: `page ${page} is part of a circle` });
      return;
    }
    const missing: KeyRange[] = [];
    interior?.children.forEach((child, at) => {
      if (this.isChild(child, page)) this.visit(child, tree, depth + 1);
      else missing.push({ after: interior.keys[at - 1] ?? -1, to: interior.keys[at] ?? STORE_KEY_MAX });
    });
    if (interior !== undefined && this.isWhole(page, interior)) return;
    const adoptedFrom = leaves.length;
    for (const child of unlisted) if (this.isVisited[child] !== 1) this.visit(child, tree, depth + 1);
    const isMissed = interior === undefined ? this.isMissed(page) : !interior.isWhole;
    const isIncomplete = isMissed || !this.areFilled(missing, leaves.slice(adoptedFrom));
    this.sortFrom(tree, from);
    if (isIncomplete) lost.push({ page, from, to: leaves.length, reason: `page ${page} cannot be read in full` });
  }

  /** Whether an unreadable page may have had children, or records, that nothing else tells of. */
  private isMissed(page: number): boolean {
    return this.map.hasUnknown || this.isWholeLeaf(page);
  }

  /** Whether for each child that was not where its parent says, there is one whose keys are those that it should have. */
  private areFilled(missing: readonly KeyRange[], adopted: readonly number[]): boolean {
    return missing.every(({ after, to }) =>
      adopted.some((leaf) => {
        const range = this.ranges.get(leaf);
        return range !== undefined && range.first > after && range.last <= to;
      }),
    );
  }

  /** Of a listed child, see the rule above. */
  private isChild(child: number, parent: number): boolean {
    const { map } = this;
    if (!this.mayBeChild(child) || this.isVisited[child] === 1) return false;
    const use = map.useOf(child);
    if (use === Use.Free || use === Use.Root) return false;
    if (use !== Use.Child) return true;
    const other = map.parentOf(child);
    if (other === parent) return true;
    return !this.interiors.get(other)?.children.includes(child) && !this.adopts(other);
  }

  private mayBeChild(page: number): boolean {
    return page > 1 && page <= this.file.pageCount && !this.map.isMapPage(page);
  }

  /** Whether children come to this page by the map alone. */
  private adopts(page: number): boolean {
    const use = this.map.useOf(page);
    const isPossible = use === Use.Child || use === Use.Root || use === Use.Unknown;
    if (!isPossible || this.isLeaf(page)) return false;
    const interior = this.interiors.get(page);
    return interior === undefined || !this.isWhole(page, interior);
  }

  private isWholeLeaf(page: number): boolean {
    return this.wholeLeaves[page] !== 0;
  }

  /** A single child that the map gives to a leaf is a damaged entry; several are a leaf in the place of their parent. */
  private isLeaf(page: number): boolean {
    return this.isWholeLeaf(page) && (this.unlisted.get(page)?.length ?? 0) <= 1;
  }

  private isWhole(page: number, interior: Interior): boolean {
    const { map } = this;
    const isKnown = (child: number): boolean => {
      if (!this.mayBeChild(child)) return false;
      return map.useOf(child) === Use.Unknown || (map.useOf(child) === Use.Child && map.parentOf(child) === page);
    };
    return interior.isWhole && interior.children.every(isKnown);
  }

  /** Under a damaged parent the order of its children is not known: their keys say it, where one is proved. */
  private sortFrom(tree: DamagedTree, from: number): void {
    const { leaves, lost } = tree;
    const below = leaves.splice(from);
    const firstOf = (leaf: number): number => this.ranges.get(leaf)?.first ?? Number.NaN;
    const proved = below.filter((leaf) => !Number.isNaN(firstOf(leaf)));
    for (const leaf of proved.sort((a, b) => firstOf(a) - firstOf(b))) leaves.push(leaf);
    for (const page of below) {
      if (Number.isNaN(firstOf(page))) lost.push({ page, from, to: from, reason: `page ${page} has no whole record` });
    }
    for (const each of lost) {
      if (each.to < from) continue;
      each.from = Math.min(each.from, from);
      each.to = leaves.length;
    }
  }
}

interface KeyRange {
  after: number;
  to: number;
}

/** The header is there, and says that the file has no auto_vacuum: somebody vacuumed it with a shell. */
function isWithoutMap(bytes: Buffer): boolean {
  return isHead(bytes) && bytes.readUInt32BE(52) === 0;
}
