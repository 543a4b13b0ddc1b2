import { SnType } from "./types.ts";

const NAMES = new Map<number, string>(Object.entries(SnType).map(([name, type]) => [type, name.toUpperCase()]));

/** "PUBLISH", as the standard writes it, for logs and errors; undefined when 1.2 has no such message. */
export function nameOf(type: number): string | undefined {
  return NAMES.get(type);
}
