import { isDeepStrictEqual } from "node:util";
import type { ListenerSettings } from "../config/settings.ts";
import { type Entrance, NO_ENTRANCE } from "../core/entrance.ts";
import type { Listener, Log } from "../core/ports.ts";

/** The part of a broker that has listeners. */
export interface HasListeners {
  addListener(listener: Listener, entrance?: Entrance): Promise<void>;
  removeListener(name: string, isReplaced?: boolean): Promise<boolean>;
  setEntrance(name: string, entrance: Entrance): boolean;
}

/**
 * Brings the listeners of a running broker into line with a configuration that has changed: those that are gone are closed,
 * new ones opened, and one that is other than before is opened anew; but where only what it asks of its clients is other, it
 * asks that of the next ones. Who is connected notices nothing of it.
 */
export class WaysIn {
  private readonly broker: HasListeners;
  private readonly make: (settings: ListenerSettings) => Listener;
  private readonly log: Log;
  private current: readonly ListenerSettings[];

  /** `current`: those that the broker was started with. */
  constructor(
    broker: HasListeners,
    make: (settings: ListenerSettings) => Listener,
    current: readonly ListenerSettings[],
    log: Log,
  ) {
    this.broker = broker;
    this.make = make;
    this.current = current;
    this.log = log;
  }

  /** Never rejects: one that cannot be opened is logged, and if there was one of its name, that is opened again. */
  async apply(next: readonly ListenerSettings[]): Promise<void> {
    const { broker, current } = this;
    const wanted = new Map(next.map((settings) => [settings.name, settings]));
    const kept: ListenerSettings[] = [];
    const before = new Map<string, ListenerSettings>();
    for (const settings of current) {
      const same = wanted.get(settings.name);
      if (same !== undefined && isSame(settings, same)) {
        const { name, entrance = NO_ENTRANCE } = same;
        if (!isDeepStrictEqual(entrance, settings.entrance ?? NO_ENTRANCE)) broker.setEntrance(name, entrance);
        kept.push(same);
      } else before.set(settings.name, settings);
    }
    // All of them before any is opened, since one may want the place of another; and while others are told which are gone,
    // those that come back are still there.
    for (const isReplaced of [false, true]) {
      for (const name of before.keys()) {
        if (wanted.has(name) === isReplaced) await broker.removeListener(name, isReplaced);
      }
    }
    for (const settings of next) {
      if (kept.some(({ name }) => name === settings.name)) continue;
      const opened = await this.open(settings, before.get(settings.name));
      if (opened !== undefined) kept.push(opened);
    }
    this.current = kept;
  }

  private async open(
    settings: ListenerSettings,
    before: ListenerSettings | undefined,
  ): Promise<ListenerSettings | undefined> {
    const error = await this.tryOpen(settings);
    if (error === undefined) return settings;
    const { name } = settings;
    if (before === undefined) {
      this.log.error(`${error.message}: correct the configuration, it is read again at once`, { listener: name });
      return undefined;
    }
    const isBack = (await this.tryOpen(before)) === undefined;
    const standing = isBack ? "it listens as before" : "and it cannot listen as before either";
    this.log.error(`${error.message}: ${standing}`, { listener: name });
    return isBack ? before : undefined;
  }

  private async tryOpen(settings: ListenerSettings): Promise<Error | undefined> {
    try {
      await this.broker.addListener(this.make(settings), settings.entrance);
      return undefined;
    } catch (error) {
      return error as Error;
    }
  }
}

/** But for the entrance. */
function isSame({ entrance: _, ...one }: ListenerSettings, { entrance: __, ...other }: ListenerSettings): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
