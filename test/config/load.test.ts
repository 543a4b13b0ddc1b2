import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCommandLine } from "../../src/cli/arguments.ts";
import { findOption } from "../../src/cli/options.ts";
import { type Loaded, loadSettings } from "../../src/config/load.ts";
import type { Settings } from "../../src/config/settings.ts";
import { formatProblem } from "../../src/text/problem.ts";
import { memoryFiles } from "./memory-files.ts";

type Texts = Readonly<Record<string, string>>;

function load(argv: readonly string[], texts: Texts = {}, environment: Record<string, string> = {}): Loaded {
  return loadSettings(parseCommandLine(argv, environment), environment, memoryFiles(texts));
}

function settingsOf(argv: readonly string[], texts: Texts = {}, environment: Record<string, string> = {}): Settings {
  const { settings, problems } = load(argv, texts, environment);
  assert.ok(settings, problems.map(formatProblem).join("\n"));
  return settings;
}

function headlines(loaded: Loaded): string[] {
  return loaded.problems.map((problem) => formatProblem(problem).split("\n")[0]!);
}

const MAIN = "/home/mqtt-broker.json5";

// Precedence: option, environment, file, default.

const OPTION = ["--mqtt-receive-maximum=1"];
const ENVIRONMENT = { MQTT_BROKER_MQTT_RECEIVE_MAXIMUM: "2" };
const DROP_IN = { "/home/conf.d/a.json5": "{ mqtt: { receiveMaximum: 3 } }" };
const FILE = { [MAIN]: "{ mqtt: { receiveMaximum: 4 } }" };

for (const [title, argv, texts, environment, expected, source] of [
  ["an option beats all", OPTION, { ...FILE, ...DROP_IN }, ENVIRONMENT, 1, "--mqtt-receive-maximum"],
  ["the environment beats the files", [], { ...FILE, ...DROP_IN }, ENVIRONMENT, 2, "MQTT_BROKER_MQTT_RECEIVE_MAXIMUM"],
  ["conf.d beats the file beside it", [], { ...FILE, ...DROP_IN }, {}, 3, "conf.d/a.json5:1:27"],
  ["the file beats the default", [], FILE, {}, 4, "mqtt-broker.json5:1:27"],
  ["the default holds when nothing is given", [], {}, {}, 1024, undefined],
] as const) {
  test(`precedence: ${title}`, () => {
    const settings = settingsOf(argv, texts as Texts, environment);
    assert.equal(settings.options.receiveMaximum, expected);
    assert.equal(settings.sources.get("mqtt.receiveMaximum"), source);
  });
}

test("precedence: none on the command line takes a file's value away", () => {
  const texts = { [MAIN]: "{ mqtt: { serverKeepAlive: 60, keepAliveMax: 70 } }" };
  const { options } = settingsOf(["--mqtt-server-keep-alive=none"], texts);
  assert.deepEqual([options.serverKeepAlive, options.keepAliveMax], [undefined, 70]);
});

test("precedence: false of an option beats true of a file", () => {
  assert.equal(settingsOf(["--no-sys-restore"], { [MAIN]: "{ sys: { restore: true } }" }).options.sys.restore, false);
});

// Which file.

const PLACES = ["/run/c/mqtt-broker.json5", MAIN, "/home/config/config.yaml", "/etc/mqtt-broker/mqtt-broker.json5"];
const NAMES = [
  "/run/c/mqtt-broker.json5",
  "mqtt-broker.json5",
  "config/config.yaml",
  "/etc/mqtt-broker/mqtt-broker.json5",
];

for (const [index, name] of NAMES.entries()) {
  test(`search: ${name} is read when none before it exists`, () => {
    const texts = Object.fromEntries(PLACES.slice(index).map((path) => [path, path.endsWith("yaml") ? "" : "{}"]));
    const settings = settingsOf([], texts, { CONFIGURATION_DIRECTORY: "/run/c:/run/d" });
    assert.deepEqual(settings.files, [name]);
  });
}

test("search: no file is needed", () => assert.deepEqual(settingsOf([]).files, []));

for (const word of ["--config", "-config"]) {
  test(`search: ${word} names the only file that counts`, () => {
    const settings = settingsOf([word, "x/my.json5"], { [MAIN]: "{ broken", "/home/x/my.json5": "{ bind: '::1' }" });
    assert.deepEqual(settings.files, ["x/my.json5"]);
    assert.equal(settings.listeners[0]?.host, "::1");
  });
}

test("search: the file can be named in the environment", () => {
  assert.deepEqual(settingsOf([], { "/a.json5": "{}" }, { MQTT_BROKER_CONFIG: "/a.json5" }).files, ["/a.json5"]);
});

