import type { DatabaseSync, StatementSync } from "node:sqlite";
import { STORE_KEY_MAX, STORE_TABLES, type StoreLoss, type StoreTable } from "../../core/store.ts";
import { longestAscending } from "./ascending.ts";
import { DamagedFile } from "./damaged-file.ts";
import { LeafPage } from "./damaged-page.ts";
import { DamagedRecord } from "./damaged-record.ts";
import { type DamagedTree, DamagedTrees } from "./damaged-tree.ts";
import { Losses } from "./losses.ts";

/** One transaction's share, whichever comes first. */
const TRANSACTION_RECORDS = 10_000;
const TRANSACTION_BYTES = 8 * 1024 * 1024;

export interface SalvageReport {
  /** That are in the new file. */
  records: number;
  /** Of their names and values. */
  bytes: number;
  /** Times that `onLost` was called. */
  lostRanges: number;
  tables: Record<StoreTable, number>;
  /** Why nothing could be read at all; else "". */
  problem: string;
}

/**
 * Copies what can be believed of the damaged store `path`, and of the committed part of its -wal, into `target`, whose
 * tables are there and empty. `path` and what is beside it are only read, and not through SQLite.
 *
 * A record is believed when its checksum is right, it is in a page that is in use (DamagedTrees has the rule), and its
 * key has its place among its neighbours there. The last two keep out what was deleted or replaced, and left behind.
 *
 * `onLost` is told each record or range that is known to be gone; a range says where records may have been, not that
 * every key of it was one. Never throws for what it reads. Throws what `target` throws, such as a full disk: then
 * `target` is incomplete, and all is still in `path`.
 */
export function salvage(path: string, target: DatabaseSync, onLost: (loss: StoreLoss) => void): SalvageReport {
  const writer = new Writer(target);
  const losses = new Losses(onLost);
  let problem = "";
  try {
    const file = new DamagedFile(path);
    try {
      new Salvage(file, writer, losses).run();
    } finally {
      file.close();
    }
  } catch (error) {
    if (writer.hasFailed) throw error;
    // A fault in a file can be one that nobody thought of. What was found until then is kept, the rest is named.
    problem = error instanceof Error ? error.message : String(error);
    for (const table of STORE_TABLES) losses.addTable(table, problem);
  }
  writer.end();
  losses.end();
  return { ...writer.totals, lostRanges: losses.told, problem };
}

class Salvage {
  private readonly writer: Writer;
  private readonly losses: Losses;
  private readonly trees: DamagedTrees;
  private readonly file: DamagedFile;
  private readonly leaf = new LeafPage();
  private readonly record: DamagedRecord;

  constructor(file: DamagedFile, writer: Writer, losses: Losses) {
    this.file = file;
    this.writer = writer;
    this.losses = losses;
    this.trees = new DamagedTrees(file);
    this.record = new DamagedRecord(file);
  }

  run(): void {
    const unseen = new Set(STORE_TABLES);
    for (const [table, tree] of this.byTable(this.trees.trees())) {
      unseen.delete(table);
      this.copy(tree, table);
    }
    for (const table of unseen) this.losses.addTable(table, "its pages were not found");
  }

  /**
   * Which tree is which table's. The schema says it without a checksum, the records say it with one; but those of a
   * small table may all be strangers, in a page that was written to the wrong place. So the largest trees choose first.
   */
  private byTable(trees: DamagedTree[]): Map<StoreTable, DamagedTree> {
    const proved = trees.map((tree) => ({ tree, ...this.provedTable(tree) })).sort((a, b) => b.leaves - a.leaves);
    const found = new Map<StoreTable, DamagedTree>();
    for (const { tree, table } of proved) {
      const chosen = table !== undefined && !found.has(table) ? table : tree.table;
      if (chosen !== undefined && !found.has(chosen)) found.set(chosen, tree);
    }
    return found;
  }

  /** The table that most leaves are of, and how many they are. */
  private provedTable(tree: DamagedTree): { table: StoreTable | undefined; leaves: number } {
    const counts = new Array<number>(STORE_TABLES.length).fill(0);
    for (const leaf of tree.leaves) {
      const range = this.trees.rangeOf(leaf);
      if (range !== undefined) counts[range.table]!++;
    }
    const leaves = Math.max(...counts);
    return { table: leaves === 0 ? undefined : STORE_TABLES[counts.indexOf(leaves)], leaves };
  }

