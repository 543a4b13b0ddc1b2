import { findOptionByKey } from "../cli/options.ts";
import type { ProtocolVersion } from "../codec/constants.ts";
import { AUTH_METHODS, type AuthMethod } from "../core/access.ts";
import { ENTRANCE_LIMITS, ENTRANCE_OPTIONS, type Entrance, mountPointMistake } from "../core/entrance.ts";
import type { Problem } from "../text/problem.ts";
import { PUBLIC_LIMITS } from "./limit-names.ts";
import type { ListenerEntry } from "./listener.ts";
import type { ValueType } from "./value.ts";

const VERSIONS: ReadonlyMap<string, ProtocolVersion> = new Map([
  ["3.1", 3],
  ["3.1.1", 4],
  ["5.0", 5],
]);

export const VERSION_TYPE: ValueType = { kind: "enum", values: [...VERSIONS.keys()] };
export const METHOD_TYPE: ValueType = { kind: "enum", values: AUTH_METHODS };

/** What an entry of `listeners` may bound by itself, by the names of `limits` and `mqtt`. */
export const OWN_LIMITS: ReadonlyMap<string, ValueType> = new Map([
  ...ENTRANCE_LIMITS.map((name) => [name, PUBLIC_LIMITS.get(name)!.type] as const),
  ...Object.keys(ENTRANCE_OPTIONS).map((name) => [name, findOptionByKey(`mqtt.${name}`)!.type] as const),
]);

/** What an entry asks of its clients; undefined when it says nothing of that. */
export function entranceOf(entry: ListenerEntry, problems: Problem[]): Entrance | undefined {
  const { origin, versions, authMethods, mountPoint, limits } = entry;
  const mistake = mountPoint === undefined ? undefined : mountPointMistake(mountPoint);
  if (mistake !== undefined) {
    problems.push(origin.problem("error", `The mountPoint ${JSON.stringify(mountPoint)} ${mistake}`));
  }
  const entrance: Entrance = {
    ...(versions && { versions: versions.map((version) => VERSIONS.get(version)!) }),
    ...(authMethods && { authMethods: authMethods as AuthMethod[] }),
    ...(mountPoint !== undefined && { mountPoint }),
    ...(limits && { limits }),
  };
  return Object.keys(entrance).length === 0 ? undefined : entrance;
}
