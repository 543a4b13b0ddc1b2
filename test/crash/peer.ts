import net from "node:net";
import { generate, type IConnackPacket, type Packet, parser } from "mqtt-packet";
import type { Verdict } from "./verdict.ts";

/** For an answer that must come; only failures wait so long. */
const ANSWER_MS_MAX = 15_000;

/** How many packets of each client are remembered. */
const TRACE_LINES = 4_000;

/** Long enough that no session ends while a test runs. */
const SESSION_SECONDS = 86_400;

const SERVER_SHUTTING_DOWN = 0x8b;

export interface PeerOptions {
  clientId: string;
  version: 4 | 5;
  /** Of the client, 5.0 only. */
  receiveMaximum?: number;
  /** How long an answer is waited for before it counts as missing; 0: for ever. */
  answerMsMax?: number;
}

/** What is told to the owner of a peer. Nothing of an old connection comes after it has ended. */
export interface PeerEvents {
  onPacket(packet: Packet): void;
  onClosed?(): void;
}

/**
 * A client with a stored session whose connections end at any moment. It holds the broker to what CONNACK promised:
 * once one was received the session is there until the client asks for a fresh one, 5.0 [MQTT-3.2.2-2] [-3].
 */
export class Peer {
  readonly clientId: string;
  readonly version: 4 | 5;
  /** Accepted, and not ended. */
  connected = false;
  private socket: net.Socket | undefined;
  private readonly options: PeerOptions;
  private readonly verdict: Verdict;
  private readonly events: PeerEvents;
  private waiting: { answer: (packet: Packet | undefined) => void; fits: (packet: Packet) => boolean }[] = [];
  private packets: string[] = [];
  /** A CONNECT was sent, so that there may be a session. */
  private mayExist = false;
  /** A CONNACK came, so that there must be one. */
  private mustExist = false;

  constructor(options: PeerOptions, verdict: Verdict, events: PeerEvents) {
    this.options = options;
    this.clientId = options.clientId;
    this.version = options.version;
    this.verdict = verdict;
    this.events = events;
  }

  /** Resolves with CONNACK; undefined when the connection was cut off before. */
  async connect(port: number, clean = false): Promise<IConnackPacket | undefined> {
    this.drop();
    const socket = net.connect({ port, host: "127.0.0.1", noDelay: true });
    this.socket = socket;
    this.listen(socket);
    const connack = this.answer((packet) => packet.cmd === "connack", "CONNACK");
    const { receiveMaximum } = this.options;
    this.send({
      cmd: "connect",
      protocolId: "MQTT",
      protocolVersion: this.version,
      clientId: this.clientId,
      clean,
      keepalive: 0,
      ...(this.version === 5 && {
        properties: {
          sessionExpiryInterval: SESSION_SECONDS,
          ...(receiveMaximum !== undefined && { receiveMaximum }),
        },
      }),
    });
    const couldExist = this.mayExist;
    this.mayExist = true;
    const packet = (await connack) as IConnackPacket | undefined;
    if (packet === undefined) return undefined;
    return this.judge(packet, clean, couldExist) ? packet : undefined;
  }

  send(packet: Packet): void {
    this.note(`> ${packet.cmd} ${packet.messageId ?? ""}`);
    this.socket?.write(generate(packet, { protocolVersion: this.version }));
  }

  /** Sends and waits for what fits; undefined when the connection was cut off before. */
  ask(packet: Packet, fits: (answer: Packet) => boolean, expected: string): Promise<Packet | undefined> {
    const answer = this.answer(fits, expected);
    this.send(packet);
    return answer;
  }

  /** A round trip; false when the connection was cut off before. */
  async ping(): Promise<boolean> {
    return (await this.ask({ cmd: "pingreq" }, (packet) => packet.cmd === "pingresp", "PINGRESP")) !== undefined;
  }

  /** DISCONNECT; the session stays. Resolves when the broker has closed. */
  async disconnect(): Promise<void> {
    const { socket } = this;
    if (socket === undefined) return;
    this.connected = false;
    this.send({ cmd: "disconnect" } as Packet);
    await new Promise<void>((resolve) => {
      socket.once("close", resolve);
      socket.end();
    });
  }

