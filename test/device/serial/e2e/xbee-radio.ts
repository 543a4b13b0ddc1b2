import { fromModule, hexOf } from "../framing/kit.ts";
import type { Cable } from "./cable.ts";
import { SnNode } from "./sn-node.ts";

/** What a transmit request has before the message, from its type on: 0x10 to 64 bits, 0x01 to 16 bits. */
const REQUESTS = new Map([
  [0x10, { addressEnd: 10, message: 14 }],
  [0x01, { addressEnd: 4, message: 5 }],
]);
const BROADCAST = "000000000000ffff";

/** An XBee module at the end of a cable, by Digi's manual and not by the code under test, with the nodes that it hears. */
export class XbeeRadio {
  /** "to ADDRESS: MESSAGE" of each request, in order. */
  readonly requests: string[] = [];
  private readonly cable: Cable;
  private readonly isEscaped: boolean;
  private readonly nodes = new Map<string, SnNode>();
  /** Behind the last 7E, escapes taken out. */
  private frame: number[] | undefined;
  private isEscape = false;

  constructor(cable: Cable, isEscaped: boolean) {
    this.cable = cable;
    this.isEscaped = isEscaped;
    cable.onData = (bytes) => {
      for (const octet of bytes) this.take(octet);
    };
  }

  /** A node whose messages the module receives with the frame of `type`: 0x90 or 0x80 with 8 octets, 0x81 with 2. */
  node(clientId: string, type: number, address: Uint8Array, retryMs: number): SnNode {
    const send = (message: Uint8Array): void => this.cable.write(fromModule(type, address, message, this.isEscaped));
    const node = new SnNode(clientId, send, retryMs);
    this.nodes.set(hexOf(address), node);
    return node;
  }

  stop(): void {
    for (const node of this.nodes.values()) node.stop();
  }

  private take(octet: number): void {
    if (this.frame === undefined || (this.isEscaped && octet === 0x7e)) {
      if (octet !== 0x7e) throw new Error(`${octet.toString(16)} between two frames`);
      if (this.frame !== undefined) throw new Error("A frame has not come to its end");
      this.frame = [];
      return;
    }
    if (this.isEscaped && !this.isEscape && octet === 0x7d) {
      this.isEscape = true;
      return;
    }
    this.frame.push(this.isEscape ? octet ^ 0x20 : octet);
    this.isEscape = false;
    const [high, low] = this.frame;
    if (low === undefined || this.frame.length < 2 + ((high! << 8) | low) + 1) return;
    const data = this.frame.slice(2);
    this.frame = undefined;
    if ((data.reduce((sum, one) => sum + one, 0) & 0xff) !== 0xff) throw new Error("A wrong checksum");
    this.request(Uint8Array.from(data.slice(0, -1)));
  }

  private request(data: Uint8Array): void {
    const fields = REQUESTS.get(data[0]!);
    if (fields === undefined) throw new Error(`A frame of type ${data[0]} goes to no node`);
    const address = hexOf(data.subarray(2, fields.addressEnd));
    const message = data.slice(fields.message);
    this.requests.push(`to ${address}: ${hexOf(message)}`);
    const heardBy = address === BROADCAST ? [...this.nodes.values()] : [this.nodes.get(address)];
    for (const node of heardBy) node?.receive(message);
  }
}
