import { kill } from "../processes.ts";
import { atMost, towards } from "../scenarios.ts";
import { type DurableBroker, startDurable, stopDurable } from "./brokers.ts";
import { type DurableScenario, faultsOf, generate, MESSAGE, type Place } from "./place.ts";
import { untilServing } from "./serving.ts";

const COUNT = 100_000;
const STOCK = [...MESSAGE, "--sessions", "1000", "--count", String(COUNT), "--window", "1000", "--silence", "5000"];
/** The last one that was stored. */
const RETAINED_TOPIC = `bench/retained/${String(COUNT - 1).padStart(8, "0")}`;

/**
 * How long a broker is away that keeps 100,000 retained messages and 1,000 sessions with 100 messages each: from the
 * start of its process until a client is connected and has read a retained message.
 */
export function restart(): DurableScenario {
  return {
    name: "restart",
    title: "100,000 retained, 1,000 queues of 100",
    figures: [
      { name: "serving, after SIGKILL", unit: "ms", target: atMost(2_000) },
      { name: "serving, after SIGTERM", unit: "ms", target: atMost(2_000) },
    ],
    against: "mosquitto-2.1",
    brokers: ["ours", "mosquitto-2.1"],
    async run(place) {
      const stocked = await startDurable(place.name, place.plan, { data: place.data });
      const stored = await generate(place, ["stock", ...towards(stocked), ...STOCK]).finally(() => kill(stocked));
      const [killed, afterKill] = await timeToServe(place);
      await stopDurable(killed);
      const [stopped, afterStop] = await timeToServe(place);
      const taken = await generate(place, ["take", ...towards(stopped), ...STOCK]).finally(() => stopDurable(stopped));
      return {
        values: { "serving, after SIGKILL": afterKill, "serving, after SIGTERM": afterStop },
        faults: faultsOf(stored, taken),
        waited: 0,
      };
    },
  };
}

async function timeToServe(place: Place): Promise<[DurableBroker, number]> {
  const until = (port: number): Promise<void> => untilServing(port, RETAINED_TOPIC);
  const broker = await startDurable(place.name, place.plan, { data: place.data, until });
  return [broker, performance.now() - broker.startedMs];
}
