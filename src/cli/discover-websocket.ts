import { createHash, randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { NoAnswer } from "./discover-answer.ts";

/** RFC 6455, 1.3. */
const KEY_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const HEAD_BYTES_MAX = 16_384;
const FRAME_BYTES_MAX = 65_536;
/** Opcodes (RFC 6455, 5.2) with the bit FIN in front. */
const BINARY = 0x82;
const CLOSE = 0x8;
const MASKED = 0x80;

/** What goes to and comes from the other end, without the frames of RFC 6455. */
export interface Wire {
  send(bytes: Uint8Array): void;
  bytes: AsyncIterable<Uint8Array>;
}

/**
 * Makes a WebSocket of a connection, for a few short messages: MQTT.js would check the certificate. Throws NoAnswer when the
 * other end does not want to, and what the connection ends with. `path` and `host` (with its port) have been checked.
 */
export async function openWebSocket(socket: Socket, path: string, host: string): Promise<Wire> {
  const key = randomBytes(16).toString("base64");
  const head = [
    `GET ${path} HTTP/1.1`,
    `Host: ${host}`,
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Key: ${key}`,
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Protocol: mqtt",
  ];
  socket.write(`${head.join("\r\n")}\r\n\r\n`);
  const chunks = socket.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Buffer>;
  const rest = await upgraded(chunks, createHash("sha1").update(`${key}${KEY_SUFFIX}`).digest("base64"), path);
  return { send: (bytes) => void socket.write(maskedFrame(bytes)), bytes: payloads(chunks, rest) };
}

/** Reads the answer to the request; resolves with what came behind it. */
async function upgraded(chunks: AsyncIterator<Buffer>, accept: string, path: string): Promise<Buffer> {
  let read = Buffer.alloc(0);
  for (;;) {
    const end = read.indexOf("\r\n\r\n");
    if (end === -1 && read.length > HEAD_BYTES_MAX) throw new NoAnswer("answers, but not in HTTP");
    if (end !== -1) {
      const [first = "", ...headers] = read.subarray(0, end).toString("latin1").split("\r\n");
      const [, status] = /^HTTP\/1\.[01] (\d{3})/.exec(first) ?? [];
      if (status === undefined) throw new NoAnswer("answers, but not in HTTP");
      if (status !== "101") throw new NoAnswer(`answers, but has no WebSocket at ${path}: HTTP ${status}`);
      const isAccepted = headers.some((header) => /^sec-websocket-accept:\s*(.*?)\s*$/i.exec(header)?.[1] === accept);
      if (!isAccepted) throw new NoAnswer("answers, but not as a WebSocket should");
      return read.subarray(end + 4);
    }
    const { value, done } = await chunks.next();
    if (done === true) throw new NoAnswer("closes the connection without an answer");
    read = Buffer.concat([read, value]);
  }
}

/** What is in the frames; pings and other kinds are passed over, since it is not for long. */
async function* payloads(chunks: AsyncIterable<Buffer>, rest: Buffer): AsyncGenerator<Uint8Array> {
  let read = rest;
  const more = chunks[Symbol.asyncIterator]();
  for (;;) {
    const frame = frameAt(read);
    if (frame !== undefined) {
      read = read.subarray(frame.end);
      if (frame.opcode === CLOSE) return;
      if (frame.opcode <= (BINARY & 0xf)) yield frame.payload;
      continue;
    }
    const { value, done } = await more.next();
    if (done === true) return;
    read = Buffer.concat([read, value]);
  }
}

/** The first whole frame; undefined while it is not. */
function frameAt(bytes: Buffer): { opcode: number; payload: Uint8Array; end: number } | undefined {
  const short = bytes[1];
  if (short === undefined || (short === 126 && bytes.length < 4)) return undefined;
  // A server masks nothing, and its answer to CONNECT needs no 64 bits of length.
  if (short > 126) throw new NoAnswer("answers, but not as a WebSocket should");
  const start = short === 126 ? 4 : 2;
  const length = short === 126 ? bytes.readUInt16BE(2) : short;
  if (length > FRAME_BYTES_MAX) throw new NoAnswer("answers, but not as a WebSocket should");
  const end = start + length;
  return bytes.length < end ? undefined : { opcode: bytes[0]! & 0xf, payload: bytes.subarray(start, end), end };
}

/** Short messages in one frame, masked as those of clients are (RFC 6455, 5.3). */
function maskedFrame(bytes: Uint8Array): Uint8Array {
  const mask = randomBytes(4);
  const length = bytes.length < 126 ? [MASKED | bytes.length] : [MASKED | 126, bytes.length >> 8, bytes.length & 0xff];
  const masked = bytes.map((byte, index) => byte ^ mask[index % 4]!);
  return Buffer.concat([Uint8Array.of(BINARY, ...length), mask, masked]);
}
