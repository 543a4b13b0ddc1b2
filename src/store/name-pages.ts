/** So many names are written anew when one of them changes. */
const NAMES_PER_PAGE = 128;

/** An index of names that is written by pages, 0, 1, 2 …, so that a new name does not cost writing all of them. */
export class NamePages {
  private readonly pages: Map<string, string>[] = [];
  private readonly pageOf = new Map<string, number>();
  private readonly roomy = new Set<number>();
  private readonly changed = new Set<number>();

  /** `text` is what the page says of it. */
  set(name: string, text: string): void {
    const known = this.pageOf.get(name);
    const number = known ?? this.pageWithRoom();
    const page = this.pages[number]!;
    if (page.get(name) === text) return;
    page.set(name, text);
    this.pageOf.set(name, number);
    this.changed.add(number);
    if (page.size >= NAMES_PER_PAGE) this.roomy.delete(number);
  }

  delete(name: string): void {
    const number = this.pageOf.get(name);
    if (number === undefined) return;
    this.pageOf.delete(name);
    this.pages[number]!.delete(name);
    this.roomy.add(number);
    this.changed.add(number);
  }

  /** The next page as it was read. */
  restore(page: ReadonlyMap<string, string>): void {
    const number = this.pages.length;
    this.pages.push(new Map());
    for (const [name, text] of page) {
      if (this.pageOf.has(name)) continue;
      this.pages[number]!.set(name, text);
      this.pageOf.set(name, number);
    }
    if (this.pages[number]!.size < NAMES_PER_PAGE) this.roomy.add(number);
  }

  /** The pages that have changed since this was last asked, lowest first. */
  takeChanged(): { number: number; texts: string[] }[] {
    const numbers = [...this.changed].sort((a, b) => a - b);
    this.changed.clear();
    return numbers.map((number) => ({ number, texts: [...this.pages[number]!.values()] }));
  }

  private pageWithRoom(): number {
    for (const number of this.roomy) return number;
    this.pages.push(new Map());
    this.roomy.add(this.pages.length - 1);
    return this.pages.length - 1;
  }
}
