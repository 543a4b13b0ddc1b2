import type { Link, LinkHandler, Peer } from "../../src/core/ports.ts";

/** As the real link: a batch that reaches this is written without waiting for the end of the turn. */
const BATCH_BYTES_MAX = 64 * 1024;
/** Overwrites what was valid only during a call, so that whoever kept it is found out. */
const POISON = 0xee;

export const LinkState = { Open: "open", Ended: "ended", Destroyed: "destroyed" } as const;
export type LinkState = (typeof LinkState)[keyof typeof LinkState];

/**
 * One client's byte stream in memory, with both of its ends. `flush` stands for the end of the event loop's turn, and
 * while `peerTakes` is false the peer takes nothing, as one whose receive window is full.
 */
export class FakeLink implements Link {
  readonly peer: Peer;
  batch: Uint8Array = new Uint8Array(0);
  takenBytes = 0;
  state: LinkState = LinkState.Open;
  /** False between `pauseReading` and `resumeReading`. */
  reading = true;
  peerTakes = true;
  handler!: LinkHandler;
  private readonly onTaken: (bytes: Uint8Array) => void;
  private used = 0;
  private writing: Uint8Array | undefined;
  private readonly unread: Uint8Array[] = [];
  private closing = false;
  private heardClose = false;

  constructor(peer: Peer, onTaken: (bytes: Uint8Array) => void) {
    this.peer = peer;
    this.onTaken = onTaken;
  }

  reserve(size: number): number {
    if (this.state !== LinkState.Open) {
      this.batch = new Uint8Array(size);
      return 0;
    }
    if (this.writing === undefined && this.used > 0 && this.used + size > BATCH_BYTES_MAX) this.write();
    if (this.used + size > this.batch.length) {
      const grown = new Uint8Array(Math.max(this.used + size, 2 * this.batch.length));
      grown.set(this.batch.subarray(0, this.used));
      this.batch.fill(POISON);
      this.batch = grown;
    }
    const at = this.used;
    this.used += size;
    return at;
  }

  get pendingBytes(): number {
    return this.used + (this.writing?.length ?? 0);
  }

  get blocked(): boolean {
    return this.writing !== undefined;
  }

  pauseReading(): void {
    this.reading = false;
  }

  resumeReading(): void {
    this.reading = true;
  }

  end(): void {
    if (this.state !== LinkState.Open) return;
    if (this.writing === undefined && this.used > 0) this.write();
    this.shut(LinkState.Ended);
  }

  destroy(): void {
    if (this.state !== LinkState.Destroyed) this.shut(LinkState.Destroyed);
  }

  /** The end of a turn. True when there was something to do. */
  flush(): boolean {
    let worked = false;
    while (this.reading && this.state === LinkState.Open && this.unread.length > 0) {
      this.hand(this.unread.shift()!);
      worked = true;
    }
    if (this.state === LinkState.Open && this.used > 0 && this.writing === undefined) {
      this.write();
      worked = true;
    }
    if (this.closing && !this.heardClose) {
      this.heardClose = true;
      this.handler.onClose(undefined);
      worked = true;
    }
    return worked;
  }

  /** The peer sends `bytes`: read at once, or when reading goes on. */
  receive(bytes: Uint8Array): void {
    if (this.state !== LinkState.Open || this.heardClose) return;
    if (this.reading) this.hand(bytes);
    else this.unread.push(bytes);
  }

  /** The peer's end closes, or the connection breaks. */
  hangUp(error?: Error): void {
    if (this.heardClose) return;
    this.heardClose = true;
    if (this.state === LinkState.Open) this.shut(LinkState.Ended);
    this.handler.onClose(error);
  }

  /** The peer takes so many bytes of what waits, not all of it. */
  takeSome(count: number): void {
    const { writing } = this;
    if (writing === undefined || count >= writing.length) throw new Error(`There are not more than ${count} bytes`);
    this.writing = writing.slice(count);
    this.takenBytes += count;
    this.onTaken(writing.subarray(0, count));
  }

  /** The peer takes everything again. */
  takeAll(): void {
    this.peerTakes = true;
    const { writing } = this;
    if (writing === undefined) return;
    this.writing = undefined;
    this.takenBytes += writing.length;
    this.onTaken(writing);
    if (this.used > 0) this.write();
    if (this.state === LinkState.Open) this.handler.onDrain();
  }

  private hand(bytes: Uint8Array): void {
    const chunk = new Uint8Array(bytes.length + 5).fill(POISON);
    chunk.set(bytes, 3);
    this.handler.onData(chunk, 3, 3 + bytes.length);
    chunk.fill(POISON);
  }

  private write(): void {
    const bytes = this.batch.slice(0, this.used);
    this.batch.fill(POISON);
    this.batch = new Uint8Array(0);
    this.used = 0;
    if (!this.peerTakes) {
      this.writing = bytes;
      return;
    }
    this.takenBytes += bytes.length;
    this.onTaken(bytes);
  }

  private shut(state: LinkState): void {
    this.state = state;
    this.used = 0;
    this.writing = undefined;
    this.closing = true;
  }
}