test("search: a file that is named and missing is an error, beside other errors", () => {
  const loaded = load(["--config", "nowhere.json5", "--foo"], { [MAIN]: "{}" });
  assert.equal(loaded.settings, undefined);
  assert.deepEqual(headlines(loaded), ["Unknown option --foo", "--config: nowhere.json5 does not exist"]);
});

test("search: a file that cannot be read is an error, once", () => {
  const expected = ["mqtt-broker.json5: Cannot be read: EACCES: permission denied"];
  assert.deepEqual(headlines(load([], { [MAIN]: "!EACCES" })), expected);
  assert.deepEqual(headlines(load(["--config=mqtt-broker.json5"], { [MAIN]: "!EACCES" })), expected);
});

// conf.d

test("conf.d: files merge by name: objects merge, lists append, the last scalar wins", () => {
  const settings = settingsOf([], {
    [MAIN]:
      "{ mqtt: { retain: false, receiveMaximum: 1 }, listeners: [{ port: 1 }], plugins: ['a.js'], limits: { clients: 1, inflight: 1 } }",
    "/home/conf.d/20.json5": "{ mqtt: { receiveMaximum: 3 }, listeners: [{ port: 3 }], plugins: ['c.js'] }",
    "/home/conf.d/10.json5":
      "{ mqtt: { receiveMaximum: 2, maximumQos: 1 }, listeners: [{ port: 2 }], plugins: ['b.js'], limits: { clients: 2 } }",
    "/home/conf.d/30.json": "{ broken",
    "/home/conf.d/.hidden.json5": "{ broken",
    "/home/a.js": "",
    "/home/conf.d/b.js": "",
    "/home/conf.d/c.js": "",
  });
  assert.deepEqual(settings.files, ["mqtt-broker.json5", "conf.d/10.json5", "conf.d/20.json5"]);
  const { retain, receiveMaximum, maximumQos } = settings.options;
  assert.deepEqual([retain, receiveMaximum, maximumQos], [false, 3, 1]);
  assert.deepEqual(
    settings.listeners.map(({ name, port }) => [name, port]),
    [
      ["tcp", 1],
      ["tcp-2", 2],
      ["tcp-3", 3],
    ],
  );
  assert.deepEqual(settings.plugins, ["/home/a.js", "/home/conf.d/b.js", "/home/conf.d/c.js"]);
  assert.deepEqual([settings.limits.clients, settings.limits.inflight], [2, 1]);
});

test("conf.d: stands beside a config.yaml too", () => {
  const texts = {
    "/home/config/config.yaml": "qos: {max_qos: 1}",
    "/home/config/conf.d/a.json5": "{ mqtt: { maximumQos: 0 } }",
  };
  assert.equal(settingsOf([], texts).options.maximumQos, 0);
});

test("conf.d: options replace lists of files, limits by name", () => {
  const texts = {
    [MAIN]: "{ listeners: [{ port: 1 }], plugins: ['a.js'], limits: { clients: 1, inflight: 1 } }",
    "/home/b.js": "",
  };
  const settings = settingsOf(["--tcp-port=2", "--plugin=b.js", "--limit=clients=2"], texts);
  assert.deepEqual(
    settings.listeners.map(({ port }) => port),
    [2],
  );
  assert.deepEqual(settings.plugins, ["/home/b.js"]);
  assert.deepEqual([settings.limits.clients, settings.limits.inflight], [2, 1]);
});

// Values of the file.

test("the whole example of a configuration is read", () => {
  const settings = settingsOf([], {
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
      sessions: { key: "client" }, queue: { overflow: "drop-newest", qos0: true },
      store: { type: "memory" }, auth: { allowAnonymous: false },
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
    queue: { overflow: "drop-newest", qos0: true },
    sys: { enabled: false, intervalMs: 1000, restore: true },
    logPayloadBytes: 64,
  });
  const { clients, connectTimeoutMs, queuedBytes, linkStallMs } = settings.limits;
  assert.deepEqual([clients, connectTimeoutMs, queuedBytes, linkStallMs], [5, 5000, 1_048_576, 2500]);
  assert.deepEqual([settings.anonymous, settings.log], ["none", { level: "trace", format: "json" }]);
  assert.deepEqual([settings.dataDir, settings.plugins, settings.store], ["/home/state", [], { type: "memory" }]);
  assert.deepEqual(settings.warnings, []);
});

