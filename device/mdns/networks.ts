import { BlockList } from "node:net";
import { networkInterfaces } from "node:os";

/** A network that this machine is on, with its addresses there. */
export interface Network {
  /** The interface: "eth0". */
  interface: string;
  /** By which multicast leaves: the interface's first of IPv4. */
  from: string;
  /** "192.168.1.5/24": all of the interface, those of IPv4 first. */
  addresses: readonly string[];
}

/** Those with an address of IPv4, which mDNS is spoken by; loopback leads nowhere. */
export function networksNow(): Network[] {
  return Object.entries(networkInterfaces()).flatMap(([name, list = []]) => {
    const usable = list.filter(({ internal, cidr }) => !internal && cidr !== null);
    const ipv4 = usable.filter(({ family }) => family === "IPv4");
    const [first] = ipv4;
    if (first === undefined) return [];
    const ipv6 = usable.filter(({ family }) => family === "IPv6");
    return [{ interface: name, from: first.address, addresses: [...ipv4, ...ipv6].map(({ cidr }) => cidr!) }];
  });
}

/** Each address of this machine, on whatever network. */
export function ownAddresses(): ReadonlySet<string> {
  return new Set(Object.values(networkInterfaces()).flatMap((list = []) => list.map(({ address }) => address)));
}

export function addressOf(cidr: string): string {
  return cidr.slice(0, cidr.indexOf("/"));
}

/** Tells whether somebody is on a network: RFC 6762, 11 asks not to listen to others. */
export function neighbours({ addresses }: Network): BlockList {
  const list = new BlockList();
  for (const cidr of addresses) {
    const [address = "", bits] = cidr.split("/");
    if (!address.includes(":")) list.addSubnet(address, Number(bits), "ipv4");
  }
  return list;
}
