import {
  type FrameReader,
  type Framing,
  type FramingName,
  framingOf,
  type LineCounters,
} from "../../../../device/serial/framing/framing.ts";
import {
  decodeEncapsulated,
  encodeEncapsulated,
  isEncapsulated,
} from "../../../../src/gateway/mqttsn/codec/forwarder.ts";
import type { Cable } from "./cable.ts";
import { SnNode } from "./sn-node.ts";

/** The other end of a cable: one device, or a forwarder with a radio and the nodes that it hears. */
export class LineEnd {
  /** Of what came from the broker. */
  readonly counters: LineCounters = { frames: 0, bytes: 0, checksumErrors: 0, resyncs: 0, discardedBytes: 0 };
  /** Octets of a frame around a message, or a message in an envelope. */
  readonly framing: Framing;
  private readonly cable: Cable;
  private readonly reader: FrameReader;
  private readonly nodes = new Map<string, SnNode>();

  constructor(cable: Cable, framing: FramingName) {
    this.cable = cable;
    this.framing = framingOf(framing);
    const facts = { baudRate: 115_200, maxMessage: 1024 };
    this.reader = this.framing.reader(({ message }) => this.hand(message), this.counters, facts);
    cable.onData = (bytes) => this.reader.push(bytes, performance.now());
    cable.onStep = () => this.reader.tick(performance.now());
  }

  /** A device that speaks for itself, or with `nodeId` one that the forwarder hears. */
  node(clientId: string, retryMs: number, nodeId?: Uint8Array): SnNode {
    const wrap = (message: Uint8Array): Uint8Array =>
      nodeId === undefined ? message : encodeEncapsulated(0, nodeId, message);
    const node = new SnNode(clientId, (message) => this.send(wrap(message)), retryMs);
    this.nodes.set(keyOf(nodeId), node);
    return node;
  }

  /** How many octets a message of so many takes on the line, if none of them has to be escaped. */
  octetsOnLine(message: Uint8Array, nodeId: Uint8Array): number {
    return this.framing.encode(encodeEncapsulated(0, nodeId, message), undefined).length;
  }

  stop(): void {
    for (const node of this.nodes.values()) node.stop();
  }

  private send(message: Uint8Array): void {
    this.cable.write(this.framing.encode(message, undefined));
  }

  private hand(message: Uint8Array): void {
    if (!isEncapsulated(message)) {
      // To all, such as ADVERTISE, or to the one device that there is.
      this.nodes.get(keyOf(undefined))?.receive(message);
      return;
    }
    const { nodeId, message: inner } = decodeEncapsulated(message);
    this.nodes.get(keyOf(nodeId))?.receive(inner);
  }
}

function keyOf(nodeId: Uint8Array | undefined): string {
  return nodeId === undefined ? "" : Buffer.from(nodeId).toString("hex");
}
