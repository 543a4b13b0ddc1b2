import { type AddressInfo, createServer } from "node:net";
import type { Accept, Listener } from "../../core/ports.ts";
import { explain, fallbackHost } from "../tcp.ts";
import type { Turn } from "../turn.ts";
import type { Workers } from "./workers.ts";

/** Of a listener's settings what is known here: the others are the threads' own. */
export interface FarSettings {
  readonly name: string;
  /** An address or host name; "::" is dual stack, and 0.0.0.0 where there is no IPv6. */
  readonly host: string;
  /** 0 to 65,535; 0 takes a free one, which `url` tells after `listen`. */
  readonly port: number;
  /** Let several processes share the port. */
  readonly reusePort: boolean;
}

export interface FarListenerOptions {
  /** What the threads make their listeners of; cloned. */
  settings: FarSettings;
  /** Where that would be without threads, before it listens. */
  url: string;
  turn: Turn;
  workers: Workers;
  /** What the threads read from files, followed here: opened while this listens. */
  files?: { open(): Promise<void>; close(): void } | undefined;
}

/** A listener whose connections are served by other threads. Each of them has the port, and the kernel spreads clients. */
export class FarListener implements Listener {
  readonly name: string;
  private readonly options: FarListenerOptions;
  private readonly door: number;
  private place: string;
  private holdsFiles = false;

  constructor(options: FarListenerOptions) {
    this.options = options;
    this.name = options.settings.name;
    this.door = options.workers.number();
    this.place = options.url;
  }

  get url(): string {
    return this.place;
  }

  async listen(accept: Accept): Promise<void> {
    const { settings, turn, workers, files } = this.options;
    await files?.open();
    this.holdsFiles = true;
    try {
      const bound = await this.tryPlace();
      const shared = { ...settings, host: bound.address, port: bound.port, reusePort: true };
      this.place = await workers.listen({ number: this.door, settings: shared, accept, turn });
    } catch (error) {
      this.letGoOfFiles();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.options.workers.close(this.door);
    this.letGoOfFiles();
  }

  private letGoOfFiles(): void {
    if (this.holdsFiles) this.options.files?.close();
    this.holdsFiles = false;
  }

  /** Sockets that share a port do so with other programs of the user, too: that is found out before. */
  private async tryPlace(): Promise<AddressInfo> {
    const { host, port, reusePort } = this.options.settings;
    try {
      return await tryBind(host, port, reusePort);
    } catch (error) {
      const fallback = fallbackHost(host, error as NodeJS.ErrnoException);
      if (fallback === undefined) throw explain(error as NodeJS.ErrnoException, this.url);
      return tryBind(fallback, port, reusePort);
    }
  }
}

/** Listens, and stops at once. */
function tryBind(host: string, port: number, reusePort: boolean): Promise<AddressInfo> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, reusePort }, () => {
      const address = server.address() as AddressInfo;
      server.close(() => resolve(address));
    });
  });
}
