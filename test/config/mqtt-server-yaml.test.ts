import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCommandLine } from "../../src/cli/arguments.ts";
import { type Loaded, loadSettings } from "../../src/config/load.ts";
import type { Settings } from "../../src/config/settings.ts";
import { formatProblem } from "../../src/text/problem.ts";
import { tcpListeners } from "./loading.ts";
import { memoryFiles } from "./memory-files.ts";

async function load(text: string, argv: readonly string[] = []): Promise<Loaded> {
  const files = memoryFiles({ "/base/config/config.yaml": text });
  return await loadSettings(parseCommandLine(["-config", "config/config.yaml", ...argv], {}), {}, files);
}

async function settingsOf(text: string, argv: readonly string[] = []): Promise<Settings> {
  const { settings, problems } = await load(text, argv);
  assert.ok(settings, problems.map(formatProblem).join("\n"));
  return settings;
}

function headlines({ problems }: Loaded): string[] {
  return problems.map((problem) => formatProblem(problem).split("\n")[0]!.replace("config/config.yaml:", ""));
}

/** Every key of MQTT-Server's file, with the values that it ships. */
const SHIPPED = `server:
  host: "127.0.0.1"
  port: 1883
  keep_alive: 60s
  write_timeout: 10s
  read_timeout: 30s
  clean_session_default: false
tls:
  enabled: false
  cert_file: "certs/server.crt"
  key_file: "certs/server.key"
  ca_file: "certs/ca.crt"
auth:
  enabled: false
  allow_anonymous: true
  require_client_certs: false
  username_password_file: ""
storage:
  backend: "bbolt"
  path: "./data/mqtt.db"
limits:
  max_clients: 1000
  max_message_size: 262144
  max_inflight_messages: 100
  retained_messages: true
qos:
  max_qos: 1
  retry_interval: 10s
  max_retries: 3
logging:
  level: "info"
  format: "text"
  output: "stdout"
metrics:
  enabled: true
  port: 9090
  path: "/metrics"
`;

/** The store that a setting names, all else as it is by default. */
const store = (type: string) => ({
  type,
  module: undefined,
  required: false,
  clock: "auto",
  dailyBudgetBytes: undefined,
});

test("the file as MQTT-Server ships it is taken with all warnings", async () => {
  const loaded = await load(SHIPPED);
  const forbidden =
    "has no effect: MQTT forbids sending again on a live connection; it is done when a client comes back";
  assert.deepEqual(headlines(loaded), [
    "7:26: warning: clean_session_default has no effect: every client says itself whether its session is kept",
    `28:19: warning: retry_interval ${forbidden}`,
    `29:16: warning: max_retries ${forbidden}`,
    "35:12: warning: Metrics over HTTP are not part of this version: the figures are in $SYS/broker",
    "15:20: warning: everybody who reaches a listener may connect, publish and subscribe",
  ]);
  const settings = loaded.settings!;
  assert.deepEqual(
    tcpListeners(settings).map(({ host, port }) => [host, port]),
    [["127.0.0.1", 1883]],
  );
  const { maximumQos, maximumPacketSize, keepAliveDefault, retain } = settings.options;
  assert.deepEqual([maximumQos, maximumPacketSize, keepAliveDefault, retain], [1, 262_144, 60, true]);
  const { clients, inflight, connectTimeoutMs, linkStallMs } = settings.limits;
  assert.deepEqual([clients, inflight, connectTimeoutMs, linkStallMs], [1000, 100, 30_000, 10_000]);
  assert.deepEqual([settings.auth.anonymous, settings.log], ["all", { level: "info", format: "text" }]);
  assert.deepEqual([settings.dataDir, settings.store, settings.warnings.length], ["/base/data", store("sqlite"), 5]);
});

const tcp = (settings: Settings) => tcpListeners(settings).map(({ name, host, port }) => `${name} ${host} ${port}`);

