import type { Clock, GatewayAccept, Listener, Log, Peer } from "../../src/core/ports.ts";
import { decodeEncapsulated, isEncapsulated } from "../../src/gateway/mqttsn/codec/forwarder.ts";
import { headerLength, typeAt } from "../../src/gateway/mqttsn/codec/length.ts";
import { SnType } from "../../src/gateway/mqttsn/codec/types.ts";
import type { SnGateway } from "../../src/gateway/mqttsn/gateway.ts";
import type { Route } from "../../src/gateway/mqttsn/route.ts";
import { FairQueue, type Queued } from "./fair-queue.ts";
import type { Frame } from "./framing/framing.ts";
import { LineSet } from "./line-set.ts";
import type { LineSettings } from "./line-spec.ts";
import { LinkHealth } from "./link-health.ts";
import { LinkReport, type LinkState } from "./link-report.ts";
import type { LineHandler, SerialLine } from "./serial-line.ts";

/** Ways to clients that are at hand for each line. */
const ROUTES_MAX = 4096;
/** Everybody on a line hears it, so no one is a particular client's. */
const BROADCAST = "";
/** What waits for a line is sent within this time, so that answers are there before they are asked for again. */
const QUEUE_SECONDS = 2;
/** For slow lines: some messages of the usual length. */
const QUEUE_BYTES_MIN = 2048;
const CHARACTER_BITS = 10;
const QOS_BITS = 0x60;
/** How often it is looked whether there is something to report of a line. */
const REPORT_MS = 10_000;

export interface LinesOptions {
  /** Unique among the broker's listeners. */
  name: string;
  lines: readonly LineSettings[];
  gateway: Pick<SnGateway, "receive" | "advertisement" | "farewell">;
  log: Log;
  clock: Pick<Clock, "nowMs">;
  /** T_ADV, in seconds; 0: no ADVERTISE. */
  advertiseSeconds: number;
}

/** What belongs to a line while its device is there, and goes on when it comes back. */
interface Lane {
  readonly queue: FairQueue<Unsent>;
  readonly routes: Map<string, Route>;
  /** Messages that the line's `forwarder` does not allow. */
  refused: number;
  readonly health: LinkHealth;
  readonly report: LinkReport;
}

/** `nodeId`: of the radio module that it is for. */
interface Unsent extends Queued {
  readonly nodeId: Uint8Array | undefined;
}

/** MQTT-SN on serial lines: each line is a network of its own, whose clients stay what they are while it is unplugged. */
export class SerialListener implements Listener, LineHandler {
  readonly name: string;
  private readonly options: LinesOptions;
  private readonly lanes = new WeakMap<SerialLine, Lane>();
  private set: LineSet | undefined;
  private accept: GatewayAccept | undefined;
  private advertising: NodeJS.Timeout | undefined;
  private reporting: NodeJS.Timeout | undefined;

  constructor(options: LinesOptions) {
    this.options = options;
    this.name = options.name;
  }

  get url(): string {
    return this.options.lines.map(({ path }) => `serial:${path}`).join(" ");
  }

  /** Counters and state of every line, for $SYS. */
  states(): LinkState[] {
    return (this.set?.lines ?? []).map((line) => this.stateOf(line));
  }

  /** Resolves at once: lines that are not there yet are waited for, for ever. */
  async listen(accept: GatewayAccept): Promise<void> {
    const { lines, log, clock, advertiseSeconds } = this.options;
    this.accept = accept;
    this.set = new LineSet(lines, this, { log, clock });
    this.set.start();
    this.reporting = setInterval(() => this.report(), REPORT_MS).unref();
    if (advertiseSeconds === 0) return;
    this.advertising = setInterval(() => this.advertise(), advertiseSeconds * 1000).unref();
  }

  async close(): Promise<void> {
    clearInterval(this.advertising);
    clearInterval(this.reporting);
    this.options.gateway.farewell(this.name);
    await this.set?.close();
    this.set = undefined;
  }

  onUp(line: SerialLine): void {
    this.laneOf(line).health.begin();
    if (this.options.advertiseSeconds > 0) this.advertiseOn(line);
  }

  /** What waits is for a moment that has passed: who is there when the line is back is sent it again. */
  onDown(line: SerialLine): void {
    this.lanes.get(line)?.queue.clear();
  }

  onFrame(line: SerialLine, frame: Frame): void {
    this.laneOf(line).health.note();
    const { forwarder } = line.settings;
    if (forwarder !== "auto" && forwarder !== isEncapsulated(frame.message)) {
      this.refuse(line, forwarder);
      return;
    }
    this.options.gateway.receive(frame.message, this.routeOf(line, frame.nodeId));
  }

