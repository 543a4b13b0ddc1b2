import { randomUUID } from "node:crypto";
import { PacketType, type Qos } from "../codec/constants.ts";
import type { Connack, Connect, Packet, Publish } from "../codec/packet.ts";
import { ReasonCode } from "../codec/reason.ts";
import { TextCache } from "../codec/text.ts";
import type { Client } from "../core/client.ts";
import type { Flushes } from "../core/core-link.ts";
import type { Entrance } from "../core/entrance.ts";
import { type Hook, refuse } from "../core/hooks.ts";
import type { GatewayHandler, Link, Log, Peer } from "../core/ports.ts";
import { Backoff } from "./backoff.ts";
import { Notes } from "./notes.ts";
import { openStream, read } from "./open-stream.ts";
import { Suspects } from "./outbox.ts";
import { prepareOwnSession, UPSTREAM_CLIENT_ID } from "./own-session.ts";
import { PutOff } from "./put-off.ts";
import { connectionText, disconnectText, refusalText } from "./refusals.ts";
import { Relay, type Traffic } from "./relay.ts";
import { COPY_MARK, RetainedCopies, type RetainedHere } from "./retained-copies.ts";
import type { UpstreamSettings } from "./settings.ts";
import { Subscriber } from "./subscriber.ts";
import { topmost } from "./topmost.ts";
import { type KnownSession, WantedFilters } from "./wanted-filters.ts";
import { KEEP_ALIVE_SECONDS, Wire } from "./wire.ts";

/** To connect, TLS and CONNACK included. */
const CONNECT_MS_MAX = 20_000;
/** How long the other broker keeps what is meant for our clients while we are away. */
const SESSION_SECONDS = 7 * 86_400;
/** Messages that may come at a time. */
const RECEIVE_MAXIMUM = 100;
/** Of a packet of MQTT that is not told any bound. */
const PACKET_BYTES_MAX = 268_435_460;
/** Subscriptions wait until what was published here before has left: what is retained there is the newer one then. */
const DRAIN_MS_MAX = 5_000;
/** How long a stop waits for what is under way. */
const FINISH_MS_MAX = 1_000;
const FINISH_LOOK_MS = 10;

export interface UpstreamTools {
  log: Log;
  /** Shared by all links of the broker. */
  flushes: Flushes;
  nowMs(): number;
  wallMs(): number;
  accept(link: Link, entrance: Entrance): GatewayHandler;
  /** Publishes in the broker's own name. */
  publish(topicName: string, payload: string, options: { retain: boolean }): void;
  /** Hands over the retained messages that match, each for the moment of its call. */
  retained(topicFilter: string, each: (message: Publish) => void): void;
  sessions(): Iterable<KnownSession>;
  /** By which the broker knows a session. */
  sessionKey(clientId: string, userName: string | undefined): string;
  /** Messages that wait for a session. */
  waiting(clientId: string): number;
  /** The largest packet that the core takes. */
  packetBytesMax: number;
  /** The highest QoS that it takes, and whether it keeps retained messages. */
  maximumQos: Qos;
  retains: boolean;
  backoff?: Backoff;
}

/** A connection, or what is to become one. */
interface Attempt {
  readonly abort: AbortController;
  readonly timer: NodeJS.Timeout;
  wire?: Wire;
  relay?: Relay;
  subscriber?: Subscriber;
  copies?: RetainedCopies;
  draining?: NodeJS.Timeout;
  connectedMs?: number;
}

/**
 * All MQTT-SN clients as one client of another broker. What they publish is in a session of this broker, and so on its
 * disk, until the other broker has acknowledged it; what they subscribe to is subscribed to there. See ARCHITECTURE.md.
 */
