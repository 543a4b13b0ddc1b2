import assert from "node:assert/strict";
import { test } from "node:test";
import { headlines, load, MAIN, settingsOf } from "./loading.ts";

test("the whole example of a configuration is read", async () => {
  const settings = await settingsOf([], {
    [MAIN]: `{
      listeners: [{ name: "main", type: "tcp", host: "127.0.0.1", port: 1884, noDelay: false, keepAliveTime: "1m", reusePort: true }],
      bind: "0.0.0.0", dataDir: "state", socket: { noDelay: true, keepAliveTime: 5, reusePort: false },
      mqtt: { retain: false, sharedSubscriptions: false, subscriptionIdentifiers: false, wildcards: false, maximumQos: 1,
              receiveMaximum: 10, maximumPacketSize: "1MiB", topicAliasMaximum: 0, autoTopicAlias: true,
              serverKeepAlive: 30, keepAliveMax: "1h", keepAliveDefault: 60, sessionExpiry: 0, sessionExpiryMax: "1d",
              messageExpiryMax: "1h", minimumProtocolVersion: 4, responseInformation: false,
              compat: { obscureNotAuthorized: true, passiveClientDisconnect: true, alwaysReturnResponseInfo: true,
                        noInheritedPropertiesOnAck: true } },
      limits: { clients: 5, connectTimeout: "5s", queuedBytes: "1MiB", linkStall: 2.5 },
      sessions: { key: "client" }, queue: { overflow: "drop-newest", qos0: true, keepLast: ["a/#"] },
      store: { type: "memory", required: false, clock: "trusted", dailyBudget: "1GiB",
               durability: { default: "batch:100ms", "sensors/#": "batch:30s", "debug/#": "never", door: "sync" } },
      auth: { allowAnonymous: false },
      sys: { enabled: false, interval: "1s", restore: true },
      log: { level: "trace", format: "json", payloadBytes: 64 }, plugins: [],
    }`,
  });
  assert.deepEqual(settings.listeners, [
    { name: "main", type: "tcp", host: "127.0.0.1", port: 1884, noDelay: false, keepAliveSeconds: 60, reusePort: true },
  ]);
  assert.deepEqual(settings.options, {
    retain: false,
    sharedSubscriptions: false,
    subscriptionIdentifiers: false,
    wildcards: false,
    maximumQos: 1,
    receiveMaximum: 10,
    maximumPacketSize: 1_048_576,
    topicAliasMaximum: 0,
    autoTopicAlias: true,
    serverKeepAlive: 30,
    keepAliveMax: 3600,
    keepAliveDefault: 60,
    sessionExpiry: 0,
    sessionExpiryMax: 86_400,
    messageExpiryMax: 3600,
    minimumProtocolVersion: 4,
    responseInformation: false,
    compat: {
      obscureNotAuthorized: true,
      passiveClientDisconnect: true,
      alwaysReturnResponseInfo: true,
      noInheritedPropertiesOnAck: true,
    },
    sessionKey: "client",
    queue: { overflow: "drop-newest", qos0: true, keepLast: ["a/#"] },
    durability: {
      delayMs: 100,
      topics: [
        { topicFilter: "door", delayMs: 0 },
        { topicFilter: "debug/#", delayMs: Number.POSITIVE_INFINITY },
        { topicFilter: "sensors/#", delayMs: 30_000 },
      ],
    },
    sys: { enabled: false, intervalMs: 1000, restore: true },
    logPayloadBytes: 64,
  });
  const { clients, connectTimeoutMs, queuedBytes, linkStallMs } = settings.limits;
  assert.deepEqual([clients, connectTimeoutMs, queuedBytes, linkStallMs], [5, 5000, 1_048_576, 2500]);
  assert.deepEqual([settings.auth.anonymous, settings.log], ["none", { level: "trace", format: "json" }]);
  assert.deepEqual([settings.dataDir, settings.plugins], ["/base/state", []]);
  assert.deepEqual(settings.store, {
    type: "memory",
    module: undefined,
    required: false,
    clock: "trusted",
    dailyBudgetBytes: 1024 ** 3,
  });
  assert.deepEqual(settings.warnings, []);
});

