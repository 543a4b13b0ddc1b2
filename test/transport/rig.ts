import type { Duplex } from "node:stream";
import type { Link, LinkHandler } from "../../src/core/ports.ts";
import type { Turn } from "../../src/transport/turn.ts";

/** One way to connect, as the contract suite needs it. */
export interface Rig {
  readonly turn: Turn;
  /** Connects a raw client. `accepting` runs inside the core's `accept`, for links that are refused at once. */
  connect(accepting?: (link: Link) => void): Promise<Pair>;
  close(): Promise<void>;
}

export interface Pair {
  link: Link;
  /** The link's own end of the stream, to count writes and to break it. */
  stream: Duplex;
  heard: Heard;
  /** The peer's end. It doesn't read until it is told to. */
  client: Duplex;
}

/** A handler that notes what it hears, and fails when it hears anything after its end. */
export class Heard implements LinkHandler {
  readonly closes: (Error | undefined)[] = [];
  readonly late: string[] = [];
  drains = 0;
  onDrained: (() => void) | undefined;
  /** Bytes heard so far. */
  size = 0;
  private readonly chunks: Buffer[] = [];

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  onData(bytes: Uint8Array, start: number, end: number): void {
    if (this.closes.length > 0) this.late.push("onData");
    this.chunks.push(Buffer.from(bytes.subarray(start, end)));
    this.size += end - start;
  }

  onDrain(): void {
    if (this.closes.length > 0) this.late.push("onDrain");
    this.drains++;
    this.onDrained?.();
  }

  onClose(error: Error | undefined): void {
    this.closes.push(error);
  }
}

/** Sends `bytes` in one reserve. */
export function send(link: Link, bytes: Uint8Array): void {
  const at = link.reserve(bytes.length);
  link.batch.set(bytes, at);
}

/** Bytes that show any loss, repetition or exchange: no two stretches of them are equal for long. */
export function pattern(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = seed;
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

/** All bytes until the peer's FIN. */
export async function readToEnd(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  await new Promise<void>((resolve, reject) => {
    stream.once("end", resolve);
    stream.once("error", reject);
  });
  return Buffer.concat(chunks);
}

/** The next `length` bytes; the stream is paused afterwards. */
export async function readBytes(stream: Duplex, length: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  await new Promise<void>((resolve) => {
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk);
      size += chunk.length;
      if (size < length) return;
      stream.off("data", onData);
      stream.pause();
      resolve();
    };
    stream.on("data", onData);
    stream.resume();
  });
  return Buffer.concat(chunks);
}

/** Waits for turns of the event loop until `condition` holds; fails after five seconds. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const lastMs = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > lastMs) throw new Error(`Waited in vain until ${what}`);
    await turns(1);
  }
}

/** Lets the event loop turn, with a moment for the other end's bytes to come through the kernel. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Counts the writes of a stream from now on, empty ones left out. */
export function countWrites(stream: Duplex): { count: number } {
  const writes = { count: 0 };
  const write = stream.write.bind(stream) as (chunk: Uint8Array, written?: () => void) => boolean;
  stream.write = ((chunk: Uint8Array, written?: () => void) => {
    if (chunk.length > 0) writes.count++;
    return write(chunk, written);
  }) as Duplex["write"];
  return writes;
}
