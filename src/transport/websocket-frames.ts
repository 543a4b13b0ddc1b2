import { isUtf8 } from "node:buffer";

/** RFC 6455, section 5.2. */
export const Opcode = { Continuation: 0, Text: 1, Binary: 2, Close: 8, Ping: 9, Pong: 10 } as const;
export type Opcode = (typeof Opcode)[keyof typeof Opcode];

/** Status codes of RFC 6455, section 7.4.1, and of IANA's registry. */
export const CloseCode = {
  Normal: 1000,
  GoingAway: 1001,
  ProtocolError: 1002,
  UnsupportedData: 1003,
  /** Never on the wire: a close frame came that has none. */
  None: 1005,
  InvalidData: 1007,
  PolicyViolation: 1008,
  TooBig: 1009,
  InternalError: 1011,
  TryAgainLater: 1013,
} as const;

const HEAD_BYTES_MAX = 14;
const MASK_BYTES = 4;
const CONTROL_BYTES_MAX = 125;
/** From so many bytes on it pays to make a view of them in words. */
const WORDS_FROM_BYTES = 96;
const TEXT_REFUSED = "MQTT takes binary messages only";

/** What a peer did wrong; the WebSocket is to be closed with `code`. */
export class WebSocketError extends Error {
  readonly code: number;
  /** For the close frame. */
  readonly closeReason: string;

  constructor(code: number, message: string, closeReason = "") {
    super(message);
    this.code = code;
    this.closeReason = closeReason;
  }
}

/** Takes what frames carry. */
export interface WebSocketSink {
  /** A piece of a binary message, `bytes[start, end)`: valid only during the call. */
  onPayload(bytes: Uint8Array, start: number, end: number): void;
  onPing(payload: Buffer): void;
  /** `code`: 1005 when the frame has none. Nothing comes behind it. */
  onClose(code: number): void;
}

/**
 * Takes a client's frames apart. Payloads are handed on as they arrive, however large their frame says that it is: what
 * is kept of a peer is at most the head of a frame and the payload of a control frame.
 */
export class WebSocketReader {
  private readonly sink: WebSocketSink;
  private readonly messageBytesMax: number;
  /** Of a frame's head what has arrived, when it came in pieces. */
  private readonly head = new Uint8Array(HEAD_BYTES_MAX);
  private headUsed = 0;
  private opcode: Opcode = Opcode.Continuation;
  private isFinal = false;
  /** The four bytes of the mask, the first one lowest, and which of them the next byte takes. */
  private mask = 0;
  private phase = 0;
  /** Bytes of the payload that are still to come; -1 between two frames. */
  private left = -1;
  /** A binary message goes on in the next frame, and so many bytes of it were announced. */
  private isFragmented = false;
  private messageBytes = 0;
  private control: Buffer | undefined;
  private controlUsed = 0;
  private stopped = false;

  /** `messageBytesMax`: bytes that the frames of one message may have together. */
  constructor(sink: WebSocketSink, messageBytesMax: number) {
    this.sink = sink;
    this.messageBytesMax = messageBytesMax;
  }

  /**
   * Takes `bytes[start, end)`, which it unmasks in place. Throws a WebSocketError as soon as the bytes that say so are
   * here; after that, and after a close frame, it ignores everything.
   */
  push(bytes: Uint8Array, start: number, end: number): void {
    let at = start;
    while (at < end && !this.stopped) {
      at = this.left < 0 ? this.readHead(bytes, at, end) : this.readPayload(bytes, at, end);
      if (this.left === 0) this.endFrame();
    }
  }

  /** Ignores everything from now on. */
  stop(): void {
    this.stopped = true;
  }

  /** Returns where the rest begins. */
  private readHead(bytes: Uint8Array, at: number, end: number): number {
    const { head, headUsed } = this;
    if (headUsed === 0 && end - at >= 2) {
      const size = this.checkHead(bytes[at]!, bytes[at + 1]!);
      if (end - at >= size) {
        this.beginFrame(bytes, at, size);
        return at + size;
      }
    }
    head[headUsed] = bytes[at]!;
    this.headUsed = headUsed + 1;
    if (headUsed >= 1) {
      const size = this.checkHead(head[0]!, head[1]!);
      if (headUsed + 1 === size) {
        this.headUsed = 0;
        this.beginFrame(head, 0, size);
      }
    }
    return at + 1;
  }

  /** Bytes of the whole head, by its first two. */
  private checkHead(first: number, second: number): number {
    if ((first & 0x70) !== 0) throw this.violation("a reserved bit of a frame is set");
    const opcode = first & 0x0f;
    const length = second & 0x7f;
    if (opcode >= Opcode.Close && opcode <= Opcode.Pong) {
      if ((first & 0x80) === 0) throw this.violation("a control frame is fragmented");
      if (length > CONTROL_BYTES_MAX) throw this.violation("a control frame is longer than 125 bytes");
      if (opcode === Opcode.Close && length === 1) throw this.violation("a close frame has half a status code");
    } else if (opcode === Opcode.Continuation) {
      if (!this.isFragmented) throw this.violation("a continuation frame continues nothing");
    } else if (opcode > Opcode.Binary) throw this.violation(`a frame has the unknown opcode ${opcode}`);
    else if (this.isFragmented) throw this.violation("a message begins within another one");
    if ((second & 0x80) === 0) throw this.violation("a frame is not masked");
    if (opcode === Opcode.Text) {
      throw this.fault(CloseCode.UnsupportedData, `a text message came, and ${TEXT_REFUSED}`, TEXT_REFUSED);
    }
    return 2 + MASK_BYTES + (length < 126 ? 0 : length === 126 ? 2 : 8);
  }