for (const [text, read, expected] of [
  ["", tcp, ["tcp 127.0.0.1 1883"]],
  ["server:", tcp, ["tcp 127.0.0.1 1883"]],
  ["server: {host: '', port: 0}", tcp, ["tcp 127.0.0.1 1883"]],
  ["server: {host: 0.0.0.0, port: 1884}", tcp, ["tcp 0.0.0.0 1884"]],
  ["server: {keep_alive: 1m30s}", (s: Settings) => s.options.keepAliveDefault, 90],
  ["server: {keep_alive: 500ms}", (s: Settings) => s.options.keepAliveDefault, 1],
  ["server: {keep_alive: 0s}", (s: Settings) => s.options.keepAliveDefault, undefined],
  ["server: {read_timeout: 5s}", (s: Settings) => s.limits.connectTimeoutMs, 5000],
  ["server: {write_timeout: 5s}", (s: Settings) => s.limits.linkStallMs, 5000],
  ["server: {write_timeout: 0s}", (s: Settings) => s.limits.linkStallMs, 60_000],
  ["tls: {enabled: false, cert_file: x}", tcp, ["tcp 127.0.0.1 1883"]],
  ["auth: {enabled: true, allow_anonymous: true}", (s: Settings) => s.auth.anonymous, "all"],
  ["auth: {enabled: true, allow_anonymous: false}", (s: Settings) => s.auth.anonymous, "none"],
  ["auth: {enabled: true}", (s: Settings) => s.auth.anonymous, undefined],
  ["auth: {enabled: false, allow_anonymous: true}", (s: Settings) => s.auth.anonymous, "all"],
  ["auth: {enabled: false, allow_anonymous: false}", (s: Settings) => s.auth.anonymous, undefined],
  ["auth: {allow_anonymous: false}", (s: Settings) => s.auth.anonymous, "none"],
  ["auth: {enabled: false, username_password_file: users}", (s: Settings) => s.auth.anonymous, undefined],
  ["storage: {backend: memory, path: x/y}", (s: Settings) => [s.store, s.dataDir], [store("memory"), "/base/data"]],
  ["persistence: {backend: memory}", (s: Settings) => s.store, store("memory")],
  ["storage: {backend: bbolt}", (s: Settings) => [s.store, s.dataDir], [store("sqlite"), "/base/data"]],
  ["storage: {backend: bbolt}", (s: Settings) => s.sources.get("store.type"), "config/config.yaml:1:20"],
  ["storage: {backend: bbolt, path: x/y.db}", (s: Settings) => [s.store, s.dataDir], [store("sqlite"), "/base/x"]],
  ["storage: {backend: bbolt, path: /v/y.db}", (s: Settings) => [s.store, s.dataDir], [store("sqlite"), "/v"]],
  ["storage: {path: x/y.db}", (s: Settings) => [s.store, s.dataDir], [store("sqlite"), "/base/x"]],
  ["limits: {max_clients: 7}", (s: Settings) => s.limits.clients, 7],
  ["limits: {max_clients: 0}", (s: Settings) => s.limits.clients, 20_000],
  ["limits: {max_inflight_messages: 7}", (s: Settings) => s.limits.inflight, 7],
  ["limits: {max_message_size: 0}", (s: Settings) => s.options.maximumPacketSize, 2_097_152],
  ["limits: {retained_messages: false}", (s: Settings) => s.options.retain, false],
  ["qos: {max_qos: 0}", (s: Settings) => s.options.maximumQos, 0],
  ["qos: {}", (s: Settings) => s.options.maximumQos, 2],
  ["logging: {level: debug, format: json}", (s: Settings) => s.log, { level: "debug", format: "json" }],
  ["metrics: {enabled: false}", (s: Settings) => s.warnings, []],
] as const) {
  test(`the file ${JSON.stringify(text)} becomes ${JSON.stringify(expected)}`, async () => {
    assert.deepEqual(read(await settingsOf(text)), expected);
  });
}

for (const [text, warning] of [
  ["server: {clean_session_default: true}", /^1:33: warning: clean_session_default has no effect: /],
  ["qos: {retry_interval: 1s}", /^1:23: warning: retry_interval has no effect: MQTT forbids /],
  ["qos: {max_retries: 1}", /^1:20: warning: max_retries has no effect: MQTT forbids /],
  ["logging: {output: stderr}", /^1:19: warning: The log goes to the standard output/],
  ["metrics: {enabled: true}", /^1:20: warning: Metrics over HTTP are not part of this version/],
  ["auth: {enabled: false}", /^1:17: warning: auth.enabled: false without allow_anonymous: true lets in clients on /],
  ["auth: {allow_anonymous: true}", /^1:25: warning: everybody who reaches a listener/],
] as const) {
  test(`the file ${JSON.stringify(text)} is warned of`, async () => {
    const loaded = await load(text);
    assert.ok(loaded.settings);
    assert.equal(loaded.problems.length, 1);
    assert.match(headlines(loaded)[0]!, warning);
  });
}

