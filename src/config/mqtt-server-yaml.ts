import { dirname } from "node:path";
import { findOptionByKey } from "../cli/options.ts";
import type { Document, Path } from "../text/document.ts";
import type { Problem } from "../text/problem.ts";
import { suggest } from "../text/suggest.ts";
import { assign, documentOrigin, emptyLayer, type Layer } from "./layer.ts";
import { PUBLIC_LIMITS } from "./limit-names.ts";
import { describeType, quoteValue, readValue, type Value, type ValueType } from "./value.ts";

const TEXT: ValueType = { kind: "string" };
const BOOLEAN: ValueType = { kind: "boolean" };
const PORT: ValueType = { kind: "integer", min: 0, max: 65_535 };
const DURATION: ValueType = { kind: "duration", unit: "ms", min: 0, max: 2 ** 45 };
const COUNT: ValueType = { kind: "integer", min: 0, max: 2 ** 31 };

/** Every key of MQTT-Server's config.yaml; `path` of storage may be empty, as all texts. */
const KEYS: Readonly<Record<string, Readonly<Record<string, ValueType>>>> = {
  server: {
    host: { kind: "host" },
    port: PORT,
    keep_alive: DURATION,
    write_timeout: DURATION,
    read_timeout: DURATION,
    clean_session_default: BOOLEAN,
  },
  tls: { enabled: BOOLEAN, cert_file: TEXT, key_file: TEXT, ca_file: TEXT },
  auth: { enabled: BOOLEAN, allow_anonymous: BOOLEAN, require_client_certs: BOOLEAN, username_password_file: TEXT },
  storage: {
    backend: { kind: "enum", values: ["memory", "bbolt", "redis"] },
    path: TEXT,
    redis_addr: TEXT,
    redis_password: TEXT,
    redis_db: COUNT,
  },
  limits: {
    max_clients: COUNT,
    max_message_size: { kind: "size", min: 0, max: 4_294_967_295 },
    max_inflight_messages: COUNT,
    retained_messages: BOOLEAN,
  },
  qos: { max_qos: { kind: "integer", min: 0, max: 2 }, retry_interval: DURATION, max_retries: COUNT },
  logging: {
    level: { kind: "enum", values: ["debug", "info", "warn", "error"] },
    format: { kind: "enum", values: ["text", "json"] },
    output: TEXT,
  },
  metrics: { enabled: BOOLEAN, port: PORT, path: TEXT },
};

/** Where MQTT-Server listens when its file does not say. */
const DEFAULT_HOST = "127.0.0.1";
const DEFAULT_PORT = 1883;

/**
 * Reads a config.yaml of MQTT-Server. What it asks for and we don't have is refused where safety or messages depend on
 * it, else warned of. As there, 0 and "" stand for the default, except for max_qos.
 */
export function readMqttServerYaml(document: Document): { layer: Layer; problems: Problem[] } {
  const problems: Problem[] = [];
  const values = collect(document, problems);
  const mapping = new Mapping(document, values, problems);
  mapServer(mapping);
  mapTls(mapping);
  mapSecurity(mapping);
  mapStorage(mapping);
  mapLimits(mapping);
  mapLogging(mapping);
  return { layer: mapping.layer, problems };
}

