import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { isTls } from "./certificate.ts";
import {
  CloseCode,
  closeFrame,
  frameHead,
  frameOf,
  Opcode,
  WebSocketError,
  WebSocketReader,
  type WebSocketSink,
} from "./websocket-frames.ts";

/** How long a WebSocket that was closed for an error waits for the peer to close too. */
const LINGER_MS = 1000;
/** Up to so many bytes a copy behind the frame's head costs less than a write of two pieces. */
const COPIED_BYTES_MAX = 4096;
const EMPTY = Buffer.alloc(0);
const EMPTY_BYTES: Uint8Array = EMPTY;

/** Takes `bytes[start, end)`, valid only during the call. */
export type BytesTaker = (bytes: Uint8Array, start: number, end: number) => void;

/**
 * A WebSocket after its opening handshake, RFC 6455: the bytes in its binary messages, however they are split; each
 * write becomes one message. What a peer must not do closes it with the code for that, and fails the stream.
 *
 * The bytes that come go to `onBytes` and not through the stream, which tells only of their end. Ending the stream
 * closes the WebSocket with `closeCode`. A write is called back when the socket is done with its bytes.
 */
export class WebSocketStream extends Duplex implements WebSocketSink {
  closeCode: number = CloseCode.Normal;
  onBytes: BytesTaker = () => {};
  private readonly socket: Socket;
  private readonly reader: WebSocketReader;
  private readonly tells: boolean;
  private isReading = true;
  private closeSent = false;
  /** The peer sends nothing more: it has said so, or half-closed. */
  private peerEnded = false;
  /** Of a write that the socket has not taken. */
  private written: (() => void) | undefined;
  /** What the peer pinged last, when we could not answer at once. */
  private owedPong: Buffer | undefined;
  /** `socket.bytesRead` when the peer was last pinged; -1: it was not, or was not able to answer. */
  private bytesReadAtPing = -1;
  private linger: NodeJS.Timeout | undefined;
  /** Of the bytes that are being taken apart: those of payloads, moved together, that `onBytes` has not had. */
  private gathered = EMPTY_BYTES;
  private gatheredFrom = 0;
  private gatheredTo = 0;

  /**
   * `messageBytesMax`: bytes that one message may have; a larger one closes its connection with 1009. What the socket
   * reads is to be handed to `takeBytes`.
   */
  constructor(socket: Socket, messageBytesMax: number) {
    super({ autoDestroy: false });
    this.socket = socket;
    this.reader = new WebSocketReader(this, messageBytesMax);
    this.tells = isTls(socket);
    socket.on("error", (error) => this.destroy(error));
    socket.on("end", () => this.endOfPeer());
    socket.on("close", () => {
      clearTimeout(this.linger);
      this.destroy();
    });
  }

  /** Where a link finds out how much of a write the operating system has not taken yet. */
  get _handle(): unknown {
    return (this.socket as unknown as { _handle: unknown })._handle;
  }

  /** Bytes from the socket, which are unmasked in place. */
  takeBytes(bytes: Uint8Array, start: number, end: number): void {
    try {
      this.reader.push(bytes, start, end);
      this.handOn();
    } catch (error) {
      if (!(error instanceof WebSocketError)) throw error;
      this.handOn();
      this.sendClose(error.code, error.closeReason);
      this.destroy(error);
    }
  }

  /**
   * Asks the peer for a sign of life. To be called now and then: when nothing at all has come since the last call, the
   * peer is taken for gone. A peer that still has output to take, or that we don't read from, is not asked.
   */
  ping(): void {
    const { socket } = this;
    if (this.closeSent || this.destroyed) return;
    if (socket.writableLength > 0 || !this.isReading) {
      this.bytesReadAtPing = -1;
    } else if (socket.bytesRead === this.bytesReadAtPing) {
      this.destroy(new Error("the peer does not answer pings"));
    } else {
      this.bytesReadAtPing = socket.bytesRead;
      socket.write(frameOf(Opcode.Ping, EMPTY), this.onControlTaken);
    }
  }

