import assert from "node:assert/strict";
import { test } from "node:test";
import { COMMANDS, parseCommandLine } from "../../src/cli/arguments.ts";
import { formatProblem } from "../../src/text/problem.ts";

function problems(argv: readonly string[], environment: Record<string, string> = {}): string[] {
  return parseCommandLine(argv, environment).problems.map(formatProblem);
}

function value(argv: readonly string[], key: string): unknown {
  return parseCommandLine(argv, {})
    .options.values.get(key)
    ?.map((assignment) => assignment.value);
}

test("without a command the broker runs", () => {
  assert.equal(parseCommandLine([], {}).command, "run");
  assert.equal(parseCommandLine(["--tcp-port", "0"], {}).command, "run");
});

for (const command of Object.keys(COMMANDS)) {
  test(`${command} is a command`, () => {
    const line = parseCommandLine([command], {});
    assert.deepEqual([line.command, line.rest, line.problems], [command, [], []]);
  });
}

for (const command of ["pub", "sub", "rr", "client"]) {
  test(`${command} reads its arguments itself`, () => {
    const line = parseCommandLine([command, "-t", "a/b", "--help", "--no-such"], { MQTT_BROKER_NOTHING: "1" });
    assert.equal(line.command, command);
    assert.deepEqual(line.rest, ["-t", "a/b", "--help", "--no-such"]);
    assert.deepEqual(line.problems, []);
  });
}

for (const [argv, command] of [
  [["--help"], "help"],
  [["-h"], "help"],
  [["-help"], "help"],
  [["run", "--tcp-port", "1", "-h"], "help"],
  [["check", "--help"], "help"],
  [["help"], "help"],
  [["help", "run"], "help"],
  [["--version"], "version"],
  [["-V"], "version"],
  [["version"], "version"],
  [["-V", "-h"], "help"],
  [["-h", "-V"], "help"],
] as const) {
  test(`${argv.join(" ")} asks for the ${command}`, () => {
    const line = parseCommandLine(argv, {});
    assert.deepEqual([line.command, line.problems], [command, []]);
  });
}

