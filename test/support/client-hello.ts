import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** What a TLS client says first, byte by byte: OpenSSL would refuse to say most of what servers must refuse to hear. */
export interface Hello {
  /** 0x0300 is SSL 3, 0x0303 TLS 1.2. */
  version: number;
  ciphers: readonly number[];
  /** Methods beside none. */
  compressions?: readonly number[];
  /** Extensions beside those that TLS 1.2 needs: type and content. */
  extensions?: readonly (readonly [type: number, content: readonly number[]])[];
}

/** The server's first answer. */
export type Answer =
  | { kind: "hello"; version: number; cipher: number; compression: number }
  | { kind: "alert"; description: number }
  | { kind: "closed" };

/** Alerts of RFC 5246, 7.2. */
export const ALERT = { unexpectedMessage: 10, handshakeFailure: 40, protocolVersion: 70 } as const;
export const RECORD = { alert: 21, handshake: 22, heartbeat: 24 } as const;
/** "I know secure renegotiation", written as a cipher. */
const SCSV = 0x00ff;

const NEEDED: NonNullable<Hello["extensions"]> = [
  // Groups x25519, P-256, P-384; uncompressed points; signatures by ECDSA and RSA, SHA-1 too.
  [0x0a, [0, 6, 0, 0x1d, 0, 0x17, 0, 0x18]],
  [0x0b, [1, 0]],
  [0x0d, [0, 16, 4, 3, 5, 3, 6, 3, 8, 4, 4, 1, 5, 1, 2, 1, 2, 3]],
];

export function clientHello({ version, ciphers, compressions = [], extensions = [] }: Hello): Buffer {
  const listed = [...NEEDED, ...extensions].flatMap(([type, content]) => [...two(type), ...sized(content)]);
  const body = [
    ...two(version),
    ...Array<number>(32).fill(7),
    0,
    ...sized([...ciphers, SCSV].flatMap(two)),
    compressions.length + 1,
    ...compressions,
    0,
    ...(version === 0x0300 ? [] : sized(listed)),
  ];
  return record(RECORD.handshake, [1, 0, ...sized(body)]);
}

/** One record, marked as of TLS 1.0, as first ones are. */
export function record(type: number, content: readonly number[]): Buffer {
  return Buffer.from([type, 3, 1, ...sized(content)]);
}

function two(value: number): number[] {
  return [value >> 8, value & 0xff];
}

function sized(content: readonly number[]): number[] {
  return [...two(content.length), ...content];
}

/** A plain connection to a TLS port, with what has come back. */
export class Probe {
  readonly socket: Socket;
  received = Buffer.alloc(0);
  isOver = false;
  private wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
      this.wake();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.isOver = true;
      this.wake();
    });
  }

  static async open(port: number): Promise<Probe> {
    const socket = connect(port, "127.0.0.1");
    const probe = new Probe(socket);
    await once(socket, "connect");
    return probe;
  }

  /** Until this holds, or the server has closed. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition() && !this.isOver) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  /** The types of the whole records so far. */
  get types(): number[] {
    const types: number[] = [];
    for (let at = 0; at + 5 <= this.received.length; at += 5 + this.received.readUInt16BE(at + 3)) {
      if (at + 5 + this.received.readUInt16BE(at + 3) <= this.received.length) types.push(this.received[at]!);
    }
    return types;
  }

  async answer(): Promise<Answer> {
    await this.until(() => this.types.length > 0);
    const [type] = this.types;
    if (type === undefined) return { kind: "closed" };
    if (type === RECORD.alert) return { kind: "alert", description: this.received[6]! };
    // Version and random before the session's identifier, cipher and compression after it.
    const at = 5 + 4 + 2 + 32;
    const after = at + 1 + this.received[at]!;
    const [version, cipher] = [this.received.readUInt16BE(9), this.received.readUInt16BE(after)];
    return { kind: "hello", version, cipher, compression: this.received[after + 2]! };
  }
}

/** Says this and tells the first answer. */
export async function ask(port: number, hello: Hello): Promise<Answer> {
  const probe = await Probe.open(port);
  probe.socket.write(clientHello(hello));
  const answer = await probe.answer();
  probe.socket.destroy();
  return answer;
}

/** Every cipher of these that the server takes, in the order in which it chooses. */
export async function takenCiphers(port: number, version: number, offered: readonly number[]): Promise<number[]> {
  const taken: number[] = [];
  for (;;) {
    const answer = await ask(port, { version, ciphers: offered.filter((cipher) => !taken.includes(cipher)) });
    if (answer.kind !== "hello") return taken;
    if (taken.includes(answer.cipher)) throw new Error(`It chose ${answer.cipher}, which was not offered`);
    taken.push(answer.cipher);
  }
}