  private copy(tree: DamagedTree, table: StoreTable): void {
    const { leaves, lost } = tree;
    const number = STORE_TABLES.indexOf(table);
    const ranges = leaves.map((leaf) => this.trees.rangeOf(leaf));
    const isKept = longestAscending(
      ranges.map((range) => (range?.table === number ? range.first : 1)),
      ranges.map((range) => (range?.table === number ? range.last : 0)),
    );
    // Of each place between leaves, the keys before and behind it.
    const before = new Array<number>(leaves.length + 1).fill(-1);
    const behind = new Array<number>(leaves.length + 1).fill(STORE_KEY_MAX + 1);
    leaves.forEach((_, at) => {
      before[at + 1] = isKept[at] ? ranges[at]!.last : before[at]!;
    });
    for (let at = leaves.length - 1; at >= 0; at--) behind[at] = isKept[at] ? ranges[at]!.first : behind[at + 1]!;

    for (const { from, to, reason } of lost) this.losses.addRange(table, before[from]!, behind[to]!, reason);
    leaves.forEach((page, at) => {
      const range = ranges[at];
      if (range === undefined || isKept[at]) {
        this.copyLeaf(page, table, before[at]!, behind[at + 1]!);
        return;
      }
      // What should be here is gone, and what is here may be gone where it belongs.
      const reason = `page ${page} has what belongs elsewhere`;
      this.losses.addRange(table, before[at]!, behind[at + 1]!, reason);
      this.losses.addRange(STORE_TABLES[range.table]!, range.first - 1, range.last + 1, reason);
    });
  }

  /** Only records between the two keys, which are its neighbours', can be of this leaf. */
  private copyLeaf(page: number, table: StoreTable, before: number, behind: number): void {
    const { file, leaf, record, losses } = this;
    const number = STORE_TABLES.indexOf(table);
    if (!file.read(page, leaf.bytes) || !leaf.load()) {
      losses.addRange(table, before, behind, `page ${page} cannot be read any more`);
      return;
    }
    const isTrusted = leaf.isWhole ? undefined : this.orderedCells(number);
    let previous = before;
    let damagedNames: string[] = [];
    const tellDamaged = (next: number): void => {
      const reason = `its checksum does not match, on page ${page}`;
      for (const name of damagedNames) losses.addRecord(table, previous, next, name, reason);
      damagedNames = [];
    };
    for (let index = 0; index < leaf.cellCount; index++) {
      const isRead = leaf.cell(index) && record.read(leaf);
      const { key } = leaf;
      if (isRead && isTrusted?.[index] !== false && record.isOf(number)) {
        tellDamaged(key);
        this.writer.put(table, key, record);
        previous = key;
      } else damagedNames.push(isRead ? losses.nameOf(record.name) : "");
    }
    tellDamaged(behind);
    if (!leaf.isWhole) losses.addRange(table, before, behind, `page ${page} is damaged; some of its records are left`);
  }

  /** In a page that contradicts itself, which cells are whole records, and in order among themselves. */
  private orderedCells(table: number): boolean[] {
    const { leaf, record } = this;
    const firsts: number[] = [];
    const lasts: number[] = [];
    for (let index = 0; index < leaf.cellCount; index++) {
      const isProved = leaf.cell(index) && record.read(leaf) && record.isOf(table);
      firsts.push(isProved ? leaf.key : 1);
      lasts.push(isProved ? leaf.key : 0);
    }
    return longestAscending(firsts, lasts);
  }
}

/** Puts records into the new file, some thousands a transaction. */
class Writer {
  readonly totals = {
    records: 0,
    bytes: 0,
    tables: Object.fromEntries(STORE_TABLES.map((table) => [table, 0])) as Record<StoreTable, number>,
  };
  hasFailed = false;
  private readonly target: DatabaseSync;
  private readonly ownsTransactions: boolean;
  private readonly statements = new Map<StoreTable, StatementSync>();
  private openRecords = 0;
  private openBytes = 0;

  constructor(target: DatabaseSync) {
    this.target = target;
    this.ownsTransactions = !target.isTransaction;
  }

  put(table: StoreTable, key: number, record: DamagedRecord): void {
    this.guard(() => {
      if (this.openRecords === 0 && this.ownsTransactions) this.target.exec("BEGIN IMMEDIATE");
      this.openRecords++;
      // A record that is there was found in a better place.
      this.statement(table).run(key, record.name, record.value, record.crc);
    });
    const bytes = record.name.length + record.value.length;
    this.openBytes += bytes;
    this.totals.records++;
    this.totals.bytes += bytes;
    this.totals.tables[table]++;
    if (this.openRecords >= TRANSACTION_RECORDS || this.openBytes >= TRANSACTION_BYTES) this.end();
  }

  end(): void {
    if (this.openRecords > 0 && this.ownsTransactions) {
      this.guard(() => this.target.exec("COMMIT; PRAGMA wal_checkpoint(PASSIVE)"));
    }
    this.openRecords = this.openBytes = 0;
  }

  private statement(table: StoreTable): StatementSync {
    const known = this.statements.get(table);
    if (known !== undefined) return known;
    const made = this.target.prepare(`INSERT OR IGNORE INTO ${table} VALUES (?, ?, ?, ?)`);
    this.statements.set(table, made);
    return made;
  }

  private guard(write: () => void): void {
    try {
      write();
    } catch (error) {
      this.hasFailed = true;
      if (this.ownsTransactions && this.target.isTransaction) this.target.exec("ROLLBACK");
      throw error;
    }
  }
}
