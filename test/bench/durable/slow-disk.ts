import type { Stage } from "../generator.ts";
import { atMost, figureOf, stageOf, towards } from "../scenarios.ts";
import type { DurableBroker } from "./brokers.ts";
import { type DurableScenario, faultsOf, generate, type Place, withBroker } from "./place.ts";
import { stallingDisk } from "./stall.ts";

const STALL_MS = 500;
const REST_MS = 500;
const MEASURED_MS = 4_000;
const WARM_UP_MS = 1_000;
/** As many fit in what is measured; a broker that hardly syncs meets fewer. */
const STALLS_MIN = 2;

/** Messages for stored sessions wait for the disk: what do clients notice whose messages have nothing to do with it? */
export function slowDisk(): DurableScenario {
  return {
    name: "slow-disk",
    title: "QoS 0 beside a disk that stalls 500 ms",
    figures: [
      { name: "p99, disk well", unit: "us" },
      { name: "p99, disk stalls", unit: "us" },
      { name: "max, disk well", unit: "us" },
      { name: "max, disk stalls", unit: "us" },
      { name: "p99, stalls to well", unit: "x", target: atMost(1.5) },
    ],
    against: "mosquitto-2.1",
    brokers: ["ours", "mosquitto-2.1"],
    async run(place) {
      const disk = stallingDisk(place.folder, STALL_MS, REST_MS);
      return await withBroker(place, { data: place.data, env: disk.env }, async (broker) => {
        const well = await bystanders(place, broker);
        disk.begin();
        const stalling = await bystanders(place, broker);
        if (disk.end() < STALLS_MIN)
          throw new Error("the disk did not stall: nothing was made durable, or the broker has no C library");
        return {
          values: {
            "p99, disk well": well.p99,
            "p99, disk stalls": stalling.p99,
            "max, disk well": well.max,
            "max, disk stalls": stalling.max,
            "p99, stalls to well": stalling.p99 / well.p99,
            "generator late p99": Math.max(well.generatorLate, stalling.generatorLate),
          },
          faults: faultsOf(...well.runs, ...stalling.runs),
          waited: 0,
        };
      });
    },
  };
}

interface Bystanders {
  p99: number;
  max: number;
  generatorLate: number;
  runs: ReadonlyMap<string, Stage>[];
}

/** 2,000 messages a second at QoS 0 over ten pairs, beside 1,000 at QoS 1 for ten stored sessions. */
async function bystanders(place: Place, broker: DurableBroker): Promise<Bystanders> {
  const open = ["latency", ...towards(broker), "--payload", "200", "--warmup", String(WARM_UP_MS)];
  const longer = String(MEASURED_MS + WARM_UP_MS);
  const kept = ["--qos", "1", "--stored", "1", "--group", "1", "--rate", "1000", "--duration", longer];
  const [load, stages] = await Promise.all([
    generate(place, [...open, ...kept]),
    generate(place, [...open, "--rate", "2000", "--duration", String(MEASURED_MS)]),
  ]);
  const result = stageOf(stages, "result");
  return {
    p99: figureOf(result, "p99Us"),
    max: figureOf(result, "maxUs"),
    generatorLate: figureOf(result, "generatorLateP99Us"),
    runs: [load, stages],
  };
}