export class Upstream {
  /** Must come before all other hooks. */
  readonly hook: Hook;
  private readonly settings: UpstreamSettings;
  private readonly prefix: string;
  private readonly entrance: Entrance;
  private readonly tools: UpstreamTools;
  private readonly peer: Peer;
  private readonly names = new TextCache();
  private readonly wanted: WantedFilters;
  private readonly sessionNotes: Notes;
  private readonly filterNotes: Notes;
  private readonly backoff: Backoff;
  private readonly traffic: Traffic = { sent: 0, received: 0, refused: 0 };
  private readonly suspects = new Suspects();
  private readonly putOff = { up: new PutOff(), down: new PutOff() };
  /** By which this broker would know its own CONNECT. */
  private readonly nonce = randomUUID();
  private attempt: Attempt | undefined;
  private retry: NodeJS.Timeout | undefined;
  private isOver = false;
  private isSelf = false;
  private sinceSeconds = 0;
  /** What was logged last, so that it is not said again for each attempt. */
  private trouble = "";

  /** `prefix`: the mount point of the MQTT-SN clients. */
  constructor(settings: UpstreamSettings, prefix: string, tools: UpstreamTools) {
    this.settings = settings;
    this.prefix = prefix;
    this.entrance = { mountPoint: prefix };
    this.tools = tools;
    this.backoff = tools.backoff ?? new Backoff();
    this.peer = { address: "", local: true, listener: UPSTREAM_CLIENT_ID, transport: "bridge" };
    const retained = (topicFilter: string): string[] => {
      const found: string[] = [];
      tools.retained(topicFilter, ({ topicName }) => void found.push(topicName));
      return found;
    };
    const { log, publish } = tools;
    this.sessionNotes = new Notes("session", { log, publish, retained });
    this.filterNotes = new Notes("filter", { log, publish, retained });
    this.wanted = new WantedFilters(prefix, this.sessionNotes, tools.sessionKey, () =>
      this.attempt?.subscriber?.changed(),
    );
    this.hook = {
      name: UPSTREAM_CLIENT_ID,
      ...this.wanted.hook,
      onConnect: (client, packet) => this.onConnect(client, packet),
      onConnectAuthenticate: (client) => (client.peer === this.peer ? true : undefined),
    };
  }

  /** Our own client, connected or known from the disk. Nobody else comes in under its identifier. */
  readonly isOwn = ({ clientId, userName }: Client): boolean =>
    clientId === UPSTREAM_CLIENT_ID && userName === undefined;

  async start(): Promise<void> {}

  /** The broker knows what an earlier run has left, and no client has come. Never rejects. */
  async restored(): Promise<void> {
    const { tools, peer, names, prefix } = this;
    this.sessionNotes.load();
    this.filterNotes.load();
    const sessions = [...tools.sessions()];
    this.wanted.load(sessions);
    const topicFilter = `${prefix}#`;
    const own = sessions.find(({ clientId, userName }) => clientId === UPSTREAM_CLIENT_ID && userName === undefined);
    const others = own?.subscriptions.filter((other) => other !== topicFilter) ?? [];
    const accept = (link: Link): GatewayHandler => tools.accept(link, {});
    try {
      await prepareOwnSession({ peer, flushes: tools.flushes, names, accept }, topicFilter, others);
    } catch (error) {
      tools.log.error("What MQTT-SN clients publish is not kept for the other broker while that is away", {
        reason: (error as Error).message,
      });
    }
  }

  /** From now on the other broker is connected with. */
  opened(): void {
    this.connect();
  }

  /** What is under way has a moment to arrive. */
  async closing(): Promise<void> {
    this.isOver = true;
    clearTimeout(this.retry);
    const { attempt } = this;
    if (attempt === undefined) return;
    const { relay, wire } = attempt;
    if (relay !== undefined && wire !== undefined) {
      const endMs = this.tools.nowMs() + FINISH_MS_MAX;
      while (this.attempt === attempt && relay.backlog > 0 && this.tools.nowMs() < endMs) {
        await new Promise((resolve) => setTimeout(resolve, FINISH_LOOK_MS));
      }
      wire.send({ type: PacketType.DISCONNECT, reasonCode: 0, properties: {} });
    }
    if (this.attempt === attempt) this.leave(attempt);
  }

  stop(): void {
    this.isOver = true;
    clearTimeout(this.retry);
    if (this.attempt !== undefined) this.leave(this.attempt);
  }

