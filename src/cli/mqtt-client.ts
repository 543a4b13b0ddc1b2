import type { IClientOptions, IPublishPacket, MqttClient } from "mqtt";
import type { PublishProperties, Will } from "../codec/packet.ts";
import { debugLine } from "./client-debug.ts";
import { ExitCode } from "./client-io.ts";
import type { ClientProperties } from "./client-properties.ts";
import { openStream, type StreamSettings, tlsOptions } from "./client-stream.ts";
import { ConnectionError, connectionError, connectionLost, errorCode, reasonName } from "./connection-error.ts";
import type { ReceivedMessage } from "./message-format.ts";
import { fromPacketProperties, toPacketProperties } from "./packet-properties.ts";

/** Where and how to connect, and as whom. */
export interface ConnectSettings extends StreamSettings {
  /** "ws://host:port/path" or "wss://…", instead of host and port. */
  webSocketUrl?: string;
  /** socks5h://… */
  proxy?: string;
  protocolVersion: 3 | 4 | 5;
  clientId: string;
  clean: boolean;
  keepAliveSeconds: number;
  userName?: string;
  password?: string;
  will?: Will;
  properties: ClientProperties;
  /** After a connection that once stood is lost, try again so often; 0: never. */
  reconnectMs: number;
}

export interface ClientEvents {
  /** Each time a CONNACK accepts the connection. */
  connected(): void;
  /** In order; the next message is read when the promise resolves, the acknowledgement leaves then. */
  message(message: ReceivedMessage): Promise<void> | void;
  /** The connection ended and was not ended by us, or never came about. With `reconnectMs` a new one follows. */
  lost(error: ConnectionError): void;
  /** One line for each packet, when there is someone to read it. */
  debug?(line: string): void;
}

export interface PublishRequest {
  topicName: string;
  payload: Uint8Array;
  qos: 0 | 1 | 2;
  retain: boolean;
  properties: PublishProperties;
}

/** What the commands need of an MQTT client; the only user of MQTT.js. */
export interface SmallClient {
  readonly connected: boolean;
  /** Receive Maximum of the Server, 65,535 before it has answered. */
  readonly receiveMaximum: number;
  /** Resolves when it was written (QoS 0) or acknowledged, with the Reason Code; rejects when the connection ends. */
  publish(request: PublishRequest): Promise<{ packetIdentifier: number; reasonCode: number }>;
  /** Resolves with one Reason Code for each filter, refused ones included. */
  subscribe(filters: readonly string[], qos: 0 | 1 | 2, retainAsPublished: boolean): Promise<SubscribeAnswer>;
  unsubscribe(filters: readonly string[]): Promise<void>;
  /** Sends DISCONNECT where there is a connection, and closes. Idempotent. */
  end(): Promise<void>;
}

export interface SubscribeAnswer {
  packetIdentifier: number;
  reasonCodes: number[];
}

/**
 * Starts to connect; the outcome arrives through `events`. Throws when a certificate or key file cannot be read.
 * MQTT.js is loaded here and not before, so that no other command pays for it.
 */
export async function openClient(settings: ConnectSettings, events: ClientEvents): Promise<SmallClient> {
  const tls = settings.tls === undefined ? undefined : tlsOptions(settings.tls, settings.host);
  const mqtt = await import("mqtt");
  // Packet identifiers from 1 on: MQTT.js starts anywhere, and people compare what -d prints.
  const options = { ...clientOptions(settings), messageIdProvider: new mqtt.UniqueMessageIdProvider() };
  // WebSocket and SOCKS streams are built by MQTT.js; ours know local addresses, PSK and Nagle's algorithm.
  const builtIn = settings.webSocketUrl !== undefined || settings.proxy !== undefined;
  const client = builtIn
    ? mqtt.connect({ ...options, ...tls, ...builtInStream(settings) } as IClientOptions)
    : new mqtt.MqttClient(() => openStream(settings, tls), options);
  return wrap(client, settings, events);
}

function clientOptions(settings: ConnectSettings): IClientOptions {
  const { properties, will } = settings;
  const v5 = settings.protocolVersion === 5;
  return {
    protocolId: settings.protocolVersion === 3 ? "MQIsdp" : "MQTT",
    protocolVersion: settings.protocolVersion,
    clientId: settings.clientId,
    clean: settings.clean,
    keepalive: settings.keepAliveSeconds,
    reconnectPeriod: settings.reconnectMs,
    resubscribe: false,
    ...(settings.userName === undefined ? {} : { username: settings.userName }),
    ...(settings.password === undefined ? {} : { password: settings.password }),
    ...(v5 ? { properties: toPacketProperties(properties.connect) } : {}),
    ...(will === undefined
      ? {}
      : {
          will: {
            topic: will.topicName,
            payload: Buffer.from(will.payload),
            qos: will.qos,
            retain: will.retain,
            ...(v5 ? { properties: toPacketProperties(will.properties) } : {}),
          },
        }),
  };
}

