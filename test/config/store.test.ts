import assert from "node:assert/strict";
import { test } from "node:test";
import { durabilityHint, filterMistake, formatDurability, parseDurability } from "../../src/config/durability.ts";
import { headlines, load, MAIN, settingsOf, type Texts } from "./loading.ts";

const NEVER = Number.POSITIVE_INFINITY;
const NEEDED = "sync, never or batch:DURATION, such as batch:30s, at most 1h";

test("without settings the store is SQLite, everything is on disk before its acknowledgement", async () => {
  const { store, options, dataDir } = await settingsOf([]);
  assert.deepEqual(store, {
    type: "sqlite",
    module: undefined,
    required: false,
    clock: "auto",
    dailyBudgetBytes: undefined,
  });
  assert.deepEqual(options.durability, { delayMs: 0, topics: [] });
  assert.equal(dataDir, "/base/data");
});

for (const [argv, environment, expected] of [
  [[], { STATE_DIRECTORY: "/var/lib/mqtt-broker:/var/lib/other" }, "/var/lib/mqtt-broker"],
  [[], { STATE_DIRECTORY: "" }, "/base/data"],
  [["--data-dir=x"], { STATE_DIRECTORY: "/var/lib/mqtt-broker" }, "/base/x"],
  [[], { MQTT_BROKER_DATA_DIR: "/y", STATE_DIRECTORY: "/var/lib/mqtt-broker" }, "/y"],
] as const) {
  test(`the data folder of ${JSON.stringify([argv, environment])} is ${expected}`, async () => {
    assert.equal((await settingsOf(argv, {}, environment)).dataDir, expected);
  });
}

for (const [text, delayMs, written] of [
  ["sync", 0, "sync"],
  ["never", NEVER, "never"],
  ["batch:1ms", 1, "batch:1ms"],
  ["batch:2", 2000, "batch:2s"],
  ["batch:1h", 3_600_000, "batch:1h"],
  ["batch:1m30s", 90_000, "batch:1m30s"],
  ["batch:0.25", 250, "batch:250ms"],
] as const) {
  test(`the policy ${text} is a delay of ${delayMs} ms, and written as ${written}`, () => {
    assert.equal(parseDurability(text), delayMs);
    assert.equal(formatDurability(delayMs), written);
  });
}

for (const [text, hint] of [
  ["", undefined],
  ["Sync", 'Did you mean "sync"?'],
  ["snyc", 'Did you mean "sync"?'],
  ["nevr", 'Did you mean "never"?'],
  ["batch", 'Did you mean "batch:1s"?'],
  ["batch:", 'Did you mean "batch:1s"?'],
  ["batch 500ms", 'Did you mean "batch:500ms"?'],
  ["batch=30s", 'Did you mean "batch:30s"?'],
  ["bacth:30s", 'Did you mean "batch:30s"?'],
  ["30s", 'Did you mean "batch:30s"?'],
  ["batch:0", 'Did you mean "sync"?'],
  ["batch:0.0001", 'Did you mean "sync"?'],
  ["batch:61m", "A loss of power takes all that was gathered: batch:1h at most, or never"],
  ["2d", "A loss of power takes all that was gathered: batch:1h at most, or never"],
  ["whenever you like", undefined],
] as const) {
  test(`the policy "${text}" is none, and gets the hint ${hint}`, () => {
    assert.equal(parseDurability(text), undefined);
    assert.equal(durabilityHint(text), hint);
  });
}

for (const [filter, message, hint] of [
  ["sensors#", '"sensors#" is not a topic filter', 'Did you mean "sensors/#"?'],
  ["a/b+/c", '"a/b+/c" is not a topic filter', 'Did you mean "a/b/+/c"?'],
  [
    "#/a",
    '"#/a" is not a topic filter',
    "+ stands for a whole level and # for all that follow, as in sensors/+/raw and sensors/#",
  ],
  ["$share/g/a/#", '"$share/g/a/#" is a shared subscription, and policies are for topics', 'Did you mean "a/#"?'],
  [
    "$share/g",
    '"$share/g" is a shared subscription, and policies are for topics',
    "Name the topics alone, as in sensors/#",
  ],
] as const) {
  test(`the filter ${filter} can have no policy`, () => assert.deepEqual(filterMistake(filter), { message, hint }));
}

