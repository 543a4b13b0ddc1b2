const OCTETS_AT_FIRST = 256;

/** Octets that wait for their rest. Grows by doubling up to `max`, and is used again for each frame. */
export class OctetBuffer {
  bytes: Uint8Array;
  length = 0;
  readonly max: number;

  constructor(max: number) {
    this.max = max;
    this.bytes = new Uint8Array(Math.min(OCTETS_AT_FIRST, max));
  }

  /** Room for one octet more; false when there is none. */
  reserve(): boolean {
    return this.length < this.bytes.length || this.grow(this.length + 1);
  }

  /** Takes of `bytes[start, end)` as much as fits, and answers how many octets those were. */
  append(bytes: Uint8Array, start: number, end: number): number {
    const count = Math.min(end - start, this.max - this.length);
    if (this.length + count > this.bytes.length) this.grow(this.length + count);
    if (count < 16) for (let at = 0; at < count; at++) this.bytes[this.length + at] = bytes[start + at]!;
    else this.bytes.set(bytes.subarray(start, start + count), this.length);
    this.length += count;
    return count;
  }

  /** Removes the first `count` octets. */
  drop(count: number): void {
    if (count === 0) return;
    if (count < this.length) this.bytes.copyWithin(0, count, this.length);
    this.length -= count;
  }

  private grow(needed: number): boolean {
    if (needed > this.max) return false;
    const larger = new Uint8Array(Math.min(this.max, Math.max(needed, this.bytes.length * 2)));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
    return true;
  }
}
