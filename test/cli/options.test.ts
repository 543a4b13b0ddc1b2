import assert from "node:assert/strict";
import { test } from "node:test";
import { type CommandLine, parseCommandLine } from "../../src/cli/arguments.ts";
import { environmentName, findOption, findOptionByKey, namesOf, OPTIONS, type Option } from "../../src/cli/options.ts";
import { type Layer, layerKey } from "../../src/config/layer.ts";
import { loadSettings } from "../../src/config/load.ts";
import { formatValue } from "../../src/config/value.ts";
import { defaultOptions } from "../../src/core/options.ts";
import { memoryFiles } from "../config/memory-files.ts";

/** A good value of an option as it is typed, and what becomes of it. */
function goodValue({ type }: Option): [text: string, value: unknown] {
  switch (type.kind) {
    case "boolean":
      return ["false", false];
    case "integer":
      return [String(type.max), type.max];
    case "duration":
      return [`${type.unit === "ms" ? type.min / 1000 : type.min}s`, type.min];
    case "size":
      return [String(type.max), type.max];
    case "enum":
      return [type.values.at(-1)!, type.values.at(-1)];
    case "address":
      return ["127.0.0.1:0", { host: "127.0.0.1", port: 0 }];
    case "host":
      return ["[::1]", "::1"];
    case "limit":
      return ["clients=7", 7];
    case "durability":
      return ["batch:1h", 3_600_000];
    default:
      return ["x/y", "x/y"];
  }
}

/** Bad values of every kind that the type can refuse. */
function badValues({ type }: Option): string[] {
  switch (type.kind) {
    case "boolean":
      return ["yes", "TRUE", "2", ""];
    case "integer":
      return [String(type.min - 1), String(type.max + 1), "1.5", "x", "", "0x1", "1e2"];
    case "duration":
      return [
        "-1",
        "10 s",
        "x",
        "",
        "99999999d",
        ...(type.unit === "s" ? ["1500ms"] : []),
        ...(type.min > 0 ? ["0"] : []),
      ];
    case "size":
      return ["-1", "1.3", "2x", "", "9999T", ...(type.min > 0 ? ["0"] : [])];
    case "enum":
      return ["", "other", type.values[0]!.toUpperCase()];
    case "address":
      return ["", "1883", ":65536", ":", "::1:1883", "a b:1", "[::1]", "[x]:1"];
    case "host":
      return ["", "a b", "[", "1:zz", "-x"];
    case "limit":
      return ["", "clients", "=", "clients=", "clients=0", "clients=x", "connectTimeoutMs=5s", "nothing=1"];
    case "durability":
      return ["", "batch", "batch:", "batch:0", "batch:61m", "30s", "SYNC", "a=", "=sync", "a#=sync", "a=sync=b"];
    default:
      return ["", "a\0b"];
  }
}

function given(layer: Layer, option: Option): unknown {
  const keys: Record<string, string> = { limit: "limits.clients", durability: "store.durability.default" };
  const key = keys[option.name] ?? layerKey(option);
  return layer.values.get(key)?.map(({ value }) => value);
}

function errors(line: CommandLine): string[] {
  return line.problems.filter(({ severity }) => severity === "error").map(({ message }) => message);
}

const WITH_VALUE = OPTIONS.filter(({ name }) => name !== "help" && name !== "version");

for (const option of WITH_VALUE) {
  const [text, value] = goodValue(option);
  test(`--${option.name} takes ${text}, in every way of writing it`, async () => {
    const names = namesOf(option);
    const ways = names.flatMap((name) => [[`--${name}=${text}`], [`--${name}`, text], [`-${name}`, text]]);
    for (const argv of ways) {
      const line = parseCommandLine(argv, {});
      assert.deepEqual(line.problems, [], argv.join(" "));
      assert.deepEqual(given(line.options, option), [value], argv.join(" "));
      assert.equal(line.environment.values.size, 0);
    }
  });

  test(`${environmentName(option)} takes ${text}`, async () => {
    const line = parseCommandLine([], { [environmentName(option)!]: text });
    assert.deepEqual(line.problems, []);
    assert.deepEqual(given(line.environment, option), [value]);
    assert.equal(line.options.values.size, 0);
  });

  test(`--${option.name} refuses values that it can't take, and names itself and what it needs`, async () => {
    for (const bad of badValues(option)) {
      const line = parseCommandLine([`--${option.name}=${bad}`], {});
      assert.equal(line.options.values.size, 0, bad);
      const [message, ...others] = errors(line);
      assert.deepEqual(others, []);
      assert.ok(message?.startsWith(`--${option.name}`), `${bad}: ${message}`);
    }
  });

  test(`--${option.name} ${option.type.kind === "boolean" ? "alone is true" : "needs a value"}`, async () => {
    for (const argv of [[`--${option.name}`], [`--${option.name}`, "--sys"]]) {
      const line = parseCommandLine(argv, {});
      if (option.type.kind === "boolean") {
        assert.deepEqual(line.problems, []);
        assert.deepEqual(given(line.options, option), [true]);
      } else {
        assert.equal(errors(line).length, 1);
        assert.ok(errors(line)[0]!.startsWith(`--${option.name} needs a value: `));
      }
    }
  });

  test(`--${option.name} ${option.nullable ? "takes none" : "doesn't take none for nothing"}`, async () => {
    const line = parseCommandLine([`--${option.name}=none`], {});
    const isText = ["string", "file", "host", "line"].includes(option.type.kind);
    if (option.nullable) assert.deepEqual(given(line.options, option), [null]);
    else assert.deepEqual(given(line.options, option), isText ? ["none"] : undefined);
  });
}