for (const [text, expected] of [
  ["[]", ["1:1: A configuration is an object in braces, not []"]],
  ["{", ['1:1: The "{" that begins here is never closed']],
  ["{ mqtt: {\n  retian: true } }", ['2:3: Unknown key "retian"']],
  ["{ mqtt: 5 }", ["1:9: mqtt must be an object in braces, not 5"]],
  ["{ mqtt: { retain: 'true' } }", ['1:19: mqtt.retain must be true or false, not "true"']],
  ["{ mqtt: { retain: null } }", ["1:19: mqtt.retain must be true or false, not null"]],
  ["{ mqtt: { receiveMaximum: 0 } }", ["1:27: mqtt.receiveMaximum must be a whole number from 1 to 65,535, not 0"]],
  ["{ mqtt: { receiveMaximum: '5' } }", ['1:27: mqtt.receiveMaximum must be a whole number from 1 to 65,535, not "5"']],
  ["{ mqtt: { receiveMaximum: 1.5 } }", ["1:27: mqtt.receiveMaximum must be a whole number from 1 to 65,535, not 1.5"]],
  ["{ mqtt: { receiveMaximum: NaN } }", ["1:27: mqtt.receiveMaximum must be a whole number from 1 to 65,535, not NaN"]],
  [
    "{ mqtt: { serverKeepAlive: '20h' } }",
    ['1:28: mqtt.serverKeepAlive must be a duration such as 10s or 1h30m, from 0s to 65,535s, or null, not "20h"'],
  ],
  ["{ log: { level: 'loud' } }", ['1:17: log.level must be one of error, warn, info, debug, trace, not "loud"']],
  ["{ plugins: 'a.js' }", ['1:12: plugins must be a list in square brackets, not "a.js"']],
  [
    "{ plugins: ['', 'a.js'] }",
    ['1:13: plugins[0] must be the path of a file, not ""', "1:17: /base/a.js does not exist"],
  ],
  ["{ limits: { client: 5 } }", ['1:13: Unknown key "client"']],
  ["{ limits: { clients: 0 } }", ["1:22: limits.clients must be a whole number from 1 to 10,000,000, not 0"]],
  [
    "{ limits: { clients: { a: 1 } } }",
    ['1:22: limits.clients must be a whole number from 1 to 10,000,000, not {"a":1}'],
  ],
  ["{ limits: [] }", ["1:11: limits must be an object in braces, not []"]],
  ["{ listeners: {} }", ["1:14: listeners must be a list in square brackets, not {}"]],
  ["{ listeners: [] }", ["1:14: listeners is empty: nobody could connect"]],
  ["{ listeners: [1883] }", ["1:15: listeners[0] must be an object in braces, not 1883"]],
  ["{ listeners: [{ prot: 1 }] }", ['1:17: Unknown key "prot"']],
  ["{ listeners: [{ port: 65536 }] }", ["1:23: listeners[0].port must be a whole number from 0 to 65,535, not 65536"]],
  [
    "{ listeners: [{ type: 'tpc' }] }",
    ['1:23: listeners[0].type must be one of tcp, tls, ws, wss, quic, unix, fd, not "tpc"'],
  ],
  ["{ listeners: [{ port: 1 }, { port: 1 }] }", ["1:28: Two listeners have the host :: and the port 1"]],
  ["{ listeners: [{ name: 'a', port: 1 }, { name: 'a', port: 2 }] }", ['1:39: Two listeners are called "a"']],
  ["{ listeners: [{ type: 'quic' }] }", ["1:15: TLS needs a certificate: --server-crt FILE and --server-key FILE"]],
  ["{ listeners: [{ type: 'tls' }] }", ["1:15: TLS needs a certificate: --server-crt FILE and --server-key FILE"]],
  [
    "{ listeners: [{ path: '/run/x' }] }",
    ["1:23: listeners[0].path is for listeners of type unix or ws or wss; this one is of type tcp"],
  ],
  [
    "{ listeners: [{ port: 1, type: 'unix', path: '/run/x' }] }",
    ["1:23: listeners[0].port is for listeners of type tcp or tls or ws or wss or quic; this one is of type unix"],
  ],
  ["{ listeners: [{ type: 'unix' }] }", ["1:15: A listener of type unix needs a path"]],
  [
    "{ listeners: [{ type: 'unix', path: '/run/x', mode: 660 }] }",
    ['1:53: listeners[0].mode must be permissions in octal digits and quotes, such as "0660", not 660'],
  ],
  [
    "{ listeners: [{ type: 'unix', path: '/run/x', mode: '0680', group: '' }] }",
    [
      '1:53: listeners[0].mode must be permissions in octal digits and quotes, such as "0660", not "0680"',
      '1:68: listeners[0].group must be the name or number of a group, not ""',
    ],
  ],
  [
    "{ listeners: [{ type: 'unix', path: '@x', group: 'y' }] }",
    ["1:15: @x is a name without a file: mode, owner and group can only be given to a file"],
  ],
  [
    "{ listeners: [{ type: 'unix', path: 'x' }, { type: 'unix', path: './x' }] }",
    ["1:44: Two listeners have the path /base/x"],
  ],
  ["{ auth: { file: 'a' } }", ["1:17: /base/a does not exist"]],
  ["{ 'mqtt.retain': true }", ['1:3: Unknown key "mqtt.retain"']],
  [
    "{ __proto__: {}, constructor: 1, toString: {} }",
    ['1:3: Unknown key "__proto__"', '1:18: Unknown key "constructor"', '1:34: Unknown key "toString"'],
  ],
  ["{ retain: true }", ['1:3: Unknown key "retain"']],
  [
    "{ a: 1,\n  mqtt: { maximumQos: 3,\n    b: {} },\n  limits: { x: 1 } }",
    [
      '1:3: Unknown key "a"',
      "2:23: mqtt.maximumQos must be a whole number from 0 to 2, not 3",
      '3:5: Unknown key "b"',
      '4:13: Unknown key "x"',
    ],
  ],
] as const) {
  test(`the configuration ${text.replace(/\s+/g, " ")} is refused with its place`, async () => {
    const loaded = await load([], { [MAIN]: text });
    assert.equal(loaded.settings, undefined);
    assert.deepEqual(
      headlines(loaded),
      expected.map((line) => `mqtt-broker.json5:${line}`),
    );
  });
}

