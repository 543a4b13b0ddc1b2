import type { Qos } from "../codec/constants.ts";
import { suggest } from "../text/suggest.ts";
import { hasWildcard, isTopicName } from "../topic/name.ts";
import { UsageError } from "./client-io.ts";
import { noProperties } from "./client-properties.ts";
import type { ConnectSettings } from "./mqtt-client.ts";

export const INTERACTIVE_HELP = `Usage: mqtt-broker client [OPTIONS]

An interactive client: type commands, watch messages come.

Options, with one dash or two:
  -broker URL      tcp://, mqtt://, ssl://, mqtts://, ws:// or wss:// (tcp://127.0.0.1:1883)
  -client ID       Client identifier, whose session the broker keeps (demo-client)
  -user NAME       User Name
  -pass PASSWORD   Password
  -qos QOS         QoS where a command names none, 0 to 2 (0)
  -help            Print this text
`;

const RECONNECT_MS = 5_000;

export interface InteractiveOptions {
  broker: string;
  client: string;
  user: string;
  pass: string;
  qos: Qos;
}

/** Options of `client`. */
export const INTERACTIVE_NAMES = ["broker", "client", "user", "pass", "qos"] as const;

/** The form of Go's flag package: `-name value`, `-name=value`, one dash or two. undefined: help was asked for. */
export function parseInteractive(argv: readonly string[]): InteractiveOptions | undefined {
  const texts = { broker: "tcp://127.0.0.1:1883", client: "demo-client", user: "", pass: "", qos: "0" };
  for (let at = 0; at < argv.length; at++) {
    const [, word, joined] = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(argv[at]!) ?? [];
    if (word === "help" || word === "h") return undefined;
    const name = INTERACTIVE_NAMES.find((known) => known === word);
    if (name === undefined) {
      const nearest = suggest(word ?? argv[at]!, INTERACTIVE_NAMES);
      throw new UsageError(`Unknown option ${argv[at]}${nearest === undefined ? "" : `; did you mean -${nearest}?`}`);
    }
    const text = joined ?? argv[++at];
    if (text === undefined) throw new UsageError(`Option -${name} needs a value`);
    texts[name] = text;
  }
  const qos = parseQos(texts.qos);
  if (qos === undefined) throw new UsageError(`-qos must be 0, 1 or 2, not "${texts.qos}"`);
  return { ...texts, qos };
}

export function parseQos(text: string): Qos | undefined {
  return text === "0" || text === "1" || text === "2" ? (Number(text) as Qos) : undefined;
}

/** Throws a UsageError when `broker` is no URL of a broker. */
export function interactiveSettings(options: InteractiveOptions): ConnectSettings {
  const url = URL.canParse(options.broker) ? new URL(options.broker) : undefined;
  const scheme = url?.protocol.slice(0, -1) ?? "";
  const secure = ["ssl", "tls", "mqtts", "wss"].includes(scheme);
  if (url === undefined || !(secure || ["tcp", "mqtt", "ws"].includes(scheme)) || url.hostname === "") {
    throw new UsageError(`-broker: "${options.broker}" is no URL such as tcp://127.0.0.1:1883`);
  }
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: Number(url.port) || (secure ? 8883 : 1883),
    noDelay: true,
    ...(secure ? { tls: { osCertificates: true } } : {}),
    ...(scheme.startsWith("ws") ? { webSocketUrl: url.href } : {}),
    protocolVersion: 4,
    clientId: options.client,
    // A session needs a name to be found by.
    clean: options.client === "",
    keepAliveSeconds: 30,
    ...(options.user === "" ? {} : { userName: options.user }),
    ...(options.pass === "" || options.user === "" ? {} : { password: options.pass }),
    properties: noProperties(),
    reconnectMs: RECONNECT_MS,
  };
}

export interface PublishCommand {
  topicName: string;
  payload: Uint8Array;
  qos: Qos;
  retain: boolean;
}

/** "TOPIC MESSAGE [QOS] [retain]", where the message may have spaces; or what is wrong with it. */
export function parsePublish(rest: string, defaultQos: Qos): PublishCommand | string {
  const [, topicName = "", text = ""] = /^(\S+)\s+(.+)$/s.exec(rest) ?? [];
  if (topicName === "") return "Usage: pub TOPIC MESSAGE [QOS] [retain]";
  if (!isTopicName(topicName))
    return `"${topicName}" ${hasWildcard(topicName) ? "has a wildcard" : "is no Topic Name"}`;
  // The message is at least one word, so that "pub t 1" sends "1".
  const [, message = "", qosText, retain] = /^(".*"|.+?)(?:\s+([012]))?(\s+(?:retain|r))?$/is.exec(text) ?? [];
  const quoted = /^"(.*)"$/s.exec(message);
  return {
    topicName,
    payload: Buffer.from(quoted?.[1] ?? message),
    qos: qosText === undefined ? defaultQos : (Number(qosText) as Qos),
    retain: retain !== undefined,
  };
}
