import assert from "node:assert/strict";
import { test } from "node:test";
import type { Link } from "../../device/mdns/link.ts";
import { runDiscover } from "../../src/cli/discover.ts";
import { parseDiscoverOptions } from "../../src/cli/discover-options.ts";
import { type Discovered, discoveredJson, discoveredText, shown } from "../../src/cli/discover-text.ts";
import { type CommandResult, runIn } from "./passwd-kit.ts";

const LINKS: readonly Link[] = [
  { interface: "eth0", family: "IPv4", addresses: ["192.0.2.5/24", "192.0.2.6/24"] },
  { interface: "eth0", family: "IPv6", addresses: ["2001:db8::5/64"] },
  { interface: "wlan0", family: "IPv6", addresses: ["fe80::1/64"] },
];
const ALL_TYPES = ["_mqtt._tcp", "_secure-mqtt._tcp", "_mqtt-ws._tcp", "_mqtt-sn._udp", "_http._tcp"];

function discover(...words: string[]): Promise<CommandResult> {
  return runIn("/", (argv, io) => runDiscover(argv, io), words);
}

test("without options everything is looked for, everywhere, for three seconds", () => {
  const parsed = parseDiscoverOptions([], LINKS);
  assert.deepEqual(parsed, { types: ALL_TYPES, timeoutMs: 3_000, test: false, json: false, links: LINKS });
});

test("options choose types, time and networks", () => {
  const words = [
    "--type",
    "_http._tcp",
    "--type=_mqtt._tcp.local.",
    "--type=_http._tcp",
    "--test",
    "--json",
    "--timeout",
    "1m",
  ];
  const types = ["_http._tcp", "_mqtt._tcp"];
  const all = { types, timeoutMs: 60_000, test: true, json: true };
  assert.deepEqual(parseDiscoverOptions(words, LINKS), { ...all, links: LINKS });
  for (const [chosen, links] of [
    ["eth0", LINKS.slice(0, 2)],
    ["192.0.2.6", LINKS.slice(0, 2)],
    ["2001:DB8::5", LINKS.slice(0, 2)],
    ["wlan0", LINKS.slice(2)],
  ] as const) {
    assert.deepEqual(parseDiscoverOptions([...words, "--interface", chosen], LINKS), { ...all, links });
  }
});

test("what is wrong with the words is said, with what would be right, and the exit code is 2", async () => {
  const rows: [words: string[], message: string][] = [
    [["--type", "_mqtts._tcp"], 'Unknown type of service "_mqtts._tcp": did you mean _mqtt._tcp?'],
    [["--type", "printers"], `Unknown type of service "printers": there are ${ALL_TYPES.join(", ")}`],
    [["--timeout", "99ms"], '--timeout needs a duration from 100ms to 10m, such as 5s, not "99ms"'],
    [["--timeout", "11m"], '--timeout needs a duration from 100ms to 10m, such as 5s, not "11m"'],
    [["--timeout", "soon"], '--timeout needs a duration from 100ms to 10m, such as 5s, not "soon"'],
    [["--timeout"], "--timeout needs a value: a duration, such as 5s"],
    [["--tests"], "Unknown option --tests: did you mean --test?"],
    [["eth0"], 'Unexpected argument "eth0"'],
  ];
  for (const [words, message] of rows) {
    assert.throws(() => parseDiscoverOptions(words, LINKS), { name: "UsageError", message });
    assert.deepEqual(await discover(...words), { code: 2, stdout: "", stderr: `${message}\n` });
  }
  assert.throws(() => parseDiscoverOptions(["--interface", "eth1"], LINKS), {
    name: "UsageError",
    message:
      '--interface "eth1" is on no network: networks are on eth0 (192.0.2.5 192.0.2.6 2001:db8::5), wlan0 (fe80::1)',
  });
});

test("the help names every option, and its exit code is 0", async () => {
  for (const words of [["--help"], ["-h"], ["help"], ["--test", "--help"]]) {
    const { code, stdout, stderr } = await discover(...words);
    assert.deepEqual([code, stderr], [0, ""]);
    for (const name of ["--timeout", "--type", "--test", "--json", "--interface", ...ALL_TYPES]) {
      assert.ok(stdout.includes(name), `${name} is in the help`);
    }
    assert.deepEqual(
      stdout.split("\n").filter((line) => line.length > 120),
      [],
    );
  }
});

const EDGE: Discovered = {
  type: "_secure-mqtt._tcp",
  name: "Edge \u0007\u{e0041}\u2028",
  host: "edge.local",
  port: 8883,
  tls: true,
  txt: new Map([
    ["txtvers", "1"],
    ["flag", undefined],
    ["note", 'two "words"'],
  ]),
  addresses: ["192.0.2.1", "2001:db8::1"],
  interfaces: ["eth0"],
  tests: [
    { address: "192.0.2.1", ok: true, asks: "nothing", says: "answers; certificate \u001b[2J" },
    { address: "2001:db8::1", ok: false, says: "does not answer in time" },
  ],
};
const LOST: Discovered = {
  type: "_mqtt._tcp",
  name: "Lost",
  host: undefined,
  port: undefined,
  tls: false,
  txt: new Map(),
  addresses: [],
  interfaces: ["eth0"],
  tests: [{ ok: false, says: "did not say where it is" }],
};

test("people see columns, what tests said, and that numbers are better than names for some devices", () => {
  assert.equal(
    discoveredText([EDGE, LOST]),
    `TYPE               ADDRESS      PORT  TLS  HOST        NAME
_secure-mqtt._tcp  192.0.2.1    8883  yes  edge.local  Edge \\u0007\\udb40\\udc41\\u2028
                   2001:db8::1
    txtvers=1 flag "note=two \\"words\\""
    192.0.2.1 answers; certificate \\u001b[2J
    FAILED: 2001:db8::1 does not answer in time
_mqtt._tcp         ?            ?     no   ?           Lost
    FAILED: did not say where it is

Some devices cannot look up names in .local (Shelly Gen2, plain Arduino sketches): give those the numeric address.
`,
  );
  assert.doesNotMatch(discoveredText([LOST]), /Shelly/);
});

test("programs get a line of JSON for each, with nothing in it that a terminal would act on", () => {
  const text = discoveredJson([EDGE, LOST]);
  assert.doesNotMatch(text.replaceAll("\n", ""), /[\p{Cc}\p{Cf}\p{Zl}]/u);
  const [edge, lost, end] = text.split("\n");
  assert.deepEqual(JSON.parse(edge!), { ...EDGE, txt: { txtvers: "1", flag: null, note: 'two "words"' } });
  assert.deepEqual(JSON.parse(lost!), { ...LOST, host: null, port: null, txt: {} });
  assert.equal(end, "");
  const { tests: _, ...untested } = LOST;
  assert.equal("tests" in JSON.parse(discoveredJson([untested])), false);
});

test("what cannot be seen is shown as JSON writes it, and all else as it is", () => {
  assert.equal(shown('Küche 🏠 \\ "x"'), 'Küche 🏠 \\ "x"');
  assert.equal(shown("\u009b31m\u007f\u202e\ufeff\n\ud800"), "\\u009b31m\\u007f\\u202e\\ufeff\\u000a\\ud800");
});
