import { Duplex } from "node:stream";
import type { QuicStream } from "./quic-library.ts";

/** Written at a time: the library takes anything at once, and says too late that the client has no room. */
const PIECE_BYTES = 64 * 1024;
/** Bytes that came and were not asked for yet, from which on they wait here. */
const RECEIVED_BYTES_MAX = 64 * 1024;

/**
 * The bytes of a QUIC stream with the bounds that the library's own stream lacks. What is written is handed on in
 * pieces, so that it stays here when the client takes no more. What comes while nobody reads can only be kept, as the
 * library goes on reading: a client that sends more than `waitingMax` bytes of it fails the stream.
 */
export class QuicBytes extends Duplex {
  private readonly stream: QuicStream;
  private readonly waitingMax: number;
  private readonly waiting: Buffer[] = [];
  private waitingBytes = 0;
  private hasEnded = false;
  private isFull = false;
  /** Of the write that is under way, the bytes that the library has not taken. */
  private untaken = 0;

  constructor(stream: QuicStream, waitingMax: number) {
    super({ readableHighWaterMark: RECEIVED_BYTES_MAX });
    this.stream = stream;
    this.waitingMax = waitingMax;
    // What came with the stream; later pieces are told of at once, also when the connection ends right after them.
    const first = stream.read() as Buffer | null;
    if (first !== null) this.received(first);
    stream.on("data", (bytes: Buffer) => this.received(bytes));
    stream.on("end", () => this.ended());
    stream.on("error", (error) => this.failed(error));
    stream.on("close", () => {
      if (!this.hasEnded) this.failed(new Error("the QUIC connection was closed"));
    });
  }

  /** Where a link finds out how much of a write is still in this process. */
  get _handle(): { writeQueueSize: number } {
    return { writeQueueSize: this.untaken };
  }

  override _read(): void {
    this.isFull = false;
    while (!this.isFull && this.waiting.length > 0) {
      const bytes = this.waiting.shift()!;
      this.waitingBytes -= bytes.length;
      this.isFull = !this.push(bytes);
    }
    if (this.hasEnded && this.waiting.length === 0) this.push(null);
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, written: () => void): void {
    let at = 0;
    this.untaken = bytes.length;
    const next = (error?: Error | null): void => {
      // A link takes every call for success.
      if (error) {
        this.destroy(error);
        return;
      }
      this.untaken = bytes.length - at;
      if (this.untaken === 0) {
        written();
        return;
      }
      const piece = bytes.subarray(at, at + PIECE_BYTES);
      at += piece.length;
      this.stream.write(piece, next);
    };
    next();
  }

  override _final(ended: () => void): void {
    this.stream.end(() => ended());
  }

  override _destroy(error: Error | null, destroyed: (error: Error | null) => void): void {
    this.waiting.length = 0;
    this.stream.destroy();
    destroyed(error);
  }

  private received(bytes: Buffer): void {
    if (this.destroyed) return;
    if (!this.isFull && this.waiting.length === 0) {
      this.isFull = !this.push(bytes);
      return;
    }
    this.waiting.push(bytes);
    this.waitingBytes += bytes.length;
    if (this.waitingBytes > this.waitingMax) {
      this.destroy(new Error(`the client sent more than ${this.waitingMax} bytes while it was not read from`));
    }
  }

  private ended(): void {
    this.hasEnded = true;
    if (this.waiting.length === 0 && !this.destroyed) this.push(null);
  }

  /** A moment later: what came before it is handed on first. */
  private failed(error: Error): void {
    setImmediate(() => this.destroy(error));
  }
}