for (const [text, expected] of [
  ["[]", ["1:1: A configuration is an object in braces, not []"]],
  ["{", ["1:2: Not valid JSON5: invalid end of input"]],
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
    ['1:13: plugins[0] must be the path of a file, not ""', "1:17: /home/a.js does not exist"],
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
    ['1:23: listeners[0].type must be one of tcp, tls, ws, wss, quic, unix, not "tpc"'],
  ],
  ["{ listeners: [{ port: 1 }, { port: 1 }] }", ["1:28: Two listeners have the host :: and the port 1"]],
  ["{ listeners: [{ name: 'a', port: 1 }, { name: 'a', port: 2 }] }", ['1:39: Two listeners are called "a"']],
  ["{ listeners: [{ type: 'tls' }] }", [`1:15: ${findOption("tls-port")!.notYet}`]],
  ["{ listeners: [{ type: 'unix', path: '/run/x' }] }", [`1:15: ${findOption("unix-socket")!.notYet}`]],
  ["{ store: { type: 'sqlite' } }", [`1:18: ${findOption("store")!.notYet}`]],
  ["{ store: { type: 'memory', durability: 'sync' } }", [`1:40: ${findOption("durability")!.notYet}`]],
  ["{ auth: { file: 'a' } }", [`1:17: ${findOption("auth-file")!.notYet}`]],
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
  test(`the configuration ${text.replace(/\s+/g, " ")} is refused with its place`, () => {
    const loaded = load([], { [MAIN]: text });
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
  ["{ queue: { x: 1 } }", "Known here: overflow, qos0"],
  ["{ limits: { conectTimeout: 1 } }", 'Did you mean "connectTimeout"?'],
  ["{ mqtt: { maximumQos: 3 } }", "As the option --mqtt-maximum-qos: Highest QoS (Maximum QoS)"],
  ["{ limits: { topicLevels: 0 } }", "It bounds levels of a Topic Name or Topic Filter"],
] as const) {
  test(`the mistake ${text} gets a hint`, () => assert.equal(load([], { [MAIN]: text }).problems[0]?.hint, hint));
}

test("mistakes of all sources are reported together, in the order of reading", () => {
  const loaded = load(
    ["--foo", "--tls-port=8883"],
    { [MAIN]: "{ a: 1 }", "/home/conf.d/1.json5": "{ b", "/home/conf.d/2.json5": "{ c: 1 }" },
    { MQTT_BROKER_SYS: "x" },
  );
  assert.deepEqual(headlines(loaded), [
    "Unknown option --foo",
    'MQTT_BROKER_SYS needs true or false, not "x"',
    'mqtt-broker.json5:1:3: Unknown key "a"',
    "conf.d/1.json5:1:4: Not valid JSON5: invalid end of input",
    'conf.d/2.json5:1:3: Unknown key "c"',
    `--tls-port: ${findOption("tls-port")!.notYet}`,
  ]);
});

// Listeners.

for (const [argv, expected] of [
  [[], ["tcp :: 1883"]],
  [["--bind=127.0.0.1"], ["tcp 127.0.0.1 1883"]],
  [["--tcp-port=0"], ["tcp :: 0"]],
  [
    ["--tcp-port=0", "--tcp-port=0"],
    ["tcp :: 0", "tcp-2 :: 0"],
  ],
  [["--addr=:1884"], ["tcp :: 1884"]],
  [["--addr=:1884", "--bind=::1"], ["tcp ::1 1884"]],
  [
    ["--addr=localhost:1884", "--bind=::1", "--tcp-port=1"],
    ["tcp ::1 1", "tcp-2 localhost 1884"],
  ],
  [["--addr=[::1]:5"], ["tcp ::1 5"]],
] as const) {
  test(`listeners of ${argv.join(" ") || "no options"}: ${expected.join(", ")}`, () => {
    const { listeners } = settingsOf(argv);
    assert.deepEqual(
      listeners.map(({ name, host, port }) => `${name} ${host} ${port}`),
      expected,
    );
  });
}

test("listeners: those of the file get bind and socket options where they name none", () => {
  const texts = { [MAIN]: "{ listeners: [{}, { name: 'tcp', host: '::1', noDelay: true }] }" };
  const argv = ["--bind=127.0.0.1", "--socket-no-delay=false", "--socket-keepalive-time=1m", "--socket-reuseport"];
  assert.deepEqual(settingsOf(argv, texts).listeners, [
    {
      name: "tcp-2",
      type: "tcp",
      host: "127.0.0.1",
      port: 1883,
      noDelay: false,
      keepAliveSeconds: 60,
      reusePort: true,
    },
    { name: "tcp", type: "tcp", host: "::1", port: 1883, noDelay: true, keepAliveSeconds: 60, reusePort: true },
  ]);
});

test("listeners: two of one address are refused unless both share the port", () => {
  assert.deepEqual(headlines(load(["--tcp-port=5", "--addr=[::]:5"])), [
    "--addr: Two listeners have the host :: and the port 5",
  ]);
  assert.equal(settingsOf(["--tcp-port=5", "--tcp-port=5", "--socket-reuseport"]).listeners.length, 2);
});

test("listeners: options in the environment and on the command line stand together", () => {
  const { listeners } = settingsOf(["--addr=:2"], {}, { MQTT_BROKER_TCP_PORT: "1" });
  assert.deepEqual(
    listeners.map(({ port }) => port),
    [1, 2],
  );
});

test("listeners: types that are not built don't matter where options replace them", () => {
  const { listeners } = settingsOf(["--tcp-port=0"], { [MAIN]: "{ listeners: [{ type: 'tls' }] }" });
  assert.deepEqual(
    listeners.map(({ port }) => port),
    [0],
  );
});

// Who may connect.

for (const [argv, expected] of [
  [[], "local"],
  [["--allow-anonymous"], "all"],
  [["--allow-anonymous=false"], "none"],
  [["--allow-anonymous=local"], "local"],
] as const) {
  test(`anonymous clients with ${argv.join(" ") || "no option"}: ${expected}`, () => {
    const { anonymous, warnings } = settingsOf(argv);
    assert.equal(anonymous, expected);
    const warning = "--allow-anonymous: everybody who reaches a listener may connect, publish and subscribe";
    assert.deepEqual(warnings, expected === "all" ? [warning] : []);
  });
}

test("allowAnonymous of the file takes true, false and local", () => {
  const anonymous = (value: string) => settingsOf([], { [MAIN]: `{ auth: { allowAnonymous: ${value} } }` }).anonymous;
  assert.deepEqual(["true", "false", "'local'"].map(anonymous), ["all", "none", "local"]);
});

for (const [path, name, argv] of [
  ["/home/auth.json5", "auth.json5", []],
  ["/home/auth.json5", "auth.json5", ["--allow-anonymous"]],
  ["/home/x/auth.json5", "x/auth.json5", ["--config=x/a.json5"]],
  ["/home/auth.json5", "auth.json5", ["--config=x/a.json5"]],
  ["/run/c/auth.json5", "/run/c/auth.json5", []],
] as const) {
  test(`${path} that would not be obeyed is not ignored, with ${argv.join(" ") || "no option"}`, () => {
    const texts = { [path]: "{}", "/home/x/a.json5": "{}" };
    const loaded = load(argv, texts, { CONFIGURATION_DIRECTORY: "/run/c" });
    assert.equal(loaded.settings, undefined);
    const errors = loaded.problems.filter(({ severity }) => severity === "error").map(({ message }) => message);
    assert.deepEqual(errors, [`${name} exists: ${findOption("auth-file")!.notYet}`]);
  });
}

// Paths.

test("data is kept in --data-dir, $STATE_DIRECTORY, or ./data", () => {
  assert.equal(settingsOf([]).dataDir, "/home/data");
  assert.equal(settingsOf([], {}, { STATE_DIRECTORY: "/var/lib/a:/var/lib/b" }).dataDir, "/var/lib/a");
  assert.equal(settingsOf(["--data-dir=d"], {}, { STATE_DIRECTORY: "/var/lib/a" }).dataDir, "/home/d");
});

test("paths of a file start at its directory, those of options at the working directory", () => {
  const texts = { "/etc/m/a.json5": "{ dataDir: 'd', plugins: ['p.js'] }", "/etc/m/p.js": "", "/home/p.js": "" };
  const ofFile = settingsOf(["--config=/etc/m/a.json5"], texts);
  assert.deepEqual([ofFile.dataDir, ofFile.plugins], ["/etc/m/d", ["/etc/m/p.js"]]);
  const ofOptions = settingsOf(["--config=/etc/m/a.json5", "--data-dir=d", "--plugin=p.js"], texts);
  assert.deepEqual([ofOptions.dataDir, ofOptions.plugins], ["/home/d", ["/home/p.js"]]);
});

test("a plugin that is missing or cannot be read is an error", () => {
  assert.deepEqual(headlines(load(["--plugin=p.js"])), ["--plugin: /home/p.js does not exist"]);
  const loaded = load(["--plugin=p.js"], { "/home/p.js": "!EACCES" });
  assert.deepEqual(headlines(loaded), ["--plugin: Cannot be read: EACCES: permission denied"]);
});

test("the sources tell where each value came from", () => {
  const settings = settingsOf(
    ["--tcp-port=1", "--limit=clients=5"],
    { [MAIN]: "{ queue: { qos0: true } }" },
    { MQTT_BROKER_SYS: "0" },
  );
  assert.deepEqual(Object.fromEntries(settings.sources), {
    listeners: "--tcp-port",
    "limits.clients": "--limit clients",
    "queue.qos0": "mqtt-broker.json5:1:18",
    "sys.enabled": "MQTT_BROKER_SYS",
  });
});
