import assert from "node:assert/strict";
import { test } from "node:test";
import { headlines, load, MAIN, settingsOf, type Texts, tcpListeners } from "./loading.ts";

// Precedence: option, environment, file, default.

const OPTION = ["--mqtt-receive-maximum=1"];
const ENVIRONMENT = { MQTT_BROKER_MQTT_RECEIVE_MAXIMUM: "2" };
const DROP_IN = { "/base/conf.d/a.json5": "{ mqtt: { receiveMaximum: 3 } }" };
const FILE = { [MAIN]: "{ mqtt: { receiveMaximum: 4 } }" };

for (const [title, argv, texts, environment, expected, source] of [
  ["an option beats all", OPTION, { ...FILE, ...DROP_IN }, ENVIRONMENT, 1, "--mqtt-receive-maximum"],
  ["the environment beats the files", [], { ...FILE, ...DROP_IN }, ENVIRONMENT, 2, "MQTT_BROKER_MQTT_RECEIVE_MAXIMUM"],
  ["conf.d beats the file beside it", [], { ...FILE, ...DROP_IN }, {}, 3, "conf.d/a.json5:1:27"],
  ["the file beats the default", [], FILE, {}, 4, "mqtt-broker.json5:1:27"],
  ["the default holds when nothing is given", [], {}, {}, 1024, undefined],
] as const) {
  test(`precedence: ${title}`, async () => {
    const settings = await settingsOf(argv, texts as Texts, environment);
    assert.equal(settings.options.receiveMaximum, expected);
    assert.equal(settings.sources.get("mqtt.receiveMaximum"), source);
  });
}

test("precedence: none on the command line takes a file's value away", async () => {
  const texts = { [MAIN]: "{ mqtt: { serverKeepAlive: 60, keepAliveMax: 70 } }" };
  const { options } = await settingsOf(["--mqtt-server-keep-alive=none"], texts);
  assert.deepEqual([options.serverKeepAlive, options.keepAliveMax], [undefined, 70]);
});

test("precedence: false of an option beats true of a file", async () => {
  assert.equal(
    (await settingsOf(["--no-sys-restore"], { [MAIN]: "{ sys: { restore: true } }" })).options.sys.restore,
    false,
  );
});

// Which file.

const PLACES = ["/run/c/mqtt-broker.json5", MAIN, "/base/config/config.yaml", "/etc/mqtt-broker/mqtt-broker.json5"];
const NAMES = [
  "/run/c/mqtt-broker.json5",
  "mqtt-broker.json5",
  "config/config.yaml",
  "/etc/mqtt-broker/mqtt-broker.json5",
];

for (const [index, name] of NAMES.entries()) {
  test(`search: ${name} is read when none before it exists`, async () => {
    const texts = Object.fromEntries(PLACES.slice(index).map((path) => [path, path.endsWith("yaml") ? "" : "{}"]));
    const settings = await settingsOf([], texts, { CONFIGURATION_DIRECTORY: "/run/c:/run/d" });
    assert.deepEqual(settings.files, [name]);
  });
}

test("search: no file is needed", async () => assert.deepEqual((await settingsOf([])).files, []));

for (const word of ["--config", "-config"]) {
  test(`search: ${word} names the only file that counts`, async () => {
    const settings = await settingsOf([word, "x/my.json5"], {
      [MAIN]: "{ broken",
      "/base/x/my.json5": "{ bind: '::1' }",
    });
    assert.deepEqual(settings.files, ["x/my.json5"]);
    assert.equal(tcpListeners(settings)[0]?.host, "::1");
  });
}

test("search: the file can be named in the environment", async () => {
  assert.deepEqual((await settingsOf([], { "/a.json5": "{}" }, { MQTT_BROKER_CONFIG: "/a.json5" })).files, [
    "/a.json5",
  ]);
});

test("search: a file that is named and missing is an error, beside other errors", async () => {
  const loaded = await load(["--config", "nowhere.json5", "--foo"], { [MAIN]: "{}" });
  assert.equal(loaded.settings, undefined);
  assert.deepEqual(headlines(loaded), ["Unknown option --foo", "--config: nowhere.json5 does not exist"]);
});

test("search: a file that cannot be read is an error, once", async () => {
  const expected = ["mqtt-broker.json5: Cannot be read: EACCES: permission denied"];
  assert.deepEqual(headlines(await load([], { [MAIN]: "!EACCES" })), expected);
  assert.deepEqual(headlines(await load(["--config=mqtt-broker.json5"], { [MAIN]: "!EACCES" })), expected);
});

// conf.d

