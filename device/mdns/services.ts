/** What is advertised of what listens: DNS-SD services with their names and TXT records (RFC 6763). */

import { instanceName, utf8Length } from "./names.ts";

/** A way in, as it really listens. */
export interface Listening {
  /** The listener's, which no other has: "tcp", "tls-2". */
  name: string;
  /** One of those of SERVICE_TYPES; others are not advertised: no client looks for them. */
  transport: string;
  /** Where it is bound: "192.168.1.5", "fe80::1%eth0"; "0.0.0.0" is each address of IPv4, "::" of both families. */
  address: string;
  port: number;
  /** Of a URL, where there is one: "/mqtt". */
  path?: string | undefined;
  /** The MQTT versions that may connect: "3.1.1", "5". Default: both. */
  versions?: readonly string[] | undefined;
  /** How clients show who they are: "anonymous", "password", "cert". */
  auth?: readonly string[] | undefined;
  /** Of the authority that signed the certificate, to tell it from others: hexadecimal digits. */
  fingerprint?: string | undefined;
}

/** Who advertises. */
export interface Self {
  /** What people see in a list: the name of the default instance of each type. */
  name: string;
  /** Stays the same for this broker, whatever its name is. */
  id: string;
  version: string;
}

/** One service on the network. */
export interface Service {
  /** "_mqtt._tcp" */
  type: ServiceType;
  /** The instance name that is wanted; the one that is used may have a number more. */
  name: string;
  port: number;
  /** As of `Listening`: where it can be reached. */
  addresses: readonly string[];
  /** "key=value", each at most 255 bytes in UTF-8, `txtvers` first. */
  txt: readonly string[];
}

export type ServiceType = (typeof SERVICE_TYPES)[keyof typeof SERVICE_TYPES];

/** What clients ask for. WebSocket with TLS has no name of its own in use: its `tls` key says so. */
export const SERVICE_TYPES = {
  tcp: "_mqtt._tcp",
  tls: "_secure-mqtt._tcp",
  ws: "_mqtt-ws._tcp",
  wss: "_mqtt-ws._tcp",
  "mqtt-sn-udp": "_mqtt-sn._udp",
  http: "_http._tcp",
} as const;

const WITH_TLS: ReadonlySet<string> = new Set(["tls", "wss"]);
const MQTT_VERSIONS = ["3.1.1", "5"];
const MQTT_SN_VERSIONS = ["1.2"];

/** RFC 6763, 6.1 and 6.2: of one string, and of the record that still fits into one packet of Ethernet. */
const TXT_STRING_BYTES_MAX = 255;
const TXT_BYTES_MAX = 1300;

/**
 * The services that others can reach. Of each type the first listener is the default instance, `self.name`, which is all
 * that simple clients look at; a further one has its listener's name behind that. Listeners that differ in nothing but
 * their address are one service.
 */
export function servicesOf(listening: readonly Listening[], self: Self): Service[] {
  const found = new Map<string, Service>();
  const named = new Set<ServiceType>();
  for (const way of listening) {
    const type = typeOf(way.transport);
    if (type === undefined || !isReachable(way.address)) continue;
    const txt = txtOf(way, self);
    const key = JSON.stringify([type, way.port, txt]);
    const known = found.get(key);
    if (known !== undefined) {
      found.set(key, { ...known, addresses: [...new Set([...known.addresses, way.address])] });
      continue;
    }
    const name = instanceName(self.name, named.has(type) ? ` ${way.name}` : "");
    named.add(type);
    found.set(key, { type, name, port: way.port, addresses: [way.address], txt });
  }
  return [...found.values()];
}

/**
 * What the URL of a listener says: "tcp://[::]:1883", "ws://0.0.0.0:8083/mqtt", several with " and " between them. Empty for
 * one that is none of MQTT over IP, such as "unix:/run/mqtt.sock", or does not listen yet.
 */
export function listeningAt(name: string, url: string): Listening[] {
  return url.split(" and ").flatMap((text) => {
    const match = /^([a-z-]+):\/\/(?:\[([^\]]+)\]|([^:/]+)):(\d+)(\/.*)?$/.exec(text);
    if (match === null) return [];
    const [, transport = "", inBrackets, plain = "", port, path] = match;
    if (typeOf(transport) === undefined || port === "0") return [];
    return [{ name, transport, address: inBrackets ?? plain, port: Number(port), path }];
  });
}

/** Whether who comes to `address` of this machine comes to a service that is bound to these. */
export function isServedAt(addresses: readonly string[], address: string): boolean {
  const plain = withoutZone(address);
  const isIpv4 = !plain.includes(":");
  return addresses.some((bound) => bound === "::" || (isIpv4 && bound === "0.0.0.0") || withoutZone(bound) === plain);
}

export function withoutZone(address: string): string {
  return address.replace(/%.*$/, "").replace(/^::ffff:(?=\d+\.)/i, "");
}

function typeOf(transport: string): ServiceType | undefined {
  return Object.hasOwn(SERVICE_TYPES, transport) ? SERVICE_TYPES[transport as keyof typeof SERVICE_TYPES] : undefined;
}

/** Whether other machines can come to it. */
function isReachable(address: string): boolean {
  const plain = withoutZone(address);
  return plain !== "localhost" && plain !== "::1" && !/^127\./.test(plain);
}

/** The keys that matter most stand first: what is too much is left out from the end. */
function txtOf(way: Listening, { id, version }: Self): string[] {
  const { transport, auth = [], path, fingerprint, versions } = way;
  const tls = WITH_TLS.has(transport);
  const protocols = transport === "mqtt-sn-udp" ? MQTT_SN_VERSIONS : (versions ?? MQTT_VERSIONS);
  const keys: [string, string | undefined][] = [
    ["txtvers", "1"],
    ["proto", transport === "http" ? "" : protocols.join(",")],
    ["tls", tls ? "1" : "0"],
    ["path", path],
    ["auth", auth.join(",")],
    ["fp", tls ? fingerprint : undefined],
    ["id", id],
    ["ver", version],
  ];
  const txt: string[] = [];
  let bytes = 0;
  for (const [key, value = ""] of keys) {
    const text = `${key}=${value}`;
    const size = utf8Length(text);
    if (value === "" || size > TXT_STRING_BYTES_MAX || bytes + size + 1 > TXT_BYTES_MAX) continue;
    txt.push(text);
    bytes += size + 1;
  }
  return txt;
}
