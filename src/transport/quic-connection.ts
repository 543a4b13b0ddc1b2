import { formatAddress } from "./address.ts";
import { QuicBytes } from "./quic-bytes.ts";
import type { QuicSession, QuicStream } from "./quic-library.ts";

/** How long the client may take to close a connection whose stream has ended, in milliseconds. */
const LINGER_MS = 1000;
/** Application error codes, as EMQX and MQTT have none for QUIC: 0 is a normal end, anything else a refusal. */
const NORMAL = 0;
const REFUSED = 1;

/** What a connection tells of itself. */
export interface QuicEvents {
  /** The client has opened the stream for MQTT. */
  opened(bytes: QuicBytes, session: QuicSession): void;
  /** Something that the client must not do; "" as reason is the end of the connection for nobody's fault. */
  refused(address: string, reason: string): void;
  /** It is over. */
  gone(connection: QuicConnection): void;
}

/** One connection of a client: a single stream for both directions, which the client opens, and which it lives as long as. */
export class QuicConnection {
  readonly address: string;
  private readonly session: QuicSession;
  private readonly events: QuicEvents;
  private readonly waitingMax: number;
  private bytes: QuicBytes | undefined;
  private streams = 0;
  private timer: NodeJS.Timeout | undefined;
  private isGone = false;
  /** It is being closed: a stream that comes meanwhile is nobody's. */
  private isClosing = false;

  /** `deadlineMs`: until it must have opened its stream. */
  constructor(session: QuicSession, deadlineMs: number, waitingMax: number, events: QuicEvents) {
    this.session = session;
    this.waitingMax = waitingMax;
    this.events = events;
    this.address = formatAddress(session.remoteAddress, session.remotePort);
    session.on("stream", (stream) => this.offered(stream));
    // What fails is closed by the library.
    session.on("error", () => {});
    session.on("close", () => this.end());
    this.after(deadlineMs, () => this.refuse("it opened no stream in time"));
  }

  /** Whether it has not opened its stream. */
  get isWaiting(): boolean {
    return this.bytes === undefined;
  }

  ping(): void {
    this.session.ping();
  }

  /** Closes it at once, with what is on its way. */
  destroy(): void {
    this.isClosing = true;
    this.session.close(NORMAL);
    this.bytes?.destroy();
    this.end();
  }

  refuse(reason: string): void {
    this.isClosing = true;
    this.events.refused(this.address, reason);
    this.session.close(REFUSED, reason);
  }

  private offered(stream: QuicStream): void {
    // It may fail while nobody listens any more.
    stream.on("error", () => {});
    if (this.isClosing) return;
    this.streams++;
    if (this.streams === 1 && stream.id % 4 === 0) {
      this.open(stream);
      return;
    }
    stream.close(REFUSED);
    if (this.streams <= 2 && !this.isWaiting) {
      this.events.refused(this.address, "MQTT has one stream in a connection, and the client opened another one");
    } else {
      this.refuse("it opens streams that are not for MQTT");
    }
  }

  private open(stream: QuicStream): void {
    clearTimeout(this.timer);
    const bytes = new QuicBytes(stream, this.waitingMax);
    this.bytes = bytes;
    bytes.once("close", () => {
      if (this.isGone) return;
      // Both ends are done: the client closes the connection when it has read all, or we do after a moment.
      if (bytes.writableFinished && bytes.readableEnded) this.after(LINGER_MS, () => this.session.close(NORMAL));
      else this.session.close(NORMAL);
    });
    this.events.opened(bytes, this.session);
  }

  private after(ms: number, action: () => void): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(action, ms);
  }

  private end(): void {
    if (this.isGone) return;
    this.isGone = true;
    clearTimeout(this.timer);
    this.events.gone(this);
  }
}