for (const filter of ["#", "+", "a/+/b/#", "/", "a b=c", "$SYS/#"]) {
  test(`the filter ${filter} can have a policy`, () => assert.equal(filterMistake(filter), undefined));
}

// Options, environment, files.

const FILE = { [MAIN]: "{ store: { durability: { default: 'batch:1s', 'a/#': 'never', 'b/#': 'sync' } } }" };
const ENVIRONMENT = { MQTT_BROKER_DURABILITY: "b/#=batch:2s, c=sync" };

for (const [title, argv, texts, environment, expected] of [
  ["one policy is for all", ["--durability=never"], {}, {}, { delayMs: NEVER, topics: [] }],
  ["the last counts", ["--durability=never", "--durability", "batch:5s"], {}, {}, { delayMs: 5000, topics: [] }],
  [
    "a filter may hold equals signs",
    ["--durability", "a=b/#=batch:1s"],
    {},
    {},
    { delayMs: 0, topics: [{ topicFilter: "a=b/#", delayMs: 1000 }] },
  ],
  ["default is for all", ["--durability=default=batch:1s"], {}, {}, { delayMs: 1000, topics: [] }],
  [
    "a text in the file is for all",
    [],
    { [MAIN]: "{ store: { durability: 'batch:1s' } }" },
    {},
    { delayMs: 1000, topics: [] },
  ],
  [
    "a stronger source replaces the policies that it names, and no other",
    ["--durability", "c=never", "--durability=d/#=never"],
    { ...FILE, "/base/conf.d/a.json5": "{ store: { durability: { 'a/#': 'batch:3s' } } }" },
    ENVIRONMENT,
    {
      delayMs: 1000,
      topics: [
        { topicFilter: "c", delayMs: NEVER },
        { topicFilter: "a/#", delayMs: 3000 },
        { topicFilter: "b/#", delayMs: 2000 },
        { topicFilter: "d/#", delayMs: NEVER },
      ],
    },
  ],
  [
    "what spells out more from the left is tried first",
    ["#", "+/x", "a/#", "a/+/c", "a/b/+", "a/b/c/#", "a/b/c", "+/b/c"].flatMap((filter) => [
      "--durability",
      `${filter}=never`,
    ]),
    {},
    {},
    {
      delayMs: 0,
      topics: ["a/b/c", "a/b/c/#", "a/b/+", "a/+/c", "a/#", "+/x", "+/b/c", "#"].map((topicFilter) => ({
        topicFilter,
        delayMs: NEVER,
      })),
    },
  ],
] as const) {
  test(`durability: ${title}`, async () => {
    const settings = await settingsOf(argv, texts as Texts, environment);
    // The order of filters that have nothing in common does not matter, but it is always the same.
    assert.deepEqual(settings.options.durability, expected);
  });
}

test("each policy knows where it came from", async () => {
  const { sources } = await settingsOf(["--durability", "c=never"], FILE, ENVIRONMENT);
  assert.deepEqual([...sources].filter(([key]) => key.startsWith("store.durability")).sort(), [
    ["store.durability.a/#", "mqtt-broker.json5:1:54"],
    ["store.durability.b/#", "MQTT_BROKER_DURABILITY b/#"],
    ["store.durability.c", "--durability c"],
    ["store.durability.default", "mqtt-broker.json5:1:35"],
  ]);
});

