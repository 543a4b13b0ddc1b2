/** Longer words are not compared: nobody mistypes them by accident, and the comparison is quadratic. */
const WORD_LENGTH_MAX = 64;

/**
 * The name that `word` was probably meant to be: the nearest within a third of its length (at least 1, at most 4) of
 * edits, where case, "-" and "_" don't count; else the only name that `word` begins. The first of equals wins.
 */
export function suggest(word: string, names: Iterable<string>): string | undefined {
  const wanted = fold(word);
  if (wanted.length === 0 || wanted.length > WORD_LENGTH_MAX) return undefined;
  let best: string | undefined;
  let bestEdits = Math.min(4, Math.max(1, Math.floor(wanted.length / 3))) + 1;
  const begun: string[] = [];
  for (const name of names) {
    const folded = fold(name);
    const edits = editDistance(wanted, folded);
    if (edits < bestEdits) {
      best = name;
      bestEdits = edits;
    }
    if (wanted.length >= 3 && folded.startsWith(wanted)) begun.push(name);
  }
  return best ?? (begun.length === 1 ? begun[0] : undefined);
}

function fold(word: string): string {
  return word.toLowerCase().replace(/[-_]/g, "");
}

/** Insertions, deletions, replacements and swaps of neighbours that lead from `a` to `b`. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let edits = Math.min(last[column]! + 1, current[column - 1]! + 1, last[column - 1]! + (same ? 0 : 1));
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (swapped) edits = Math.min(edits, beforeLast[column - 2]! + 1);
      current.push(edits);
    }
    beforeLast = last;
    last = current;
  }
  return last[b.length]!;
}