for (const option of WITH_VALUE.filter(({ notYet }) => notYet !== undefined)) {
  test(`--${option.name} is refused at start while its feature is not built`, async () => {
    const [text] = goodValue(option);
    const { settings, problems } = await loadSettings(
      parseCommandLine([`--${option.name}=${text}`], {}),
      {},
      memoryFiles({}),
    );
    assert.equal(settings, undefined);
    const [problem] = problems;
    assert.equal(problems.length, 1);
    assert.equal(problem!.severity, "error");
    assert.equal(problem!.message, `--${option.name}: ${option.notYet}`);
  });
}

for (const option of WITH_VALUE.filter(({ ignored }) => ignored !== undefined)) {
  test(`--${option.name} is accepted with one warning that gives the reason`, async () => {
    const [text] = goodValue(option);
    const { settings } = await loadSettings(parseCommandLine([`--${option.name}=${text}`], {}), {}, memoryFiles({}));
    assert.deepEqual(settings!.warnings, [`--${option.name}: accepted without effect: ${option.ignored}`]);
  });
}

test("no two options share a name, an alias, a key or an environment name", async () => {
  for (const names of [
    OPTIONS.flatMap(namesOf),
    OPTIONS.flatMap(({ key }) => key ?? []),
    OPTIONS.flatMap((option) => environmentName(option) ?? []),
  ]) {
    assert.deepEqual([...new Set(names)], names);
  }
});

test("options are found by name, alias and key", async () => {
  assert.equal(findOption("log")?.name, "log-level");
  assert.equal(findOption("V")?.name, "version");
  assert.equal(findOption("--log"), undefined);
  assert.equal(findOptionByKey("mqtt.retain")?.name, "mqtt-retain-support");
  assert.equal(findOptionByKey("retain"), undefined);
});

test("every option of mqtt-broker-tokio is there", async () => {
  const names =
    "worker-threads max-blocking-threads thread-keep-alive thread-stack-size global-queue-interval event-interval log-level " +
    "tcp-port tls-port ws-port ws-tls-port quic-port unix-socket server-crt server-key socket-no-delay socket-send-buf-size " +
    "socket-recv-buf-size socket-reuseport socket-keepalive-time ep-recv-buf-size auth-file mqtt-retain-support " +
    "mqtt-shared-sub-support mqtt-sub-id-support mqtt-wc-support mqtt-maximum-qos mqtt-receive-maximum " +
    "mqtt-maximum-packet-size mqtt-topic-alias-maximum mqtt-auto-map-topic-alias mqtt-server-keep-alive " +
    "mqtt-session-expiry-interval h help V version";
  assert.deepEqual(
    names.split(" ").filter((name) => findOption(name) === undefined),
    [],
  );
});

test("the defaults that the table shows are those that the broker has", async () => {
  const { options, log, auth, store } = (await loadSettings(parseCommandLine([], {}), {}, memoryFiles({}))).settings!;
  assert.deepEqual(options, defaultOptions());
  const all = (
    await loadSettings(
      parseCommandLine(
        OPTIONS.filter((option) => option.default !== undefined).map((option) => {
          const { type } = option;
          const isWritten = type.kind === "duration" || type.kind === "durability";
          return `--${option.name}=${isWritten ? formatValue(type, option.default!) : option.default}`;
        }),
        {},
      ),
      {},
      memoryFiles({}),
    )
  ).settings!;
  assert.deepEqual(all.options, options);
  assert.deepEqual([all.log, all.auth, all.store], [log, auth, store]);
  assert.deepEqual(all.listeners, [
    { name: "tcp", type: "tcp", host: "::", port: 1883, noDelay: true, keepAliveSeconds: 0, reusePort: false },
  ]);
});
