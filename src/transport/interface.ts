import { networkInterfaces } from "node:os";
import type { Accept, Listener, Log } from "../core/ports.ts";

/** How soon an address that came or went is noticed. */
const LOOK_MS = 1000;

export interface InterfaceListenerOptions {
  /** Unique among the broker's listeners; the connections of all addresses have it. */
  name: string;
  /** As `ip link` shows it: "eth0". It need not be there yet. */
  interface: string;
  /** A listener of this name on one address, which may have a zone: "192.168.1.5", "fe80::1%eth0". */
  make(host: string): Listener;
  log: Log;
  /** Milliseconds from one look at the addresses to the next; 1 s when it is left out. */
  lookMs?: number;
  /** Addresses of an interface now; the system's when it is left out. */
  addressesOf?: (name: string) => readonly string[];
}

/**
 * Listens on each address of a network interface, and follows it: an address that appears later is served when it does,
 * and one that is gone is not listened on any more. Connections end when they cannot go on, not when their address goes.
 */
export class InterfaceListener implements Listener {
  readonly name: string;
  private readonly options: InterfaceListenerOptions;
  private readonly addressesOf: (name: string) => readonly string[];
  /** By address. */
  private readonly open = new Map<string, Listener>();
  /** What was said of addresses that could not be listened on, so that it is said once. */
  private readonly told = new Map<string, string>();
  private timer: NodeJS.Timeout | undefined;
  /** One look after the other. */
  private looking: Promise<void> = Promise.resolve();
  private closed = false;

  constructor(options: InterfaceListenerOptions) {
    this.options = options;
    this.name = options.name;
    this.addressesOf = options.addressesOf ?? addressesOf;
  }

  /** Of all addresses that are listened on, with " and " between them. */
  get url(): string {
    if (this.open.size === 0) return `interface ${this.options.interface}, which has no address yet`;
    return [...this.open.values()].map(({ url }) => url).join(" and ");
  }

  /** Rejects when one of the addresses that are there now cannot be listened on. */
  async listen(accept: Accept): Promise<void> {
    this.closed = false;
    for (const host of this.addressesOf(this.options.interface)) {
      try {
        await this.add(host, accept);
      } catch (error) {
        // An IPv6 address is not ready in its first seconds: it is tried again.
        if (codeOf(error) === "EADDRNOTAVAIL") continue;
        await this.close();
        throw error;
      }
    }
    if (this.closed) return;
    const { lookMs = LOOK_MS } = this.options;
    this.timer = setInterval(() => {
      this.looking = this.looking.then(() => this.look(accept));
    }, lookMs).unref();
  }

  async close(): Promise<void> {
    this.closed = true;
    clearInterval(this.timer);
    await this.looking;
    for (const listener of this.open.values()) await listener.close();
    this.open.clear();
  }

  /** Never rejects. */
  private async look(accept: Accept): Promise<void> {
    const { log, name } = this.options;
    const addresses = this.addressesNow();
    if (addresses === undefined) return;
    for (const [host, listener] of this.open) {
      if (addresses.has(host)) continue;
      const { url } = listener;
      this.open.delete(host);
      await listener.close();
      log.info(`Listening no more on ${url}: the interface has this address no more`, { listener: name });
    }
    for (const host of this.told.keys()) if (!addresses.has(host)) this.told.delete(host);
    for (const host of addresses) {
      if (this.closed || this.open.has(host)) continue;
      try {
        const listener = await this.add(host, accept);
        this.told.delete(host);
        log.info(`Listening on ${listener.url}`, { listener: name });
      } catch (error) {
        this.tell(host, error as Error);
      }
    }
  }

  /** undefined while the system does not tell, as when no file can be opened any more: what is listened on stays. */
  private addressesNow(): ReadonlySet<string> | undefined {
    const { interface: name } = this.options;
    try {
      return new Set(this.addressesOf(name));
    } catch (error) {
      this.tell("", new Error(`The addresses of ${name} cannot be asked for: ${(error as Error).message}`));
      return undefined;
    }
  }

  private async add(host: string, accept: Accept): Promise<Listener> {
    const listener = this.options.make(host);
    await listener.listen(accept);
    if (this.closed) await listener.close();
    else this.open.set(host, listener);
    return listener;
  }

  private tell(host: string, error: Error): void {
    if (codeOf(error) === "EADDRNOTAVAIL" || this.told.get(host) === error.message) return;
    this.told.set(host, error.message);
    this.options.log.warn(`${error.message}. It is tried again`, { listener: this.options.name });
  }
}

/** The system's reason, which listeners hand on as the cause of theirs. */
function codeOf(error: unknown): string | undefined {
  return ((error as Error).cause as NodeJS.ErrnoException | undefined)?.code;
}

/** As the system lists them; a link-local address needs its zone. Empty: there is no such interface, or it is down. */
function addressesOf(name: string): string[] {
  const found = networkInterfaces()[name] ?? [];
  return found.map(({ address, family, scopeid }) => (family === "IPv6" && scopeid ? `${address}%${name}` : address));
}