  override pause(): this {
    this.isReading = false;
    this.socket.pause();
    return this;
  }

  override resume(): this {
    this.isReading = true;
    this.socket.resume();
    return this;
  }

  /**
   * Many clients make a message of each packet. All that one read brought is handed on at once, as by TCP: so is what it
   * leads to, which would be a write for each message otherwise.
   */
  onPayload(bytes: Uint8Array, start: number, end: number): void {
    const to = this.gatheredTo;
    if (to === this.gatheredFrom) {
      this.gathered = bytes;
      this.gatheredFrom = start;
      this.gatheredTo = end;
      return;
    }
    bytes.copyWithin(to, start, end);
    this.gatheredTo = to + end - start;
  }

  /** RFC 6455, section 5.5.3, wants no more than the last ping answered, so that nobody can pile up pongs here. */
  onPing(payload: Buffer): void {
    this.owedPong = payload;
    this.answerPing();
  }

  onClose(code: number): void {
    this.handOn();
    this.sendClose(code === CloseCode.None ? CloseCode.Normal : code);
    this.endOfPeer();
  }

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: BufferEncoding, written: (error?: Error | null) => void): void {
    const { socket } = this;
    // Behind the close frame nothing may follow; the stream's end is about to come.
    if (bytes.length === 0 || this.closeSent || !socket.writable) {
      written();
      return;
    }
    const taken = this.tells ? this.onTaken : undefined;
    if (bytes.length <= COPIED_BYTES_MAX) socket.write(frameOf(Opcode.Binary, bytes), taken);
    else {
      socket.cork();
      socket.write(frameHead(Opcode.Binary, bytes.length));
      socket.write(bytes, taken);
      socket.uncork();
    }
    if (socket.writableLength === 0) {
      written();
      return;
    }
    this.written = written;
    // Mostly the system takes all of it at once, and a callback for each write would cost more than that.
    if (!this.tells) socket.write(EMPTY, this.onTaken);
  }

  override _final(ended: (error?: Error | null) => void): void {
    this.sendClose(this.closeCode);
    if (this.peerEnded) this.socket.end();
    ended();
  }

  override _destroy(error: Error | null, destroyed: (error?: Error | null) => void): void {
    const { socket, reader } = this;
    reader.stop();
    if (error instanceof WebSocketError && !socket.destroyed) {
      // The peer is told why: a reset, as unread bytes would make of the end, could take that from it again.
      socket.end();
      socket.resume();
      this.linger = setTimeout(() => socket.destroy(), LINGER_MS).unref();
    } else socket.destroy();
    destroyed(error);
  }

  private sendClose(code: number, reason = ""): void {
    if (this.closeSent) return;
    this.closeSent = true;
    if (this.socket.writable) this.socket.write(closeFrame(code, reason));
  }

  private handOn(): void {
    const { gathered, gatheredFrom: from, gatheredTo: to } = this;
    if (from === to) return;
    this.gathered = EMPTY_BYTES;
    this.gatheredFrom = 0;
    this.gatheredTo = 0;
    this.onBytes(gathered, from, to);
  }

  private endOfPeer(): void {
    if (this.closeSent) this.socket.end();
    if (this.peerEnded || this.destroyed) return;
    this.peerEnded = true;
    super.push(null);
    // The stream carries nothing, so it is at its end at once.
    this.read(0);
  }

  private answerPing(): void {
    const { socket, owedPong } = this;
    if (owedPong === undefined || this.closeSent || socket.writableLength > 0) return;
    this.owedPong = undefined;
    socket.write(frameOf(Opcode.Pong, owedPong), this.onControlTaken);
  }

  private readonly onControlTaken = (): void => this.answerPing();

  private readonly onTaken = (): void => {
    const { written } = this;
    this.written = undefined;
    this.answerPing();
    // A failure reaches the stream by the socket's own error.
    written?.();
  };
}
