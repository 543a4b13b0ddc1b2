import { hostname, networkInterfaces } from "node:os";

/** What certificates need to know of the machine that they are made on. */
export interface Machine {
  /** Milliseconds since 1970, as this machine's clock has them. */
  readonly nowMs: number;
  readonly hostName: string;
  /** The addresses of all its interfaces, loopback too; those of IPv6 without their zone. */
  readonly addresses: readonly string[];
}

/** The machine on which this runs, as it is now. */
export function thisMachine(): Machine {
  const addresses = Object.values(networkInterfaces()).flatMap((list = []) => list.map(({ address }) => address));
  return { nowMs: Date.now(), hostName: hostname(), addresses };
}
