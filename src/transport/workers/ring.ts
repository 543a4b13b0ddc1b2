/** Places of the header's words. */
const WRITTEN = 0;
const READ = 1;
const READER_SLEEPS = 2;
const WRITER_WAITS = 3;
const HEADER_BYTES = 16;
/** Of a frame: the connection, then kind and length in one word. */
const FRAME_BYTES = 8;
const LENGTH_MAX = 0xff_ffff;
/** What fits a frame's payload in the usual way; a longer one is rare and costs the reader a buffer of its own. */
export const PAYLOAD_BYTES_MAX = 64 * 1024;

/** A power of two. Memory that is written round and round should stay in the processor's cache. */
export const RING_BYTES = 1024 * 1024;

/** Memory for frames in one direction. `bytes`: a power of two. */
export function makeRing(bytes: number = RING_BYTES): SharedArrayBuffer {
  return new SharedArrayBuffer(HEADER_BYTES + bytes);
}

/**
 * Frames from one thread to another through shared memory: this is the end that writes. What was put is seen by the other
 * end from `publish` on.
 */
export class RingWriter {
  private readonly header: Int32Array;
  private readonly bytes: Uint8Array;
  private readonly words: Int32Array;
  private readonly capacity: number;
  private readonly mask: number;
  /** Counts modulo 2^32, as `READ` does. */
  private written = 0;

  constructor(memory: SharedArrayBuffer) {
    this.header = new Int32Array(memory, 0, HEADER_BYTES / 4);
    this.bytes = new Uint8Array(memory, HEADER_BYTES);
    this.words = new Int32Array(memory, HEADER_BYTES);
    this.capacity = this.bytes.length;
    this.mask = this.capacity - 1;
  }

  /** Payload bytes that a frame may have now; below 0 not even an empty one has room. */
  get room(): number {
    const free = this.capacity - ((this.written - Atomics.load(this.header, READ)) | 0);
    return Math.min(free - FRAME_BYTES, LENGTH_MAX);
  }

  /** The longest payload that ever has room. */
  get payloadMax(): number {
    return Math.min(this.capacity - FRAME_BYTES, LENGTH_MAX);
  }

  /** A frame with `bytes[start, end)`, for which there must be `room`. `kind`: 0 to 127. */
  put(connection: number, kind: number, bytes: Uint8Array, start: number, end: number): void {
    this.putHead(connection, kind, end - start);
    const at = this.written & this.mask;
    const first = Math.min(end - start, this.capacity - at);
    this.bytes.set(bytes.subarray(start, start + first), at);
    if (start + first < end) this.bytes.set(bytes.subarray(start + first, end), 0);
    this.written = (this.written + padded(end - start)) | 0;
  }

  /** A frame without a payload, whose `length` is a number for the reader, up to 2^24 - 1. */
  putNumber(connection: number, kind: number, length: number): void {
    this.putHead(connection, kind, length);
  }

  /** Shows the other end what was put. True: it sleeps, and must be woken. */
  publish(): boolean {
    Atomics.store(this.header, WRITTEN, this.written);
    return wakes(this.header, READER_SLEEPS);
  }

  /** Has the other end wake us when it has read on. */
  waitForRoom(): void {
    Atomics.store(this.header, WRITER_WAITS, 1);
  }

  private putHead(connection: number, kind: number, length: number): void {
    const at = (this.written & this.mask) >>> 2;
    this.words[at] = connection;
    this.words[(at + 1) & (this.mask >>> 2)] = (kind << 24) | length;
    this.written = (this.written + FRAME_BYTES) | 0;
  }
}

/** The end that reads. */
export class RingReader {
  /** Of the frame that `next` found. */
  connection = 0;
  kind = 0;
  length = 0;
  /** Its payload is `bytes[0, length)`, until `next` is called again. */
  bytes: Uint8Array = new Uint8Array(PAYLOAD_BYTES_MAX);
  private readonly header: Int32Array;
  private readonly memory: Uint8Array;
  private readonly words: Int32Array;
  private readonly mask: number;
  private readonly isNumber: (kind: number) => boolean;
  private read = 0;

  /** `isNumber`: of which kinds the length is a number, and there is no payload. */
  constructor(memory: SharedArrayBuffer, isNumber: (kind: number) => boolean) {
    this.header = new Int32Array(memory, 0, HEADER_BYTES / 4);
    this.memory = new Uint8Array(memory, HEADER_BYTES);
    this.words = new Int32Array(memory, HEADER_BYTES);
    this.mask = this.memory.length - 1;
    this.isNumber = isNumber;
  }

  /** Takes the next frame out; false: there is none. */
  next(): boolean {
    if (Atomics.load(this.header, WRITTEN) === this.read) return false;
    const word = (this.read & this.mask) >>> 2;
    const second = this.words[(word + 1) & (this.mask >>> 2)]!;
    this.connection = this.words[word]! >>> 0;
    this.kind = second >>> 24;
    this.length = second & LENGTH_MAX;
    this.read = (this.read + FRAME_BYTES) | 0;
    if (!this.isNumber(this.kind)) this.copy();
    Atomics.store(this.header, READ, this.read);
    return true;
  }

  /** True: the other end waits for room, and must be woken. */
  get writerWaits(): boolean {
    return wakes(this.header, WRITER_WAITS);
  }

  /** Has the other end wake us. False: something has come, so there is no sleeping. */
  sleep(): boolean {
    Atomics.store(this.header, READER_SLEEPS, 1);
    if (Atomics.load(this.header, WRITTEN) === this.read) return true;
    Atomics.store(this.header, READER_SLEEPS, 0);
    return false;
  }

  private copy(): void {
    const { length, memory } = this;
    if (length > this.bytes.length) this.bytes = new Uint8Array(length);
    else if (this.bytes.length > PAYLOAD_BYTES_MAX) this.bytes = new Uint8Array(PAYLOAD_BYTES_MAX);
    const at = this.read & this.mask;
    const first = Math.min(length, memory.length - at);
    this.bytes.set(memory.subarray(at, at + first));
    if (first < length) this.bytes.set(memory.subarray(0, length - first), first);
    this.read = (this.read + padded(length)) | 0;
  }
}

/** Takes the flag down; true: it was up. */
function wakes(header: Int32Array, flag: number): boolean {
  return Atomics.load(header, flag) === 1 && Atomics.exchange(header, flag, 0) === 1;
}

/** So that every frame's head lies on whole words. */
function padded(length: number): number {
  return (length + 3) & ~3;
}
