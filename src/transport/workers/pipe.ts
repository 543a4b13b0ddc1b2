import type { Flushable, Turn } from "../turn.ts";
import { PAYLOAD_BYTES_MAX, RingReader, RingWriter } from "./ring.ts";

/** What a frame is about. */
export const Kind = {
  /** To the core: a client has come. The payload is its `Peer` in JSON. */
  OPEN: 1,
  /** Bytes of the client's, or for it. */
  DATA: 2,
  /** So many bytes of DATA are gone on, and as many more may be under way. A number, no payload. */
  TAKEN: 3,
  /** After all DATA: to the core, the client half-closed; to the worker, the link is to be ended. */
  END: 4,
  /** To the worker: close at once. */
  DESTROY: 5,
  /** To the core: the client is gone. The payload is the error in JSON, or empty. */
  CLOSED: 6,
} as const;

/** Bytes of one connection that may be under way in one direction: what a slow reader can keep from nobody else. */
export const CREDIT_BYTES = 256 * 1024;
/** A reader tells of what it took when it is this much. */
export const TAKEN_BYTES = 64 * 1024;

/** Bytes to be read before other work of the thread has its turn. */
const READ_BYTES_MAX = 1024 * 1024;
const NOTHING = new Uint8Array(0);

/** Who has more to send than there was room for. */
export interface Waiter {
  /** Sends on. False: there was no room again. */
  sendOn(): boolean;
}

/** Hears of the frames; the payload is `bytes[0, length)`, valid only during the call. */
export type OnFrame = (connection: number, kind: number, bytes: Uint8Array, length: number) => void;

/**
 * The way between the core's thread and one of those that serve connections, one end of it: frames in both directions
 * through shared memory. All that a turn sends is shown, and wakes the other end if it sleeps, once, when the turn ends.
 */
export class Pipe implements Flushable {
  private readonly writer: RingWriter;
  private readonly reader: RingReader;
  private readonly turn: Turn;
  private readonly wakeOther: () => void;
  private readonly onFrame: OnFrame;
  private waiters: Waiter[] = [];
  private dirty = false;
  private closed = false;

  constructor(
    outgoing: SharedArrayBuffer,
    incoming: SharedArrayBuffer,
    turn: Turn,
    wakeOther: () => void,
    onFrame: OnFrame,
  ) {
    this.writer = new RingWriter(outgoing);
    this.reader = new RingReader(incoming, (kind) => kind === Kind.TAKEN);
    this.turn = turn;
    this.wakeOther = wakeOther;
    this.onFrame = onFrame;
  }

  /** One frame, whole; `bytes[start, end)` is copied. False: there is no room for it, see `waitForRoom`. */
  send(connection: number, kind: number, bytes: Uint8Array = NOTHING, start = 0, end = bytes.length): boolean {
    if (this.writer.room < end - start + 3) return false;
    this.writer.put(connection, kind, bytes, start, end);
    this.mark();
    return true;
  }

  /** As `send`, for a number. */
  sendNumber(connection: number, kind: number, value: number): boolean {
    if (this.writer.room < 0) return false;
    this.writer.putNumber(connection, kind, value);
    this.mark();
    return true;
  }

  /** As much of `bytes[start, end)` as there is room for, as DATA; returns how much that was. */
  sendData(connection: number, bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    while (at < end) {
      const size = Math.min(end - at, PAYLOAD_BYTES_MAX, this.writer.room - 3);
      if (size <= 0) break;
      this.writer.put(connection, Kind.DATA, bytes, at, at + size);
      at += size;
    }
    if (at > start) this.mark();
    return at - start;
  }

  /** The longest payload that can be sent at all. */
  get payloadMax(): number {
    return this.writer.payloadMax - 3;
  }

  /** Has `waiter` called when there is room. To be called once until it has been. */
  waitForRoom(waiter: Waiter): void {
    this.waiters.push(waiter);
    this.mark();
  }

  /** Shows the other end what was sent. */
  flush(): void {
    this.dirty = false;
    if (this.closed) return;
    this.serveWaiters();
    if (this.writer.publish()) this.wakeOther();
    if (this.waiters.length === 0) return;
    const { room } = this.writer;
    this.writer.waitForRoom();
    // It may have read on before it could see that we wait.
    if (this.writer.room > room) this.mark();
  }

  /** The other end has called: something has come, or there is room. */
  readonly onWake = (): void => {
    if (this.closed) return;
    if (this.waiters.length > 0) this.mark();
    const { reader } = this;
    let left = READ_BYTES_MAX;
    do {
      while (reader.next()) {
        this.onFrame(reader.connection, reader.kind, reader.bytes, reader.length);
        if (this.closed) return;
        if (reader.kind === Kind.DATA) left -= reader.length;
        if (left <= 0) break;
      }
      if (reader.writerWaits) this.wakeOther();
      if (left <= 0) {
        setImmediate(this.onWake);
        return;
      }
    } while (!reader.sleep());
  };

  /** Nothing is read or shown any more. */
  close(): void {
    this.closed = true;
    this.waiters = [];
  }

  private mark(): void {
    if (this.dirty || this.closed) return;
    this.dirty = true;
    this.turn.add(this);
  }

  private serveWaiters(): void {
    if (this.waiters.length === 0) return;
    const waiters = this.waiters;
    this.waiters = [];
    for (let index = 0; index < waiters.length; index++) {
      if (waiters[index]!.sendOn()) continue;
      // Whoever got nothing comes first the next time, and who got something last.
      this.waiters.unshift(...waiters.slice(index + 1));
      this.waiters.push(waiters[index]!);
      return;
    }
  }
}
