import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type Frame, type FramingName, framingOf, type LineCounters } from "../../../device/serial/framing/framing.ts";
import type { FakeGateway } from "./fake-gateway.ts";
import type { Random } from "./random.ts";

/** What becomes of octets on their way, in either direction: all of them, some, or others. */
export type Weather = (octets: Uint8Array) => Uint8Array;

export const FAIR: Weather = (octets) => octets;

/** In one of `every` chunks an octet is flipped, lost or doubled, or noise comes before it. */
export function noisy(random: Random, every: number): Weather {
  return (octets) => {
    if (octets.length === 0 || random.below(every) > 0) return octets;
    const at = random.below(octets.length);
    const kind = random.below(4);
    const before = octets.subarray(0, at);
    if (kind === 0)
      return Buffer.concat([before, Uint8Array.of(octets[at]! ^ (1 << random.below(8))), octets.subarray(at + 1)]);
    if (kind === 1) return Buffer.concat([before, octets.subarray(at + 1)]);
    if (kind === 2) return Buffer.concat([before, octets.subarray(at, at + 1), octets.subarray(at)]);
    return Buffer.concat([random.bytes(1 + random.below(12)), octets]);
  };
}

/** In one of `every` times nothing arrives. */
export function lossy(random: Random, every: number): Weather {
  return (octets) => (random.below(every) === 0 ? new Uint8Array(0) : octets);
}

/** A gateway at a UDP port of the loopback. */
export async function overUdp(gateway: FakeGateway, weather: Weather) {
  const socket = createSocket("udp4");
  let node: AddressInfo | undefined;
  socket.on("message", (message, from) => {
    node = { address: from.address, port: from.port, family: from.family };
    const arrived = weather(message);
    if (arrived.length > 0) gateway.receive(arrived);
  });
  gateway.send = (message) => {
    const arrived = weather(message);
    // A node that has just gone is no error.
    if (node !== undefined && arrived.length > 0) socket.send(arrived, node.port, node.address, () => undefined);
  };
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return {
    option: `127.0.0.1:${socket.address().port}`,
    close: () => {
      gateway.stop();
      socket.close();
    },
  };
}

/** A gateway at the other end of a pty: socat holds it, and its end is the line's. */
export class Line {
  readonly device: string;
  weather: Weather = FAIR;
  /** Whether the next message, whole, is lost in either direction. */
  loses: () => boolean = () => false;
  readonly counters: LineCounters = { frames: 0, bytes: 0, checksumErrors: 0, resyncs: 0, discardedBytes: 0 };
  private readonly gateway: FakeGateway;
  private readonly framing: FramingName;
  private write: ((octets: Uint8Array) => void) | undefined;
  private end: (() => Promise<void>) | undefined;

  constructor(gateway: FakeGateway, device: string, framing: FramingName) {
    this.gateway = gateway;
    this.device = device;
    this.framing = framing;
    gateway.send = (message) => {
      if (!this.loses()) this.write?.(this.weather(framingOf(framing).encode(message, undefined)));
    };
  }

  async plug(): Promise<void> {
    const socat = spawn("socat", [`pty,raw,echo=0,link=${this.device}`, "-"], { stdio: ["pipe", "pipe", "ignore"] });
    const { counters } = this;
    const reader = framingOf(this.framing).reader((frame) => this.onFrame(frame), counters, {
      baudRate: 115_200,
      maxMessage: 1024,
    });
    socat.stdin.on("error", () => undefined);
    socat.stdout.on("data", (chunk: Buffer) => reader.push(this.weather(chunk), performance.now()));
    const ticking = setInterval(() => reader.tick(performance.now()), 5);
    this.write = (octets) => socat.stdin.write(octets);
    this.end = async () => {
      clearInterval(ticking);
      if (socat.exitCode !== null) return;
      // First the name, or it might soon stand for somebody else's pty.
      rmSync(this.device, { force: true });
      socat.kill("SIGKILL");
      await once(socat, "close");
    };
    while (!existsSync(this.device)) {
      if (socat.exitCode !== null) throw new Error(`socat made no pty, and ended with ${socat.exitCode}`);
      await sleep(2);
    }
  }

  private onFrame({ message }: Frame): void {
    if (!this.loses()) this.gateway.receive(message);
  }

  async unplug(): Promise<void> {
    const { end } = this;
    this.write = undefined;
    this.end = undefined;
    await end?.();
  }

  async close(): Promise<void> {
    this.gateway.stop();
    await this.unplug();
  }
}
