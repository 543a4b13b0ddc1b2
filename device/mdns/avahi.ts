import { isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import { type Advertiser, type AdvertiserEvents, Sequence } from "./advertiser.ts";
import { instanceName } from "./names.ts";
import { type Service, withoutZone } from "./services.ts";
import { BusError, type Call, openSystemBus, type Signal, type SystemBus } from "./system-bus.ts";

export const AVAHI = "org.freedesktop.Avahi";

const SERVER = `${AVAHI}.Server`;
const GROUP = `${AVAHI}.EntryGroup`;
const SERVER_RUNNING = 2;
const GroupState = { ESTABLISHED: 2, COLLISION: 3, FAILURE: 4 } as const;
/** AVAHI_IF_UNSPEC and AVAHI_PROTO_UNSPEC: all of them. */
const ANY = -1;
const IPV4 = 0;
const IPV6 = 1;
/** So many names are tried for one service. */
const NAMES_MAX = 50;
const RECONNECT_MS = 2_000;
/** So long its answers are waited for at the end: it may hang. */
const GOODBYE_MS_MAX = 500;

/** A service in Avahi's hands: one group each, so that a collision tells which name is taken. */
interface Group {
  service: Service;
  path: string;
  /** The one that is used. */
  name: string;
  tried: number;
  established: boolean;
}

/** Advertises through avahi-daemon, the responder that most Linux machines have. It may come, go and come again. */
export class AvahiAdvertiser implements Advertiser {
  private readonly events: AdvertiserEvents;
  private readonly sequence = new Sequence();
  private services: readonly Service[] = [];
  private groups: Group[] = [];
  private bus: SystemBus | undefined;
  /** The name of the machine, while Avahi is there and ready to take services. */
  private host: string | undefined;
  private state: "new" | "started" | "stopped" = "new";
  private timer: NodeJS.Timeout | undefined;
  private told = "";

  constructor(events: AdvertiserEvents) {
    this.events = events;
  }

  async start(services: readonly Service[]): Promise<void> {
    this.state = "started";
    this.services = services;
    await this.sequence.run(() => this.connect());
  }

  update(services: readonly Service[]): Promise<void> {
    return this.sequence.run(async () => {
      this.services = services;
      if (this.host !== undefined) await this.guarded(() => this.bring());
    });
  }

  async stop(): Promise<void> {
    this.state = "stopped";
    clearTimeout(this.timer);
    // Then nothing that was asked is answered any more, and what waits for it goes on.
    const patience = setTimeout(() => this.bus?.close(), GOODBYE_MS_MAX);
    await this.sequence.run(async () => {
      try {
        await Promise.all(this.groups.map(({ path }) => this.ask(groupCall(path, "Free"))));
        // Avahi sends its goodbyes when it has answered; by its next answer they are sent.
        if (this.groups.length > 0) await this.ask(serverCall("GetState"));
      } catch {
        // It went before us, and its records with it; or it hangs.
      }
      this.groups = [];
      this.bus?.close();
      this.bus = undefined;
    });
    clearTimeout(patience);
  }

  private async connect(): Promise<void> {
    try {
      const onSignal = (signal: Signal): void => this.onSignal(signal);
      this.bus = await openSystemBus(onSignal, () => this.lost("D-Bus is gone"));
      await this.bus.match(`type='signal',sender='${AVAHI}'`);
      await this.bus.match(`type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='${AVAHI}'`);
      if (await this.bus.has(AVAHI)) await this.guarded(() => this.look());
      else this.gone("avahi-daemon does not run");
    } catch (error) {
      this.lost(`there is no D-Bus (${(error as Error).message})`);
    }
  }

  /** Tries again later. */
  private lost(reason: string): void {
    this.bus?.close();
    this.bus = undefined;
    this.gone(reason);
    if (this.state !== "started") return;
    this.timer = setTimeout(() => void this.sequence.run(() => this.again()), RECONNECT_MS);
  }

  private async again(): Promise<void> {
    if (this.state === "started") await this.connect();
  }

  private gone(reason: string): void {
    this.host = undefined;
    this.groups = [];
    if (this.state !== "started") return;
    this.events.waiting(reason);
    this.tell("");
  }

  private onSignal(signal: Signal): void {
    void this.sequence.run(async () => {
      if (this.bus === undefined) return;
      if (signal.member === "NameOwnerChanged") {
        if (signal.body[2] === "") this.gone("avahi-daemon has stopped");
        else await this.guarded(() => this.look());
      } else if (signal.interface === SERVER && signal.member === "StateChanged") {
        await this.guarded(() => this.look());
      } else if (signal.interface === GROUP && signal.member === "StateChanged") {
        await this.guarded(() => this.onGroup(signal));
      }
    });
  }

  /** Avahi came, or has another name for the machine, with which it forgets what it had. */
  private async look(): Promise<void> {
    const [state] = await this.ask(serverCall("GetState"));
    if (state !== SERVER_RUNNING) {
      this.host = undefined;
      return;
    }
    const [host] = await this.ask(serverCall("GetHostNameFqdn"));
    if (host === this.host) return;
    this.host = String(host);
    for (const { path } of this.groups) await this.bus?.call(groupCall(path, "Free")).catch(() => {});
    this.groups = [];
    await this.bring();
  }

  /** Makes Avahi's list what ours is. */
  private async bring(): Promise<void> {
    const wanted = new Map(this.services.map((service) => [keyOf(service), service]));
    for (const { path, service } of this.groups) {
      if (!wanted.delete(keyOf(service))) await this.ask(groupCall(path, "Free"));
    }
    const all = new Set(this.services.map(keyOf));
    this.groups = this.groups.filter(({ service }) => all.has(keyOf(service)));
    for (const service of wanted.values()) {
      try {
        const [path] = await this.ask(serverCall("EntryGroupNew"));
        const group = { service, path: String(path), name: service.name, tried: 1, established: false };
        this.groups.push(group);
        await this.commit(group);
      } catch (error) {
        if (!(error instanceof BusError)) throw error;
        this.events.failed(`Avahi does not take ${service.type} on port ${service.port}: ${error.message}`);
      }
    }
    this.tellWhenThere();
  }

  private async commit(group: Group): Promise<void> {
    const { service } = group;
    for (;;) {
      try {
        for (const [index, protocol] of await this.placesOf(service)) {
          const txt = service.txt.map((text) => Buffer.from(text));
          // interface, protocol, flags, name, type, domain, host, port, txt: empty is Avahi's own.
          const body = [index, protocol, 0, group.name, service.type, "", "", service.port, txt];
          await this.ask(groupCall(group.path, "AddService", "iiussssqaay", body));
        }
        await this.ask(groupCall(group.path, "Commit"));
        return;
      } catch (error) {
        // Another program on this machine has it.
        if (!(error instanceof BusError) || error.type !== `${AVAHI}.CollisionError`) throw error;
        await this.rename(group);
      }
    }
  }

  private async rename(group: Group): Promise<void> {
    group.tried++;
    if (group.tried > NAMES_MAX) throw new BusError(`${AVAHI}.CollisionError`, `${NAMES_MAX} names of it are taken`);
    const [name] = await this.ask(serverCall("GetAlternativeServiceName", "s", [group.name]));
    group.name = instanceName(String(name));
    await this.ask(groupCall(group.path, "Reset"));
  }

  private async onGroup({ path, body: [state, error] }: Signal): Promise<void> {
    const group = this.groups.find((one) => one.path === path);
    if (group === undefined) return;
    group.established = state === GroupState.ESTABLISHED;
    if (state === GroupState.COLLISION) {
      await this.rename(group);
      await this.commit(group);
    } else if (state === GroupState.FAILURE) {
      this.events.failed(`Avahi could not advertise ${group.service.type}: ${String(error)}`);
    }
    this.tellWhenThere();
  }

  /** Interfaces and families, by Avahi's numbers, that lead to where a service is bound. */
  private async placesOf({ addresses }: Service): Promise<[index: number, protocol: number][]> {
    if (addresses.includes("::")) return [[ANY, ANY]];
    const all = addresses.includes("0.0.0.0");
    const places: [number, number][] = all ? [[ANY, IPV4]] : [];
    for (const [name, list = []] of Object.entries(networkInterfaces())) {
      for (const protocol of [IPV4, IPV6]) {
        if (protocol === IPV4 && all) continue;
        const isBound = list.some(
          ({ address }) =>
            isIPv6(address) === (protocol === IPV6) && addresses.some((bound) => withoutZone(bound) === address),
        );
        if (!isBound) continue;
        const [index] = await this.ask(serverCall("GetNetworkInterfaceIndexByName", "s", [name]));
        places.push([Number(index), protocol]);
      }
    }
    return places;
  }

  private tellWhenThere(): void {
    if (this.host === undefined || this.groups.some(({ established }) => !established)) return;
    this.tell(this.host);
  }

  private tell(host: string): void {
    const there = this.groups.map(({ service: { type, port }, name }) => ({ type, name, port }));
    const news = JSON.stringify([host, there]);
    if (news === this.told) return;
    this.told = news;
    for (const { service, name } of this.groups) {
      if (service.name !== name) this.events.renamed(service.name, name);
    }
    this.events.published(host, there);
  }

  private ask(call: Call): Promise<unknown[]> {
    if (this.bus === undefined) throw new Error("D-Bus is gone");
    return this.bus.call(call);
  }

  /** Whatever Avahi does not answer is told, and waits for its next change. */
  private async guarded(task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      if (this.state === "started")
        this.events.failed(`Avahi did not do what it was asked: ${(error as Error).message}`);
    }
  }
}

function serverCall(member: string, signature?: string, body?: unknown[]): Call {
  return {
    destination: AVAHI,
    path: "/",
    interface: SERVER,
    member,
    ...(signature && { signature }),
    ...(body && { body }),
  };
}

function groupCall(path: string, member: string, signature?: string, body?: unknown[]): Call {
  return { destination: AVAHI, path, interface: GROUP, member, ...(signature && { signature }), ...(body && { body }) };
}

function keyOf(service: Service): string {
  return JSON.stringify(service);
}
