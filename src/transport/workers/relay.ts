import type { ReasonCode } from "../../codec/reason.ts";
import type { Link } from "../../core/ports.ts";
import type { RelayHandler } from "../link.ts";
import type { Flushable, Turn } from "../turn.ts";
import type { Opening } from "./messages.ts";
import { Outbox } from "./outbox.ts";
import { Kind, type Pipe, TAKEN_BYTES } from "./pipe.ts";

const TEXT = new TextEncoder();

/** What is known of an error at the other end of a pipe. */
export interface ErrorText {
  message: string;
  code?: string | undefined;
}

/** A worker's end of one connection: what its link reads goes to the core, and what the core says to the link. */
export class Relay implements RelayHandler, Flushable {
  private readonly link: Link;
  private readonly turn: Turn;
  private readonly outbox: Outbox;
  private readonly onForgotten: () => void;
  private error: Error | undefined;
  private isPaused = false;
  /** Bytes that were written to the link, and of how many of them the core was told that they are taken. */
  private givenBytes = 0;
  private toldBytes = 0;
  private dirty = false;

  /** `door`: of the listener; `onForgotten`: nothing more comes of this one. */
  constructor(link: Link, pipe: Pipe, turn: Turn, connection: number, door: number, onForgotten: () => void) {
    this.link = link;
    this.turn = turn;
    this.outbox = new Outbox(pipe, connection, () => this.onRoom());
    this.onForgotten = onForgotten;
    const opening: Opening = { door, peer: link.peer };
    const payload = TEXT.encode(JSON.stringify(opening));
    if (payload.length <= pipe.payloadMax) this.outbox.put(Kind.OPEN, payload);
    else link.destroy();
  }

  onData(bytes: Uint8Array, start: number, end: number): void {
    const sent = start + this.outbox.send(bytes, start, end);
    if (sent === end) return;
    this.outbox.add(bytes.slice(sent, end));
    this.isPaused = true;
    this.link.pauseReading();
  }

  onDrain(): void {
    this.tell(TAKEN_BYTES);
  }

  onHalfClose(): void {
    this.outbox.put(Kind.END);
  }

  onClose(error: Error | undefined): void {
    this.error = error;
  }

  onGone(): void {
    this.outbox.close(Kind.CLOSED, this.error && TEXT.encode(JSON.stringify(textOf(this.error))));
    this.onForgotten();
  }

  /** Bytes from the core, for the client. */
  write(bytes: Uint8Array, length: number): void {
    const { link } = this;
    const at = link.reserve(length);
    const { batch } = link;
    batch.set(length === bytes.length ? bytes : bytes.subarray(0, length), at);
    this.givenBytes += length;
    if (this.dirty || this.givenBytes - this.toldBytes < TAKEN_BYTES) return;
    // Behind the link, so that it has written what it can.
    this.dirty = true;
    this.turn.add(this);
  }

  flush(): void {
    this.dirty = false;
    this.tell(TAKEN_BYTES);
  }

  /** The core has taken so many bytes of the client's. */
  grant(bytes: number): void {
    this.outbox.grant(bytes);
  }

  end(reasonCode: ReasonCode | undefined): void {
    this.link.end(reasonCode);
  }

  destroy(): void {
    this.link.destroy();
  }

  /** Tells the core how much the client has taken since it was last told, when that is `bytes` at least. */
  tell(bytes: number): void {
    const taken = this.link.takenBytes - this.toldBytes;
    if (taken < bytes) return;
    this.toldBytes += taken;
    this.outbox.tell(taken);
  }

  private onRoom(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    this.link.resumeReading();
  }
}

function textOf(error: NodeJS.ErrnoException): ErrorText {
  return { message: error.message, code: error.code };
}
