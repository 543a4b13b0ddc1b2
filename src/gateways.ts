import { SerialListener } from "../device/serial/mqttsn-lines.ts";
import type { Upstream } from "./bridge/upstream.ts";
import type { MqttSnSettings, Settings } from "./config/settings.ts";
import type { Clock, Listener, Log } from "./core/ports.ts";
import { SnGateway } from "./gateway/mqttsn/gateway.ts";
import { Presence } from "./gateway/mqttsn/presence.ts";
import type { GatewaySettings } from "./gateway/mqttsn/settings.ts";
import { UdpListener } from "./gateway/mqttsn/udp.ts";
import type { RunningBroker } from "./running-broker.ts";
import type { Turn } from "./transport/turn.ts";

const TOPICS_PER_CLIENT = 1000;
/** What setTimeout can wait for. */
const DELAY_MS_MAX = 2 ** 31 - 1;

export interface GatewayTools {
  /** Shared by all links of the broker. */
  turn: Turn;
  log: Log;
  clock: Clock;
  /** Clients that there may be at a time. */
  clientsMax: number;
  /** Between two rounds of `$SYS`, in milliseconds. */
  sysIntervalMs: number;
  /** Publishes in the broker's own name. */
  publish: (topicName: string, payload: string, options: { retain: boolean }) => void;
  /** Client identifiers of all sessions. */
  sessions: () => Iterable<string>;
}

/** The ways in that are not MQTT: one gateway, which knows all clients of all of them. */
export class Gateways {
  /** To open them is the broker's. */
  readonly listeners: readonly Listener[];
  private readonly lines: SerialListener | undefined;
  private readonly timers: Timer[];

  constructor({ mqttSn, serial }: Pick<Settings, "mqttSn" | "serial">, tools: GatewayTools) {
    const { turn, log, clock, clientsMax } = tools;
    const { publish, sessions, sysIntervalMs: intervalMs } = tools;
    const nowMs = (): number => clock.nowMs();
    const presenceTimer = new Timer(nowMs, () => presence.tick());
    const gatewayTimer = new Timer(nowMs, () => gateway.tick());
    this.timers = [presenceTimer, gatewayTimer];
    const wallMs = (): number => clock.wallMs();
    const presence = new Presence(
      { prefix: mqttSn.statePrefix, intervalMs, clientsMax },
      { nowMs, wallMs, schedule: (dueMs) => presenceTimer.schedule(dueMs), publish, sessions },
    );
    const gateway = new SnGateway(gatewaySettings(mqttSn, clientsMax), {
      log,
      flushes: turn,
      nowMs,
      schedule: (dueMs) => gatewayTimer.schedule(dueMs),
      onClient: (client) => presence.onClient(client),
    });
    const { port, host, group, advertiseSeconds } = mqttSn;
    const common = { gateway, log, advertiseSeconds };
    this.lines =
      serial.length === 0 ? undefined : new SerialListener({ ...common, name: "serial", lines: serial, clock });
    this.listeners = [
      ...(port === undefined ? [] : [new UdpListener({ ...common, name: "mqtt-sn", host, port, group })]),
      ...(this.lines === undefined ? [] : [this.lines]),
    ];
  }

  /** What `$SYS` says of serial lines: below "serial", by their names. */
  sysValues(): [string, string | number][] {
    return (this.lines?.states() ?? []).flatMap(({ name, isUp, ...facts }) =>
      Object.entries({ up: Number(isUp), ...facts }).map(([key, value]): [string, string | number] => [
        `serial/${name}/${key}`,
        value,
      ]),
    );
  }

  stop(): void {
    for (const timer of this.timers) timer.stop();
  }
}

/**
 * The other broker that all MQTT-SN clients are one client of; undefined when there is none. `broker` is asked when it is
 * there.
 */
export async function upstreamOf(
  { mqttSn, options }: Pick<Settings, "mqttSn" | "options">,
  log: Log,
  clock: Clock,
  broker: () => RunningBroker,
): Promise<Upstream | undefined> {
  const { upstream, mountPoint } = mqttSn;
  if (upstream === undefined) return undefined;
  // It brings TLS and HTTP along, which the start would otherwise wait for.
  const { Upstream } = await import("./bridge/upstream.ts");
  return new Upstream(upstream, mountPoint!, {
    log,
    flushes: { add: (link) => broker().turn.add(link) },
    nowMs: () => clock.nowMs(),
    wallMs: () => clock.wallMs(),
    accept: (link, entrance) => broker().accept(link, entrance),
    publish: (topicName, payload, options) => void broker().publish(topicName, payload, options),
    retained: (topicFilter, each) => {
      const end = broker().inlineClient.subscribe(topicFilter, each);
      end();
    },
    sessions: () => broker().sessions,
    sessionKey: (clientId, userName) => broker().sessionKey(clientId, userName),
    waiting: (clientId) => broker().waitingFor(clientId),
    packetBytesMax: options.maximumPacketSize,
    maximumQos: options.maximumQos,
    retains: options.retain,
  });
}

/** Calls once, at the time that was asked for last. */
class Timer {
  private readonly nowMs: () => number;
  private readonly onDue: () => void;
  private timeout: NodeJS.Timeout | undefined;

  constructor(nowMs: () => number, onDue: () => void) {
    this.nowMs = nowMs;
    this.onDue = onDue;
  }

  /** In milliseconds of `nowMs`; Infinity: not at all. */
  schedule(dueMs: number): void {
    clearTimeout(this.timeout);
    if (dueMs === Number.POSITIVE_INFINITY) return;
    this.timeout = setTimeout(this.onDue, Math.min(DELAY_MS_MAX, Math.max(0, Math.ceil(dueMs - this.nowMs()))));
  }

  stop(): void {
    clearTimeout(this.timeout);
  }
}

function gatewaySettings(settings: MqttSnSettings, clientsMax: number): GatewaySettings {
  const { gatewayId, retryMs, retries, advertiseSeconds, predefined, predefinedOf, cleanSessionSeconds } = settings;
  const times = { retryMs, retries, advertiseSeconds, cleanSessionSeconds };
  return { gatewayId, ...times, predefined, predefinedOf, topicsPerClient: TOPICS_PER_CLIENT, clientsMax };
}