function builtInStream(settings: ConnectSettings): IClientOptions {
  const proxy = settings.proxy === undefined ? {} : { socksProxy: settings.proxy };
  if (settings.webSocketUrl === undefined) {
    return {
      protocol: settings.tls === undefined ? "mqtt" : "mqtts",
      host: settings.host,
      port: settings.port,
      ...proxy,
    };
  }
  const url = new URL(settings.webSocketUrl);
  return {
    protocol: url.protocol === "wss:" ? "wss" : "ws",
    hostname: url.hostname,
    host: url.hostname,
    port: Number(url.port) || (url.protocol === "wss:" ? 443 : 80),
    path: `${url.pathname}${url.search}`,
    ...proxy,
  };
}

function wrap(client: MqttClient, settings: ConnectSettings, events: ClientEvents): SmallClient {
  const { properties } = settings;
  const v5 = settings.protocolVersion === 5;
  const waiting = new Set<(error: Error) => void>();
  let failure: ConnectionError | undefined;
  let clientId = settings.clientId;
  let receiveMaximum = 65_535;
  let handled: Promise<void> | void;
  let ended: Promise<void> | undefined;

  client.on("connect", ({ properties: answer }) => {
    receiveMaximum = answer?.receiveMaximum ?? 65_535;
    failure = undefined;
    events.connected();
  });
  client.on("message", (topicName, _, packet) => {
    handled = events.message(receivedMessage(topicName, packet));
  });
  client.handleMessage = (_, done) => {
    Promise.resolve(handled).then(() => done(), done);
  };
  client.on("error", (error) => {
    failure = connectionError(error, v5);
  });
  client.on("disconnect", ({ reasonCode }) => {
    failure = new ConnectionError(
      `Error: Disconnected by the broker: ${reasonName(reasonCode ?? 0)}.`,
      ExitCode.ConnectionLost,
    );
  });
  client.on("close", () => {
    if (settings.reconnectMs === 0) for (const reject of waiting) reject(failure ?? connectionLost());
    if (ended === undefined) events.lost(failure ?? connectionLost());
    failure = undefined;
  });
  const { debug } = events;
  if (debug !== undefined) {
    // The first CONNECT was written before anybody could listen.
    debug(debugLine(clientId, "sending", { cmd: "connect" }));
    client.on("packetsend", (packet) => debug(debugLine(clientId, "sending", packet)));
    client.on("packetreceive", (packet) => {
      if (packet.cmd === "connack") clientId = packet.properties?.assignedClientIdentifier ?? clientId;
      debug(debugLine(clientId, "received", packet));
    });
  }

  return {
    get connected() {
      return client.connected;
    },
    get receiveMaximum() {
      return receiveMaximum;
    },
    publish: ({ topicName, payload, qos, retain, properties: own }) =>
      new Promise((resolve, reject) => {
        waiting.add(reject);
        const options = { qos, retain, ...(v5 ? { properties: toPacketProperties(own) } : {}) };
        client.publish(topicName, Buffer.from(payload), options, (error, packet) => {
          waiting.delete(reject);
          const code = error === undefined || error === null ? packet : error;
          const reasonCode =
            (code as { reasonCode?: number; code?: unknown } | undefined)?.reasonCode ?? errorCode(error);
          if (error && reasonCode === undefined) reject(error);
          else resolve({ packetIdentifier: packet?.messageId ?? 0, reasonCode: reasonCode ?? 0 });
        });
      }),
    subscribe: (filters, qos, retainAsPublished) =>
      new Promise((resolve, reject) => {
        const options = {
          qos,
          ...(v5 ? { rap: retainAsPublished, properties: toPacketProperties(properties.subscribe) } : {}),
        };
        client.subscribe([...filters], options, (error, _, packet) => {
          if (packet === undefined) reject(error ?? connectionLost());
          else resolve({ packetIdentifier: packet.messageId ?? 0, reasonCodes: packet.granted as number[] });
        });
      }),
    unsubscribe: (filters) =>
      new Promise((resolve, reject) => {
        const options = v5 ? { properties: toPacketProperties(properties.unsubscribe) } : {};
        client.unsubscribe([...filters], options, (error) => (error ? reject(error) : resolve()));
      }),
    end() {
      ended ??= endClient(client, v5 ? toPacketProperties(properties.disconnect) : undefined);
      return ended;
    },
  };
}

/** Milliseconds that a broker may take to close after DISCONNECT before the connection is cut. */
const END_TIMEOUT_MS = 2_000;

function endClient(client: MqttClient, properties: object | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (!client.connected) {
      client.end(true, () => resolve());
      return;
    }
    const cut = setTimeout(() => client.stream.destroy(), END_TIMEOUT_MS);
    client.once("close", () => {
      clearTimeout(cut);
      resolve();
    });
    client.end(false, properties === undefined ? {} : { properties });
  });
}

function receivedMessage(topicName: string, packet: IPublishPacket): ReceivedMessage {
  const payload = typeof packet.payload === "string" ? Buffer.from(packet.payload) : packet.payload;
  return {
    topicName,
    payload,
    qos: packet.qos,
    retain: packet.retain,
    packetIdentifier: packet.messageId ?? 0,
    properties: fromPacketProperties(packet.properties ?? {}),
  };
}
