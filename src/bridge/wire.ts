import type { Duplex } from "node:stream";
import { decodePacket, encodePacket } from "../codec/codec.ts";
import { PacketType } from "../codec/constants.ts";
import { type FrameSink, FrameSplitter } from "../codec/frame.ts";
import type { Packet } from "../codec/packet.ts";
import { ProtocolError } from "../codec/reason.ts";
import { TextCache } from "../codec/text.ts";

export const KEEP_ALIVE_SECONDS = 60;
/** What was sent last may not have left before it. */
const END_MS_MAX = 1_000;
/** CONNACK of 3.1.1 with its fixed header: some brokers refuse a CONNECT of 5.0 with it. */
const SHORT_CONNACK_BYTES = 4;

export interface WireEvents {
  /** A PUBLISH refers to bytes that are valid during the call only. */
  onPacket(packet: Packet): void;
  /** What `send` found no room for has left. */
  onDrain(): void;
  /** It is over; called once, with a reason for people. Not after `end` or `destroy`. */
  onClosed(reason: string): void;
}

/** A client's MQTT connection over a stream that is open: packets out and in, and PINGREQ when it is time. */
export class Wire implements FrameSink {
  private readonly stream: Duplex;
  readonly version: 4 | 5;
  private readonly events: WireEvents;
  private readonly splitter: FrameSplitter;
  private readonly names = new TextCache();
  private pinging: NodeJS.Timeout | undefined;
  private isOver = false;
  private isCorked = false;
  private isPaused = false;
  private wasHeard = true;

  /** `packetBytesMax`: the largest packet that may come. */
  constructor(stream: Duplex, version: 4 | 5, packetBytesMax: number, events: WireEvents) {
    this.stream = stream;
    this.version = version;
    this.events = events;
    this.splitter = new FrameSplitter(this, packetBytesMax);
    this.splitter.version = version;
    stream.on("data", (chunk: Buffer) => this.onData(chunk));
    stream.on("drain", () => {
      if (!this.isOver) events.onDrain();
    });
    stream.on("error", (error) => this.fail(error.message));
    stream.on("close", () => this.fail("it has closed the connection"));
    stream.on("end", () => this.fail("it has closed the connection"));
    this.keepAlive(KEEP_ALIVE_SECONDS);
  }

  /**
   * PINGREQ leaves in time for the patience of the other side, which has told it, 0 for any; its answer has as long. It never
   * leaves less often than we like: without it nobody would see that a connection is dead.
   */
  keepAlive(seconds: number): void {
    clearInterval(this.pinging);
    const patienceSeconds = Math.min(seconds === 0 ? KEEP_ALIVE_SECONDS : seconds, KEEP_ALIVE_SECONDS);
    this.pinging = setInterval(() => this.ping(), patienceSeconds * 750);
  }

  /** Bytes of the packet, as the other side counts them. */
  sizeOf(packet: Packet): number {
    return encodePacket(packet, this.version).length;
  }

  /** False: the stream is full, and `onDrain` follows. */
  send(packet: Packet): boolean {
    if (this.isOver) return true;
    // What one turn of the event loop sends leaves in one piece.
    if (!this.isCorked) {
      this.isCorked = true;
      this.stream.cork();
      process.nextTick(() => {
        this.isCorked = false;
        this.stream.uncork();
      });
    }
    return this.stream.write(encodePacket(packet, this.version));
  }

  /** Reads nothing more for now. */
  pause(): void {
    if (this.isPaused) return;
    this.isPaused = true;
    this.stream.pause();
  }

  resume(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    this.wasHeard = true;
    this.stream.resume();
  }

  /** Closes when what was sent has left. */
  end(): void {
    if (this.isOver) return;
    this.close();
    const cut = setTimeout(() => this.stream.destroy(), END_MS_MAX);
    this.stream.end(() => {
      clearTimeout(cut);
      this.stream.destroy();
    });
  }

  destroy(): void {
    this.close();
    this.stream.destroy();
  }

  onFrame(bytes: Uint8Array, start: number, bodyStart: number, end: number): void {
    const type = (bytes[start] as number) >> 4;
    const isShort = type === PacketType.CONNACK && end - start === SHORT_CONNACK_BYTES;
    this.events.onPacket(decodePacket(bytes, start, bodyStart, end, isShort ? 4 : this.version, this.names));
  }

  private onData(chunk: Buffer): void {
    if (this.isOver) return;
    this.wasHeard = true;
    try {
      this.splitter.push(chunk, 0, chunk.length);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.fail(`it breaks the protocol: ${error.message} ${error.statement}`.trimEnd());
    }
  }

  private ping(): void {
    // While we do not read, silence says nothing of the other side; but it wants to hear of us.
    if (!this.wasHeard && !this.isPaused) {
      this.fail("it does not answer any more");
      return;
    }
    this.wasHeard = false;
    this.send({ type: PacketType.PINGREQ });
  }

  private fail(reason: string): void {
    if (this.isOver) return;
    this.destroy();
    this.events.onClosed(reason);
  }

  private close(): void {
    this.isOver = true;
    clearInterval(this.pinging);
    this.splitter.stop();
  }
}
