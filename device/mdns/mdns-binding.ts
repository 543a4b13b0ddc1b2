import type { Advertiser, AdvertiserEvents } from "./advertiser.ts";
import type { Service } from "./services.ts";

/** Not among our dependencies: it has to be built for this machine, by `npm run build:mdns`. */
const PACKAGE = "mdns";

/** Of the package what is used. */
export interface Mdns {
  makeServiceType(name: string): object;
  createAdvertisement(type: object, port: number, options: AdvertisementOptions, told: Told): Advertisement;
}
export interface AdvertisementOptions {
  name: string;
  txtRecord: Record<string, string>;
}
/** `error` is an Error, or undefined. */
export type Told = (error: Error | undefined, service?: { name: string }) => void;
export interface Advertisement {
  start(): void;
  stop(): void;
  on(event: "error", listener: (error: Error) => void): void;
}

interface Entry {
  service: Service;
  /** The name that is used; undefined until it is known. */
  name: string | undefined;
  advertisement: Advertisement;
}

/**
 * Advertises by the package `mdns`, through the library of Apple's Bonjour or Avahi's stand-in for it. It knows neither the
 * host's name nor the addresses that a service is bound to: each service is advertised on all networks.
 */
export class MdnsAdvertiser implements Advertiser {
  private readonly events: AdvertiserEvents;
  private readonly load: () => Promise<Mdns>;
  private mdns: Mdns | undefined;
  private entries: Entry[] = [];

  /** `load`: where the package comes from, when not from node_modules. */
  constructor(events: AdvertiserEvents, load: () => Promise<Mdns> = installed) {
    this.events = events;
    this.load = load;
  }

  async start(services: readonly Service[]): Promise<void> {
    try {
      this.mdns = await this.load();
    } catch (error) {
      const [reason] = (error as Error).message.split("\n");
      this.events.failed(
        `Cannot be found by mDNS: the package mdns cannot be used; npm run build:mdns makes it (${reason})`,
      );
      return;
    }
    await this.update(services);
  }

  async update(services: readonly Service[]): Promise<void> {
    if (this.mdns === undefined) return;
    const wanted = new Map(services.map((service) => [JSON.stringify(service), service]));
    const kept: Entry[] = [];
    for (const entry of this.entries) {
      if (wanted.delete(JSON.stringify(entry.service))) kept.push(entry);
      else entry.advertisement.stop();
    }
    this.entries = kept;
    for (const service of wanted.values()) this.add(this.mdns, service);
    this.tell();
  }

  async stop(): Promise<void> {
    for (const { advertisement } of this.entries) advertisement.stop();
    this.entries = [];
  }

  private add(mdns: Mdns, service: Service): void {
    const { type, name, port, txt } = service;
    const failed = (error: Error): void =>
      this.events.failed(`mdns could not advertise ${type} on port ${port}: ${error.message} (does avahi-daemon run?)`);
    const txtRecord = Object.fromEntries(txt.map((text) => text.split(/=(.*)/s, 2) as [string, string]));
    try {
      const entry: Entry = {
        service,
        name: undefined,
        advertisement: mdns.createAdvertisement(
          mdns.makeServiceType(type),
          port,
          { name, txtRecord },
          (error, told) => {
            if (error) return;
            entry.name = told?.name ?? name;
            if (entry.name !== name) this.events.renamed(name, entry.name);
            this.tell();
          },
        ),
      };
      entry.advertisement.on("error", failed);
      entry.advertisement.start();
      this.entries.push(entry);
    } catch (error) {
      failed(error as Error);
    }
  }

  private tell(): void {
    if (this.entries.some(({ name }) => name === undefined)) return;
    this.events.published(
      "",
      this.entries.map(({ service: { type, port }, name = "" }) => ({ type, name, port })),
    );
  }
}

async function installed(): Promise<Mdns> {
  const module = (await import(PACKAGE)) as { default: Mdns };
  return module.default;
}
