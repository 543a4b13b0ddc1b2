import { type GatewayWorld, SnGateway } from "../../../src/gateway/mqttsn/gateway.ts";
import type { Route } from "../../../src/gateway/mqttsn/route.ts";
import { DEFAULT_SETTINGS, type GatewaySettings } from "../../../src/gateway/mqttsn/settings.ts";
import { HeldStore } from "../../core/held-store.ts";
import { Stage, type StageOptions } from "../../core/stage.ts";
import { SnDevice } from "./device.ts";

/** Where a device is; each has a port of its own. */
export interface Place {
  host?: string;
  port?: number;
  maxBytes?: number;
  /** What is told of the way, besides messages. */
  watch?: Pick<Route, "answered" | "retried">;
}

/** One whose disk takes nothing before `synced`. */
export async function onHeldDisk(): Promise<{ stage: SnStage; synced(): Promise<void> }> {
  const store = new HeldStore();
  const stage = new SnStage({}, await Stage.load(store));
  const synced = async (): Promise<void> => {
    store.sync();
    await stage.settle();
  };
  return { stage, synced };
}

/** A gateway in a broker whose clock moves only by `advance`, with MQTT clients and MQTT-SN devices without sockets. */
export class SnStage {
  readonly stage: Stage;
  readonly gateway: SnGateway;
  /** How often the gateway has asked for another time. */
  scheduled = 0;
  private wantedMs = Number.POSITIVE_INFINITY;
  private readonly dirty: { flush(): void }[] = [];
  private readonly devices: SnDevice[] = [];
  private port = 10_000;

  constructor(
    settings: Partial<GatewaySettings> = {},
    given: StageOptions | Stage = {},
    also: Pick<GatewayWorld, "onClient"> = {},
  ) {
    this.stage = given instanceof Stage ? given : new Stage(given);
    this.gateway = new SnGateway(
      { ...DEFAULT_SETTINGS, ...settings },
      {
        log: this.stage.log,
        flushes: { add: (link) => this.dirty.push(link) },
        nowMs: () => this.stage.nowMs,
        schedule: (dueMs) => {
          this.scheduled++;
          this.wantedMs = dueMs;
        },
        ...also,
      },
    );
  }

  /** A device that has sent nothing yet. */
  device(clientId: string, place: Place = {}): SnDevice {
    const device: SnDevice = new SnDevice(clientId, (message) => {
      this.gateway.receive(message, route);
      this.flush();
    });
    const route = this.route(place, (message) => device.take(message));
    this.devices.push(device);
    return device;
  }

  /** One that was let in, with nothing noted yet. */
  connected(clientId: string, place: Place = {}, connect: Parameters<SnDevice["connect"]>[0] = {}): SnDevice {
    const device = this.device(clientId, place);
    device.connect(connect);
    const lines = device.lines();
    if (lines.join() !== "CONNACK code0") throw new Error(`${clientId} was not let in: ${lines.join()}`);
    return device;
  }

  /** The device goes on from another place. */
  move(device: SnDevice, place: Place): void {
    const route = this.route(place, (message) => device.take(message));
    Object.assign(device, {
      transmit: (message: Uint8Array) => {
        this.gateway.receive(message, route);
        this.flush();
      },
    });
  }

  route(
    { host = "192.0.2.7", port = this.port++, maxBytes = 1232, watch = {} }: Place,
    send: (message: Uint8Array) => void,
  ): Route {
    const address = `${host}:${port}`;
    return {
      key: `sn ${address}`,
      peer: { address, local: false, listener: "sn", transport: "mqtt-sn" },
      origin: host,
      maxBytes,
      accept: (link) => this.stage.broker.accept(link),
      send,
      ...watch,
    };
  }

  /** In the broker's own name. */
  publish(topic: string, payload: string, qos: 0 | 1 | 2 = 1, retain = false): void {
    this.stage.broker.inlineClient.publish(topic, payload, { qos, retain });
    this.flush();
  }

  /** Ends turns of the event loop until nothing is left to do. */
  flush(): void {
    for (let worked = true; worked; ) {
      worked = this.dirty.length > 0;
      for (const link of this.dirty.splice(0)) link.flush();
      this.stage.flush();
      for (const device of this.devices) worked = device.answer() || worked;
    }
  }

  advance(ms: number): void {
    const endMs = this.stage.nowMs + ms;
    for (;;) {
      const nextMs = Math.min(endMs, Math.max(this.stage.nowMs, this.wantedMs));
      this.stage.advance(nextMs - this.stage.nowMs);
      this.flush();
      if (this.wantedMs <= this.stage.nowMs) {
        this.wantedMs = Number.POSITIVE_INFINITY;
        this.gateway.tick();
        this.flush();
      } else if (this.stage.nowMs >= endMs) return;
    }
  }

  /** Lets promises settle, and then all that follows from it happen. */
  async settle(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.flush();
  }
}
