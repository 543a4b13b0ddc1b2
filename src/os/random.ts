import { randomBytes } from "node:crypto";
import type { Random } from "../core/ports.ts";

/** The operating system's randomness: identifiers made of it cannot be guessed. */
export class HostRandom implements Random {
  hex128(): string {
    return randomBytes(16).toString("hex");
  }
}
