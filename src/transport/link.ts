import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { ReasonCode } from "../codec/reason.ts";
import type { Accept, Link, LinkHandler, Peer } from "../core/ports.ts";
import { isTls } from "./certificate.ts";
import type { Flushable, Turn } from "./turn.ts";

/** A batch that reaches this is written without waiting for the end of the turn. */
const BATCH_BYTES_MAX = 64 * 1024;
/** How long an ended link waits for the peer to close too, and for a slow reader to take the last bytes. */
const LINGER_MS = 1000;
/** Who has said that it goes closes within this time, as nearly all do: then there is nobody to send an end to. */
const LEAVE_MS = 10;
const EMPTY = Buffer.alloc(0);
/** Where packets for closed links are written to. Nobody reads it. */
const SCRAP = Buffer.allocUnsafeSlow(2 * 1024);

/** A handler that stands for one in another thread, and so cannot answer at once. */
export interface RelayHandler extends LinkHandler {
  /** The peer half-closed. Where other links end themselves, this one still sends, until `end` or `destroy`. */
  onHalfClose(): void;
  /** The stream is closed; the last that is called. */
  onGone(): void;
}

/**
 * The batched writer over a socket or any other byte stream.
 *
 * Bytes go to a borrowed buffer, and at the end of the turn to the stream in one write. While the operating system
 * has not taken that write the link is blocked: new output gathers in the next batch, which is written as one piece
 * when the first is gone. No method of the link calls its handler back before it returns.
 */
export class StreamLink implements Link, Flushable {
  readonly peer: Peer;
  batch: Uint8Array = EMPTY;
  private readonly stream: Duplex;
  private readonly turn: Turn;
  /** The peer may be in this process, and answer from inside a write: so it is written to when the core is done. */
  private readonly defers: boolean;
  /** TLS never takes a write at once, so it is asked to tell of each; another write to learn of it would double the work. */
  private readonly tells: boolean;
  /** The operating system holds what was written, and sends it also when the stream is destroyed. */
  private readonly isSocket: boolean;
  /** undefined once it has heard `onClose`. */
  private handler: LinkHandler | undefined;
  private relay: RelayHandler | undefined;
  /** The batch once more, as the pool's type. */
  private buffer: Buffer = EMPTY;
  /** Bytes of the batch that are reserved, and how many there may be; -1 when the link takes none any more. */
  private used = 0;
  private room = 0;
  private dirty = false;
  /** The write that the operating system has not taken yet. */
  private writing: Buffer | undefined;
  private writingBytes = 0;
  private writtenBytes = 0;
  private linger: NodeJS.Timeout | undefined;
  /** Has said that it goes, and was not sent an end yet. */
  private isLeaving = false;

  /** `defers`: unless the stream, as a socket does, calls nobody back from a write and then needs its bytes no more. */
  constructor(stream: Duplex, peer: Peer, turn: Turn, defers = !(stream instanceof Socket)) {
    this.stream = stream;
    this.peer = peer;
    this.turn = turn;
    this.defers = defers;
    this.tells = isTls(stream);
    this.isSocket = stream instanceof Socket;
  }

  /** Connects the link with the core and follows the stream's end. The bytes are handed in with `receive`. */
  open(accept: Accept): void {
    this.stream.on("end", this.onEnd);
    this.stream.on("error", this.onError);
    this.stream.on("close", this.onStreamClose);
    const handler = accept(this);
    this.handler = handler;
    if ("onGone" in handler) this.relay = handler as RelayHandler;
    // A stream handed to us may have ended before; it won't say so again.
    if (this.stream.destroyed || this.stream.readableEnded) this.destroy();
    if (this.stream.closed) process.nextTick(this.onStreamClose);
  }

  /** Bytes from the peer, valid only during the call. After the end they are discarded. */
  receive(bytes: Uint8Array, start: number, end: number): void {
    if (this.room < 0) return;
    this.turn.beginRead();
    this.handler?.onData(bytes, start, end);
    this.turn.endRead();
  }

  reserve(size: number): number {
    const at = this.used;
    const end = at + size;
    if (end > this.room) return this.makeRoom(size);
    this.used = end;
    return at;
  }

  get pendingBytes(): number {
    return this.used + this.writingBytes;
  }

  get blocked(): boolean {
    return this.writing !== undefined;
  }

  get takenBytes(): number {
    return this.writtenBytes - untakenBytes(this.stream, this.writingBytes);
  }

  pauseReading(): void {
    if (this.room >= 0) this.stream.pause();
  }

  resumeReading(): void {
    if (this.room >= 0) this.stream.resume();
  }

  /** A byte stream has no words for the reason. */
  end(reasonCode?: ReasonCode): void {
    if (this.room < 0) return;
    if (reasonCode === undefined && this.isSocket && this.isEmpty) this.awaitLeave();
    else this.finish();
    process.nextTick(this.onFinished);
  }

  destroy(): void {
    if (this.room >= 0) process.nextTick(this.onFinished);
    this.drop();
    this.stream.destroy();
  }

  flush(): void {
    this.dirty = false;
    if (this.used > 0 && this.writing === undefined) this.write();
  }

