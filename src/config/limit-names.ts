import { LIMITS, type Limit, type LimitName } from "../core/limits.ts";
import type { ValueType } from "./value.ts";

/** A limit as people write it: without the unit in its name, since its value has one. */
export interface PublicLimit {
  name: LimitName;
  type: ValueType;
  default: number;
  reason: string;
}

/** By public name: "connectTimeout" for connectTimeoutMs. In the order of the table. */
export const PUBLIC_LIMITS: ReadonlyMap<string, PublicLimit> = new Map(
  Object.entries(LIMITS).map(([name, limit]) => [
    limit.unit === "ms" ? name.replace(/Ms$/, "") : name,
    { name: name as LimitName, type: typeOf(limit), default: limit.default, reason: limit.reason },
  ]),
);

function typeOf({ unit, min, max }: Limit): ValueType {
  if (unit === "count") return { kind: "integer", min, max };
  return unit === "ms" ? { kind: "duration", unit: "ms", min, max } : { kind: "size", min, max };
}
