import type { Service, ServiceType } from "./services.ts";

/** Puts services on the network. Calls are made one after the other; what it cannot do it reports, and does not throw. */
export interface Advertiser {
  /** Resolves when all is on its way; `AdvertiserEvents.published` says when it is there. */
  start(services: readonly Service[]): Promise<void>;
  /** Listeners came or went, or have another name: what has not changed stays on the network all the time. */
  update(services: readonly Service[]): Promise<void>;
  /** Resolves when the goodbye is sent, after which listeners may close. Idempotent. */
  stop(): Promise<void>;
}

/** What an advertiser tells of. */
export interface AdvertiserEvents {
  /** All that is on the network from now on. `host`: "edge.local"; "" when nobody can say. */
  published(host: string, services: readonly Published[]): void;
  /** A name was somebody else's: of a service, or of the host ("edge.local"). */
  renamed(wanted: string, used: string): void;
  /** Nothing is advertised until what is missing comes: "avahi-daemon does not run". */
  waiting(reason: string): void;
  /** Something is not advertised: a sentence for people. */
  failed(reason: string): void;
}

/** A service under the name that it really has. */
export interface Published {
  type: ServiceType;
  name: string;
  port: number;
}

/** What does not happen at the same time: each task begins when the ones before it have ended. */
export class Sequence {
  private last: Promise<unknown> = Promise.resolve();

  run<Result>(task: () => Promise<Result>): Promise<Result> {
    const next = this.last.then(task);
    // Whoever asked for a task is told of its failure; the next one begins all the same.
    this.last = next.catch(() => {});
    return next;
  }
}
