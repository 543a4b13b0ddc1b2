/**
 * Of ranges that should follow each other without touching, the largest selection that does: `true` for each that is
 * in it. What is not in its place is left out rather than believed.
 */
export function longestAscending(firsts: readonly number[], lasts: readonly number[]): boolean[] {
  const count = firsts.length;
  const isKept = new Array<boolean>(count).fill(false);
  /** By length of a selection: the place of the range with which it ends lowest. */
  const ends: number[] = [];
  const previous = new Int32Array(count).fill(-1);
  for (let at = 0; at < count; at++) {
    if (firsts[at]! > lasts[at]!) continue;
    let low = 0;
    let high = ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (lasts[ends[middle]!]! < firsts[at]!) low = middle + 1;
      else high = middle;
    }
    if (low > 0) previous[at] = ends[low - 1]!;
    const held = ends[low];
    if (held === undefined || lasts[at]! < lasts[held]!) ends[low] = at;
  }
  for (let at = ends.at(-1) ?? -1; at >= 0; at = previous[at]!) isKept[at] = true;
  return isKept;
}
