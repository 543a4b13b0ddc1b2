/** Something for one client that waits for its turn. */
export interface Queued {
  readonly message: Uint8Array;
  /** Nobody will miss it, as with QoS 0: the first to go when there is no room. */
  readonly isExpendable: boolean;
}

/**
 * What is not expendable is answers and one message that is to be answered: so many for one client are mostly
 * repetitions of each other.
 */
const ANSWERS_MAX = 32;

interface Row<Item> {
  readonly items: Item[];
  bytes: number;
  answers: number;
}

/**
 * Messages for many clients of one line: each client in turn gets one through. Who is sent more than the line takes loses
 * the oldest of what is expendable, and nobody else does.
 */
export class FairQueue<Item extends Queued> {
  private readonly maxBytes: number;
  /** In the order of their turns. None is empty. */
  private readonly rows = new Map<string, Row<Item>>();
  private bytes = 0;
  /** Messages that found no room. */
  dropped = 0;

  /** `maxBytes`: of all that waits, as far as it is expendable. */
  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  add(client: string, item: Item): void {
    let row = this.rows.get(client);
    if (row === undefined) {
      row = { items: [], bytes: 0, answers: 0 };
      this.rows.set(client, row);
    }
    row.items.push(item);
    this.count(row, item, 1);
    if (row.answers > ANSWERS_MAX) this.drop(client, row, false);
    while (this.bytes > this.maxBytes && this.dropOf(client, row));
  }

  /** Hands messages out until `send` takes no more. */
  drain(send: (item: Item) => boolean): void {
    for (;;) {
      const next = this.rows.entries().next().value;
      if (next === undefined) return;
      const [client, row] = next;
      const item = row.items[0]!;
      if (!send(item)) return;
      row.items.shift();
      this.count(row, item, -1);
      // To the end of the row.
      this.rows.delete(client);
      if (row.items.length > 0) this.rows.set(client, row);
    }
  }

  clear(): void {
    for (const { items } of this.rows.values()) this.dropped += items.length;
    this.rows.clear();
    this.bytes = 0;
  }

  /** Drops one of whom more waits for than its share, this client first; false: nobody has anything expendable there. */
  private dropOf(client: string, row: Row<Item>): boolean {
    const share = this.maxBytes / this.rows.size;
    if (row.bytes > share && this.drop(client, row, true)) return true;
    for (const [other, theirs] of this.rows) if (theirs.bytes > share && this.drop(other, theirs, true)) return true;
    return false;
  }

  private drop(client: string, row: Row<Item>, isExpendable: boolean): boolean {
    const index = row.items.findIndex((item) => item.isExpendable === isExpendable);
    if (index === -1) return false;
    const [item] = row.items.splice(index, 1);
    this.count(row, item!, -1);
    if (row.items.length === 0) this.rows.delete(client);
    this.dropped++;
    return true;
  }

  private count(row: Row<Item>, { message, isExpendable }: Item, sign: 1 | -1): void {
    row.bytes += sign * message.length;
    this.bytes += sign * message.length;
    if (!isExpendable) row.answers += sign;
  }
}
