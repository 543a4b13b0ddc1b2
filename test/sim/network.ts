import { crc32 } from "node:zlib";
import type { Link, LinkHandler, Peer } from "../../src/core/ports.ts";
import type { SeededRandom } from "../hostile/random.ts";
import type { CrashPoints } from "./disk.ts";
import type { Timeline } from "./timeline.ts";

/** As the real link: a batch that reaches this is written without waiting for the end of the turn. */
const BATCH_BYTES_MAX = 64 * 1024;
/** Overwrites what was valid only during a call, so that whoever kept it is found out. */
const POISON = 0xee;

/** The client's end. */
export interface LinkClient {
  /** `writtenMs`: not after the broker wrote the first of these bytes, as far as one can tell. */
  onBytes(bytes: Uint8Array, writtenMs: number): void;
  onClosed(): void;
}

/** What all links of one run share. */
export interface Network {
  timeline: Timeline;
  random: SeededRandom;
  /** A packet of bytes travels for up to so many milliseconds. */
  latencyMs: number;
  /** Bytes of output that fit between the broker and a client that does not read. */
  windowBytes: number;
  /** Of all bytes that arrived anywhere: two runs that agree in it are the same. */
  digest: number;
}

/** The broker that a link leads to: dead from its crash on. */
export interface BrokerEnd {
  crashPoints: CrashPoints;
  readonly dead: boolean;
  /** Something reached the broker: its turn has to be ended. */
  touched(): void;
}

/** One connection, with both of its ends and what is under way between them. */
export class SimLink implements Link {
  readonly peer: Peer;
  batch: Uint8Array = new Uint8Array(0);
  takenBytes = 0;
  handler!: LinkHandler;
  /** The broker has ended it, or was told that it ended; with the time. */
  brokerClosedMs = Number.POSITIVE_INFINITY;
  /** Nothing passes any more and nobody is told. */
  halfOpen = false;
  private readonly network: Network;
  private readonly broker: BrokerEnd;
  private readonly client: LinkClient;
  private used = 0;
  private usedSinceMs = 0;
  private writing: { bytes: Uint8Array; writtenMs: number } | undefined;
  /** Bytes under way to the client or not read by it. */
  private windowUsed = 0;
  private open = true;
  private heardClose = false;
  private reading = true;
  private readonly unread: (() => void)[] = [];
  private clientOpen = true;
  private clientReading = true;
  private readonly clientUnread: (() => void)[] = [];
  private toBrokerMs = 0;
  private toClientMs = 0;

  constructor(network: Network, broker: BrokerEnd, client: LinkClient, address: string) {
    this.network = network;
    this.broker = broker;
    this.client = client;
    this.peer = { address, local: false, listener: "sim", transport: "sim" };
  }

  reserve(size: number): number {
    if (!this.open || this.broker.crashPoints.pass("link.reserve")) {
      this.batch = new Uint8Array(size);
      return 0;
    }
    if (this.writing === undefined && this.used > 0 && this.used + size > BATCH_BYTES_MAX) this.write();
    if (this.used + size > this.batch.length) {
      const grown = new Uint8Array(Math.max(this.used + size, 2 * this.batch.length, 256));
      grown.set(this.batch.subarray(0, this.used));
      this.batch.fill(POISON);
      this.batch = grown;
    }
    if (this.used === 0) this.usedSinceMs = this.network.timeline.nowMs;
    const at = this.used;
    this.used += size;
    this.broker.touched();
    return at;
  }

  get pendingBytes(): number {
    return this.used + (this.writing?.bytes.length ?? 0);
  }

  get blocked(): boolean {
    return this.writing !== undefined;
  }

  pauseReading(): void {
    this.reading = false;
  }

  resumeReading(): void {
    this.reading = true;
    this.broker.touched();
  }

  end(): void {
    if (!this.open || this.broker.dead) return;
    if (this.writing === undefined && this.used > 0) this.write();
    this.shut(this.toClientMs);
  }

  destroy(): void {
    if (!this.open || this.broker.dead) return;
    this.shut(0);
  }

  /** The end of the broker's turn. True when there was something to do. */
  flush(): boolean {
    if (this.broker.dead) return false;
    let worked = false;
    while (this.reading && this.open && this.unread.length > 0 && !this.broker.dead) {
      this.unread.shift()!();
      worked = true;
    }
    if (this.open && this.used > 0 && this.writing === undefined) {
      this.write();
      worked = true;
    }
    if (!this.open && !this.heardClose && !this.broker.dead) {
      this.heardClose = true;
      this.handler.onClose(undefined);
      worked = true;
    }
    return worked;
  }

  /** The broker has nothing more to do with it. */
  get isOver(): boolean {
    return this.heardClose;
  }

  /** The client sends; `onHanded` is told when the broker was given the last of these bytes. */
  send(bytes: Uint8Array, onHanded?: () => void): void {
    const { random } = this.network;
    for (let start = 0; start < bytes.length; ) {
      const rest = bytes.length - start;
      const end = start + (random.below(3) === 0 ? 1 + random.below(rest) : rest);
      const chunk = bytes.slice(start, end);
      const last = end === bytes.length;
      this.travelToBroker(() => {
        const isHeard = this.hand(chunk);
        if (last && isHeard && !this.broker.dead) onHanded?.();
      });
      start = end;
    }
  }