  /** Cuts the connection off, as a network that failed. */
  drop(): void {
    this.socket?.resetAndDestroy();
    this.ended();
  }

  private judge(packet: IConnackPacket, clean: boolean, couldExist: boolean): boolean {
    const code = this.version === 5 ? packet.reasonCode : packet.returnCode;
    if (code !== 0) {
      this.verdict.violated("refused", `${this.clientId} was refused with ${code}`);
      return false;
    }
    const present = packet.sessionPresent;
    if (clean && present)
      this.verdict.violated("session", `${this.clientId} wanted a fresh session and got an old one`);
    if (!clean && this.mustExist && !present)
      this.verdict.violated("session", `the session of ${this.clientId} is gone`);
    if (!clean && !couldExist && present) this.verdict.violated("session", `${this.clientId} got a session of nobody`);
    this.verdict.counts.sessions++;
    this.mustExist = true;
    this.connected = true;
    return true;
  }

  private answer(fits: (packet: Packet) => boolean, expected: string): Promise<Packet | undefined> {
    if (this.socket === undefined) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const { answerMsMax = ANSWER_MS_MAX } = this.options;
      const timer = setTimeout(() => {
        if (answerMsMax === 0) return;
        this.verdict.violated("stuck", `${this.clientId} got no ${expected} within ${answerMsMax} ms`);
        this.drop();
      }, answerMsMax);
      const answer = (packet: Packet | undefined): void => {
        clearTimeout(timer);
        resolve(packet);
      };
      this.waiting.push({ answer, fits });
    });
  }

  private listen(socket: net.Socket): void {
    const decoder = parser({ protocolVersion: this.version });
    decoder.on("packet", (packet) => {
      if (socket === this.socket) this.receive(packet);
    });
    decoder.on("error", (error) => {
      this.verdict.violated("broken", `${this.clientId} cannot read what came: ${error.message}`);
      socket.destroy();
    });
    socket.on("data", (chunk) => decoder.parse(chunk));
    socket.on("error", () => {});
    socket.on("close", () => {
      if (socket === this.socket) this.ended();
    });
  }

  /** The last packets in both directions, oldest first: what a person needs who looks for the cause. */
  get trace(): string {
    return this.packets.join("\n");
  }

  private note(line: string): void {
    this.packets.push(`${this.verdict.round} ${line}`);
    if (this.packets.length > 2 * TRACE_LINES) this.packets = this.packets.slice(-TRACE_LINES);
  }

  private receive(packet: Packet): void {
    this.note(`< ${summaryOf(packet)}`);
    if (packet.cmd === "disconnect") {
      this.onDisconnect(packet.reasonCode);
      return;
    }
    const index = this.waiting.findIndex(({ fits }) => fits(packet));
    if (index >= 0) this.waiting.splice(index, 1)[0]!.answer(packet);
    else this.events.onPacket(packet);
  }

  private onDisconnect(code: number | undefined): void {
    if (this.verdict.isStopping && code === SERVER_SHUTTING_DOWN) return;
    this.verdict.violated("refused", `${this.clientId} was disconnected with ${code}`);
  }

  private ended(): void {
    if (this.socket === undefined) return;
    this.note("closed");
    this.socket = undefined;
    this.connected = false;
    const waiting = this.waiting;
    this.waiting = [];
    for (const { answer } of waiting) answer(undefined);
    this.events.onClosed?.();
  }
}

function summaryOf(packet: Packet): string {
  if (packet.cmd === "connack") return `connack, session present: ${packet.sessionPresent}`;
  const line = `${packet.cmd} ${packet.messageId ?? ""}`;
  if (packet.cmd !== "publish") return line;
  const { dup, qos, topic, payload } = packet;
  return `${line}${dup ? " dup" : ""} qos ${qos} ${topic} ${Number.parseInt(payload.toString(), 10)}`;
}
