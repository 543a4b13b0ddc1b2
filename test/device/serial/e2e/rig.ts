import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FramingName } from "../../../../device/serial/framing/framing.ts";
import { composeBroker } from "../../../../src/compose.ts";
import type { Clock } from "../../../../src/core/ports.ts";
import type { Gateways } from "../../../../src/gateways.ts";
import { HostClock } from "../../../../src/os/clock.ts";
import type { RunningBroker } from "../../../../src/running-broker.ts";
import { settingsOf } from "../../../config/loading.ts";
import { NotedLog, until } from "../pty.ts";
import { Cable } from "./cable.ts";
import { LineEnd } from "./line-end.ts";

/** 115,200 bit/s of 8N1. */
export const BYTES_PER_SECOND = 11_520;

/** The broker as the program composes it, of command-line options, with cables in a folder of its own. */
export class Rig {
  readonly log = new NotedLog();
  readonly folder = mkdtempSync(join(tmpdir(), "mqtt-serial-e2e-"));
  broker!: RunningBroker;
  private gateways!: Gateways;
  /** The broker's; to be changed before `start`. */
  clock: Clock = new HostClock();
  /** What `$SYS` says, by topic below "$SYS/broker/". */
  readonly sys = new Map<string, string>();
  private readonly cables: Cable[] = [];
  private readonly ends: LineEnd[] = [];

  /** Times that lines were opened. */
  get opened(): number {
    return this.log.lines.filter((line) => line.startsWith("info Serial line open")).length;
  }

  /** What `$SYS` would say by now, without waiting for it: of the line `name` the number that is called `key`. */
  counted(name: string, key: string): number {
    const topic = `serial/${name}/${key}`;
    return Number(this.gateways.sysValues().find(([one]) => one === topic)?.[1]);
  }

  at(name: string): string {
    return join(this.folder, name);
  }

  /** A cable that is not plugged in. */
  cable(name: string, bytesPerSecond: number, seed?: number): Cable {
    const cable = new Cable(this.at(name), bytesPerSecond, seed);
    this.cables.push(cable);
    return cable;
  }

  end(cable: Cable, framing: FramingName): LineEnd {
    const end = new LineEnd(cable, framing);
    this.ends.push(end);
    return end;
  }

  /** `auth`: the text of the file of users and rules; without it everybody may do everything. */
  async start(options: readonly string[], auth?: string): Promise<void> {
    const common = ["--tcp-port=0", "--bind=127.0.0.1", "--mdns=off", "--store=memory", `--data-dir=${this.folder}`];
    const texts: Record<string, string> = {};
    if (auth === undefined) common.push("--allow-anonymous=true");
    else {
      const file = this.at("auth.json5");
      writeFileSync(file, auth);
      texts[file] = auth;
      common.push(`--auth-file=${file}`);
    }
    const settings = await settingsOf([...common, ...options], texts);
    const composed = await composeBroker(settings, this.log, this.clock, (error) => {
      throw error;
    });
    this.broker = composed.broker;
    this.gateways = composed.gateways;
    this.broker.inlineClient.subscribe("$SYS/broker/serial/#", ({ topicName, payload }) => {
      this.sys.set(topicName.slice("$SYS/broker/".length), Buffer.from(payload).toString());
    });
    await this.broker.start();
    // What is sent to a device that nobody has open is lost.
    const plugged = this.cables.filter(({ isPlugged }) => isPlugged).length;
    await until(() => this.opened >= plugged, "the lines to open");
  }

  async close(): Promise<void> {
    for (const end of this.ends) end.stop();
    await this.broker?.stop();
    for (const cable of this.cables) await cable.close();
    rmSync(this.folder, { recursive: true });
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The middle one when they are sorted. */
export function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[values.length >> 1]!;
}
