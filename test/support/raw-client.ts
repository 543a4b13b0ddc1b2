import assert from "node:assert/strict";
import net from "node:net";
import { generate, type IConnectPacket, type Packet, type PacketCmd, parser, type QoS } from "mqtt-packet";

/**
 * An MQTT client for tests that shares no code with the broker: it encodes and decodes with the package
 * `mqtt-packet`, can send any bytes, and keeps the exact bytes of all that it receives.
 */

export type Version = 3 | 4 | 5;
export type Properties = Record<string, unknown>;

export interface ConnectOptions {
  version?: Version;
  clientId?: string;
  clean?: boolean;
  keepalive?: number;
  username?: string;
  password?: string;
  will?: Will;
  properties?: Properties;
}

export interface Will {
  topic: string;
  payload: string;
  qos?: QoS;
  retain?: boolean;
  properties?: Properties;
}

export interface PublishOptions {
  qos?: QoS;
  retain?: boolean;
  dup?: boolean;
  messageId?: number;
  properties?: Properties;
}

/** Subscription Options by the names that `mqtt-packet` gives them: No Local, Retain As Published, Retain Handling. */
export interface Subscription {
  topic: string;
  qos?: QoS;
  nl?: boolean;
  rap?: boolean;
  rh?: 0 | 1 | 2;
}

/** A received packet. Fields that its type does not have are 0, "", false or empty. */
export interface Received {
  cmd: PacketCmd;
  messageId: number;
  topic: string;
  payload: string;
  qos: number;
  dup: boolean;
  retain: boolean;
  reasonCode: number;
  returnCode: number;
  sessionPresent: boolean;
  granted: number[];
  properties: Properties;
  /** The packet exactly as it came. */
  bytes: Buffer;
}

type Expected = Partial<Omit<Received, "bytes" | "cmd">>;

/** Milliseconds to wait for something that must come; generous, because only failures wait that long. */
const TIMEOUT_MS = 5_000;

let names = 0;

/** A name that nothing else in this run uses: for client identifiers and topics. */
export function unique(prefix: string): string {
  names += 1;
  return `${prefix}${process.pid}x${names}`;
}

/** Opens a connection, sends CONNECT and demands that it is accepted; `client.connack` has the answer. */
export async function connect(port: number, options: ConnectOptions = {}): Promise<RawClient> {
  const client = await dial(port, options);
  client.connack = await client.expect("connack", { reasonCode: 0, returnCode: 0 });
  return client;
}

/** Opens a connection and sends CONNECT; the answer is for the caller to expect. */
export async function dial(port: number, options: ConnectOptions = {}): Promise<RawClient> {
  const client = await RawClient.open(port, options.version ?? 5);
  client.clientId = options.clientId ?? unique("c");
  client.sendBytes(connectBytes({ ...options, clientId: client.clientId }));
  return client;
}

/** The bytes of a CONNECT. */
export function connectBytes(options: ConnectOptions): Buffer {
  const { version = 5, clientId = unique("c"), clean = true, keepalive = 0, username, password, will } = options;
  const packet = {
    cmd: "connect",
    protocolId: version === 3 ? "MQIsdp" : "MQTT",
    protocolVersion: version,
    clientId,
    clean,
    keepalive,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password: Buffer.from(password) }),
    ...(will === undefined ? {} : { will: { qos: 0, retain: false, ...will } }),
    ...(version === 5 ? { properties: options.properties ?? {} } : {}),
  };
  return generate(packet as IConnectPacket);
}

export class RawClient {
  readonly version: Version;
  readonly socket: net.Socket;
  clientId = "";
  connack: Received = receivedFrom({ cmd: "connack" }, Buffer.alloc(0));
  /** The peer has closed its half, or the connection broke. */
  closed = false;
  #nextMessageId = 1;
  #packets: Received[] = [];
  #pending = Buffer.alloc(0);
  #failure: Error | undefined;
  #wake: () => void = () => {};

  /** Only connects the socket: no packet is sent. */
  static async open(port: number, version: Version = 5): Promise<RawClient> {
    const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return new RawClient(socket, version);
  }

