import { Branch } from "./branch.ts";
import { type Held, holds, pushHeld, type Value, withoutValue, withValue } from "./held.ts";
import { hasWildcard } from "./name.ts";

/**
 * Topic Filters and what is kept for each (subscriptions, rules): finds the values of all filters that match a name.
 *
 * Filters without wildcards are one Map; the others a tree of levels, walked only when there are some. Filters are
 * taken as they are: check them with `isTopicFilter`, and take Shared Subscriptions apart, before. Values of one filter
 * are compared by identity and stay in no particular order.
 */
export class Matcher<T extends Value> {
  private readonly exact = new Map<string, Held<T>>();
  private readonly root = new FilterNode<T>("");
  private count = 0;
  private changes = 0;

  // Branches still to be walked; fields so that a match allocates nothing, empty between two calls.
  private readonly pendingNodes: FilterNode<T>[] = [];
  private readonly pendingStarts: number[] = [];

  /** Pairs of filter and value. */
  get size(): number {
    return this.count;
  }

  /** Differs after every change: what was matched before is true as long as this stays the same. */
  get generation(): number {
    return this.changes;
  }

  /** Adds `value` to `filter`. The caller sees to it that this value is not there yet: it would be found twice. */
  add(filter: string, value: T): void {
    if (!hasWildcard(filter)) this.exact.set(filter, withValue(this.exact.get(filter), value));
    else this.addWildcard(filter, value);
    this.count++;
    this.changes++;
  }

  /** Removes `value` from `filter`, and whatever was there only for it. False when it was not there. */
  remove(filter: string, value: T): boolean {
    const removed = hasWildcard(filter) ? this.removeWildcard(filter, value) : this.removeExact(filter, value);
    if (!removed) return false;
    this.count--;
    this.changes++;
    return true;
  }

  /**
   * Appends to `found` the values of all filters that match the Topic Name `name`; a value that is there under two
   * such filters is found twice.
   */
  match(name: string, found: T[]): void {
    if (this.exact.size > 0) pushHeld(this.exact.get(name), found);
    if (!this.root.isEmpty) this.matchWildcards(name, found);
  }

  /** Filters in the Map and nodes in the tree below its root, counted: for tests, 0 when nothing is left. */
  nodeCount(): number {
    const nodes: FilterNode<T>[] = [this.root];
    // The list grows while it is walked.
    for (const node of nodes) {
      if (node.plus !== undefined) nodes.push(node.plus);
      node.pushChildren(nodes);
    }
    return this.exact.size + nodes.length - 1;
  }

  /**
   * A loop, not a recursion: the depth of a filter must not become the depth of the stack. A node stands for one
   * beginning of a filter, so none is seen twice, whatever the filters are.
   */
  private matchWildcards(name: string, found: T[]): void {
    // A wildcard at the first level finds no name that begins with $: 5.0 [MQTT-4.7.2-1], 3.1.1 [MQTT-4.7.2-1].
    const isReserved = name.startsWith("$");
    if (!isReserved) pushHeld(this.root.hash, found);
    const firstEnd = levelEnd(name, 0);
    if (!isReserved) this.push(this.root.plus, firstEnd + 1);

    let node: FilterNode<T> | undefined = this.root.childAt(name, 0, firstEnd);
    let start = firstEnd + 1;
    for (;;) {
      if (node === undefined) {
        node = this.pendingNodes.pop();
        if (node === undefined) return;
        start = this.pendingStarts.pop()!;
      }
      // `#` stands for all levels that are left, or none, §4.7.1.2.
      if (node.hash !== undefined) pushHeld(node.hash, found);
      // The last level may be empty, so the name is at its end only behind the separator that would follow it.
      if (start > name.length) {
        pushHeld(node.held, found);
        node = undefined;
        continue;
      }
      const end = levelEnd(name, start);
      this.push(node.plus, end + 1);
      node = node.childAt(name, start, end);
      start = end + 1;
    }
  }

  private push(node: FilterNode<T> | undefined, start: number): void {
    if (node === undefined) return;
    this.pendingNodes.push(node);
    this.pendingStarts.push(start);
  }

  private removeExact(filter: string, value: T): boolean {
    const held = this.exact.get(filter);
    if (!holds(held, value)) return false;
    const left = withoutValue(held, value);
    if (left === undefined) this.exact.delete(filter);
    else this.exact.set(filter, left);
    return true;
  }

  private addWildcard(filter: string, value: T): void {
    let node = this.root;
    for (let start = 0; start <= filter.length; ) {
      if (isHash(filter, start)) {
        node.hash = withValue(node.hash, value);
        return;
      }
      const end = levelEnd(filter, start);
      node = node.next(filter, start, end) ?? node.grow(filter.slice(start, end));
      start = end + 1;
    }
    node.held = withValue(node.held, value);
  }

  private removeWildcard(filter: string, value: T): boolean {
    const path = [this.root];
    let node = this.root;
    let start = 0;
    while (start <= filter.length && !isHash(filter, start)) {
      const end = levelEnd(filter, start);
      const next = node.next(filter, start, end);
      if (next === undefined) return false;
      path.push(next);
      node = next;
      start = end + 1;
    }
    const place = start <= filter.length ? "hash" : "held";
    const held = node[place];
    if (!holds(held, value)) return false;
    node[place] = withoutValue(held, value);
    for (let depth = path.length - 1; depth > 0 && path[depth]!.isEmpty; depth--) path[depth - 1]!.drop(path[depth]!);
    return true;
  }
}

/** What is kept for one beginning of a wildcard filter. */
class FilterNode<T extends Value> extends Branch<FilterNode<T>> {
  /** The child for `+`. */
  plus: FilterNode<T> | undefined = undefined;
  /** Values of the filter that ends here. */
  held: Held<T> | undefined = undefined;
  /** Values of the filter that ends with `#` below here. */
  hash: Held<T> | undefined = undefined;

  get isEmpty(): boolean {
    return this.held === undefined && this.hash === undefined && this.plus === undefined && !this.hasChildren;
  }

  next(filter: string, start: number, end: number): FilterNode<T> | undefined {
    return isPlus(filter, start, end) ? this.plus : this.childAt(filter, start, end);
  }

  grow(level: string): FilterNode<T> {
    const node = new FilterNode<T>(level);
    if (level === "+") this.plus = node;
    else this.attach(node);
    return node;
  }

  drop(node: FilterNode<T>): void {
    if (this.plus === node) this.plus = undefined;
    else this.detach(node);
  }
}

function levelEnd(text: string, start: number): number {
  const end = text.indexOf("/", start);
  return end === -1 ? text.length : end;
}

function isPlus(filter: string, start: number, end: number): boolean {
  return end - start === 1 && filter.charCodeAt(start) === 0x2b;
}

/** True when all that is left of the filter is `#`. */
function isHash(filter: string, start: number): boolean {
  return start === filter.length - 1 && filter.charCodeAt(start) === 0x23;
}