for (const [argv, expected] of [
  [["cheek"], ['Unknown command "cheek"\n  Did you mean "check"?']],
  [["nonsense"], ['Unknown command "nonsense"\n  mqtt-broker --help lists the commands']],
  [["--sys", "check"], ['Unexpected argument "check"\n  A command stands before the options']],
  [["run", "run"], ['Unexpected argument "run"\n  A command stands before the options']],
  [[""], ['Unexpected argument ""']],
  [["-"], ['Unexpected argument "-"']],
  [
    ["--", "--sys", "x"],
    ['Unexpected argument "--sys"', 'Unexpected argument "x"'],
  ],
  [["--"], []],
  [["--tcp-prt=5"], ["Unknown option --tcp-prt\n  Did you mean --tcp-port?"]],
  [
    ["--loglevel", "info"],
    ["Unknown option --loglevel\n  Did you mean --log-level?", 'Unexpected argument "info"'],
  ],
  [["--frobnicate"], ["Unknown option --frobnicate\n  mqtt-broker --help lists the options"]],
  [["--h"], ["Unknown option --h\n  Did you mean -h?"]],
  [["-x"], ["Unknown option -x\n  Did you mean -h?"]],
  [["--no-tcp-port"], ["Unknown option --no-tcp-port\n  Did you mean --tcp-port?"]],
  [["--no-sys=false"], ["--no-sys takes no value"]],
  [["--mqtt-receive-maximum", "70000"], ['--mqtt-receive-maximum needs a whole number from 1 to 65,535, not "70000"']],
  [["--mqtt-receive-maximum=-5"], ['--mqtt-receive-maximum needs a whole number from 1 to 65,535, not "-5"']],
  [["--mqtt-receive-maximum", "-5"], ['--mqtt-receive-maximum needs a whole number from 1 to 65,535, not "-5"']],
  [["--config"], ["--config needs a value: the path of a file"]],
  [["--config", "--sys"], ["--config needs a value: the path of a file"]],
  [["--log", "loud"], ['--log needs one of error, warn, info, debug, trace, not "loud"']],
  [["--sys=maybe"], ['--sys needs true or false, not "maybe"']],
  [["--allow-anonymous=no"], ['--allow-anonymous needs true, false or local, not "no"']],
  [["--sys-interval=0"], ['--sys-interval needs a duration such as 10s or 1h30m, from 100ms to 1d, not "0"']],
  [
    ["--mqtt-keep-alive-max=0"],
    ['--mqtt-keep-alive-max needs a duration such as 10s or 1h30m, from 1s to 65,535s, or none, not "0"'],
  ],
  [
    ["--log-payload-bytes=2MiB"],
    ['--log-payload-bytes needs a size such as 64KiB or 2MiB, from 0 to 1MiB, not "2MiB"'],
  ],
  [
    ["--addr=1883"],
    ['--addr needs [HOST]:PORT, such as :1883 or 127.0.0.1:1883, with a port from 0 to 65,535, not "1883"'],
  ],
  [["--limit", "clients"], ['--limit needs NAME=VALUE, such as clients=500, not "clients"']],
  [["--limit=client=5"], ['--limit: Unknown limit "client"\n  Did you mean "clients"?']],
  [["--limit=connectTimeoutMs=5s"], ['--limit: Unknown limit "connectTimeoutMs"\n  Did you mean "connectTimeout"?']],
  [["--limit=inflight=0"], ['--limit inflight needs a whole number from 1 to 65,535, not "0"']],
  [
    ["--limit=connectTimeout=1ms"],
    ['--limit connectTimeout needs a duration such as 10s or 1h30m, from 100ms to 1h, not "1ms"'],
  ],
  [
    ["--foo", "--bar", "--sys=x"],
    ["Unknown option --foo", "Unknown option --bar", '--sys needs true or false, not "x"'],
  ],
] as const) {
  test(`${argv.join(" ") || '""'} ${expected.length === 0 ? "has no problem" : "is explained"}`, () => {
    const found = problems(argv);
    const withHints = expected.map((text, index) =>
      text.includes("\n") ? found[index] : found[index]?.split("\n")[0],
    );
    assert.deepEqual(withHints, expected);
    assert.equal(found.length, expected.length);
  });
}

for (const [argv, key, expected] of [
  [["--sys"], "sys.enabled", [true]],
  [["--sys", "false"], "sys.enabled", [false]],
  [["--sys", "true"], "sys.enabled", [true]],
  [["--sys=0"], "sys.enabled", [false]],
  [["--no-sys"], "sys.enabled", [false]],
  [["--allow-anonymous"], "auth.allowAnonymous", [true]],
  [["--allow-anonymous", "local"], "auth.allowAnonymous", ["local"]],
  [["--no-allow-anonymous"], "auth.allowAnonymous", [false]],
  [["--sys", "--no-sys", "--sys"], "sys.enabled", [true]],
  [["--log", "debug", "--log-level", "warn"], "log.level", ["warn"]],
  [["--tcp-port", "1", "--tcp-port=2"], "tcp-port", [1, 2]],
  [["--plugin=a", "--plugin=b=c"], "plugins", ["a", "b=c"]],
  [["--limit=clients=5", "--limit", "clients=6"], "limits.clients", [6]],
  [["--limit=queuedBytes=1MiB"], "limits.queuedBytes", [1_048_576]],
  [["--limit=connectTimeout=5"], "limits.connectTimeout", [5000]],
  [["--mqtt-server-keep-alive=60"], "mqtt.serverKeepAlive", [60]],
  [["--mqtt-server-keep-alive=1m"], "mqtt.serverKeepAlive", [60]],
  [["--mqtt-session-expiry-interval=4294967295"], "mqtt.sessionExpiry", [4_294_967_295]],
  [["-addr", ":1883"], "addr", [{ host: undefined, port: 1883 }]],
] as const) {
  test(`${argv.join(" ")} gives ${JSON.stringify(expected)}`, () => assert.deepEqual(value(argv, key), expected));
}