test("conf.d: files merge by name: objects merge, lists append, the last scalar wins", async () => {
  const settings = await settingsOf([], {
    [MAIN]:
      "{ mqtt: { retain: false, receiveMaximum: 1 }, listeners: [{ port: 1 }], plugins: ['a.js'], limits: { clients: 1, inflight: 1 } }",
    "/base/conf.d/20.json5": "{ mqtt: { receiveMaximum: 3 }, listeners: [{ port: 3 }], plugins: ['c.js'] }",
    "/base/conf.d/10.json5":
      "{ mqtt: { receiveMaximum: 2, maximumQos: 1 }, listeners: [{ port: 2 }], plugins: ['b.js'], limits: { clients: 2 } }",
    "/base/conf.d/30.json": "{ broken",
    "/base/conf.d/.hidden.json5": "{ broken",
    "/base/a.js": "",
    "/base/conf.d/b.js": "",
    "/base/conf.d/c.js": "",
  });
  assert.deepEqual(settings.files, ["mqtt-broker.json5", "conf.d/10.json5", "conf.d/20.json5"]);
  const { retain, receiveMaximum, maximumQos } = settings.options;
  assert.deepEqual([retain, receiveMaximum, maximumQos], [false, 3, 1]);
  assert.deepEqual(
    tcpListeners(settings).map(({ name, port }) => [name, port]),
    [
      ["tcp", 1],
      ["tcp-2", 2],
      ["tcp-3", 3],
    ],
  );
  assert.deepEqual(settings.plugins, ["/base/a.js", "/base/conf.d/b.js", "/base/conf.d/c.js"]);
  assert.deepEqual([settings.limits.clients, settings.limits.inflight], [2, 1]);
});

test("conf.d: stands beside a config.yaml too", async () => {
  const texts = {
    "/base/config/config.yaml": "qos: {max_qos: 1}",
    "/base/config/conf.d/a.json5": "{ mqtt: { maximumQos: 0 } }",
  };
  assert.equal((await settingsOf([], texts)).options.maximumQos, 0);
});

test("conf.d: options replace lists of files, limits by name", async () => {
  const texts = {
    [MAIN]: "{ listeners: [{ port: 1 }], plugins: ['a.js'], limits: { clients: 1, inflight: 1 } }",
    "/base/b.js": "",
  };
  const settings = await settingsOf(["--tcp-port=2", "--plugin=b.js", "--limit=clients=2"], texts);
  assert.deepEqual(
    tcpListeners(settings).map(({ port }) => port),
    [2],
  );
  assert.deepEqual(settings.plugins, ["/base/b.js"]);
  assert.deepEqual([settings.limits.clients, settings.limits.inflight], [2, 1]);
});

// Who may connect.

for (const [argv, expected] of [
  [[], undefined],
  [["--allow-anonymous"], "all"],
  [["--allow-anonymous=false"], "none"],
  [["--allow-anonymous=local"], "local"],
] as const) {
  test(`anonymous clients with ${argv.join(" ") || "no option"}: ${expected ?? "as the file says"}`, async () => {
    const { auth, warnings } = await settingsOf(argv);
    assert.equal(auth.anonymous, expected);
    const warning = "--allow-anonymous: everybody who reaches a listener may connect, publish and subscribe";
    assert.deepEqual(warnings, expected === "all" ? [warning] : []);
  });
}

test("with a file of rules --allow-anonymous is warned of as what it is then", async () => {
  assert.deepEqual((await settingsOf(["--allow-anonymous"], { "/base/auth.json5": "{}" })).warnings, [
    "--allow-anonymous: everybody who reaches a listener may connect without a password, and do what the rules allow to anonymous",
  ]);
});

test("allowAnonymous of the file takes true, false and local", async () => {
  const anonymous = async (value: string) =>
    (await settingsOf([], { [MAIN]: `{ auth: { allowAnonymous: ${value} } }` })).auth.anonymous;
  assert.deepEqual(await Promise.all(["true", "false", "'local'"].map(anonymous)), ["all", "none", "local"]);
});

// The file of users and rules.

for (const [title, argv, texts, expected] of [
  ["none", [], {}, undefined],
  ["in the working directory", [], { "/base/auth.json5": "" }, "/base/auth.json5"],
  ["beside the configuration", ["--config=x/a.json5"], { "/base/x/auth.json5": "" }, "/base/x/auth.json5"],
  [
    "beside the configuration before the working directory",
    ["--config=x/a.json5"],
    { "/base/x/auth.json5": "", "/base/auth.json5": "" },
    "/base/x/auth.json5",
  ],
  ["in the working directory else", ["--config=x/a.json5"], { "/base/auth.json5": "" }, "/base/auth.json5"],
  ["in $CONFIGURATION_DIRECTORY", [], { "/run/c/auth.json5": "", "/base/auth.json5": "" }, "/run/c/auth.json5"],
  ["that is called auth.json is not found by itself", [], { "/base/auth.json": "" }, undefined],
] as const) {
  test(`the file of rules: ${title}`, async () => {
    const { auth } = await settingsOf(
      argv,
      { "/base/x/a.json5": "{}", ...(texts as Texts) },
      { CONFIGURATION_DIRECTORY: "/run/c:/run/d" },
    );
    assert.deepEqual([auth.file, auth.named], [expected, false]);
    const beside = argv.length === 0 ? [] : ["/base/x/auth.json5"];
    assert.deepEqual(auth.candidates, [...beside, "/run/c/auth.json5", "/base/auth.json5"]);
  });
}