  onFraming(line: SerialLine): void {
    this.drain(line);
  }

  onDrain(line: SerialLine): void {
    this.drain(line);
  }

  /** Who is on a line without a forwarder must not pass for nodes behind one, and whoever speaks for itself not for the forwarder. */
  private refuse(line: SerialLine, forwarder: boolean): void {
    const lane = this.laneOf(line);
    lane.refused++;
    if (lane.refused > 1) return;
    const reason = forwarder
      ? "a message has no envelope of a forwarder, and the line has forwarder=true: use forwarder=auto or false"
      : "a message has an envelope of a forwarder, and the line has forwarder=false: use forwarder=auto or true";
    this.options.log.warn("Messages on a serial line are not taken", { line: line.name, reason });
  }

  private stateOf(line: SerialLine): LinkState {
    const { queue, refused, health } = this.laneOf(line);
    const { retries, quality, roundTripMs, longestRoundTripMs } = health;
    return {
      ...line.state(),
      ...{ unsent: queue.dropped, refused, retries },
      ...(roundTripMs !== undefined && { roundTripMs }),
      ...(longestRoundTripMs !== undefined && { roundTripMaxMs: longestRoundTripMs }),
      ...(quality !== undefined && { linkQuality: quality }),
    };
  }

  private report(): void {
    const nowMs = this.options.clock.nowMs();
    for (const line of this.set?.lines ?? []) this.laneOf(line).report.look(this.stateOf(line), nowMs);
  }

  private advertise(): void {
    for (const line of this.set?.lines ?? []) if (line.isUp) this.advertiseOn(line);
  }

  private advertiseOn(line: SerialLine): void {
    const message = this.options.gateway.advertisement();
    this.send(line, BROADCAST, { message, nodeId: undefined, isExpendable: true });
  }

  private send(line: SerialLine, client: string, unsent: Unsent): void {
    if (!line.isUp) return;
    this.laneOf(line).queue.add(client, unsent);
    this.drain(line);
  }

  private drain(line: SerialLine): void {
    this.laneOf(line).queue.drain(({ message, nodeId }) => line.send(message, nodeId));
  }

  private routeOf(line: SerialLine, nodeId: Uint8Array | undefined): Route {
    const { routes, health } = this.laneOf(line);
    const hex = nodeId === undefined ? "" : Buffer.from(nodeId).toString("hex");
    const known = routes.get(hex);
    if (known !== undefined) return known;
    if (routes.size >= ROUTES_MAX) routes.delete(routes.keys().next().value!);
    const { path, maxMessage, user } = line.settings;
    const peer: Peer = {
      address: path,
      local: false,
      listener: this.name,
      transport: "mqtt-sn",
      line: path,
      ...(hex !== "" && { nodeId: hex }),
      ...(user !== "" && { lineUser: user }),
    };
    const route: Route = {
      key: `${this.name} ${line.name} ${hex}`,
      peer,
      origin: path,
      maxBytes: maxMessage,
      get linkQuality() {
        return health.quality;
      },
      accept: this.accept!,
      send: (message) => {
        const { node, inner } = opened(message);
        this.send(line, `${hex}${node}`, { message, nodeId, isExpendable: isQos0(inner) });
      },
      answered: (roundTripMs) => health.answered(roundTripMs),
      retried: () => health.retried(line.isUp),
    };
    routes.set(hex, route);
    return route;
  }

  private laneOf(line: SerialLine): Lane {
    let lane = this.lanes.get(line);
    if (lane === undefined) {
      const maxBytes = Math.max(QUEUE_BYTES_MIN, (QUEUE_SECONDS * line.settings.baudRate) / CHARACTER_BITS);
      const { clock, log } = this.options;
      const health = new LinkHealth(line.counters, () => clock.nowMs());
      const report = new LinkReport(health, log, clock.nowMs());
      lane = { queue: new FairQueue(maxBytes), routes: new Map(), refused: 0, health, report };
      this.lanes.set(line, lane);
    }
    return lane;
  }
}

/** The message itself, and the node behind a forwarder that it is for: "" when there is none. */
function opened(message: Uint8Array): { node: string; inner: Uint8Array } {
  if (!isEncapsulated(message)) return { node: "", inner: message };
  const { nodeId, message: inner } = decodeEncapsulated(message);
  return { node: `/${Buffer.from(nodeId).toString("hex")}`, inner };
}

/** A PUBLISH that nobody answers. */
function isQos0(message: Uint8Array): boolean {
  const flags = message[headerLength(message, 0)] ?? 0;
  return typeAt(message, 0) === SnType.Publish && (flags & QOS_BITS) === 0;
}
