import { setTimeout as sleep } from "node:timers/promises";
import { settledBytes } from "../brokers.ts";
import type { Stage } from "../generator.ts";
import { residentBytes, residentBytesMax } from "../processes.ts";
import { atLeastRatio, atMost, figureOf, judged, type Sample, stageOf, towards } from "../scenarios.ts";
import { type DurableBroker, type DurableName, isOurs } from "./brokers.ts";
import { deviceBytesWritten } from "./disk.ts";
import { type DurableScenario, faultsOf, generate, MESSAGE, type Place, withBroker } from "./place.ts";
import { restart } from "./restart.ts";
import { slowDisk } from "./slow-disk.ts";

const RIVALS: readonly DurableName[] = ["ours", "mosquitto-2.1", "mosquitto-2.0"];

export const DURABLE_SCENARIOS: readonly DurableScenario[] = [
  startUp(),
  stored("stored-1", 1, 4_000, 0.6),
  stored("stored-50", 50, 60_000, 1.5),
  stored("stored-1000", 1000, 100_000, 3),
  publishers(),
  deviceBytes(),
  slowDisk(),
  longQueue(),
  restart(),
];

/** What the store needs before it has anything to keep. */
function startUp(): DurableScenario {
  return {
    name: "rss",
    title: "memory at start",
    figures: [{ name: "RSS", unit: "MB" }],
    against: "mosquitto-2.1",
    brokers: ["ours", "ours-memory", "mosquitto-2.1"],
    run: (place) =>
      withBroker(place, { data: place.data }, async (broker) => {
        await sleep(1000);
        return { values: { RSS: residentBytes(broker.pid) / 1e6 }, faults: {}, waited: 0 };
      }),
  };
}

/** Messages for a session that sleeps, one publisher with `window` under way. */
function stored(name: string, window: number, count: number, target: number): DurableScenario {
  const drain = { name: "drain", unit: "per second" } as const;
  const figures = [{ name: "store", unit: "per second", target: atLeastRatio(target) } as const];
  return {
    name,
    title: `stored, ${window.toLocaleString("en-US")} under way`,
    // A queue of a few thousand is drained before anything is up to speed.
    figures: window === 1 ? figures : [...figures, { ...drain, target: atLeastRatio(4) }],
    against: "mosquitto-2.1",
    brokers: RIVALS,
    run: (place) => withBroker(place, { data: place.data }, (broker) => offline(place, broker, 1, window, count)),
  };
}

/** What durability costs us: our own broker in memory is beside it. */
function publishers(): DurableScenario {
  return {
    name: "publishers-50",
    title: "stored, 50 publishers with 64",
    figures: [
      { name: "store", unit: "per second", target: atLeastRatio(0.4), against: "ours-memory" },
      { name: "drain", unit: "per second" },
    ],
    against: "mosquitto-2.1",
    brokers: ["ours", "ours-memory", "mosquitto-2.1", "mosquitto-2.0"],
    run: (place) => withBroker(place, { data: place.data }, (broker) => offline(place, broker, 50, 64, 100_000)),
  };
}

/** It writes the whole queue again and again: more would be gigabytes. */
const SAVED_WHOLE_MAX = 20_000;

async function offline(
  place: Place,
  broker: DurableBroker,
  publisherCount: number,
  window: number,
  countMax: number,
): Promise<Sample> {
  const count = place.name === "mosquitto-2.0" ? Math.min(countMax, SAVED_WHOLE_MAX) : countMax;
  const load = ["offline", ...towards(broker), ...MESSAGE, "--window", String(window)];
  load.push("--publishers", String(publisherCount));
  // A broker on a compiling runtime is slow for its first moment, which is not what is asked about here.
  await generate(place, [...load, "--count", String(Math.min(Math.ceil(count / 2), 30_000))]);
  const stages = await generate(place, [...load, "--count", String(count)]);
  return {
    values: {
      store: figureOf(stageOf(stages, "stored"), "perSecond"),
      drain: figureOf(stageOf(stages, "result"), "perSecond"),
    },
    ...judged(stages),
  };
}

/** Checkpoints and the like that follow by themselves belong to the messages before them. */
const SETTLE_MS = 2_000;

function deviceBytes(): DurableScenario {
  const count = 100_000;
  return {
    name: "device-bytes",
    title: "written to the device for each",
    figures: [
      { name: "queued, then drained", unit: "bytes", target: atMost(2_500) },
      { name: "subscriber awake", unit: "bytes", target: atMost(2_500) },
    ],
    against: "mosquitto-2.1",
    brokers: ["ours", "mosquitto-2.1"],
    async run(place) {
      const { countedData: data } = place;
      if (data === undefined) throw new Error("no disk counts what it writes: run it as root");
      return await withBroker(place, { data }, async (broker) => {
        const measured = async (args: readonly string[]): Promise<[number, Map<string, Stage>]> => {
          const before = deviceBytesWritten(data);
          const stages = await generate(place, [...args, ...towards(broker), ...MESSAGE]);
          await sleep(SETTLE_MS);
          return [deviceBytesWritten(data) - before, stages];
        };
        const load = ["--publishers", "50"];
        const asleep = ["offline", ...load, "--window", "64", "--count", String(count)];
        const [queuedBytes, queued] = await measured(asleep);
        // The window belongs to the topic, which all share.
        const awake = ["pubsub", ...load, "--subscribers", "1", "--stored", "1", "--window", "3200"];
        const [passedBytes, passed] = await measured([...awake, "--duration", "2000"]);
        return {
          values: {
            "queued, then drained": queuedBytes / count,
            "subscriber awake": passedBytes / figureOf(stageOf(passed, "result"), "sent"),
          },
          faults: faultsOf(queued, passed),
          waited: 0,
        };
      });
    },
  };
}

/** A million messages for one sleeper. */
function longQueue(): DurableScenario {
  const count = 1_000_000;
  return {
    name: "long-queue",
    title: "1,000,000 stored for one",
    figures: [
      { name: "memory", unit: "MB", target: atMost(100) },
      { name: "memory at most", unit: "MB" },
      { name: "store", unit: "per second" },
      { name: "drain", unit: "per second" },
    ],
    against: "mosquitto-2.1",
    brokers: ["ours", "mosquitto-2.1"],
    long: true,
    run: (place) =>
      withBroker(place, { data: place.data, collects: true }, async (broker) => {
        const base = await settledBytes(broker, isOurs(place.name));
        let settled = base;
        let most = base;
        const args = ["offline", ...towards(broker), ...MESSAGE, "--publishers", "1", "--window", "1000"];
        const stages = await generate(place, [...args, "--count", String(count)], 240, async () => {
          most = residentBytesMax(broker.pid);
          settled = await settledBytes(broker, isOurs(place.name));
        });
        return {
          values: {
            memory: (settled - base) / 1e6,
            "memory at most": (most - base) / 1e6,
            store: figureOf(stageOf(stages, "stored"), "perSecond"),
            drain: figureOf(stageOf(stages, "result"), "perSecond"),
          },
          ...judged(stages),
        };
      }),
  };
}