  /** For `$SYS`. */
  sysValues(): [string, string | number][] {
    const isConnected = this.attempt?.relay !== undefined;
    const values = {
      connected: Number(isConnected),
      since: this.sinceSeconds,
      waiting: this.attempt?.relay?.backlog ?? this.tools.waiting(UPSTREAM_CLIENT_ID),
      ...this.traffic,
    };
    return Object.entries(values).map(([key, value]) => [`mqtt-sn/upstream/${key}`, value]);
  }

  /** Our identifier is ours; and a CONNECT of ours that comes in here shows that we were sent in a circle. */
  private onConnect(
    { clientId, peer }: Client,
    { protocolVersion, properties, bridge }: Connect,
  ): ReturnType<NonNullable<Hook["onConnect"]>> {
    if (clientId === UPSTREAM_CLIENT_ID && peer !== this.peer) {
      return refuse(ReasonCode.ClientIdentifierNotValid, "this client identifier is the broker's own");
    }
    const isMarked = properties.userProperties?.some(
      ([name, value]) => name === UPSTREAM_CLIENT_ID && value === this.nonce,
    );
    const isOurs =
      protocolVersion === 5
        ? isMarked === true
        : bridge &&
          clientId === this.settings.clientId &&
          this.attempt?.wire !== undefined &&
          this.attempt.relay === undefined;
    if (!isOurs) return undefined;
    this.isSelf = true;
    return refuse(ReasonCode.ImplementationSpecificError, "a broker cannot be its own upstream");
  }

  private connect(): void {
    if (this.isOver) return;
    const abort = new AbortController();
    const attempt: Attempt = {
      abort,
      timer: setTimeout(() => this.lost(attempt, "it does not answer"), CONNECT_MS_MAX),
    };
    this.attempt = attempt;
    this.open(attempt).catch((error: unknown) => this.lost(attempt, connectionText(error)));
  }

  private async open(attempt: Attempt): Promise<void> {
    const { settings, tools } = this;
    const { version, passwordFile } = settings;
    const password = passwordFile === undefined ? settings.password : (await read(passwordFile)).replace(/\r?\n$/, "");
    const stream = await openStream(settings, attempt.abort.signal);
    if (this.attempt !== attempt) {
      stream.destroy();
      return;
    }
    // 5.0 tells the other side, which drops what is larger; 3.1.1 has no word for it.
    const packetBytesMax = version === 5 ? tools.packetBytesMax : PACKET_BYTES_MAX;
    const wire = new Wire(stream, version, packetBytesMax, {
      onPacket: (packet) => this.onPacket(attempt, packet),
      onDrain: () => attempt.relay?.onDrain(),
      onClosed: (reason) => {
        if (this.attempt === attempt) attempt.relay?.cut();
        this.lost(attempt, this.whyClosed(attempt, reason));
      },
    });
    attempt.wire = wire;
    wire.send({
      type: PacketType.CONNECT,
      protocolVersion: version,
      cleanStart: false,
      keepAliveSeconds: KEEP_ALIVE_SECONDS,
      clientId: settings.clientId,
      will: undefined,
      userName: settings.userName,
      password: password === undefined ? undefined : new TextEncoder().encode(password),
      properties: {
        sessionExpiryInterval: SESSION_SECONDS,
        receiveMaximum: RECEIVE_MAXIMUM,
        maximumPacketSize: tools.packetBytesMax,
        userProperties: [[UPSTREAM_CLIENT_ID, this.nonce]],
      },
      // 3.1.1 has no other word for: keep Retain, and send nothing back.
      bridge: version === 4,
    });
  }

  private whyClosed({ relay }: Attempt, reason: string): string {
    if (relay !== undefined) return reason;
    return `${reason} before it let us in: if it does not speak this version of MQTT, give the other one (--mqtt-sn-upstream-version)`;
  }

  private onPacket(attempt: Attempt, packet: Packet): void {
    const { relay } = attempt;
    if (packet.type === PacketType.CONNACK && relay === undefined) this.onConnack(attempt, packet);
    else if (packet.type === PacketType.DISCONNECT) {
      attempt.relay?.cut();
      this.lost(attempt, disconnectText(packet));
    } else relay?.onWirePacket(packet);
  }