  /** The slow half of `reserve`: the first bytes of a batch, or a batch that is full. */
  private makeRoom(size: number): number {
    if (this.room >= 0 && this.writing === undefined) {
      if (this.used > 0 && this.used + size > BATCH_BYTES_MAX) this.write();
      else if (this.turn.full) this.turn.flush();
    }
    if (this.room < 0) {
      this.batch = size <= SCRAP.length ? SCRAP : Buffer.allocUnsafeSlow(size);
      return 0;
    }
    if (this.used + size > this.room) this.grow(this.used + size);
    // A blocked link counts under its own limit, `pendingBytes`, and writes when it is unblocked.
    if (this.writing === undefined) {
      this.turn.hold(this.room);
      if (!this.dirty) this.turn.add(this);
      this.dirty = true;
    }
    const at = this.used;
    this.used = at + size;
    return at;
  }

  /** By doubling, so that a long stall copies each byte a bounded number of times. */
  private grow(needed: number): void {
    const { pool } = this.turn;
    const old = this.buffer;
    const buffer = pool.take(Math.max(needed, 2 * old.length));
    if (this.used > 0) old.copy(buffer, 0, 0, this.used);
    pool.give(old);
    this.hold(buffer);
  }

  private hold(buffer: Buffer): void {
    this.buffer = buffer;
    this.batch = buffer;
    this.room = buffer.length;
  }

  /** Hands the batch to the stream; not while another one is on its way. */
  private write(): void {
    const { stream, buffer } = this;
    const bytes = buffer.subarray(0, this.used);
    this.writing = buffer;
    this.writingBytes = bytes.length;
    this.writtenBytes += bytes.length;
    this.used = 0;
    this.hold(EMPTY);
    if (this.defers) {
      // Only a socket is known to be done with the bytes once it says so: a PassThrough still hands them on.
      this.writeCorked(Buffer.from(bytes));
      return;
    }
    try {
      // A callback would cost more than the rest of the write; mostly the system takes all of it at once.
      stream.write(bytes, this.tells ? this.onWritten : undefined);
      if (!this.tells && stream.writableLength > 0) stream.write(EMPTY, this.onWritten);
    } catch (error) {
      stream.destroy(error as Error);
    }
    if (this.writing === buffer && stream.writableLength === 0) this.release();
  }

  /** The stream holds the bytes until whoever sends them, in the end the core, has returned. */
  private writeCorked(bytes: Buffer): void {
    const { stream } = this;
    stream.cork();
    stream.write(bytes, this.onWritten);
    process.nextTick(() => {
      try {
        stream.uncork();
      } catch (error) {
        stream.destroy(error as Error);
      }
    });
  }

  /** The stream has taken the write, so its buffer serves the next link. */
  private release(): void {
    this.turn.pool.give(this.writing!);
    this.writing = undefined;
    this.writingBytes = 0;
  }

  private readonly onWritten = (): void => {
    // Called for the writes that were taken at once too, perhaps while a later one waits.
    if (this.writing === undefined || this.stream.writableLength > 0) return;
    this.release();
    if (this.used > 0) this.write();
    if (this.writing === undefined && this.room >= 0) this.handler?.onDrain();
  };

  private get isEmpty(): boolean {
    return this.used === 0 && this.writing === undefined;
  }

  /** The peer is about to close, and then the end is one system call; else it is sent one after a moment. */
  private awaitLeave(): void {
    this.drop();
    this.stream.resume();
    this.linger = setTimeout(() => this.finish(), LEAVE_MS);
    this.isLeaving = true;
  }

  /** Takes no more output and sends FIN after what is gathered; then the peer has a moment to close too. */
  private finish(): void {
    const { stream } = this;
    if (this.used > 0 && this.writing === undefined) this.write();
    else if (this.used > 0 && this.defers) this.writeCorked(this.buffer.subarray(0, this.used));
    else if (this.used > 0) stream.write(this.buffer.subarray(0, this.used));
    this.drop();
    this.isLeaving = false;
    if (this.defers) process.nextTick(() => stream.end());
    else stream.end();
    // Bytes left unread at the close would make it a reset, which takes our last packet from the peer again.
    stream.resume();
    this.linger = setTimeout(() => stream.destroy(), LINGER_MS).unref();
  }

  /** Forgets all output. A buffer that the stream may still read is left to the garbage collector. */
  private drop(): void {
    this.hold(EMPTY);
    this.used = 0;
    this.room = -1;
    this.writing = undefined;
    this.writingBytes = 0;
  }

  private readonly onEnd = (): void => {
    if (this.room >= 0 && this.relay !== undefined) {
      this.relay.onHalfClose();
      return;
    }
    // TLS is told of the end in its own words. Elsewhere a close says as much as a half-close, for one call less.
    if (this.isLeaving || (this.room >= 0 && this.isSocket && !this.tells && this.isEmpty)) this.destroy();
    else if (this.room >= 0) this.finish();
    this.close(undefined);
  };

  private readonly onError = (error: Error): void => {
    this.drop();
    this.stream.destroy();
    this.close(error);
  };

  private readonly onStreamClose = (): void => {
    clearTimeout(this.linger);
    this.drop();
    this.close(undefined);
    this.relay?.onGone();
    this.relay = undefined;
  };

  private readonly onFinished = (): void => this.close(undefined);

  private close(error: Error | undefined): void {
    const { handler } = this;
    this.handler = undefined;
    handler?.onClose(error);
  }
}

/** Of the bytes written, those that are still in this process: the socket's queue where it can be asked, else all. */
function untakenBytes(stream: Duplex, writingBytes: number): number {
  if (writingBytes === 0) return 0;
  const queued = (stream as { _handle?: { writeQueueSize?: number } })._handle?.writeQueueSize;
  return queued === undefined ? writingBytes : Math.min(queued, writingBytes);
}
