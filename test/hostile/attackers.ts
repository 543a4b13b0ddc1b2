import { parentPort, workerData } from "node:worker_threads";
import { ATTACKS, type Attacker } from "./attacks.ts";
import { SeededRandom } from "./random.ts";

/** Runs in a thread of its own, so that the well-behaved clients are not slowed down by making up attacks. */
export interface AttackersData {
  port: number;
  seed: number;
  seconds: number;
  attackers: number;
}

const { port, seed, seconds, attackers } = workerData as AttackersData;
const endMs = performance.now() + seconds * 1000;
const over = (): boolean => performance.now() >= endMs;
const counts: Record<string, number> = {};

await Promise.all(
  Array.from({ length: attackers }, async (_, number) => {
    const random = new SeededRandom(seed + number * 7919);
    const names = Object.keys(ATTACKS);
    for (let round = 0; !over(); round++) {
      const name = random.pick(names);
      counts[name] = (counts[name] ?? 0) + 1;
      const attacker: Attacker = { port, random, name: `storm${number}x${round}`, over };
      await ATTACKS[name]!(attacker);
    }
  }),
);
parentPort!.postMessage(counts);
