/** Sizes kept for reuse: a few packets, a busy client, a full batch. */
const CLASS_BYTES = [2 * 1024, 16 * 1024, 64 * 1024] as const;
/** Free buffers kept of each class: at most 2 + 4 + 4 MiB. A burst beyond that goes back to the garbage collector. */
const CLASS_FREE_MAX = [1024, 256, 64] as const;

/**
 * Output buffers that links borrow while they have something to send, so that an idle connection holds none.
 * Last returned, first lent: that one is still in the processor's cache.
 */
export class BufferPool {
  private readonly free: Buffer[][] = CLASS_BYTES.map(() => []);

  /** Lends a buffer of at least `size` bytes with undefined contents; above 64 KiB exactly `size`, never kept. */
  take(size: number): Buffer {
    const index = classOf(size);
    if (index < 0) return Buffer.allocUnsafeSlow(size);
    return this.free[index]!.pop() ?? Buffer.allocUnsafeSlow(CLASS_BYTES[index]!);
  }

  /** Takes back a buffer that `take` lent. Nothing may read or write it afterwards. */
  give(buffer: Buffer): void {
    const index = classOf(buffer.length);
    if (index < 0 || buffer.length !== CLASS_BYTES[index]) return;
    const free = this.free[index]!;
    if (free.length < CLASS_FREE_MAX[index]!) free.push(buffer);
  }

  /** Bytes that lie here unused, for metrics and tests. */
  get freeBytes(): number {
    return this.free.reduce((sum, free, index) => sum + free.length * CLASS_BYTES[index]!, 0);
  }
}

function classOf(size: number): number {
  if (size <= CLASS_BYTES[0]) return 0;
  if (size <= CLASS_BYTES[1]) return 1;
  return size <= CLASS_BYTES[2] ? 2 : -1;
}
