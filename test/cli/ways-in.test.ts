import assert from "node:assert/strict";
import { test } from "node:test";
import { WaysIn } from "../../src/cli/ways-in.ts";
import type { ListenerSettings } from "../../src/config/settings.ts";
import type { Entrance } from "../../src/core/entrance.ts";
import type { Listener } from "../../src/core/ports.ts";
import { TestLog } from "../core/stage.ts";

function tcp(name: string, port: number): ListenerSettings {
  return { name, type: "tcp", host: "::", port, noDelay: true, keepAliveSeconds: 0, reusePort: false };
}

/** A broker that tells what it is asked for; ports of `taken` cannot be had. */
function scene(...current: ListenerSettings[]): { ways: WaysIn; calls: string[]; taken: Set<number>; log: TestLog } {
  const calls: string[] = [];
  const taken = new Set<number>();
  const log = new TestLog("info");
  const broker = {
    async addListener({ name, url }: Listener): Promise<void> {
      calls.push(`add ${name} ${url}`);
      if (taken.has(Number(url))) throw new Error(`Cannot listen on ${url}`);
    },
    async removeListener(name: string, isReplaced = false): Promise<boolean> {
      calls.push(isReplaced ? `replace ${name}` : `remove ${name}`);
      return true;
    },
    setEntrance(name: string, entrance: Entrance): boolean {
      calls.push(`ask of ${name} ${JSON.stringify(entrance)}`);
      return true;
    },
  };
  const make = (settings: ListenerSettings): Listener => ({
    name: settings.name,
    url: String((settings as { port: number }).port),
    listen: async () => {},
    close: async () => {},
  });
  return { ways: new WaysIn(broker, make, current, log), calls, taken, log };
}

test("what is the same is left alone, what is gone is closed, what is new opened, what is other opened anew", async () => {
  const { ways, calls } = scene(tcp("same", 1), tcp("gone", 2), tcp("other", 3));
  await ways.apply([tcp("same", 1), tcp("other", 4), tcp("new", 5)]);
  assert.deepEqual(calls, ["remove gone", "replace other", "add other 4", "add new 5"]);
  calls.length = 0;
  await ways.apply([tcp("same", 1), tcp("other", 4), tcp("new", 5)]);
  assert.deepEqual(calls, []);
});

test("where only what is asked of clients is other, nothing is closed", async () => {
  const { ways, calls } = scene(tcp("a", 1), { ...tcp("b", 2), entrance: { mountPoint: "b/" } });
  await ways.apply([{ ...tcp("a", 1), entrance: { versions: [5] } }, tcp("b", 2)]);
  assert.deepEqual(calls, ['ask of a {"versions":[5]}', "ask of b {}"]);
  calls.length = 0;
  await ways.apply([{ ...tcp("a", 1), entrance: { versions: [5] } }, tcp("b", 2)]);
  assert.deepEqual(calls, []);
  await ways.apply([{ ...tcp("a", 3), entrance: { versions: [4] } }, tcp("b", 2)]);
  assert.deepEqual(calls, ["replace a", "add a 3"]);
});

test("two that change places are both closed before one is opened", async () => {
  const { ways, calls } = scene(tcp("a", 1), tcp("b", 2));
  await ways.apply([tcp("a", 2), tcp("b", 1)]);
  assert.deepEqual(calls, ["replace a", "replace b", "add a 2", "add b 1"]);
});

test("one that cannot be opened is named, and what was there before comes back", async () => {
  const { ways, calls, taken, log } = scene(tcp("a", 1));
  taken.add(2);
  await ways.apply([tcp("a", 2), tcp("b", 2)]);
  assert.deepEqual(calls, ["replace a", "add a 2", "add a 1", "add b 2"]);
  assert.deepEqual(log.at("error"), [
    "Cannot listen on 2: it listens as before",
    "Cannot listen on 2: correct the configuration, it is read again at once",
  ]);
  calls.length = 0;
  taken.clear();
  await ways.apply([tcp("a", 2), tcp("b", 3)]);
  assert.deepEqual(calls, ["replace a", "add a 2", "add b 3"]);
});

test("one that can be opened neither way is told as that, and tried again", async () => {
  const { ways, calls, taken, log } = scene(tcp("a", 1));
  taken.add(1).add(2);
  await ways.apply([tcp("a", 2)]);
  assert.deepEqual(log.at("error"), ["Cannot listen on 2: and it cannot listen as before either"]);
  calls.length = 0;
  await ways.apply([tcp("a", 2)]);
  assert.deepEqual(calls, ["add a 2"]);
});
