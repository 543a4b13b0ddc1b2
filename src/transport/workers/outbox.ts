import { CREDIT_BYTES, Kind, type Pipe, type Waiter } from "./pipe.ts";

interface Item {
  readonly kind: number;
  readonly bytes: Uint8Array;
}

const NOTHING = new Uint8Array(0);

/**
 * What one connection has to send through a pipe, in order. Data beyond its credit, or for which there is no room, waits
 * here, and all that is behind it.
 */
export class Outbox implements Waiter {
  private readonly pipe: Pipe;
  private readonly connection: number;
  private readonly onEmpty: () => void;
  private credit = CREDIT_BYTES;
  private queue: Item[] = [];
  /** Bytes of the first in the queue that are sent. */
  private sent = 0;
  private waitingBytes = 0;
  /** Bytes of the other direction that were taken and not told of. */
  private taken = 0;
  /** The pipe is going to call. */
  private isWaiting = false;
  private closed = false;

  /** `onEmpty`: all that had to wait is sent. */
  constructor(pipe: Pipe, connection: number, onEmpty: () => void) {
    this.pipe = pipe;
    this.connection = connection;
    this.onEmpty = onEmpty;
  }

  /** Bytes of data that wait. */
  get bytes(): number {
    return this.waitingBytes;
  }

  /** Sends data, or as much as it can; returns how much. The rest is the caller's to `add`, or to forget. */
  send(bytes: Uint8Array, start: number, end: number): number {
    if (this.closed || this.queue.length > 0) return 0;
    const size = this.pipe.sendData(this.connection, bytes, start, Math.min(end, start + this.credit));
    this.credit -= size;
    return size;
  }

  /** Sends data when that can be; nobody changes it any more. */
  add(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.push({ kind: Kind.DATA, bytes });
  }

  /** A frame of another kind, behind all that waits. */
  put(kind: number, payload: Uint8Array = NOTHING): void {
    this.push({ kind, bytes: payload });
  }

  /** Forgets what waits; this frame is the last that is sent. */
  close(kind: number, payload: Uint8Array = NOTHING): void {
    if (this.closed) return;
    this.queue = [];
    this.sent = 0;
    this.waitingBytes = 0;
    this.taken = 0;
    this.push({ kind, bytes: payload });
    this.closed = true;
  }

  /** The other end has taken so much. */
  grant(bytes: number): void {
    this.credit += bytes;
    this.try();
  }

  /** Tells the other end that so much of its data was taken. */
  tell(bytes: number): void {
    if (this.closed) return;
    this.taken += bytes;
    this.try();
  }

  sendOn(): boolean {
    this.isWaiting = !this.sendAll();
    return !this.isWaiting;
  }

  private push(item: Item): void {
    if (this.closed) return;
    this.queue.push(item);
    if (item.kind === Kind.DATA) this.waitingBytes += item.bytes.length;
    this.try();
  }

  private try(): void {
    if (this.isWaiting || this.sendAll()) return;
    this.isWaiting = true;
    this.pipe.waitForRoom(this);
  }

  /** False: there is no room in the pipe. Without credit there is nothing to be done, and `grant` goes on. */
  private sendAll(): boolean {
    if (this.taken > 0) {
      if (!this.pipe.sendNumber(this.connection, Kind.TAKEN, this.taken)) return false;
      this.taken = 0;
    }
    if (this.queue.length === 0) return true;
    for (let item = this.queue[0]; item !== undefined; item = this.queue[0]) {
      if (item.kind === Kind.DATA && this.credit === 0) return true;
      if (!this.sendItem(item)) return false;
      this.queue.shift();
      this.sent = 0;
    }
    this.onEmpty();
    return true;
  }

  /** False: it is not sent whole. */
  private sendItem({ kind, bytes }: Item): boolean {
    if (kind !== Kind.DATA) return this.pipe.send(this.connection, kind, bytes);
    const end = Math.min(bytes.length, this.sent + this.credit);
    const size = this.pipe.sendData(this.connection, bytes, this.sent, end);
    this.sent += size;
    this.credit -= size;
    this.waitingBytes -= size;
    return this.sent === bytes.length;
  }
}
