import { readFileSync } from "node:fs";
import { hostname, type NetworkInterfaceInfo, networkInterfaces } from "node:os";

/** By what a machine can be reached. */
export interface Place {
  readonly hostName: string;
  /** The addresses of its interfaces, loopback too; those of IPv6 without their zone. */
  readonly addresses: readonly string[];
}

/** What certificates need to know of the machine that they are made on. */
export interface Machine extends Place {
  /** Milliseconds since 1970, as this machine's clock has them. */
  readonly nowMs: number;
}

/** Interfaces that container engines and hypervisors make and remove: what is behind them is this same machine. */
const OF_CONTAINERS = /^(?:docker|br-[0-9a-f]{12}|veth|virbr|vnet|cni|flannel|cali|podman|lxc|lxd|incus)/;
/** Linux' list of IPv6 addresses: 32 digits, then index, prefix length, scope and flags, and the interface's name. */
const INET6_LINE = /^([0-9a-f]{32}) [0-9a-f]+ [0-9a-f]+ [0-9a-f]+ ([0-9a-f]+) +(\S+)$/gm;
const IFA_F_TEMPORARY = 0x01;

/** The machine on which this runs, as it is now. */
export function thisMachine(): Machine {
  const addresses = Object.values(networkInterfaces()).flatMap((list = []) => list.map(({ address }) => address));
  return { nowMs: Date.now(), hostName: hostname(), addresses };
}

/** This machine with the addresses alone that other machines would use for longer. */
export function thisPlace(): Place {
  return { hostName: hostname(), addresses: lastingAddresses(networkInterfaces(), linuxInet6()) };
}

/**
 * The addresses but for those of containers' interfaces and IPv6's temporary ones, of which there is a new one each day, and
 * which nobody is told. `inet6`: /proc/net/if_inet6, "" where there is none.
 */
export function lastingAddresses(interfaces: NodeJS.Dict<readonly NetworkInterfaceInfo[]>, inet6: string): string[] {
  const temporary = new Set<string>();
  for (const [, digits, flags, name] of inet6.matchAll(INET6_LINE)) {
    if ((Number.parseInt(flags!, 16) & IFA_F_TEMPORARY) !== 0) temporary.add(`${name} ${digits}`);
  }
  return Object.entries(interfaces).flatMap(([name, list = []]) => {
    if (OF_CONTAINERS.test(name)) return [];
    const lasting = list.filter(
      ({ family, address }) => family === "IPv4" || !temporary.has(`${name} ${digitsOf(address)}`),
    );
    return lasting.map(({ address }) => address);
  });
}

/** "2001:db8::1" as Linux lists it: 32 digits. */
function digitsOf(address: string): string {
  const [head = "", tail] = address.replace(/%.*$/, "").split("::");
  const before = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array<string>(8 - before.length - after.length).fill("0");
  return [...before, ...zeros, ...after].map((group) => group.padStart(4, "0")).join("");
}

function linuxInet6(): string {
  try {
    return readFileSync("/proc/net/if_inet6", "latin1");
  } catch {
    return "";
  }
}