  private onConnack(attempt: Attempt, connack: Connack): void {
    const { tools, settings } = this;
    if (connack.reasonCode !== 0) {
      this.lost(attempt, refusalText(connack, settings.userName));
      return;
    }
    clearTimeout(attempt.timer);
    const { serverKeepAlive } = connack.properties;
    // 5.0 [MQTT-3.1.2-21]
    if (serverKeepAlive !== undefined) attempt.wire!.keepAlive(serverKeepAlive);
    attempt.connectedMs = tools.nowMs();
    this.sinceSeconds = Math.floor(tools.wallMs() / 1000);
    this.trouble = "";
    tools.log.info("Connected with the other broker of the MQTT-SN clients", {
      url: settings.url,
      user: settings.userName,
      client: settings.clientId,
      sessionPresent: connack.sessionPresent,
    });
    const copies = new RetainedCopies({
      retained: (topicFilter, each) => this.retained(topicFilter, each),
      remove: (topicName) => attempt.relay?.removeRetained(topicName),
    });
    const subscriber = new Subscriber({
      log: tools.log,
      notes: this.filterNotes,
      copies,
      wanted: () => topmost(this.wanted.filters),
      send: (packet) => void attempt.wire!.send(packet),
      freeIdentifier: () => attempt.relay!.freeIdentifier(),
    });
    const ready = (): void => {
      clearTimeout(attempt.draining);
      if (this.attempt === attempt && attempt.subscriber === undefined) {
        attempt.subscriber = subscriber;
        subscriber.open(!connack.sessionPresent);
      }
    };
    attempt.copies = copies;
    attempt.draining = setTimeout(ready, DRAIN_MS_MAX);
    attempt.relay = new Relay(
      attempt.wire!,
      connack,
      {
        log: tools.log,
        accept: (link) => tools.accept(link, this.entrance),
        peer: this.peer,
        flushes: tools.flushes,
        names: this.names,
        traffic: this.traffic,
        prefix: this.prefix,
        packetBytesMax: tools.packetBytesMax,
        maximumQos: tools.maximumQos,
        retains: tools.retains,
        copies,
        suspects: this.suspects,
        putOff: this.putOff,
      },
      {
        onDrained: ready,
        onPacket: (packet) => attempt.subscriber?.onPacket(packet),
        onEnded: (reason) => this.lost(attempt, reason),
      },
    );
    attempt.relay.start();
  }

  private retained(topicFilter: string, each: (message: RetainedHere) => void): void {
    const { prefix, tools } = this;
    tools.retained(`${prefix}${topicFilter}`, ({ topicName, payload, properties }) => {
      const isCopy = properties.userProperties?.some(
        ([name, value]) => name === COPY_MARK[0] && value === COPY_MARK[1],
      );
      each({ topicName: topicName.slice(prefix.length), payload, isCopy: isCopy === true });
    });
  }

  private lost(attempt: Attempt, reason: string): void {
    if (this.attempt !== attempt) return;
    const { log, nowMs } = this.tools;
    const { connectedMs } = attempt;
    this.leave(attempt);
    if (this.isOver) return;
    const text = this.isSelf ? "it is this broker itself: give the URL of another one (--mqtt-sn-upstream)" : reason;
    this.isSelf = false;
    const delayMs = this.backoff.next(connectedMs === undefined ? 0 : nowMs() - connectedMs);
    const line =
      connectedMs === undefined
        ? "Cannot connect with the other broker of the MQTT-SN clients"
        : "The other broker of the MQTT-SN clients is lost";
    const fields = { url: this.settings.url, reason: text };
    if (text === this.trouble) log.debug(line, fields);
    else log.warn(`${line}: what they publish waits, and it is tried again`, fields);
    this.trouble = text;
    this.retry = setTimeout(() => this.connect(), delayMs);
  }

  private leave(attempt: Attempt): void {
    this.attempt = undefined;
    if (attempt.relay !== undefined) this.sinceSeconds = Math.floor(this.tools.wallMs() / 1000);
    clearTimeout(attempt.timer);
    clearTimeout(attempt.draining);
    attempt.abort.abort();
    attempt.relay?.stop();
    attempt.subscriber?.stop();
    attempt.copies?.stop();
    attempt.wire?.end();
  }
}