  /** The client closes its end; what it sent before still arrives. */
  closeByClient(): void {
    if (!this.clientOpen) return;
    this.clientOpen = false;
    this.travelToBroker(() => this.hangUp(undefined));
  }

  /** The connection breaks: what is under way is lost, and each end learns it some time. */
  cut(): void {
    const { timeline, random } = this.network;
    this.halfOpen = true;
    timeline.after(random.below(300), () => this.hangUp(new Error("connection reset")));
    timeline.after(random.below(300), () => this.closeClient());
  }

  /** The broker's process is gone; what it had written may arrive or not. */
  brokerDied(): void {
    const { timeline, random } = this.network;
    // What is half open stays so: a stream has no holes, and nothing arrives behind what was lost.
    const isSilent = random.below(2) === 0;
    this.halfOpen ||= isSilent;
    this.open = false;
    this.note();
    timeline.after(random.below(1_000), () => this.closeClient());
  }

  /** A slow reader stops, and goes on. */
  setClientReading(reading: boolean): void {
    this.clientReading = reading;
    while (this.clientReading && this.clientUnread.length > 0) this.clientUnread.shift()!();
  }

  private travelToBroker(arrive: () => void): void {
    const { timeline, random, latencyMs } = this.network;
    this.toBrokerMs = Math.max(this.toBrokerMs, timeline.nowMs + random.below(latencyMs + 1));
    timeline.at(this.toBrokerMs, () => {
      if (this.halfOpen || this.heardClose || this.broker.dead) return;
      this.broker.touched();
      if (this.reading && this.unread.length === 0) arrive();
      else this.unread.push(arrive);
    });
  }

  /** False when the broker has ended the connection: it hears nothing more. */
  private hand(bytes: Uint8Array): boolean {
    if (!this.open || this.heardClose || this.broker.crashPoints.pass("link.data")) return false;
    this.network.digest = crc32(bytes, this.network.digest);
    const chunk = new Uint8Array(bytes.length + 5).fill(POISON);
    chunk.set(bytes, 3);
    this.handler.onData(chunk, 3, 3 + bytes.length);
    chunk.fill(POISON);
    return true;
  }

  private hangUp(error: Error | undefined): void {
    if (this.heardClose || this.broker.dead || this.broker.crashPoints.pass("link.close")) return;
    this.heardClose = true;
    this.open = false;
    this.note();
    this.broker.touched();
    this.handler.onClose(error);
  }

  private shut(notBeforeMs: number): void {
    const { timeline, random, latencyMs } = this.network;
    this.open = false;
    this.used = 0;
    this.writing = undefined;
    this.note();
    this.broker.touched();
    timeline.at(Math.max(notBeforeMs, timeline.nowMs) + random.below(latencyMs + 1), () => {
      if (!this.halfOpen) this.closeClient();
    });
  }

  private note(): void {
    if (this.brokerClosedMs === Number.POSITIVE_INFINITY) this.brokerClosedMs = this.network.timeline.nowMs;
  }

  private closeClient(): void {
    if (!this.clientOpen) return;
    this.clientOpen = false;
    this.client.onClosed();
  }

  private write(): void {
    if (this.broker.crashPoints.pass("link.write")) return;
    const bytes = this.batch.slice(0, this.used);
    const writtenMs = this.usedSinceMs;
    this.batch.fill(POISON);
    this.batch = new Uint8Array(0);
    this.used = 0;
    this.travelToClient(bytes, writtenMs);
  }

  /** As much as fits the window is under way, the rest blocks the link. */
  private travelToClient(bytes: Uint8Array, writtenMs: number): void {
    const { timeline, random, latencyMs, windowBytes } = this.network;
    const room = Math.min(bytes.length, Math.max(0, windowBytes - this.windowUsed));
    this.writing = room === bytes.length ? undefined : { bytes: bytes.subarray(room), writtenMs };
    if (room === 0) return;
    this.windowUsed += room;
    this.takenBytes += room;
    const chunk = bytes.subarray(0, room);
    this.toClientMs = Math.max(this.toClientMs, timeline.nowMs + random.below(latencyMs + 1));
    timeline.at(this.toClientMs, () => {
      if (this.halfOpen || !this.clientOpen) return;
      const read = () => {
        this.windowUsed -= chunk.length;
        this.network.digest = crc32(chunk, this.network.digest);
        if (this.clientOpen) this.client.onBytes(chunk, writtenMs);
        this.unblock();
      };
      if (this.clientReading && this.clientUnread.length === 0) read();
      else this.clientUnread.push(read);
    });
  }

  private unblock(): void {
    const { writing } = this;
    if (writing === undefined || !this.open || this.broker.dead) return;
    this.travelToClient(writing.bytes, writing.writtenMs);
    if (this.writing !== undefined || this.broker.crashPoints.pass("link.drain")) return;
    this.broker.touched();
    if (this.used > 0) this.write();
    if (this.writing === undefined) this.handler.onDrain();
  }
}
