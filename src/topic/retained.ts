import { Branch } from "./branch.ts";
import { hasWildcard } from "./name.ts";

/**
 * One value (a retained message) for each Topic Name, §3.3.1.3: found by name, or by a Topic Filter.
 *
 * A Map answers for names, a tree of levels for filters with wildcards. Names and filters are taken as they are: check
 * them with `isTopicName` and `isTopicFilter` before.
 */
export class RetainedIndex<T extends NonNullable<unknown>> {
  private readonly byName = new Map<string, NameNode<T>>();
  private readonly root = new NameNode<T>("", undefined);

  /** Names that have a value. */
  get size(): number {
    return this.byName.size;
  }

  get(name: string): T | undefined {
    return this.byName.get(name)?.value;
  }

  /** Keeps `value` for `name`; returns the value it replaces. */
  set(name: string, value: T): T | undefined {
    let node = this.byName.get(name);
    if (node === undefined) {
      node = this.root.descend(name);
      node.name = name;
      this.byName.set(name, node);
    }
    const replaced = node.value;
    node.value = value;
    return replaced;
  }

  /** Forgets `name`; returns the value it had. */
  delete(name: string): T | undefined {
    const node = this.byName.get(name);
    if (node === undefined) return undefined;
    this.byName.delete(name);
    const { value } = node;
    node.value = undefined;
    node.name = "";
    node.prune();
    return value;
  }

  /**
   * Calls `visit` for each name that `filter` matches, in no particular order.
   *
   * `visit` may change the index: a name that it deletes is not visited any more, a value that it replaces is visited
   * as the new one, a name that it adds is not visited.
   */
  match(filter: string, visit: (value: T, name: string) => void): void {
    for (const node of this.find(filter)) {
      if (node.value !== undefined) visit(node.value, node.name);
    }
  }

  /** All names, oldest first; replacing a value does not make its name younger. */
  names(): IterableIterator<string> {
    return this.byName.keys();
  }

  /** All values, in the order of `names()`. */
  *values(): IterableIterator<T> {
    for (const { value } of this.byName.values()) yield value!;
  }

  /** Nodes in the tree below its root, counted: for tests, 0 when nothing is left. */
  nodeCount(): number {
    return subtrees([this.root]).length - 1;
  }

  /** Keeps to the nodes that fit the filter so far, level by level; some of those returned may have no value. */
  private find(filter: string): NameNode<T>[] {
    if (!hasWildcard(filter)) {
      const node = this.byName.get(filter);
      return node === undefined ? [] : [node];
    }
    // A wildcard at the first level finds no name that begins with $: 5.0 [MQTT-4.7.2-1], 3.1.1 [MQTT-4.7.2-1].
    if (filter === "#") return [...this.byName.values()].filter((node) => !isReserved(node.name));
    let fitting: NameNode<T>[] = [this.root];
    for (const level of filter.split("/")) {
      // The node itself stays: `sport/#` matches `sport`, §4.7.1.2.
      if (level === "#") return subtrees(fitting);
      if (level !== "+") fitting = childrenAt(fitting, level);
      else if (fitting[0] === this.root) fitting = children(fitting).filter((node) => !isReserved(node.level));
      else fitting = children(fitting);
    }
    return fitting;
  }
}

/** One beginning of a Topic Name. */
class NameNode<T extends NonNullable<unknown>> extends Branch<NameNode<T>> {
  readonly parent: NameNode<T> | undefined;
  /** The whole name, where a value is. */
  name = "";
  value: T | undefined = undefined;

  constructor(level: string, parent: NameNode<T> | undefined) {
    super(level);
    this.parent = parent;
  }

  /** The node for `name` below this one, made when missing. */
  descend(name: string): NameNode<T> {
    let node: NameNode<T> = this;
    for (let start = 0; start <= name.length; ) {
      const separator = name.indexOf("/", start);
      const end = separator === -1 ? name.length : separator;
      node = node.childAt(name, start, end) ?? node.grow(name.slice(start, end));
      start = end + 1;
    }
    return node;
  }

  grow(level: string): NameNode<T> {
    const node = new NameNode<T>(level, this);
    this.attach(node);
    return node;
  }

  /** Takes out this node and those above it which are there for nothing else. */
  prune(): void {
    let node: NameNode<T> = this;
    while (node.parent !== undefined && node.value === undefined && !node.hasChildren) {
      node.parent.detach(node);
      node = node.parent;
    }
  }
}

function isReserved(nameOrFirstLevel: string): boolean {
  return nameOrFirstLevel.startsWith("$");
}

function children<T extends NonNullable<unknown>>(nodes: readonly NameNode<T>[]): NameNode<T>[] {
  const found: NameNode<T>[] = [];
  for (const node of nodes) node.pushChildren(found);
  return found;
}

function childrenAt<T extends NonNullable<unknown>>(nodes: readonly NameNode<T>[], level: string): NameNode<T>[] {
  const found: NameNode<T>[] = [];
  for (const node of nodes) {
    const child = node.child(level);
    if (child !== undefined) found.push(child);
  }
  return found;
}

/** The nodes and everything below them. */
function subtrees<T extends NonNullable<unknown>>(nodes: readonly NameNode<T>[]): NameNode<T>[] {
  const found = [...nodes];
  // The list grows while it is walked, so a deep tree needs no deep stack.
  for (const node of found) node.pushChildren(found);
  return found;
}
