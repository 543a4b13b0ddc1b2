import { EventEmitter } from "node:events";
import type { ReasonCode } from "../../codec/reason.ts";
import type { Reader } from "../shared-read.ts";
import { Outbox } from "./outbox.ts";
import { Kind, type Pipe, TAKEN_BYTES } from "./pipe.ts";

/**
 * The core's end of a connection that another thread serves: as much of a stream as a link needs. A write that has all
 * gone into the shared memory counts as taken, as one does that lies in the kernel's buffers: the credit of a connection
 * bounds it.
 */
export class FarStream extends EventEmitter {
  destroyed = false;
  readableEnded = false;
  /** Why the stream is ended, for the peer. */
  reasonCode: ReasonCode | undefined;
  /** Who takes the bytes; set when the link exists. */
  reader: Reader | undefined;
  private readonly outbox: Outbox;
  private isPaused = false;
  /** What came while nobody wanted it: at most a connection's credit. */
  private held: Uint8Array[] = [];
  private isEnding = false;
  private isResuming = false;
  /** Bytes that were taken and not told of. */
  private taken = 0;
  private onWritten: (() => void) | undefined;

  constructor(pipe: Pipe, connection: number) {
    super();
    this.outbox = new Outbox(pipe, connection, () => this.written());
  }

  /** Bytes that wait for room in the shared memory, or for the client to read. */
  get writableLength(): number {
    return this.outbox.bytes;
  }

  /** Where a link finds out how much of a write is not taken yet. */
  get _handle(): { writeQueueSize: number } {
    return { writeQueueSize: this.outbox.bytes };
  }

  /** `written` is called when nothing waits any more, unless that is so already; the last one that was given. */
  write(bytes: Uint8Array, written?: () => void): boolean {
    if (this.destroyed) return false;
    const sent = this.outbox.send(bytes, 0, bytes.length);
    if (sent < bytes.length) this.outbox.add(sent === 0 ? bytes : bytes.subarray(sent));
    if (this.outbox.bytes > 0) this.onWritten = written ?? this.onWritten;
    return this.outbox.bytes === 0;
  }

  /** After what waits the client hears of the end. */
  end(): void {
    if (this.destroyed) return;
    this.outbox.put(Kind.END, this.reasonCode === undefined ? undefined : Uint8Array.of(this.reasonCode));
  }

  /** Closes at once, here and at the other end. */
  destroy(error?: Error): void {
    if (!this.destroyed) this.outbox.close(Kind.DESTROY);
    this.lost(error);
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
    if (this.isResuming || (this.held.length === 0 && !this.isEnding)) return;
    // As streams do: who resumes has returned when bytes come.
    this.isResuming = true;
    process.nextTick(() => this.handOn());
  }

  /** Bytes of the client's, valid only during the call. */
  receive(bytes: Uint8Array, length: number): void {
    if (this.destroyed) return;
    if (this.isPaused || this.held.length > 0) this.held.push(bytes.slice(0, length));
    else this.deliver(bytes, length);
  }

  /** The client has half-closed. */
  ended(): void {
    this.isEnding = true;
    this.handOn();
  }

  /** The other end has taken so many bytes of ours. */
  grant(bytes: number): void {
    this.outbox.grant(bytes);
  }

  /** There is no other end any more. */
  lost(error: Error | undefined): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.held = [];
    this.onWritten = undefined;
    process.nextTick(() => {
      if (error !== undefined) this.emit("error", error);
      this.emit("close");
    });
  }

  private handOn(): void {
    this.isResuming = false;
    while (this.held.length > 0 && !this.isPaused && !this.destroyed) {
      const bytes = this.held.shift()!;
      this.deliver(bytes, bytes.length);
    }
    if (!this.isEnding || this.held.length > 0 || this.isPaused || this.destroyed) return;
    this.isEnding = false;
    this.readableEnded = true;
    this.emit("end");
  }

  private deliver(bytes: Uint8Array, length: number): void {
    this.reader?.receive(bytes, 0, length);
    this.taken += length;
    if (this.taken < TAKEN_BYTES || this.destroyed) return;
    this.outbox.tell(this.taken);
    this.taken = 0;
  }

  private written(): void {
    const { onWritten } = this;
    this.onWritten = undefined;
    onWritten?.();
  }
}
