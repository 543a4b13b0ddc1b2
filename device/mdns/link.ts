import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { BlockList } from "node:net";
import { networkInterfaces } from "node:os";
import { MESSAGE_BYTES_MAX } from "./message.ts";
import { addressOf } from "./networks.ts";
import { withoutZone } from "./services.ts";

const PORT = 5353;
const GROUPS = { IPv4: "224.0.0.251", IPv6: "ff02::fb" } as const;

/** An interface and one of the families in which it can be asked on it. */
export interface Link {
  /** "eth0" */
  interface: string;
  family: "IPv4" | "IPv6";
  /** "192.168.1.5/24": those of this family there. */
  addresses: readonly string[];
}

/** Each network of this machine, in both families; loopback leads nowhere. */
export function linksNow(): Link[] {
  return Object.entries(networkInterfaces()).flatMap(([name, list = []]) => {
    const usable = list.filter(({ internal, cidr }) => !internal && cidr !== null);
    return (["IPv4", "IPv6"] as const).flatMap((family): Link[] => {
      const addresses = usable.filter((one) => one.family === family).map(({ cidr }) => cidr!);
      return addresses.length === 0 ? [] : [{ interface: name, family, addresses }];
    });
  });
}

export interface LinkEvents {
  /** A message of somebody on this network. */
  received(bytes: Uint8Array): void;
  /** It cannot send or receive (any more). */
  failed(error: NodeJS.ErrnoException): void;
}

/** Asks on one link, and hears what is said to all there. */
export class LinkSocket {
  readonly link: Link;
  private readonly events: LinkEvents;
  private readonly neighbours = new BlockList();
  private socket: Socket | undefined;

  constructor(link: Link, events: LinkEvents) {
    this.link = link;
    this.events = events;
    const family = link.family === "IPv4" ? "ipv4" : "ipv6";
    for (const cidr of link.addresses) this.neighbours.addSubnet(addressOf(cidr), Number(cidr.split("/")[1]), family);
  }

  /** Resolves in any case; what is wrong is told by `failed`. */
  async open(): Promise<void> {
    try {
      this.socket = await this.bound();
    } catch (error) {
      this.events.failed(error as NodeJS.ErrnoException);
      return;
    }
    this.socket.on("error", (error) => this.events.failed(error));
    this.socket.on("message", (bytes, from) => {
      if (this.isNeighbour(from) && bytes.length <= MESSAGE_BYTES_MAX) this.events.received(bytes);
    });
  }

  send(bytes: Uint8Array): void {
    const { family } = this.link;
    const group = family === "IPv4" ? GROUPS.IPv4 : `${GROUPS.IPv6}${this.zone}`;
    this.socket?.send(bytes, PORT, group, (error) => {
      if (error !== null) this.events.failed(error);
    });
  }

  async close(): Promise<void> {
    const { socket } = this;
    this.socket = undefined;
    if (socket === undefined) return;
    await new Promise<void>((resolve) => socket.close(() => resolve()));
  }

  /**
   * Beside Avahi and others, on their port: bound to the group it hears what is said to all, and takes nothing that is meant
   * for them. Where a program has the port for itself, from another one: then answers come to us alone (RFC 6762, 6.7).
   */
  private async bound(): Promise<Socket> {
    const { family } = this.link;
    const from = addressOf(this.link.addresses[0]!);
    const membership = family === "IPv4" ? from : `::${this.zone}`;
    try {
      const group = family === "IPv4" ? GROUPS.IPv4 : `${GROUPS.IPv6}${this.zone}`;
      return await this.bind(PORT, group, membership);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
      return await this.bind(0, family === "IPv4" ? from : "::", membership);
    }
  }

  private async bind(port: number, address: string, membership: string): Promise<Socket> {
    const type = this.link.family === "IPv4" ? "udp4" : "udp6";
    const socket = createSocket({ type, reuseAddr: port !== 0, ipv6Only: type === "udp6" });
    try {
      const listening = once(socket, "listening");
      socket.bind({ port, address });
      await listening;
      socket.setMulticastInterface(membership);
      socket.setMulticastTTL(255);
      if (port !== 0) socket.addMembership(GROUPS[this.link.family], membership);
      return socket;
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** RFC 6762, 11: nobody from outside of the network is listened to; who is not of mDNS has another port. */
  private isNeighbour({ address, port, family }: RemoteInfo): boolean {
    const isHere = !address.includes("%") || address.endsWith(this.zone);
    return port === PORT && isHere && this.neighbours.check(withoutZone(address), family === "IPv4" ? "ipv4" : "ipv6");
  }

  private get zone(): string {
    return `%${this.link.interface}`;
  }
}
