/**
 * A node in a tree of topic levels.
 *
 * Most nodes of a real tree have one child or none, and a Map costs some 200 bytes however little it holds: so a lone
 * child is kept bare, and the Map is there from the second child on.
 */
export class Branch<Child extends Branch<Child>> {
  readonly level: string;
  private below: Child | Map<string, Child> | undefined = undefined;

  constructor(level: string) {
    this.level = unshared(level);
  }

  /** The child whose level is `text[start, end)`; no string is made when there is a lone child or none. */
  childAt(text: string, start: number, end: number): Child | undefined {
    const below = this.below;
    if (below === undefined) return undefined;
    if (below instanceof Map) return below.get(text.slice(start, end));
    return below.level.length === end - start && text.startsWith(below.level, start) ? below : undefined;
  }

  child(level: string): Child | undefined {
    return this.childAt(level, 0, level.length);
  }

  /** Takes in a child whose level is not there yet. */
  attach(child: Child): void {
    const below = this.below;
    if (below === undefined) this.below = child;
    else if (below instanceof Map) below.set(child.level, child);
    else {
      const both = new Map<string, Child>();
      both.set(below.level, below);
      both.set(child.level, child);
      this.below = both;
    }
  }

  detach(child: Child): void {
    const below = this.below;
    if (below === child) this.below = undefined;
    if (!(below instanceof Map)) return;
    below.delete(child.level);
    if (below.size > 1) return;
    for (const lone of below.values()) this.below = lone;
  }

  get hasChildren(): boolean {
    return this.below !== undefined;
  }

  /** Appends the children in the order in which they came. */
  pushChildren(found: Child[]): void {
    const below = this.below;
    if (below === undefined) return;
    if (!(below instanceof Map)) {
      found.push(below);
      return;
    }
    for (const child of below.values()) found.push(child);
  }
}

/** From this length on V8 makes `slice` a view that keeps the whole text alive. */
const VIEW_LENGTH_MIN = 13;

/**
 * The same text, not as a view. Otherwise a level of 13 characters that two names share would keep the longer of them,
 * up to 65,535 bytes, in memory after that name is gone: unseen by every limit.
 */
function unshared(level: string): string {
  return level.length < VIEW_LENGTH_MIN ? level : ` ${level}`.slice(1);
}
