import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { SnDevice } from "./device.ts";

const WAIT_MS_MAX = 5_000;

/** A scripted client with a socket of its own; it can be moved to another broker. */
export class UdpDevice extends SnDevice {
  port: number;
  private readonly seen: string[] = [];

  private constructor(clientId: string, socket: Socket, port: number) {
    super(clientId, (message) => void socket.send(message, this.port, "127.0.0.1"));
    this.port = port;
    socket.on("message", (message) => {
      this.take(message);
      this.seen.push(...this.lines());
      this.answer();
    });
  }

  static async open(context: TestContext, clientId: string, port: number): Promise<UdpDevice> {
    const socket = createSocket("udp4");
    context.after(() => void socket.close());
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    return new UdpDevice(clientId, socket, port);
  }

  /** What has come, as soon as `last` has. */
  async until(last: string): Promise<string[]> {
    for (const startedMs = performance.now(); this.seen.at(-1) !== last; await sleep(2)) {
      if (performance.now() - startedMs > WAIT_MS_MAX) throw new Error(`No ${last}, but ${this.seen.join(", ")}`);
    }
    return this.seen.splice(0);
  }
}
