import { statSync } from "node:fs";
import type { Architecture } from "./architecture.ts";

/** In millions of bytes. Most of it is Node.js: what grows beyond has been bundled by mistake, or wants a decision. */
export const EXECUTABLE_MB_MAX: Readonly<Record<Architecture, number>> = { x64: 125, arm64: 118 };

/** The size of the file in millions of bytes. Throws when it is more than `most`. */
export function demandSize(file: string, most: number): number {
  const size = statSync(file).size / 1_000_000;
  if (size > most) throw new Error(`${file} has ${size.toFixed(1)} MB, and ${most} MB is what it may have`);
  return size;
}
