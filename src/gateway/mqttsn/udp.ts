import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { GatewayAccept, Listener, Log, Peer } from "../../core/ports.ts";
import type { SnGateway } from "./gateway.ts";
import type { Route } from "./route.ts";

/** What IPv6 guarantees to carry in one piece, less IPv6's and UDP's headers. A cut datagram is lost whole. */
const DATAGRAM_BYTES_MAX = 1232;
/** Clients whose addresses are at hand. */
const ROUTES_MAX = 20_000;
/** Hops of what is sent to the group: no further than this network. */
const GROUP_HOPS = 1;

export interface UdpOptions {
  /** Unique among the broker's listeners. */
  name: string;
  /** An address; "::" is dual stack, and 0.0.0.0 where there is no IPv6. */
  host: string;
  /** 0 to 65,535; 0 takes a free one, which `url` tells after `listen`. */
  port: number;
  gateway: SnGateway;
  log: Log;
  /** ADVERTISE and GWINFO go there, and SEARCHGW is heard there: "225.1.1.1". */
  group?: string | undefined;
  /** T_ADV, in seconds; 0: no ADVERTISE. */
  advertiseSeconds: number;
}

/** MQTT-SN over UDP: each datagram is one message, each address one client. */
export class UdpListener implements Listener {
  readonly name: string;
  private readonly options: UdpOptions;
  private socket: Socket | undefined;
  private host: string;
  private port: number;
  private readonly routes = new Map<string, Route>();
  private advertising: NodeJS.Timeout | undefined;
  /** Joined, as the socket's family writes it. */
  private group: string | undefined;

  constructor(options: UdpOptions) {
    this.options = options;
    this.name = options.name;
    this.host = options.host;
    this.port = options.port;
  }

  get url(): string {
    return `mqtt-sn-udp://${isIPv6(this.host) ? `[${this.host}]` : this.host}:${this.port}`;
  }

  async listen(accept: GatewayAccept): Promise<void> {
    const { gateway, log, group } = this.options;
    const socket = await this.bindAnyway();
    this.socket = socket;
    const bound = socket.address();
    this.host = bound.address;
    this.port = bound.port;
    socket.on("error", (error) => log.warn("MQTT-SN socket failed", { listener: this.name, reason: error.message }));
    socket.on("message", (message, from) => {
      // Nobody can answer there, and some answer themselves.
      if (from.port === 0) return;
      gateway.receive(message, this.routeOf(from, accept));
    });
    if (group !== undefined) this.join(socket, group);
  }

  /** Clients that are there are told that the gateway goes, and those asleep find out when they wake. */
  async close(): Promise<void> {
    const { socket } = this;
    this.options.gateway.farewell(this.name);
    this.socket = undefined;
    clearInterval(this.advertising);
    if (socket === undefined) return;
    // What was sent leaves with the next turn of the event loop, unless the socket is closed by then.
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise<void>((resolve) => socket.close(() => resolve()));
  }

  private async bindAnyway(): Promise<Socket> {
    const { host, port } = this.options;
    try {
      return await bind(host, port);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (host === "::" && (code === "EAFNOSUPPORT" || code === "EADDRNOTAVAIL" || code === "EINVAL")) {
        return await bind("0.0.0.0", port);
      }
      const reason = code === "EADDRINUSE" ? "the port is in use by another program" : (error as Error).message;
      throw new Error(`Cannot listen on ${this.url}: ${reason}`, { cause: error });
    }
  }

  private join(socket: Socket, group: string): void {
    const { gateway, log, advertiseSeconds } = this.options;
    try {
      socket.addMembership(group);
      socket.setMulticastTTL(GROUP_HOPS);
      socket.setMulticastLoopback(true);
    } catch (error) {
      log.warn("Cannot join the MQTT-SN group: clients cannot search for this gateway", {
        listener: this.name,
        group,
        reason: (error as Error).message,
      });
      return;
    }
    const isMapped = isIPv6(this.host) && !isIPv6(group);
    this.group = isMapped ? `::ffff:${group}` : group;
    if (advertiseSeconds === 0) return;
    const advertise = (): void => this.sendToGroup(gateway.advertisement());
    advertise();
    this.advertising = setInterval(advertise, advertiseSeconds * 1000).unref();
  }

  private routeOf({ address, port }: RemoteInfo, accept: GatewayAccept): Route {
    const plain = /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(address) ? address.slice("::ffff:".length) : address;
    const place = plain.includes(":") ? `[${plain}]:${port}` : `${plain}:${port}`;
    const known = this.routes.get(place);
    if (known !== undefined) return known;
    if (this.routes.size >= ROUTES_MAX) this.routes.delete(this.routes.keys().next().value!);
    const peer: Peer = {
      address: place,
      local: plain === "::1" || plain.startsWith("127."),
      listener: this.name,
      transport: "mqtt-sn",
    };
    const route: Route = {
      key: `${this.name} ${place}`,
      peer,
      origin: plain,
      maxBytes: DATAGRAM_BYTES_MAX,
      accept,
      send: (message) => this.send(message, address, port),
      ...(this.group !== undefined && { sendToAll: this.sendToGroup }),
    };
    this.routes.set(place, route);
    return route;
  }

  private readonly sendToGroup = (message: Uint8Array): void => {
    if (this.group !== undefined) this.send(message, this.group, this.port);
  };

  private send(message: Uint8Array, address: string, port: number): void {
    // What cannot be sent is lost, as a datagram may be anywhere; the retry decides.
    try {
      this.socket?.send(message, port, address, () => {});
    } catch (error) {
      this.options.log.debug("MQTT-SN message not sent", { address, reason: (error as Error).message });
    }
  }
}

function bind(host: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket({ type: isIPv6(host) ? "udp6" : "udp4" });
    socket.once("error", reject);
    socket.bind({ port, address: host }, () => {
      socket.off("error", reject);
      resolve(socket);
    });
  });
}
