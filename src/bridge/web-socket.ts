import { createHash, randomBytes, randomFillSync } from "node:crypto";
import { request } from "node:http";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const SUBPROTOCOL = "mqtt";
const DEFAULT_PATH = "/mqtt";
/** RFC 6455 §5.2. */
const Opcode = { Continuation: 0, Text: 1, Binary: 2, Close: 8, Ping: 9, Pong: 10 } as const;
const FIN = 0x80;
const MASK = 0x80;
/** A frame may be larger than a packet of MQTT, but there is no reason for more than the largest one. */
const FRAME_BYTES_MAX = 256 * 1024 * 1024 + 16;

/**
 * Opens a WebSocket for MQTT as a client over a socket that is connected, RFC 6455 §4.1 and MQTT 5.0 §6. Rejects with a
 * message for people when the other side does not speak it.
 */
export function openWebSocket(socket: Socket, url: URL): Promise<Duplex> {
  const key = randomBytes(16).toString("base64");
  const path = url.pathname === "/" || url.pathname === "" ? DEFAULT_PATH : url.pathname;
  return new Promise((resolve, reject) => {
    const asked = request({
      createConnection: () => socket,
      path: `${path}${url.search}`,
      headers: {
        Host: url.host,
        Connection: "Upgrade",
        Upgrade: "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Protocol": SUBPROTOCOL,
      },
    });
    asked.on("error", reject);
    asked.on("response", ({ statusCode }) => {
      reject(new Error(`it answers ${statusCode} and opens no WebSocket at ${path}: is that the path?`));
      socket.destroy();
    });
    asked.on("upgrade", ({ headers }, _, head) => {
      const accepted = createHash("sha1").update(`${key}${GUID}`).digest("base64");
      if (headers["sec-websocket-accept"] !== accepted || headers["sec-websocket-protocol"] !== SUBPROTOCOL) {
        reject(new Error(`it opens no WebSocket of MQTT at ${path}`));
        socket.destroy();
        return;
      }
      const stream = new WebSocketStream(socket);
      if (head.length > 0) socket.unshift(head);
      resolve(stream);
    });
    asked.end();
  });
}

/** What goes through a WebSocket as one stream of bytes: where frames begin means nothing to MQTT, 5.0 [MQTT-6.0.0-2]. */
class WebSocketStream extends Duplex {
  private readonly socket: Socket;
  private gathered: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    super();
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => this.onData(chunk));
    socket.on("error", (error) => void this.destroy(error));
    socket.on("close", () => void this.destroy());
  }

  override _read(): void {
    this.socket.resume();
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
    this.socket.write(frame(Opcode.Binary, chunk), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    // 1000: a normal closure, RFC 6455 §7.4.1.
    this.socket.end(frame(Opcode.Close, Buffer.from([0x03, 0xe8])), () => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.socket.destroy();
    done(error);
  }

  private onData(chunk: Buffer): void {
    this.gathered = this.gathered.length === 0 ? chunk : Buffer.concat([this.gathered, chunk]);
    for (let size = this.takeFrame(); size > 0; size = this.takeFrame()) this.gathered = this.gathered.subarray(size);
  }

  /** Deals with the frame that stands first, if it is whole. Returns its size, or 0. */
  private takeFrame(): number {
    const { gathered } = this;
    if (gathered.length < 2) return 0;
    const short = gathered[1]! & 0x7f;
    const bodyStart = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (gathered.length < bodyStart) return 0;
    const length = short < 126 ? short : short === 126 ? gathered.readUInt16BE(2) : Number(gathered.readBigUInt64BE(2));
    // A server that masks its frames, RFC 6455 §5.1, or sends anything that cannot be, is left.
    if ((gathered[1]! & MASK) !== 0 || length > FRAME_BYTES_MAX) {
      this.destroy(new Error("it breaks the protocol of WebSocket"));
      return 0;
    }
    if (gathered.length < bodyStart + length) return 0;
    const body = gathered.subarray(bodyStart, bodyStart + length);
    this.handle(gathered[0]! & 0x0f, body);
    return bodyStart + length;
  }

  private handle(opcode: number, body: Buffer): void {
    if (opcode === Opcode.Binary || opcode === Opcode.Continuation) {
      if (body.length > 0 && !this.push(body)) this.socket.pause();
    } else if (opcode === Opcode.Ping) this.socket.write(frame(Opcode.Pong, body));
    else if (opcode === Opcode.Close) this.push(null);
    else if (opcode !== Opcode.Pong) this.destroy(new Error("it breaks the protocol of WebSocket"));
  }
}

/** Whole, masked as a client's must be, RFC 6455 §5.3. */
function frame(opcode: number, body: Buffer): Buffer {
  const { length } = body;
  const lengthBytes = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const bytes = Buffer.allocUnsafe(2 + lengthBytes + 4 + length);
  bytes[0] = FIN | opcode;
  bytes[1] = MASK | (lengthBytes === 0 ? length : lengthBytes === 2 ? 126 : 127);
  if (lengthBytes === 2) bytes.writeUInt16BE(length, 2);
  else if (lengthBytes === 8) bytes.writeBigUInt64BE(BigInt(length), 2);
  const maskAt = 2 + lengthBytes;
  randomFillSync(bytes, maskAt, 4);
  for (let index = 0; index < length; index++) {
    bytes[maskAt + 4 + index] = body[index]! ^ bytes[maskAt + (index & 3)]!;
  }
  return bytes;
}
