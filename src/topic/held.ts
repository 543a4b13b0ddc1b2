/** A value is anything but undefined and null, which mean that there is none. */
export type Value = NonNullable<unknown>;

/** The values of one filter: most have one, which is kept bare. */
export type Held<T extends Value> = T | Several<T>;

export function holds<T extends Value>(held: Held<T> | undefined, value: T): held is Held<T> {
  return held instanceof Several ? held.has(value) : held === value;
}

export function withValue<T extends Value>(held: Held<T> | undefined, value: T): Held<T> {
  if (held === undefined) return value;
  if (!(held instanceof Several)) return new Several(held, value);
  held.add(value);
  return held;
}

/** What is left; undefined when nothing is. */
export function withoutValue<T extends Value>(held: Held<T>, value: T): Held<T> | undefined {
  if (!(held instanceof Several)) return undefined;
  held.remove(value);
  return held.values.length === 1 ? held.values[0] : held;
}

export function pushHeld<T extends Value>(held: Held<T> | undefined, found: T[]): void {
  if (held === undefined) return;
  if (!(held instanceof Several)) found.push(held);
  // One by one: a spread of 100,000 arguments would overflow the stack.
  else for (const value of held.values) found.push(value);
}

/** Lists shorter than this are searched: a Map of places costs more than it saves. */
const INDEXED_LENGTH_MIN = 64;

/**
 * Two values or more, unique, in no particular order: the last takes the place of the removed one. A long list learns
 * its places at the first removal, so that 100,000 subscribers of one filter can leave one by one.
 */
class Several<T extends Value> {
  readonly values: T[];
  private places: Map<T, number> | undefined = undefined;

  constructor(first: T, second: T) {
    this.values = [first, second];
  }

  add(value: T): void {
    this.places?.set(value, this.values.length);
    this.values.push(value);
  }

  has(value: T): boolean {
    return this.place(value) !== -1;
  }

  remove(value: T): void {
    const place = this.place(value);
    const last = this.values.pop()!;
    this.places?.delete(value);
    if (place === this.values.length) return;
    this.values[place] = last;
    this.places?.set(last, place);
  }

  private place(value: T): number {
    if (this.places === undefined) {
      if (this.values.length < INDEXED_LENGTH_MIN) return this.values.indexOf(value);
      this.places = new Map();
      for (const [place, one] of this.values.entries()) this.places.set(one, place);
    }
    return this.places.get(value) ?? -1;
  }
}