  private beginFrame(bytes: Uint8Array, at: number, size: number): void {
    const first = bytes[at]!;
    this.isFinal = (first & 0x80) !== 0;
    this.opcode = (first & 0x0f) as Opcode;
    const maskAt = at + size - MASK_BYTES;
    let length = bytes[at + 1]! & 0x7f;
    if (length >= 126) {
      length = 0;
      // As a float: 64 bits are more than an integer holds, and whatever is rounded is over every limit.
      for (let index = at + 2; index < maskAt; index++) length = length * 256 + bytes[index]!;
    }
    this.mask = bytes[maskAt]! | (bytes[maskAt + 1]! << 8) | (bytes[maskAt + 2]! << 16) | (bytes[maskAt + 3]! << 24);
    this.phase = 0;
    this.left = length;
    if (this.opcode >= Opcode.Close) {
      this.control = Buffer.allocUnsafe(length);
      this.controlUsed = 0;
      return;
    }
    this.messageBytes += length;
    if (this.messageBytes > this.messageBytesMax) {
      const message = `a message has ${this.messageBytes} bytes or more, over the limit of ${this.messageBytesMax}`;
      throw this.fault(CloseCode.TooBig, message);
    }
  }

  private readPayload(bytes: Uint8Array, at: number, end: number): number {
    const until = end - at > this.left ? at + this.left : end;
    this.phase = unmask(bytes, at, until, this.mask, this.phase);
    this.left -= until - at;
    if (this.control === undefined) this.sink.onPayload(bytes, at, until);
    else {
      this.control.set(bytes.subarray(at, until), this.controlUsed);
      this.controlUsed += until - at;
    }
    return until;
  }

  private endFrame(): void {
    const { control, opcode, sink } = this;
    this.left = -1;
    if (control === undefined) {
      this.isFragmented = !this.isFinal;
      if (this.isFinal) this.messageBytes = 0;
      return;
    }
    this.control = undefined;
    if (opcode === Opcode.Close) this.readClose(control);
    else if (opcode === Opcode.Ping) sink.onPing(control);
  }

  private readClose(payload: Buffer): void {
    const code = payload.length === 0 ? CloseCode.None : payload.readUInt16BE(0);
    if (payload.length > 0 && !mayBeSent(code)) throw this.violation(`a close frame has the status code ${code}`);
    if (!isUtf8(payload.subarray(2))) {
      throw this.fault(CloseCode.InvalidData, "the reason in a close frame is not UTF-8");
    }
    this.stopped = true;
    this.sink.onClose(code);
  }

  private violation(message: string): WebSocketError {
    return this.fault(CloseCode.ProtocolError, message);
  }

  private fault(code: number, message: string, closeReason?: string): WebSocketError {
    this.stopped = true;
    return new WebSocketError(code, message, closeReason);
  }
}

/** The head of a server's frame, which is whole and has no mask. */
export function frameHead(opcode: Opcode, length: number): Buffer {
  const head = Buffer.allocUnsafe(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  writeFrameHead(head, opcode, length);
  return head;
}

/** A server's frame as one piece. */
export function frameOf(opcode: Opcode, payload: Uint8Array): Buffer {
  const { length } = payload;
  const headBytes = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(headBytes + length);
  writeFrameHead(frame, opcode, length);
  frame.set(payload, headBytes);
  return frame;
}

/** `reason`: of at most 123 bytes. */
export function closeFrame(code: number, reason: string): Buffer {
  const payload = Buffer.allocUnsafe(2 + Buffer.byteLength(reason));
  payload.writeUInt16BE(code, 0);
  payload.write(reason, 2);
  return frameOf(Opcode.Close, payload);
}

function writeFrameHead(into: Buffer, opcode: Opcode, length: number): void {
  into[0] = 0x80 | opcode;
  if (length < 126) into[1] = length;
  else if (length < 65_536) {
    into[1] = 126;
    into.writeUInt16BE(length, 2);
  } else {
    into[1] = 127;
    into.writeUInt32BE(Math.floor(length / 2 ** 32), 2);
    into.writeUInt32BE(length % 2 ** 32, 6);
  }
}

/** RFC 6455, section 7.4: some codes only say what happened on this side, the rest up to 2999 is not given out. */
function mayBeSent(code: number): boolean {
  if (code >= 3000) return code < 5000;
  return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
}

/** The mask as the machine has a word in memory, whichever byte of it comes first. */
const WORD_BYTES = new Uint8Array(MASK_BYTES);
const WORD = new Int32Array(WORD_BYTES.buffer);

/** Unmasks `bytes[start, end)` in place; returns which byte of the mask comes next. */
function unmask(bytes: Uint8Array, start: number, end: number, mask: number, phase: number): number {
  let at = start;
  let next = phase;
  if (end - start >= WORDS_FROM_BYTES) {
    while (((bytes.byteOffset + at) & 3) !== 0) bytes[at++]! ^= mask >>> ((next++ & 3) << 3);
    for (let index = 0; index < MASK_BYTES; index++) WORD_BYTES[index] = mask >>> (((next + index) & 3) << 3);
    const word = WORD[0]!;
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + at, (end - at) >> 2);
    for (let index = 0; index < words.length; index++) words[index]! ^= word;
    at += words.length * 4;
  }
  while (at < end) bytes[at++]! ^= mask >>> ((next++ & 3) << 3);
  return next & 3;
}
