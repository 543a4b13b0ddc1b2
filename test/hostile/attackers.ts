import { ATTACKS, type Attacker } from "./attacks.ts";
import { SeededRandom } from "./random.ts";

/** What storm.ts starts this process with, as JSON. It answers with how often each attack was made, and is killed. */
export interface AttackersOrders {
  port: number;
  seed: number;
  seconds: number;
  attackers: number;
}

const { port, seed, seconds, attackers } = JSON.parse(process.argv[2]!) as AttackersOrders;
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
process.send!(counts);
