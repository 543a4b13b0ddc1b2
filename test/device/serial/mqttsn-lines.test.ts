import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { framingOf } from "../../../device/serial/framing/framing.ts";
import { type LineMistake, parseLine } from "../../../device/serial/line-spec.ts";
import { SerialListener } from "../../../device/serial/mqttsn-lines.ts";
import type { Route } from "../../../src/gateway/mqttsn/route.ts";
import { NotedLog, type Pty, PtyFolder, until } from "./pty.ts";

const HOUR_MS = 3_600_000;
/** Every so often it is looked whether there is something to report. */
const LOOK_MS = 10_000;
const PINGREQ = framingOf("cobs").encode(Uint8Array.of(2, 0x16), undefined);

let folder: PtyFolder;
let pty: Pty;
let log: NotedLog;
let routes: Route[];
let laterMs: number;
let listener: SerialListener;

beforeEach(async () => {
  // Before the listener, whose timer then goes only when it is told to.
  mock.timers.enable({ apis: ["setInterval"] });
  folder = new PtyFolder();
  pty = await folder.plug("meter");
  log = new NotedLog();
  routes = [];
  laterMs = 0;
  const mistakes: LineMistake[] = [];
  const line = parseLine(`${folder.at("meter")}:9600,framing=cobs`, mistakes);
  assert.deepEqual(mistakes, []);
  listener = new SerialListener({
    name: "serial",
    lines: [line!],
    gateway: {
      receive: (_, route) => void routes.push(route),
      advertisement: () => new Uint8Array(),
      farewell: () => {},
    },
    log,
    clock: { nowMs: () => performance.now() + laterMs },
    advertiseSeconds: 0,
  });
  await listener.listen(() => assert.fail("nobody connects"));
  await until(() => listener.states()[0]?.isUp === true, "the line to open");
});

afterEach(async () => {
  await listener.close();
  await folder.close();
  mock.timers.reset();
});

/** Writes so many messages, and waits until they have come. */
async function say(count: number): Promise<void> {
  const wanted = routes.length + count;
  for (let number = 0; number < count; number++) pty.write(PINGREQ);
  await until(() => routes.length === wanted, `${wanted} messages`);
}

function figures(): (number | undefined)[] {
  const { retries, roundTripMs, roundTripMaxMs, linkQuality } = listener.states()[0]!;
  return [retries, roundTripMs, roundTripMaxMs, linkQuality];
}

test("what clients answered and what was sent again is counted for their line, whose quality every way to a client tells", async () => {
  assert.equal("roundTripMs" in listener.states()[0]!, false);
  await say(1);
  const [route] = routes;
  assert.deepEqual([...figures(), route!.linkQuality], [0, undefined, undefined, undefined, undefined]);
  route!.answered!(8);
  route!.answered!(16);
  route!.retried!();
  assert.deepEqual(figures(), [1, 9, 16, undefined]);
  await say(15);
  assert.deepEqual([...figures(), route!.linkQuality], [1, 9, 16, 1, 1]);
  for (let count = 0; count < 17; count++) route!.retried!();
  assert.deepEqual([...figures(), route!.linkQuality], [18, 9, 16, 0.1, 0.1]);
});

test("a line that is plugged in again keeps its counts, and its quality is to be seen anew", async () => {
  await say(16);
  routes[0]!.retried!();
  assert.deepEqual(figures(), [1, undefined, undefined, 1]);
  await pty.unplug();
  await until(() => !listener.states()[0]!.isUp, "the line to go");
  for (let count = 0; count < 20; count++) routes[0]!.retried!();
  // It is not the line's quality that it is not there.
  assert.deepEqual(figures(), [21, undefined, undefined, 1]);
  pty = await folder.plug("meter");
  await until(() => listener.states()[0]!.isUp, "the line to come back");
  assert.deepEqual(figures(), [21, undefined, undefined, undefined]);
  await say(16);
  assert.deepEqual(figures(), [21, undefined, undefined, 1]);
});

test("the log tells of each line once an hour, and soon when it gets bad", async () => {
  await say(16);
  routes[0]!.answered!(8);
  mock.timers.tick(LOOK_MS);
  const reports = () => log.lines.filter((line) => /in the last hour|loses messages/.test(line));
  assert.deepEqual(reports(), []);
  laterMs = HOUR_MS;
  mock.timers.tick(LOOK_MS);
  const hourly =
    "info What a serial line did in the last hour line=meter up=true frames=16 bytes=112 opens=1 roundTripMs=8 roundTripMaxMs=8 linkQuality=1";
  assert.deepEqual(reports(), [hourly]);
  mock.timers.tick(LOOK_MS);
  assert.deepEqual(reports(), [hourly]);
  for (let count = 0; count < 17; count++) routes[0]!.retried!();
  mock.timers.tick(LOOK_MS);
  assert.equal(reports().length, 2);
  assert.match(
    reports()[1]!,
    /^warn A serial line loses messages line=meter linkQuality=0.05 damaged=0 of 16 sentAgain=17 of 18 reason=answers do not come/,
  );
});