test("the file of rules that is named is the only one that counts", async () => {
  const texts = { "/base/auth.json5": "", "/base/own.json": "", "/base/x/a.json5": "{ auth: { file: 'own.json' } }" };
  const own = {
    file: "/base/own.json",
    named: true,
    candidates: ["/base/own.json"],
    anonymous: undefined,
    hashWorkers: 2,
  };
  assert.deepEqual((await settingsOf(["--auth-file", "own.json"], texts)).auth, own);
  assert.deepEqual((await settingsOf([], texts, { MQTT_BROKER_AUTH_FILE: "own.json" })).auth, own);
  const besideConfiguration = { ...texts, "/base/x/own.json": "" };
  const { auth } = await settingsOf(["--config=x/a.json5"], besideConfiguration);
  assert.deepEqual([auth.file, auth.candidates], ["/base/x/own.json", ["/base/x/own.json"]]);
});

test("the file of rules can be named in conf.d", async () => {
  const texts = { "/base/conf.d/a.json5": "{ auth: { file: '../users.json5' } }", "/base/users.json5": "" };
  assert.equal((await settingsOf([], { ...texts, [MAIN]: "{}" })).auth.file, "/base/users.json5");
});

test("a file of rules that is named and missing is an error that says how to make one", async () => {
  const { settings, problems } = await load(["--auth-file=own.json5"], { "/base/auth.json5": "{}" });
  assert.equal(settings, undefined);
  assert.deepEqual(problems, [
    {
      severity: "error",
      file: "",
      line: 0,
      column: 0,
      message: "--auth-file: /base/own.json5 does not exist",
      hint: "mqtt-broker passwd add NAME --auth-file /base/own.json5 makes one",
    },
  ]);
});

// What a running broker compares and follows.

test("the places of the configuration are all where it may come from", async () => {
  const { places } = await settingsOf([], {}, { CONFIGURATION_DIRECTORY: "/run/c" });
  assert.deepEqual(places, [
    "/run/c/mqtt-broker.json5",
    "/base/mqtt-broker.json5",
    "/base/config/config.yaml",
    "/etc/mqtt-broker/mqtt-broker.json5",
  ]);
  assert.deepEqual((await settingsOf(["--config=x/a.json5"], { "/base/x/a.json5": "{}" })).places, [
    "/base/x/a.json5",
    "/base/x/conf.d/",
  ]);
});

test("what was given tells two readings apart", async () => {
  const texts = { [MAIN]: "{ listeners: [{ port: 1 }], mqtt: { retain: false }, limits: { clients: 7 } }" };
  const settings = await settingsOf(["--sys=false"], texts);
  assert.deepEqual(Object.fromEntries(settings.given), {
    listeners: '[{"type":"tcp","port":1,"directory":"."}]',
    "limits.clients": "[7]",
    "mqtt.retain": "[false]",
    "sys.enabled": "[false]",
  });
});

// Paths.

test("data is kept in --data-dir, $STATE_DIRECTORY, or ./data", async () => {
  assert.equal((await settingsOf([])).dataDir, "/base/data");
  assert.equal((await settingsOf([], {}, { STATE_DIRECTORY: "/var/lib/a:/var/lib/b" })).dataDir, "/var/lib/a");
  assert.equal((await settingsOf(["--data-dir=d"], {}, { STATE_DIRECTORY: "/var/lib/a" })).dataDir, "/base/d");
});

test("paths of a file start at its directory, those of options at the working directory", async () => {
  const texts = { "/etc/m/a.json5": "{ dataDir: 'd', plugins: ['p.js'] }", "/etc/m/p.js": "", "/base/p.js": "" };
  const ofFile = await settingsOf(["--config=/etc/m/a.json5"], texts);
  assert.deepEqual([ofFile.dataDir, ofFile.plugins], ["/etc/m/d", ["/etc/m/p.js"]]);
  const ofOptions = await settingsOf(["--config=/etc/m/a.json5", "--data-dir=d", "--plugin=p.js"], texts);
  assert.deepEqual([ofOptions.dataDir, ofOptions.plugins], ["/base/d", ["/base/p.js"]]);
});

test("a plugin that is missing or cannot be read is an error", async () => {
  assert.deepEqual(headlines(await load(["--plugin=p.js"])), ["--plugin: /base/p.js does not exist"]);
  const loaded = await load(["--plugin=p.js"], { "/base/p.js": "!EACCES" });
  assert.deepEqual(headlines(loaded), ["--plugin: Cannot be read: EACCES: permission denied"]);
});

test("the sources tell where each value came from", async () => {
  const settings = await settingsOf(
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
