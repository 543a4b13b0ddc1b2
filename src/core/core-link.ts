import { decodePacket, encodePacket } from "../codec/codec.ts";
import type { ProtocolVersion } from "../codec/constants.ts";
import { type FrameSink, FrameSplitter } from "../codec/frame.ts";
import type { Packet } from "../codec/packet.ts";
import type { ReasonCode } from "../codec/reason.ts";
import type { TextCache } from "../codec/text.ts";
import type { GatewayAccept, GatewayHandler, Link, Peer } from "./ports.ts";

/** What MQTT is spoken inside the process: the version that has words for everything. */
const VERSION: ProtocolVersion = 5;
const BATCH_BYTES_MIN = 256;
/** Of messages that the core may hand over at a time, and a packet more. */
const BATCH_BYTES_MAX = 16 * 1024;
const EMPTY = new Uint8Array(0);

/** What links have their output flushed by, at the end of each turn of the event loop. */
export interface Flushes {
  add(link: { flush(): void }): void;
}

export interface CoreEvents {
  /** A PUBLISH refers to bytes that are valid during the call only. */
  onPacket(packet: Packet): void;
  /** For now that was all. */
  onQuiet(): void;
  /** The core has ended it; the last that is called. */
  onEnded(): void;
  /** One of these has thrown, and nothing more is heard of the core. */
  onFault(error: unknown): void;
}

/**
 * The core's connection of one client behind a gateway. No bytes are saved by handing packets over as objects: they are
 * small, few, and this way everything that holds for clients on a wire holds for these.
 */
export class CoreLink implements Link, FrameSink {
  readonly peer: Peer;
  readonly isWatched = true;
  batch: Uint8Array = EMPTY;
  private readonly flushes: Flushes;
  private readonly events: CoreEvents;
  private readonly splitter = new FrameSplitter(this, Number.POSITIVE_INFINITY);
  private readonly names: TextCache;
  private handler: GatewayHandler | undefined;
  private used = 0;
  private dirty = false;
  private flushing = false;
  private ended = false;
  private isFull = false;
  /** The core was told that there is no room, and waits to hear of some. */
  private choked = false;
  private sleeping = false;
  private taken = 0;
  /** The core wants nothing more of this client for a while. */
  paused = false;

  /** `names`: of topics, shared by all clients of a gateway. */
  constructor(peer: Peer, flushes: Flushes, names: TextCache, events: CoreEvents) {
    this.peer = peer;
    this.flushes = flushes;
    this.names = names;
    this.events = events;
    this.splitter.version = VERSION;
  }

  open(accept: GatewayAccept): void {
    this.handler = accept(this);
  }

  /** Hands a packet to the core, and what the core says to it to `events`, before this returns. */
  feed(packet: Packet): void {
    const { handler } = this;
    if (handler === undefined || this.ended) return;
    const bytes = encodePacket(packet, VERSION);
    handler.onData(bytes, 0, bytes.length);
    this.flush();
  }

  /** As a client that closes its connection: a will is published. Nothing is heard of it any more. */
  abandon(): void {
    if (this.ended) return;
    this.ended = true;
    this.splitter.stop();
    this.handler?.onClose(undefined);
    this.handler = undefined;
  }

  sleep(willDelaySeconds: number): void {
    this.sleeping = true;
    this.handler?.sleep(willDelaySeconds);
  }

  wake(): void {
    this.sleeping = false;
    this.handler?.wake();
    this.flush();
  }

  changeWill(will: Parameters<GatewayHandler["changeWill"]>[0]): ReasonCode | undefined {
    return this.handler?.changeWill(will);
  }

  /** Messages that the client has not acknowledged. */
  get backlog(): number {
    return this.handler?.backlog ?? 0;
  }

  /** More messages wait in the gateway than it likes: the core keeps what comes. */
  set crowded(isCrowded: boolean) {
    this.isFull = isCrowded;
    if (!isCrowded && !this.flushing) this.flush();
  }

  reserve(size: number): number {
    const at = this.used;
    this.used = at + size;
    if (this.used > this.batch.length) {
      const batch = new Uint8Array(Math.max(BATCH_BYTES_MIN, this.used, 2 * this.batch.length));
      batch.set(this.batch.subarray(0, at));
      this.batch = batch;
    }
    if (!this.dirty && !this.flushing && !this.ended) {
      this.dirty = true;
      this.flushes.add(this);
    }
    return at;
  }

  get pendingBytes(): number {
    return this.used;
  }

  get blocked(): boolean {
    return this.full;
  }

  /** Not of a sleeper, which takes nothing anyhow: its connection would be taken for one that is stuck. */
  get full(): boolean {
    if (this.sleeping || (!this.isFull && this.used < BATCH_BYTES_MAX)) return false;
    this.choked = true;
    return true;
  }

  get takenBytes(): number {
    return this.taken;
  }

  pauseReading(): void {
    this.paused = true;
  }

  resumeReading(): void {
    this.paused = false;
  }

  end(): void {
    if (this.ended) return;
    this.flush();
    this.destroy();
  }

  destroy(): void {
    if (this.ended) return;
    this.ended = true;
    this.splitter.stop();
    queueMicrotask(() => {
      const { handler } = this;
      this.handler = undefined;
      try {
        handler?.onClose(undefined);
        this.events.onEnded();
      } catch (error) {
        this.events.onFault(error);
      }
    });
  }

  /** Never throws. What is said in answer to a packet waits its turn, so that none overtakes another. */
  flush(): void {
    this.dirty = false;
    if (this.flushing) return;
    this.flushing = true;
    try {
      while (!this.ended && (this.used > 0 || (this.choked && !this.full))) {
        const { batch, used } = this;
        this.batch = EMPTY;
        this.used = 0;
        this.taken += used;
        this.splitter.push(batch, 0, used);
        if (this.choked && !this.full) {
          this.choked = false;
          this.handler?.onDrain();
        }
      }
      this.flushing = false;
      if (!this.ended) this.events.onQuiet();
    } catch (error) {
      this.flushing = false;
      this.events.onFault(error);
    }
  }

  onFrame(bytes: Uint8Array, start: number, bodyStart: number, end: number): void {
    this.events.onPacket(decodePacket(bytes, start, bodyStart, end, VERSION, this.names));
  }
}