  constructor(socket: net.Socket, version: Version) {
    this.socket = socket;
    this.version = version;
    // A test that failed must not keep its process alive; waiting is done by a timer that does.
    socket.unref();
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    const close = () => {
      this.closed = true;
      // A broker that waits for our half would otherwise keep the test's process alive.
      socket.end();
      this.#wake();
    };
    socket.on("end", close);
    socket.on("close", close);
    socket.on("error", () => {});
  }

  send(packet: Partial<Packet> & { cmd: PacketCmd }): void {
    this.sendBytes(this.encode(packet));
  }

  encode(packet: Partial<Packet> & { cmd: PacketCmd }): Buffer {
    return generate(packet as Packet, { protocolVersion: this.version });
  }

  /** Bytes, or hexadecimal digits with any spaces between them. */
  sendBytes(...parts: (string | Uint8Array)[]): void {
    this.socket.write(Buffer.concat(parts.map(bytesOf)));
  }

  /** Sends each piece as a write of its own, far enough apart that they are separate reads for the broker. */
  async sendPieces(bytes: Uint8Array, size: number): Promise<void> {
    for (let at = 0; at < bytes.length; at += size) {
      await new Promise((resolve) => this.socket.write(bytes.subarray(at, at + size), resolve));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** The next packet, whatever it is. */
  async next(expected = "a packet"): Promise<Received> {
    await this.#until(() => this.#packets.length > 0 || this.closed, expected);
    const packet = this.#packets.shift();
    assert.ok(packet !== undefined, `Expected ${expected}, but the connection was closed`);
    return packet;
  }

  /** The next packet must be of this type and have these fields, each exactly equal. */
  async expect(cmd: PacketCmd, fields: Expected = {}): Promise<Received> {
    const packet = await this.next(cmd.toUpperCase());
    assert.equal(packet.cmd, cmd, `Expected ${cmd.toUpperCase()}, but ${describe(packet)} came`);
    for (const [name, value] of Object.entries(fields)) {
      const actual = packet[name as keyof Expected];
      assert.deepEqual(actual, value, `${name} of ${describe(packet)}`);
    }
    return packet;
  }

  /** The next packet must consist of exactly these bytes. */
  async expectBytes(...parts: (string | Uint8Array)[]): Promise<Received> {
    const expected = Buffer.concat(parts.map(bytesOf)).toString("hex");
    const packet = await this.next(expected);
    assert.equal(packet.bytes.toString("hex"), expected);
    return packet;
  }

  /** Takes the first packet that satisfies the test out of what comes; others stay for `expect`, in their order. */
  async take(cmd: PacketCmd, messageId: number): Promise<Received> {
    const index = () => this.#packets.findIndex((packet) => packet.cmd === cmd && packet.messageId === messageId);
    await this.#until(() => index() >= 0 || this.closed, `${cmd.toUpperCase()} ${messageId}`);
    const at = index();
    assert.ok(at >= 0, `Expected ${cmd.toUpperCase()} ${messageId}, but the connection was closed`);
    return this.#packets.splice(at, 1)[0]!;
  }

  /**
   * Nothing may have come: PINGRESP is the next packet. All that the broker had for this client before it read
   * the PINGREQ stands before PINGRESP in the stream, so nobody has to wait.
   */
  async expectNothing(): Promise<void> {
    this.sendBytes("c000");
    await this.expect("pingresp");
  }

  /** A round trip after which the broker has processed all that was sent so far. Packets that came stay. */
  async settle(): Promise<void> {
    const before = this.#packets.filter((packet) => packet.cmd === "pingresp").length;
    assert.equal(before, 0, "A PINGRESP is waiting already");
    this.sendBytes("c000");
    await this.take("pingresp", 0);
  }

  /** The broker closes, and no packet came before. */
  async expectClose(): Promise<void> {
    await this.#until(() => this.closed || this.#packets.length > 0, "the connection to be closed");
    const packet = this.#packets[0];
    assert.equal(packet, undefined, `Expected the connection to be closed, but ${packet && describe(packet)} came`);
  }

  /** A CONNECT of 5.0 was wrong in itself: the broker closes, and may say why by CONNACK before, 5.0 §4.13. */
  async expectConnectRefusal(code: number): Promise<void> {
    await this.#until(() => this.closed || this.#packets.length > 0, "the connection to be closed");
    if (this.#packets.length > 0) await this.expectConnackRefusal(code);
    await this.expectClose();
  }

  /** The broker says why (5.0 only) and closes. Several codes: the specification does not say which of them it is. */
  async expectDisconnect(...reasonCodes: number[]): Promise<Received> {
    const codes = reasonCodes.map(hex).join(" or ");
    const packet = await this.next(`DISCONNECT ${codes}`);
    assert.equal(packet.cmd, "disconnect", `Expected DISCONNECT, but ${describe(packet)} came`);
    assert.ok(reasonCodes.includes(packet.reasonCode), `Expected DISCONNECT ${codes}, but ${describe(packet)} came`);
    await this.expectClose();
    return packet;
  }

  /** The broker refuses: 5.0 by DISCONNECT with this code, 3.x by closing alone. */
  async expectRefusal(...reasonCodes: number[]): Promise<void> {
    if (this.version === 5) await this.expectDisconnect(...reasonCodes);
    else await this.expectClose();
  }

  /** CONNACK with this code (a Reason Code for 5.0, a return code for 3.x), Session Present 0, and close. */
  async expectConnackRefusal(code: number): Promise<Received> {
    const packet = await this.expect("connack", { sessionPresent: false });
    assert.equal(hex(this.version === 5 ? packet.reasonCode : packet.returnCode), hex(code), describe(packet));
    await this.expectClose();
    return packet;
  }

  /** FIN from us, as a client that has said all it had to. */
  halfClose(): void {
    this.socket.end();
  }

  /** Breaks the connection without DISCONNECT: RST, as a network that failed. Resolves once the socket is gone. */
  async drop(): Promise<void> {
    if (this.socket.destroyed) return;
    const gone = new Promise((resolve) => this.socket.once("close", resolve));
    this.socket.resetAndDestroy();
    await gone;
  }

  messageId(): number {
    const id = this.#nextMessageId;
    this.#nextMessageId += 1;
    return id;
  }

  /**
   * Publishes and completes the handshake; resolves with the PUBACK's or PUBREC's reason code.
   * QoS 0 waits for a PINGRESP, so that the message has been routed in any case.
   */
  async publish(topic: string, payload: string | Buffer, options: PublishOptions = {}): Promise<number> {
    const { qos = 0 } = options;
    const messageId = this.sendPublish(topic, payload, options);
    if (qos === 0) {
      await this.settle();
      return 0;
    }
    if (qos === 1) return (await this.take("puback", messageId)).reasonCode;
    const pubrec = await this.take("pubrec", messageId);
    if (pubrec.reasonCode >= 0x80) return pubrec.reasonCode;
    this.send({ cmd: "pubrel", messageId });
    await this.take("pubcomp", messageId);
    return pubrec.reasonCode;
  }

  /** Only sends the PUBLISH; returns its identifier, 0 for QoS 0. */
  sendPublish(topic: string, payload: string | Buffer, options: PublishOptions = {}): number {
    const { qos = 0, retain = false, dup = false, properties } = options;
    const messageId = options.messageId ?? (qos > 0 ? this.messageId() : 0);
    this.send({
      cmd: "publish",
      topic,
      payload,
      qos,
      retain,
      dup,
      ...(qos > 0 ? { messageId } : {}),
      ...(properties === undefined ? {} : { properties }),
    } as Partial<Packet> & { cmd: PacketCmd });
    return messageId;
  }

  /** Subscribes and resolves with the codes of the SUBACK. Retained messages that follow stay for `expect`. */
  async subscribe(
    what: string | Subscription | Subscription[],
    options: { qos?: QoS; properties?: Properties } = {},
  ): Promise<number[]> {
    const messageId = this.messageId();
    const entries = typeof what === "string" ? [{ topic: what, qos: options.qos ?? 0 }] : [what].flat();
    const subscriptions = entries.map((entry) => ({ qos: 0 as QoS, ...entry }));
    const properties = options.properties === undefined ? {} : { properties: options.properties };
    this.send({ cmd: "subscribe", messageId, subscriptions, ...properties });
    return (await this.take("suback", messageId)).granted;
  }

  async unsubscribe(...filters: string[]): Promise<number[]> {
    const messageId = this.messageId();
    this.send({ cmd: "unsubscribe", messageId, unsubscriptions: filters });
    return (await this.take("unsuback", messageId)).granted;
  }

  /** DISCONNECT, and the broker closes. */
  async disconnect(reasonCode = 0, properties: Properties = {}): Promise<void> {
    const more = this.version === 5 ? { reasonCode, properties } : {};
    this.send({ cmd: "disconnect", ...more });
    this.halfClose();
    await this.#until(() => this.closed, "the connection to be closed");
  }

  #receive(chunk: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    for (;;) {
      const length = packetLength(this.#pending);
      if (length === undefined || length > this.#pending.length) break;
      const bytes = this.#pending.subarray(0, length);
      this.#pending = this.#pending.subarray(length);
      this.#decode(bytes);
    }
    this.#wake();
  }

  #decode(bytes: Buffer): void {
    const decoder = parser({ protocolVersion: this.version });
    decoder.on("packet", (packet) => this.#packets.push(receivedFrom(packet, bytes)));
    decoder.on("error", (error) => {
      this.#failure ??= new Error(`The broker sent ${bytes.toString("hex")}: ${error.message}`);
    });
    decoder.parse(bytes);
  }

  async #until(condition: () => boolean, expected: string): Promise<void> {
    const deadline = Date.now() + TIMEOUT_MS;
    while (!condition()) {
      if (this.#failure !== undefined) throw this.#failure;
      const left = deadline - Date.now();
      if (left <= 0) {
        const came = this.#packets.map(describe).join(", ");
        assert.fail(`Expected ${expected} within ${TIMEOUT_MS} ms; ${came === "" ? "nothing came" : `${came} came`}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    if (this.#failure !== undefined) throw this.#failure;
  }
}

function bytesOf(part: string | Uint8Array): Uint8Array {
  if (typeof part !== "string") return part;
  const digits = part.replace(/\s/g, "");
  assert.match(digits, /^([0-9a-f]{2})*$/i, `Not hexadecimal: ${part}`);
  return Buffer.from(digits, "hex");
}

/** Length of the packet that begins here; undefined while its Remaining Length is not complete. */
function packetLength(bytes: Buffer): number | undefined {
  let value = 0;
  for (let index = 1; index < Math.min(bytes.length, 5); index += 1) {
    value += (bytes[index]! & 0x7f) << (7 * (index - 1));
    if (bytes[index]! < 0x80) return 1 + index + value;
  }
  return undefined;
}

function receivedFrom(packet: { cmd: PacketCmd }, bytes: Buffer): Received {
  const fields = packet as unknown as Record<string, unknown>;
  const payload = fields.payload;
  return {
    cmd: packet.cmd,
    messageId: (fields.messageId as number | undefined) ?? 0,
    topic: (fields.topic as string | undefined) ?? "",
    payload: payload instanceof Uint8Array ? Buffer.from(payload).toString() : "",
    qos: packet.cmd === "publish" ? (fields.qos as number) : 0,
    dup: packet.cmd === "publish" ? (fields.dup as boolean) : false,
    retain: packet.cmd === "publish" ? (fields.retain as boolean) : false,
    reasonCode: (fields.reasonCode as number | undefined) ?? 0,
    returnCode: (fields.returnCode as number | undefined) ?? 0,
    sessionPresent: (fields.sessionPresent as boolean | undefined) ?? false,
    granted: (fields.granted as number[] | undefined) ?? [],
    properties: plain(fields.properties) as Properties,
    bytes,
  };
}

/** Copies without the prototypes of the decoder, so that strict comparison with literals works. */
function plain(value: unknown): unknown {
  if (value === undefined) return {};
  if (value instanceof Uint8Array || Array.isArray(value) || typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]));
}

function describe(packet: Received): string {
  return `${packet.cmd.toUpperCase()} [${packet.bytes.toString("hex").slice(0, 200)}]`;
}

function hex(code: number): string {
  return `0x${code.toString(16).padStart(2, "0")}`;
}
