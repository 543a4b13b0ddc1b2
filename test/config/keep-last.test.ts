import assert from "node:assert/strict";
import { test } from "node:test";
import { headlines, load, MAIN, settingsOf } from "./loading.ts";

const keepLastOf = async (options: string[], text = "{}"): Promise<readonly string[]> =>
  (await settingsOf(options, { [MAIN]: text })).options.queue.keepLast;

test("all messages of all topics wait unless filters are given, by option or in the file, each once", async () => {
  assert.deepEqual(await keepLastOf([]), []);
  assert.deepEqual(await keepLastOf([], "{ queue: { keepLast: ['set/#', '+/now', 'set/#'] } }"), ["set/#", "+/now"]);
  assert.deepEqual(await keepLastOf(["--queue-keep-last=a", "--queue-keep-last=b/#"]), ["a", "b/#"]);
});

test("what is no topic filter is refused with its place", async () => {
  const text = "{ queue: { keepLast: ['set/#', 'set#', '$share/g/set'] } }";
  assert.deepEqual(headlines(await load([], { [MAIN]: text })), [
    'mqtt-broker.json5:1:32: "set#" is not a topic filter',
    'mqtt-broker.json5:1:40: "$share/g/set" is a shared subscription, and policies are for topics',
  ]);
  assert.deepEqual(headlines(await load(["--queue-keep-last=a/#/b"])), [
    '--queue-keep-last: "a/#/b" is not a topic filter',
  ]);
  assert.deepEqual(headlines(await load([], { [MAIN]: "{ queue: { keepLast: 'set' } }" })), [
    'mqtt-broker.json5:1:22: queue.keepLast must be a list in square brackets, not "set"',
  ]);
});