/** The file's values by "section.key", checked; `persistence`, as the README of MQTT-Server writes, is `storage`. */
function collect(document: Document, problems: Problem[]): Map<string, { path: Path; value: Value }> {
  const values = new Map<string, { path: Path; value: Value }>();
  const complain = (path: Path, message: string) =>
    problems.push(document.problem("error", document.at(path), message));
  const unknown = (path: Path, names: string[]) => {
    const nearest = suggest(String(path.at(-1)), names);
    const hint = nearest === undefined ? `Known here: ${names.join(", ")}` : `Did you mean "${nearest}"?`;
    const own = "a .yaml file is read as MQTT-Server's config.yaml; our own settings stand in a .json5 file";
    const message = `Unknown key ${quoteValue(path.at(-1))}${path.length === 1 ? `: ${own}` : ""}`;
    problems.push(document.problem("error", document.atKey(path), message, hint));
  };
  if (document.value === null) return values;
  if (!isMapping(document.value)) {
    complain([], `A configuration is a mapping, not ${quoteValue(document.value)}`);
    return values;
  }
  for (const [name, section] of Object.entries(document.value)) {
    const canonical = name === "persistence" ? "storage" : name;
    const keys = Object.hasOwn(KEYS, canonical) ? KEYS[canonical] : undefined;
    if (keys === undefined) unknown([name], Object.keys(KEYS));
    else if (section !== null && !isMapping(section)) complain([name], `${name} must be a mapping`);
    for (const [key, raw] of keys === undefined || !isMapping(section) ? [] : Object.entries(section)) {
      const path = [name, key];
      const type = Object.hasOwn(keys!, key) ? keys![key] : undefined;
      if (type === undefined) unknown(path, Object.keys(keys!));
      else if (raw !== null && raw !== "") {
        const value = readValue(type, raw);
        if (value !== undefined) values.set(`${canonical}.${key}`, { path, value });
        else complain(path, `${name}.${key} must be ${describeType(type)}, not ${quoteValue(raw)}`);
      }
    }
  }
  return values;
}

/** The state of one translation: what is read, what it becomes, what there is to say. */
class Mapping {
  readonly layer = emptyLayer();
  private readonly document: Document;
  private readonly values: ReadonlyMap<string, { path: Path; value: Value }>;
  private readonly problems: Problem[];

  constructor(document: Document, values: Mapping["values"], problems: Problem[]) {
    this.document = document;
    this.values = values;
    this.problems = problems;
  }

  get(key: string): Value | undefined {
    return this.values.get(key)?.value;
  }

  origin(key: string) {
    return documentOrigin(this.document, this.values.get(key)?.path ?? key.split("."));
  }

  say(severity: Problem["severity"], key: string, message: string): void {
    this.problems.push(this.origin(key).problem(severity, message));
  }

  /** Gives our key `ours` the value of `key`; `directory` is left to the working directory, as there. */
  set(ours: string, key: string, value: Value): void {
    assign(this.layer, findOptionByKey(ours)!, { value, origin: this.origin(key) });
  }

  /** Gives our limit the value of `key`, when that is in the limit's range. 0 leaves the default. */
  limit(ours: string, key: string): void {
    const value = this.get(key);
    if (value === undefined || value === 0) return;
    const { type } = PUBLIC_LIMITS.get(ours)!;
    if ("min" in type && (Number(value) < type.min || Number(value) > type.max)) {
      this.say("error", key, `${key} must be ${describeType(type)}`);
      return;
    }
    this.layer.values.set(`limits.${ours}`, [{ value, origin: this.origin(key) }]);
  }
}

function mapServer(mapping: Mapping): void {
  const host = (mapping.get("server.host") as string | undefined) ?? DEFAULT_HOST;
  const port = (mapping.get("server.port") as number | undefined) || DEFAULT_PORT;
  const type = mapping.get("tls.enabled") === true ? "tls" : "tcp";
  mapping.layer.listeners = [{ origin: mapping.origin("server.port"), type, host, port }];
  mapping.limit("connectTimeout", "server.read_timeout");
  mapping.limit("linkStall", "server.write_timeout");
  const keepAliveMs = mapping.get("server.keep_alive");
  if (typeof keepAliveMs === "number" && keepAliveMs > 0) {
    const seconds = Math.ceil(keepAliveMs / 1000);
    if (seconds <= 65_535) mapping.set("mqtt.keepAliveDefault", "server.keep_alive", seconds);
    else mapping.say("error", "server.keep_alive", "server.keep_alive must be at most 65,535 seconds");
  }
  if (mapping.get("server.clean_session_default") !== undefined) {
    const message = "clean_session_default has no effect: every client says itself whether its session is kept";
    mapping.say("warning", "server.clean_session_default", message);
  }
}