test("tls.enabled makes the port one of TLS, and with ca_file clients must show a certificate", async () => {
  const files = "{enabled: true, cert_file: certs/server.crt, key_file: /b/server.key, ca_file: ca.crt}";
  const { listeners } = await settingsOf(`server: {host: 0.0.0.0, port: 8883}\ntls: ${files}`);
  const rest = { host: "0.0.0.0", port: 8883, noDelay: true, keepAliveSeconds: 0, reusePort: false };
  const tls = {
    certificates: [{ cert: "/base/certs/server.crt", key: "/b/server.key" }],
    clientCa: "/base/ca.crt",
    clientCrl: undefined,
    clientCert: "required",
    minVersion: "TLSv1.2",
    ciphers: undefined,
  };
  assert.deepEqual(listeners, [{ name: "tls", type: "tls", ...rest, tls }]);
});

const NO_PASSWORD_FILE =
  "username_password_file is not read: move its users into auth.json5 with mqtt-broker passwd import FILE, " +
  "and remove this line";

for (const [text, expected] of [
  ["tls: {enabled: true}", ["1:16: tls.enabled needs tls.cert_file", "1:16: tls.enabled needs tls.key_file"]],
  ["tls: {enabled: true, cert_file: x}", ["1:16: tls.enabled needs tls.key_file"]],
  [
    "{tls: {enabled: true, cert_file: a, key_file: b}, auth: {require_client_certs: true}}",
    ["1:80: require_client_certs needs tls.ca_file"],
  ],
  ["auth: {require_client_certs: true}", ["1:30: require_client_certs needs tls.enabled: true"]],
  ["auth: {username_password_file: users}", [`1:32: ${NO_PASSWORD_FILE}`]],
  [
    "storage: {backend: redis}",
    ["1:20: Redis is not part of this version: use the backend bbolt, for which the embedded store stands, or memory"],
  ],
  ["storage: {backend: file}", ['1:20: storage.backend must be one of memory, bbolt, redis, not "file"']],
  ["server: {port: 70000}", ["1:16: server.port must be a whole number from 0 to 65,535, not 70000"]],
  ["server: {port: x}", ['1:16: server.port must be a whole number from 0 to 65,535, not "x"']],
  ["server: {keep_alive: 20h}", ["1:22: server.keep_alive must be at most 65,535 seconds"]],
  [
    "server: {read_timeout: 1ms}",
    ["1:24: server.read_timeout must be a duration such as 10s or 1h30m, from 100ms to 1h"],
  ],
  [
    "limits: {max_inflight_messages: 70000}",
    ["1:33: limits.max_inflight_messages must be a whole number from 1 to 65,535"],
  ],
  ["qos: {max_qos: 3}", ["1:16: qos.max_qos must be a whole number from 0 to 2, not 3"]],
  ["server: 5", ["1:9: server must be a mapping"]],
  ["- a", ['1:1: A configuration is a mapping, not ["a"]']],
  ["server:\n  prot: 1", ['2:3: Unknown key "prot"']],
  [
    "sever: {}\nqos: {x: 1}",
    [
      `1:1: Unknown key "sever": a .yaml file is read as MQTT-Server's config.yaml; our own settings stand in a .json5 file`,
      '2:7: Unknown key "x"',
    ],
  ],
  [
    "constructor: {}\nserver: {__proto__: 1}",
    [
      `1:1: Unknown key "constructor": a .yaml file is read as MQTT-Server's config.yaml; our own settings stand in a .json5 file`,
      '2:10: Unknown key "__proto__"',
    ],
  ],
  ["a: [", ["1:5: Not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ]"]],
] as const) {
  test(`the file ${JSON.stringify(text)} is refused with its place`, async () => {
    const loaded = await load(text);
    assert.equal(loaded.settings, undefined);
    assert.deepEqual(headlines(loaded), expected);
  });
}
