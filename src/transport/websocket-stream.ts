import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { chosenSubprotocol } from "./websocket-request.ts";

/** How long a WebSocket that is closing waits for the peer's answer, in milliseconds. */
const CLOSE_TIMEOUT_MS = 5000;
/** Bytes that came and were not asked for yet, from which on nothing more is read. */
const RECEIVED_BYTES_MAX = 64 * 1024;
/** Status codes of RFC 6455, section 7.4.1. */
const NORMAL = 1000;
const GOING_AWAY = 1001;
const UNSUPPORTED_DATA = 1003;

/** Answers the opening handshakes of one listener. */
export class WebSocketHandshake {
  private readonly server: WebSocketServer;

  /** `maxPayload`: bytes that one message may have; a larger one closes its connection with 1009. */
  constructor(maxPayload: number) {
    const options = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      closeTimeout: CLOSE_TIMEOUT_MS,
      maxPayload,
      handleProtocols: (offered: Set<string>) => chosenSubprotocol([...offered]) ?? false,
    };
    this.server = new WebSocketServer(options);
  }

  /**
   * Answers a request that was found in order; what is wrong with its WebSocket headers is answered here with 400 or
   * 405, and `opened` is not called then. `isStopping` is asked when the stream ends.
   */
  answer(
    request: IncomingMessage,
    socket: Socket,
    head: Buffer,
    isStopping: () => boolean,
    opened: (stream: WebSocketStream) => void,
  ): void {
    this.server.handleUpgrade(request, socket, head, (webSocket) => {
      opened(new WebSocketStream(webSocket, socket, isStopping));
    });
  }
}

/**
 * The bytes in the binary messages of a WebSocket, however they are split: each write becomes one message. A text
 * message closes it with 1003 and fails the stream, as bad frames and messages that are too large do.
 *
 * Ending the stream closes the WebSocket with 1000, or with 1001 when the listener is stopping.
 */
export class WebSocketStream extends Duplex {
  private readonly webSocket: WebSocket;
  private readonly socket: Socket;
  private readonly isStopping: () => boolean;
  /** `socket.bytesRead` when the peer was last pinged; -1: it was not, or was not able to answer. */
  private bytesReadAtPing = -1;
  /** The WebSocket is telling the peer why it closes, and ends by itself: cutting it off could lose that. */
  private isClosing = false;

  constructor(webSocket: WebSocket, socket: Socket, isStopping: () => boolean) {
    super({ readableHighWaterMark: RECEIVED_BYTES_MAX });
    this.webSocket = webSocket;
    this.socket = socket;
    this.isStopping = isStopping;
    webSocket.on("message", (data: Buffer, isBinary) => this.received(data, isBinary));
    webSocket.on("error", (error) => this.fail(error));
    webSocket.on("close", this.onEnd);
    // The WebSocket closes only when all output is taken, and perhaps nobody takes it any more.
    socket.on("end", this.onEnd);
  }

  /** Where a link finds out how much of a write the operating system has not taken yet. */
  get _handle(): unknown {
    return (this.socket as unknown as { _handle: unknown })._handle;
  }

  /**
   * Asks the peer for a sign of life. To be called now and then: when nothing at all has come since the last call, the
   * peer is taken for gone. A peer that still has output to take, or that we don't read from, is not asked.
   */
  ping(): void {
    const { webSocket, socket } = this;
    if (webSocket.readyState !== webSocket.OPEN) return;
    if (webSocket.bufferedAmount > 0 || webSocket.isPaused) {
      this.bytesReadAtPing = -1;
    } else if (socket.bytesRead === this.bytesReadAtPing) {
      this.destroy(new Error("the peer does not answer pings"));
    } else {
      this.bytesReadAtPing = socket.bytesRead;
      webSocket.ping();
    }
  }

  override _read(): void {
    if (this.webSocket.isPaused) this.webSocket.resume();
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, written: (error?: Error | null) => void): void {
    const { webSocket } = this;
    // While it closes nobody takes the bytes any more; the stream's end is about to come.
    if (webSocket.readyState !== webSocket.OPEN) {
      written();
      return;
    }
    webSocket.send(bytes, { binary: true }, (error) => {
      // A link takes every call for success.
      if (error) this.destroy(error);
      else written();
    });
  }

  override _final(ended: (error?: Error | null) => void): void {
    this.webSocket.close(this.isStopping() ? GOING_AWAY : NORMAL);
    ended();
  }

  override _destroy(error: Error | null, destroyed: (error?: Error | null) => void): void {
    if (!this.isClosing) this.webSocket.terminate();
    destroyed(error);
  }

  private readonly onEnd = (): void => {
    if (!this.destroyed) this.push(null);
  };

  private received(data: Buffer, isBinary: boolean): void {
    if (this.destroyed) return;
    if (!isBinary) {
      this.webSocket.close(UNSUPPORTED_DATA, "MQTT takes binary messages only");
      this.fail(new Error("a text message came, and MQTT takes binary messages only"));
    } else if (!this.push(data)) {
      this.webSocket.pause();
    }
  }

  private fail(error: Error): void {
    this.isClosing = true;
    this.destroy(error);
  }
}
