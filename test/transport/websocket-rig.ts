import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { Turn } from "../../src/transport/turn.ts";
import { WebSocketListener, type WebSocketListenerOptions } from "../../src/transport/websocket.ts";
import type { Opened } from "./suite.ts";

const LOOPBACK = "127.0.0.1";
/** Fixed by RFC 6455, section 1.3. */
const ACCEPT_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);
export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface Response {
  status: number;
  headers: ReadonlyMap<string, string>;
  /** What came with or behind the headers. */
  rest: Buffer;
}

/** Sends a request's first line and headers, and waits for the whole head of the answer. */
export async function request(socket: Socket, line: string, headers: Record<string, string>): Promise<Response> {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`${line}\r\n${lines.join("")}\r\n`);
  let received = Buffer.alloc(0);
  while (!received.includes("\r\n\r\n")) {
    const chunk = socket.read() as Buffer | null;
    if (chunk !== null) received = Buffer.concat([received, chunk]);
    else if (socket.destroyed || socket.readableEnded)
      throw new Error(`No answer, but ${JSON.stringify(String(received))}`);
    else await Promise.race([once(socket, "readable"), once(socket, "close")]);
  }
  const end = received.indexOf("\r\n\r\n");
  const [first = "", ...fields] = received.toString("latin1", 0, end).split("\r\n");
  return {
    status: Number(first.split(" ")[1]),
    headers: new Map(
      fields.map((field) => [field.split(": ")[0]!.toLowerCase(), field.slice(field.indexOf(": ") + 2)]),
    ),
    rest: received.subarray(end + 4),
  };
}

export const KEY = "dGhlIHNhbXBsZSBub25jZQ==";

/** The headers of an opening handshake as browsers send them. */
export function opening(more: Record<string, string> = {}): Record<string, string> {
  return {
    Host: "broker",
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Protocol": "mqtt",
    ...more,
  };
}

/** A frame as a client sends it: masked. */
export function frame(opcode: number, payload: Uint8Array, final = true): Buffer {
  const { length } = payload;
  const extended = Buffer.alloc(length < 126 ? 0 : length < 65_536 ? 2 : 8);
  if (extended.length === 2) extended.writeUInt16BE(length);
  if (extended.length === 8) extended.writeBigUInt64BE(BigInt(length));
  const short = extended.length === 0 ? length : extended.length === 2 ? 126 : 127;
  const masked = Buffer.from(payload);
  for (let index = 0; index < length; index++) masked[index]! ^= MASK[index & 3]!;
  return Buffer.concat([Buffer.from([(final ? 0x80 : 0) | opcode, 0x80 | short]), extended, MASK, masked]);
}

/**
 * A WebSocket client made of nothing but the RFC: the payloads of binary frames are its bytes. Its end is TCP's FIN
 * without a close frame; pings are answered unless `mute`.
 */
export class RawWebSocket extends Duplex {
  readonly socket: Socket;
  readonly response: Response;
  /** Payloads of the binary frames, by their sizes. */
  readonly messages: number[] = [];
  pings = 0;
  readonly pongs: string[] = [];
  mute = false;
  /** Status code of the close frame that came. */
  closeCode: number | undefined;
  closeReason = "";
  private readonly chunks: Buffer[] = [];
  private size = 0;

  /** Throws when the server has not accepted. */
  constructor(socket: Socket, response: Response) {
    super({ allowHalfOpen: true });
    const expected = createHash("sha1").update(`${KEY}${ACCEPT_GUID}`).digest("base64");
    if (response.status !== 101 || response.headers.get("sec-websocket-accept") !== expected) {
      throw new Error(`Not accepted: ${response.status} ${response.rest}`);
    }
    this.socket = socket;
    this.response = response;
    socket.on("data", (chunk: Buffer) => this.receive(chunk));
    socket.on("end", () => this.push(null));
    socket.on("close", () => this.destroy());
    if (response.rest.length > 0) this.receive(response.rest);
    // Until somebody reads, as a socket does.
    socket.pause();
  }

  override _read(): void {
    this.socket.resume();
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, written: () => void): void {
    this.socket.write(frame(OPCODE.binary, bytes), () => written());
  }

  override _final(ended: () => void): void {
    this.socket.end(ended);
  }

  override _destroy(error: Error | null, destroyed: (error: Error | null) => void): void {
    this.socket.destroy();
    destroyed(error);
  }

  private receive(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.size += chunk.length;
    for (;;) {
      const head = this.chunks[0]!.length >= 10 || this.chunks.length === 1 ? this.chunks[0]! : this.join();
      const short = head[1]! & 0x7f;
      const headBytes = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (this.size < headBytes) return;
      const whole = head.length >= headBytes ? head : this.join();
      const length = short < 126 ? short : short === 126 ? whole.readUInt16BE(2) : Number(whole.readBigUInt64BE(2));
      if (this.size < headBytes + length) return;
      const bytes = this.join();
      this.heard(bytes[0]! & 0x0f, bytes.subarray(headBytes, headBytes + length));
      const left = bytes.subarray(headBytes + length);
      this.chunks[0] = left;
      this.size = left.length;
      if (left.length < 2) return;
    }
  }

  private join(): Buffer {
    const bytes = this.chunks.length === 1 ? this.chunks[0]! : Buffer.concat(this.chunks);
    this.chunks.splice(0, this.chunks.length, bytes);
    return bytes;
  }

  private heard(opcode: number, payload: Buffer): void {
    if (opcode === OPCODE.binary) {
      this.messages.push(payload.length);
      if (!this.push(payload)) this.socket.pause();
    } else if (opcode === OPCODE.close) {
      this.closeCode = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      this.closeReason = payload.toString("utf8", 2);
      this.push(null);
    } else if (opcode === OPCODE.ping) {
      this.pings++;
      if (!this.mute) this.socket.write(frame(OPCODE.pong, payload));
    } else if (opcode === OPCODE.pong) this.pongs.push(String(payload));
  }
}

export async function dialRaw(listener: WebSocketListener): Promise<Socket> {
  const socket = connect({ host: LOOPBACK, port: Number(new URL(listener.url).port), allowHalfOpen: true });
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

/** A WebSocket at the listener's place, with what `more` says in its headers. */
export async function dialWebSocket(listener: WebSocketListener, more?: Record<string, string>): Promise<RawWebSocket> {
  const socket = await dialRaw(listener);
  return new RawWebSocket(socket, await request(socket, "GET /mqtt HTTP/1.1", opening(more)));
}

/** For the contract suite. */
export function openWebSocket(
  options: Partial<WebSocketListenerOptions> = {},
): Opened & { listener: WebSocketListener } {
  const turn = new Turn();
  const all = { name: "main", host: LOOPBACK, turn, maxPayload: 64 * 1024 * 1024, ...options };
  const listener = new WebSocketListener({ port: 0, ...all });
  return {
    listener,
    turn,
    dial: () => dialWebSocket(listener),
    url: /^ws:\/\/127\.0\.0\.1:[1-9]\d*\/mqtt$/,
    peer: (client) => ({
      address: `${LOOPBACK}:${(client as RawWebSocket).socket.localPort}`,
      local: true,
      listener: "main",
      transport: "websocket",
    }),
    rival: () => {
      const rival = new WebSocketListener({ ...all, port: Number(new URL(listener.url).port) });
      return { listener: rival, message: `Cannot listen on ${listener.url}: the port is in use by another program` };
    },
  };
}
