import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { until } from "../pty.ts";
import { Rig } from "./rig.ts";

const BYTES_PER_SECOND = 115_200;
const RETRY_MS = 40;
/** What has to be known before a quality is told. */
const EVIDENCE = 16;
const NAMES = ["good", "bad"] as const;
const FIGURES = ["retries", "roundTripMs", "roundTripMaxMs", "linkQuality"] as const;

let rig: Rig;

beforeEach(() => {
  rig = new Rig();
});

afterEach(() => rig.close());

/** By `$SYS`, of both lines. */
function told(): number[][] {
  return NAMES.map((name) => FIGURES.map((key) => Number(rig.sys.get(`serial/${name}/${key}`))));
}

function counted(): number[][] {
  return NAMES.map((name) => FIGURES.map((key) => rig.counted(name, key)));
}

test("$SYS has each line's retries, round trip and quality, and each client's state the quality of its line", async () => {
  const [good, bad] = [rig.cable("good", BYTES_PER_SECOND), rig.cable("bad", BYTES_PER_SECOND, 5)];
  await Promise.all([good.plug(), bad.plug()]);
  // The quality belongs to the line, so the nodes behind a forwarder have it too.
  const calm = rig.end(good, "slip-crc").node("calm", 5000, Uint8Array.of(1, 2));
  const noisy = rig.end(bad, "slip-crc").node("noisy", RETRY_MS);
  const lines = NAMES.map((name) => `--serial=${rig.at(name)}:921600,framing=slip-crc`);
  await rig.start([...lines, "--sys-interval=100ms", "--mqtt-sn-retry-interval=300ms", "--mqtt-sn-retry-count=100"]);
  const states = new Map<string, { state: string; linkQuality?: number }>();
  rig.broker.inlineClient.subscribe("$SYS/broker/clients/+/mqtt-sn", ({ topicName, payload }) => {
    states.set(topicName.split("/")[3]!, JSON.parse(Buffer.from(payload).toString()));
  });
  await Promise.all([calm.connect(), noisy.connect()]);
  await until(() => states.size === 2, "both clients' states");
  assert.deepEqual(
    [...states.values()].map(({ linkQuality }) => linkQuality),
    [undefined, undefined],
  );
  await Promise.all([calm.subscribe("down", 1), noisy.subscribe("down", 1)]);
  bad.up.noise.rates = { flip: 20 };
  for (let count = 0; count < EVIDENCE; count++) rig.broker.publish("down", `message ${count}`, { qos: 1 });
  const areThere = (): boolean => [calm, noisy].every(({ received }) => received.length >= EVIDENCE);
  await until(areThere, "the messages", 15_000);
  bad.up.noise.rates = {};
  // The last acknowledgement may still be on its way.
  await until(() => isDeepStrictEqual(told(), counted()), "all that is counted in $SYS");
  const [calmFacts, noisyFacts] = told();
  const [retries, roundTripMs, longestMs, quality] = calmFacts!;
  assert.deepEqual([retries, quality], [0, 1]);
  assert.equal(roundTripMs! > 0 && roundTripMs! <= longestMs! && longestMs! < 5000, true, `${calmFacts}`);
  // A tenth and more of what this one says is damaged, and then it is sent the message again.
  assert.equal(noisyFacts![0]! > 0 && noisyFacts![3]! < 0.9, true, `${noisyFacts}`);
  for (const [client, line] of [
    ["noisy", "bad"],
    ["calm", "good"],
  ] as const) {
    const isShown = (): boolean => states.get(client)?.linkQuality === rig.counted(line, "linkQuality");
    await until(isShown, `the quality of ${line} in the state of ${client}`);
  }
});