/** With its authority clients must show a certificate, as there. */
function mapTls(mapping: Mapping): void {
  const asks = mapping.get("auth.require_client_certs") === true;
  if (mapping.get("tls.enabled") !== true) {
    if (asks) mapping.say("error", "auth.require_client_certs", "require_client_certs needs tls.enabled: true");
    return;
  }
  const files = { "tls.cert_file": "tls.certificates", "tls.key_file": "tls.keys", "tls.ca_file": "tls.clientCa" };
  for (const [theirs, ours] of Object.entries(files)) {
    const file = mapping.get(theirs);
    if (file !== undefined) mapping.set(ours, theirs, file);
    else if (theirs !== "tls.ca_file") {
      mapping.say("error", "tls.enabled", `tls.enabled needs ${theirs}`);
      // It would be complained of once more, in words of ours.
      mapping.layer.listeners = undefined;
    } else if (asks) mapping.say("error", "auth.require_client_certs", `require_client_certs needs ${theirs}`);
  }
}

function mapSecurity(mapping: Mapping): void {
  const enabled = mapping.get("auth.enabled");
  const allowed = mapping.get("auth.allow_anonymous");
  if (mapping.get("auth.username_password_file") !== undefined && enabled !== false) {
    const message =
      "username_password_file is not read: move its users into auth.json5 with mqtt-broker passwd import FILE, " +
      "and remove this line";
    mapping.say("error", "auth.username_password_file", message);
  }
  if (allowed === true) mapping.set("auth.allowAnonymous", "auth.allow_anonymous", true);
  else if (allowed === false && enabled !== false) mapping.set("auth.allowAnonymous", "auth.allow_anonymous", false);
  else if (enabled === false) {
    const message = "auth.enabled: false without allow_anonymous: true lets in clients on this machine only";
    mapping.say("warning", "auth.enabled", message);
  }
}

function mapStorage(mapping: Mapping): void {
  const backend = mapping.get("storage.backend");
  if (backend === "redis") {
    mapping.say(
      "error",
      "storage.backend",
      "Redis is not part of this version: use the backend bbolt, for which the embedded store stands, or memory",
    );
  } else if (backend === "memory") {
    mapping.set("store.type", "storage.backend", "memory");
  } else {
    // bbolt is what MQTT-Server takes when its file does not say, and the embedded store is what stands for it.
    if (backend === "bbolt") mapping.set("store.type", "storage.backend", "sqlite");
    const path = mapping.get("storage.path");
    if (typeof path === "string") mapping.set("dataDir", "storage.path", dirname(path));
  }
}

function mapLimits(mapping: Mapping): void {
  mapping.limit("clients", "limits.max_clients");
  mapping.limit("inflight", "limits.max_inflight_messages");
  const size = mapping.get("limits.max_message_size");
  if (size !== undefined && size !== 0) mapping.set("mqtt.maximumPacketSize", "limits.max_message_size", size);
  const retained = mapping.get("limits.retained_messages");
  if (retained !== undefined) mapping.set("mqtt.retain", "limits.retained_messages", retained);
  const maximumQos = mapping.get("qos.max_qos");
  if (maximumQos !== undefined) mapping.set("mqtt.maximumQos", "qos.max_qos", maximumQos);
  for (const key of ["qos.retry_interval", "qos.max_retries"]) {
    if (mapping.get(key) === undefined) continue;
    const name = key.replace("qos.", "");
    const reason = "MQTT forbids sending again on a live connection; it is done when a client comes back";
    mapping.say("warning", key, `${name} has no effect: ${reason}`);
  }
}

function mapLogging(mapping: Mapping): void {
  for (const name of ["level", "format"]) {
    const value = mapping.get(`logging.${name}`);
    if (value !== undefined) mapping.set(`log.${name}`, `logging.${name}`, value);
  }
  const output = mapping.get("logging.output");
  if (output !== undefined && output !== "stdout") {
    mapping.say(
      "warning",
      "logging.output",
      "The log goes to the standard output: redirect it, or let systemd keep it",
    );
  }
  if (mapping.get("metrics.enabled") === true) {
    const message = "Metrics over HTTP are not part of this version: the figures are in $SYS/broker";
    mapping.say("warning", "metrics.enabled", message);
  }
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
