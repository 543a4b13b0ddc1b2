import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { atLeastRatio, latency, type Scenario, traffic } from "./scenarios.ts";

export const USERS = 1000;
export const RULES = 1000;

/** What rules may cost: each client logs in as one of the users, and the same traffic is measured without any rules. */
const AS_USERS = `--users ${USERS}`;
const MAY_COST = atLeastRatio(0.9);

export const AUTH_SCENARIOS: readonly Scenario[] = [
  traffic("q0-10-10", "QoS 0, 10 -> 10", AS_USERS, MAY_COST),
  traffic("q1-10-10", "QoS 1, 10 -> 10", `--qos 1 ${AS_USERS}`, MAY_COST),
  traffic("q2-10-10", "QoS 2, 10 -> 10", `--qos 2 ${AS_USERS}`, MAY_COST),
  traffic("q1-100-100", "QoS 1, 100 -> 100", `--qos 1 --publishers 100 --subscribers 100 ${AS_USERS}`, MAY_COST),
  traffic("fan-out-1000", "fan-out, 1 -> 1000", `--publishers 1 --subscribers 1000 ${AS_USERS}`, MAY_COST),
  traffic("fan-in", "fan-in, 100 -> 1", `--publishers 100 --subscribers 1 --window 4000 ${AS_USERS}`, MAY_COST),
  latency("latency-q1", "5,000 msg/s, QoS 1", "1", AS_USERS),
].map((scenario) => ({ ...scenario, against: "allow-all" }));

/**
 * Writes the rules: each user has a room of its own, some are kept out of a cellar, and the topics of the bench are allowed
 * to a group of all of them by a rule in the middle. Returns the file's path.
 */
export function writeRules(folder: string): string {
  const names = Array.from({ length: USERS }, (_, index) => `user${index}`);
  const rules = Array.from({ length: RULES }, (_, index) => {
    const name = names[index]!;
    if (index === RULES / 2) return { topic: "bench/#", allow: { sub: ["@bench"], pub: ["@bench"] } };
    if (index % 10 === 9) return { topic: `house/room${index - 1}/cellar/+`, deny: { sub: ["@any"], pub: ["@any"] } };
    return { topic: `house/room${index}/#`, allow: { sub: [name], pub: [name] } };
  });
  const path = join(folder, "auth.json5");
  const file = {
    authentication: names.map((name, index) => ({
      name,
      method: "sha256",
      salt: `salt${index}`,
      digest: createHash("sha256").update(`salt${index}password${index}`).digest("hex"),
    })),
    group: [{ name: "@bench", members: names }],
    authorization: rules,
  };
  writeFileSync(path, JSON.stringify(file, undefined, 1));
  return path;
}