test("a word after a boolean that is no boolean is not its value", () => {
  assert.deepEqual(problems(["--sys", "maybe"]), ['Unexpected argument "maybe"']);
});

test("each value keeps the name under which it was given", () => {
  const line = parseCommandLine(["--log", "debug", "-limit", "clients=5"], { MQTT_BROKER_SYS: "0" });
  assert.equal(line.options.values.get("log.level")?.[0]?.origin.name, "--log");
  assert.equal(line.options.values.get("limits.clients")?.[0]?.origin.name, "-limit clients");
  assert.equal(line.environment.values.get("sys.enabled")?.[0]?.origin.name, "MQTT_BROKER_SYS");
});

for (const [name, text, expected] of [
  ["MQTT_BROKER_SYS", "1", []],
  ["MQTT_BROKER_SYS", "0", []],
  ["MQTT_BROKER_SYS", "", []],
  ["MQTT_BROKER_MDNS", "off", []],
  ["SOMETHING_ELSE", "1", []],
  ["MQTT_BROKER_SYS", "on", ['MQTT_BROKER_SYS needs true or false, not "on"']],
  ["MQTT_BROKER_TCP_PORT", "1,x", ['MQTT_BROKER_TCP_PORT needs a whole number from 0 to 65,535, not "x"']],
  ["MQTT_BROKER_LIMIT", "clients=0", ['MQTT_BROKER_LIMIT clients needs a whole number from 1 to 10,000,000, not "0"']],
  [
    "MQTT_BROKER_TCP_PRT",
    "1",
    ["warning: Environment variable MQTT_BROKER_TCP_PRT is no option's: ignored\n  Did you mean MQTT_BROKER_TCP_PORT?"],
  ],
  ["MQTT_BROKER_HELP", "1", ["warning: Environment variable MQTT_BROKER_HELP is no option's: ignored"]],
] as const) {
  test(`the environment variable ${name}=${text} ${expected.length === 0 ? "has no problem" : "is explained"}`, () => {
    const found = problems([], { [name]: text });
    const withHints = expected.map((line, index) =>
      line.includes("\n") ? found[index] : found[index]?.split("\n")[0],
    );
    assert.deepEqual(withHints, expected);
    assert.equal(found.length, expected.length);
  });
}

test("lists in the environment are separated by commas", () => {
  const { values } = parseCommandLine([], {
    MQTT_BROKER_TCP_PORT: "1, 2",
    MQTT_BROKER_LIMIT: "clients=5,inflight=6",
  }).environment;
  assert.deepEqual(
    values.get("tcp-port")?.map((one) => one.value),
    [1, 2],
  );
  assert.equal(values.get("limits.clients")?.[0]?.value, 5);
  assert.equal(values.get("limits.inflight")?.[0]?.value, 6);
});

test("no arguments whatever make the parser throw", () => {
  const words = [
    "-",
    "--",
    "---",
    "=",
    "--=",
    "-=x",
    "--no-",
    "--no-no-sys",
    "--limit",
    "==",
    "a=b",
    "\0",
    "\n-x",
    "--__proto__",
    "__proto__",
    "--constructor=1",
    "true",
    "--sys",
    "--config",
    "\ud800",
    "-1",
    "--tcp-port",
  ];
  let state = 1;
  for (let round = 0; round < 5000; round++) {
    const argv: string[] = [];
    for (let length = round % 5; length > 0; length--) {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      argv.push(words[Math.floor(state / 65_536) % words.length]!);
    }
    for (const problem of parseCommandLine(argv, { __proto__: "x", MQTT_BROKER_: "y" }).problems)
      formatProblem(problem);
  }
});