for (const [text, hint] of [
  ["{ mqtt: { retian: 1 } }", 'Did you mean "retain"?'],
  ["{ mqqt: {} }", 'Did you mean "mqtt"?'],
  ["{ listener: [] }", 'Did you mean "listeners"?'],
  ["{ retain: true }", 'Did you mean "mqtt.retain"?'],
  ["{ 'mqtt-sub-id-support': true }", 'Did you mean "mqtt.subscriptionIdentifiers"?'],
  ["{ queue: { x: 1 } }", "Known here: overflow, qos0, keepLast"],
  ["{ limits: { conectTimeout: 1 } }", 'Did you mean "connectTimeout"?'],
  ["{ mqtt: { maximumQos: 3 } }", "As the option --mqtt-maximum-qos: Highest QoS (Maximum QoS)"],
  ["{ limits: { topicLevels: 0 } }", "It bounds levels of a Topic Name or Topic Filter"],
] as const) {
  test(`the mistake ${text} gets a hint`, async () =>
    assert.equal((await load([], { [MAIN]: text })).problems[0]?.hint, hint));
}

test("mistakes of all sources are reported together, in the order of reading", async () => {
  const loaded = await load(
    ["--foo", "--tls-port=8883"],
    { [MAIN]: "{ a: 1 }", "/base/conf.d/1.json5": "{ b", "/base/conf.d/2.json5": "{ c: 1 }" },
    { MQTT_BROKER_SYS: "x" },
  );
  assert.deepEqual(headlines(loaded), [
    "Unknown option --foo",
    'MQTT_BROKER_SYS needs true or false, not "x"',
    'mqtt-broker.json5:1:3: Unknown key "a"',
    'conf.d/1.json5:1:1: The "{" that begins here is never closed',
    'conf.d/2.json5:1:3: Unknown key "c"',
    "--tls-port: TLS needs a certificate: --server-crt FILE and --server-key FILE",
  ]);
});
