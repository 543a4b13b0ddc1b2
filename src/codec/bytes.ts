/**
 * Up to here a loop is faster than a view and a call into the runtime: measured at 1 ns a byte against 55 ns.
 */
const LOOP_BYTES_MAX = 48;

/** Copies `source[start, end)` to `target` from `at`. The ranges must not overlap. */
export function copyBytes(target: Uint8Array, at: number, source: Uint8Array, start: number, end: number): void {
  if (end - start > LOOP_BYTES_MAX) {
    target.set(source.subarray(start, end), at);
    return;
  }
  const shift = at - start;
  for (let from = start; from < end; from++) {
    target[from + shift] = source[from]!;
  }
}

/**
 * A copy of `source[start, end)` that shares no memory with it, whatever kind of array it is: the `slice` of a Buffer,
 * and sockets give Buffers, copies nothing.
 */
export function ownBytes(source: Uint8Array, start: number, end: number): Uint8Array {
  if (source.constructor === Uint8Array) return source.slice(start, end);
  const copy = new Uint8Array(end - start);
  copyBytes(copy, 0, source, start, end);
  return copy;
}
