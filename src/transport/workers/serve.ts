import type { MessagePort } from "node:worker_threads";
import type { ReasonCode } from "../../codec/reason.ts";
import type { Link, Listener } from "../../core/ports.ts";
import type { Turn } from "../turn.ts";
import { type Answer, type Request, type ToWorker, WAKE, type WorkerStart } from "./messages.ts";
import { Kind, Pipe } from "./pipe.ts";
import { Relay } from "./relay.ts";

/** How often the core is told what slow readers have taken, in milliseconds. */
const TELL_MS = 1000;

export interface ServingTools {
  turn: Turn;
  /** Makes a listener of the settings that `FarListener` was given. */
  make(settings: unknown): Listener;
  /** Reads again what the listeners have read from files. */
  reload(): Promise<void>;
}

/** What a thread beside the core's does: it has listeners of its own, and hands on what comes and goes. */
export class Serving {
  private readonly port: MessagePort;
  private readonly tools: ServingTools;
  private readonly pipe: Pipe;
  private readonly listeners = new Map<number, Listener>();
  private readonly relays = new Map<number, Relay>();
  private lastId = 0;

  constructor(start: WorkerStart, port: MessagePort, tools: ServingTools) {
    this.port = port;
    this.tools = tools;
    const wake = (): void => port.postMessage(WAKE);
    this.pipe = new Pipe(start.toCore, start.toWorker, tools.turn, wake, this.onFrame);
    port.on("message", (message: ToWorker) => {
      if (message === WAKE) this.pipe.onWake();
      else void this.answer(message);
    });
    setInterval(() => this.tell(), TELL_MS).unref();
    // What came before we listened.
    this.pipe.onWake();
  }

  private accepted(link: Link, door: number): Relay {
    const id = ++this.lastId;
    const relay = new Relay(link, this.pipe, this.tools.turn, id, door, () => this.relays.delete(id));
    this.relays.set(id, relay);
    return relay;
  }

  private readonly onFrame = (connection: number, kind: number, bytes: Uint8Array, length: number): void => {
    const relay = this.relays.get(connection);
    // Gone, which the core is going to read.
    if (relay === undefined) return;
    if (kind === Kind.DATA) relay.write(bytes, length);
    else if (kind === Kind.TAKEN) relay.grant(length);
    else if (kind === Kind.END) relay.end(length === 0 ? undefined : (bytes[0] as ReasonCode));
    else if (kind === Kind.DESTROY) relay.destroy();
  };

  private async answer(request: Request): Promise<void> {
    const { id } = request;
    let answer: Answer = { kind: "answer", id };
    try {
      if (request.kind === "listen") answer = { ...answer, url: await this.listen(request.door, request.settings) };
      else if (request.kind === "close") await this.close(request.door);
      else await this.tools.reload();
    } catch (error) {
      answer = { ...answer, failure: (error as Error).message };
    }
    this.port.postMessage(answer);
  }

  private async listen(door: number, settings: unknown): Promise<string> {
    const listener = this.tools.make(settings);
    this.listeners.set(door, listener);
    try {
      await listener.listen((link) => this.accepted(link, door));
    } catch (error) {
      this.listeners.delete(door);
      throw error;
    }
    return listener.url;
  }

  private async close(door: number): Promise<void> {
    const listener = this.listeners.get(door);
    this.listeners.delete(door);
    await listener?.close();
  }

  private tell(): void {
    for (const relay of this.relays.values()) relay.tell(1);
  }
}