for (const [text, expected, hint] of [
  ["durability: 'snyc'", `1:24: store.durability must be ${NEEDED}, not "snyc"`, 'Did you mean "sync"?'],
  ["durability: 5", `1:24: store.durability must be ${NEEDED}, not 5`, undefined],
  ["durability: ['sync']", `1:24: store.durability must be ${NEEDED}, not ["sync"]`, undefined],
  [
    "durability: { default: 'batch' }",
    `1:35: store.durability.default must be ${NEEDED}, not "batch"`,
    'Did you mean "batch:1s"?',
  ],
  [
    "durability: { 'a/#': 'batch:2h' }",
    `1:33: store.durability.a/# must be ${NEEDED}, not "batch:2h"`,
    "A loss of power takes all that was gathered: batch:1h at most, or never",
  ],
  ["durability: { 'a/#': null }", `1:33: store.durability.a/# must be ${NEEDED}, not null`, undefined],
  ["durability: { 'a#': 'sync' }", '1:26: "a#" is not a topic filter', 'Did you mean "a/#"?'],
  ["dailyBudget: 5", "1:25: store.dailyBudget must be a size such as 64KiB or 2MiB, from 1MiB to 1TiB, or null, not 5"],
  ["clock: 'sundial'", '1:19: store.clock must be one of auto, trusted, untrusted, not "sundial"'],
  ["module: 'gone.mjs'", "1:20: /base/gone.mjs does not exist"],
  ["type: 'module'", "1:18: a store of type module needs --store-module FILE"],
  ["type: 'memory', required: true", "1:38: the store is memory, which keeps nothing beyond the end of the process"],
] as const) {
  test(`the configuration { store: { ${text} } } is refused with its place`, async () => {
    const loaded = await load([], { [MAIN]: `{ store: { ${text} } }` });
    assert.equal(loaded.settings, undefined);
    assert.deepEqual(headlines(loaded), [`mqtt-broker.json5:${expected}`]);
    if (hint !== undefined) assert.equal(loaded.problems[0]!.hint, hint);
  });
}

for (const [word, message, hint] of [
  ["snyc", `--durability needs ${NEEDED}, not "snyc"`, 'Did you mean "sync"?'],
  ["a/#=batch", `--durability a/# needs ${NEEDED}, not "batch"`, 'Did you mean "batch:1s"?'],
  ["a#=sync", '--durability: "a#" is not a topic filter', 'Did you mean "a/#"?'],
] as const) {
  test(`--durability ${word} is refused with a suggestion`, async () => {
    const loaded = await load(["--durability", word]);
    assert.equal(loaded.settings, undefined);
    assert.deepEqual(
      loaded.problems.map((problem) => [problem.message, problem.hint]),
      [[message, hint]],
    );
  });
}

// A store of the user's own.

test("a module is the store when no other is named", async () => {
  const texts = { [MAIN]: "{ store: { module: 'own.mjs' } }", "/base/own.mjs": "" };
  const { store, warnings } = await settingsOf([], texts);
  assert.deepEqual([store.type, store.module, warnings], ["module", "/base/own.mjs", []]);
});

test("a module of a drop-in file stands beside that file", async () => {
  const texts = {
    [MAIN]: "{}",
    "/base/conf.d/a.json5": "{ store: { module: 'own.mjs' } }",
    "/base/conf.d/own.mjs": "",
  };
  assert.equal((await settingsOf([], texts)).store.module, "/base/conf.d/own.mjs");
});

test("--store memory turns a module off, and says so", async () => {
  const texts = { [MAIN]: "{ store: { module: 'own.mjs' } }", "/base/own.mjs": "" };
  const { store, warnings } = await settingsOf(["--store", "memory"], texts);
  assert.deepEqual([store.type, store.module], ["memory", undefined]);
  assert.deepEqual(warnings, ["mqtt-broker.json5:1:20: not used, since the type of the store is memory"]);
});

test("a daily budget can be taken away on the command line", async () => {
  const texts = { [MAIN]: "{ store: { dailyBudget: '100MB' } }" };
  assert.equal((await settingsOf([], texts)).store.dailyBudgetBytes, 100_000_000);
  assert.equal((await settingsOf(["--store-daily-budget=none"], texts)).store.dailyBudgetBytes, undefined);
});
