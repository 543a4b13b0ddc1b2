import type { Log } from "../../src/core/ports.ts";
import { type Advertiser, type AdvertiserEvents, type Published, Sequence } from "./advertiser.ts";
import type { AvahiWatch } from "./avahi-watch.ts";
import type { Service } from "./services.ts";

/** Who puts our services on the network: "auto" is Avahi where it runs, else our own responder. */
export const MDNS_MODES = ["off", "auto", "avahi", "bonjour", "mdns"] as const;
export type MdnsMode = (typeof MDNS_MODES)[number];
type Provider = Exclude<MdnsMode, "off" | "auto">;

export interface AdvertisementOptions {
  mode: MdnsMode;
  /** What is shown to people. */
  name: string;
  /** What the host's name is made of where we have one of our own; `name` when it is left out. */
  host?: string | undefined;
  log: Log;
}

/** Our services on the network, by whoever can put them there. With "off" nothing is loaded, opened or sent. */
export class Advertisement {
  private readonly options: AdvertisementOptions;
  private readonly sequence = new Sequence();
  private services: readonly Service[] = [];
  private advertiser: Advertiser | undefined;
  private provider: Provider | undefined;
  private watch: AvahiWatch | undefined;
  private state: "new" | "started" | "stopped" = "new";
  private host = "";
  private published: readonly Published[] = [];
  private renames = 0;

  constructor(options: AdvertisementOptions) {
    this.options = options;
  }

  /** Resolves when all is on its way, which takes no second. Never rejects: a broker that nobody finds still serves. */
  async start(services: readonly Service[]): Promise<void> {
    const { mode } = this.options;
    this.state = "started";
    this.services = services;
    if (mode === "off") return;
    if (mode !== "auto") {
      await this.sequence.run(() => this.change(mode));
      return;
    }
    const { AvahiWatch } = await import("./avahi-watch.ts");
    const change = (isThere: boolean): void => void this.sequence.run(() => this.change(isThere ? "avahi" : "bonjour"));
    this.watch = new AvahiWatch(change);
    await this.watch.start();
    await this.sequence.run(async () => {});
  }

  /** Listeners came or went, or the name is another one. Never rejects. */
  async update(services: readonly Service[]): Promise<void> {
    this.services = services;
    await this.sequence.run(async () => this.advertiser?.update(services));
  }

  /** Resolves when the goodbye is sent: to be awaited before listeners close. Idempotent. */
  async stop(): Promise<void> {
    this.state = "stopped";
    this.watch?.stop();
    // Outside of the sequence: it may be waiting for a name, and nobody needs one any more.
    await this.advertiser?.stop();
    await this.sequence.run(async () => {
      await this.advertiser?.stop();
      this.advertiser = undefined;
      this.published = [];
    });
  }

  /** For `$SYS`, by topic below "$SYS/broker/"; nothing with "off". */
  sysValues(): [topic: string, value: string | number][] {
    if (this.options.mode === "off") return [];
    return [
      ["mdns/provider", this.provider ?? "none"],
      ["mdns/host", this.host === "" ? "unknown" : this.host],
      ["mdns/renames", this.renames],
      ["mdns/services", this.published.map(lineOf).join(", ")],
    ];
  }

  private async change(provider: Provider): Promise<void> {
    if (this.state !== "started" || provider === this.provider) return;
    await this.advertiser?.stop();
    this.provider = provider;
    this.published = [];
    const advertiser = await this.advertiserOf(provider);
    // Stopped meanwhile.
    if (this.state !== ("started" as string)) return;
    this.advertiser = advertiser;
    await advertiser.start(this.services);
  }

  /** Each is loaded when it is needed. */
  private async advertiserOf(provider: Provider): Promise<Advertiser> {
    const events = this.eventsOf(provider);
    switch (provider) {
      case "avahi": {
        const { AvahiAdvertiser } = await import("./avahi.ts");
        return new AvahiAdvertiser(events);
      }
      case "bonjour": {
        const { BonjourAdvertiser } = await import("./bonjour.ts");
        const { name, host = name } = this.options;
        return new BonjourAdvertiser({ host, events });
      }
      case "mdns": {
        const { MdnsAdvertiser } = await import("./mdns-binding.ts");
        return new MdnsAdvertiser(events);
      }
    }
  }

  private eventsOf(provider: Provider): AdvertiserEvents {
    const { log, mode } = this.options;
    const isCurrent = (): boolean => this.state === "started" && this.provider === provider;
    return {
      published: (host, services) => {
        if (!isCurrent()) return;
        this.host = host;
        this.published = services;
        if (services.length === 0) return;
        const at = host === "" ? "" : ` on ${host}`;
        log.info(`Found by mDNS${at} as ${services.map(lineOf).join(", ")}`, { provider });
      },
      renamed: (wanted, used) => {
        this.renames++;
        log.warn(
          `The name "${wanted}" is taken on this network: found by mDNS as "${used}" (--mdns-name sets another)`,
        );
      },
      waiting: (reason) => {
        // With "auto" there is somebody else to do it.
        if (isCurrent() && mode !== "auto") log.warn(`Cannot be found by mDNS until Avahi is there: ${reason}`);
      },
      failed: (reason) => {
        if (!isCurrent()) return;
        log.warn(reason, { provider });
        if (mode === "auto" && provider === "avahi") void this.sequence.run(() => this.change("bonjour"));
      },
    };
  }
}

function lineOf({ type, name, port }: Published): string {
  return `"${name}" ${type} ${port}`;
}
