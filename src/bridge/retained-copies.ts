import { hash } from "node:crypto";
import type { UserProperty } from "../codec/packet.ts";

/** What is retained here for the other broker carries this, also after a restart. */
export const COPY_MARK: UserProperty = ["mqtt-sn-upstream", "copy"];

/** Retained messages come one after the other once a subscription was granted: after so long a silence all have. */
const QUIET_MS = 2_000;
/** Those that are published just now look the same, and might never let it be silent. */
const LOOK_MS_MAX = 30_000;

/** A message that is retained here; the payload is valid for the moment only. */
export interface RetainedHere {
  /** Without the mount point. */
  readonly topicName: string;
  readonly payload: Uint8Array;
  readonly isCopy: boolean;
}

export interface CopyTools {
  retained(topicFilter: string, each: (message: RetainedHere) => void): void;
  /** Takes a copy away, here alone. */
  remove(topicName: string): void;
}

/**
 * The other broker owns the retained messages, and those that are retained here for it are copies. It sends its own anew
 * for each subscription: one that is the same here already is not for anybody, since nothing has changed; a copy that is not
 * among them was deleted there meanwhile, and one that nobody here subscribes to would not be kept up to date. Both are
 * taken away. Of one connection.
 */
export class RetainedCopies {
  private readonly tools: CopyTools;
  private readonly quietMs: number;
  /** What is retained here and was not heard of since its filter was subscribed to; by Topic Name. */
  private readonly doubtful = new Map<string, { digest: string; isCopy: boolean }>();
  private quiet: NodeJS.Timeout | undefined;
  private end: NodeJS.Timeout | undefined;

  constructor(tools: CopyTools, quietMs = QUIET_MS) {
    this.tools = tools;
    this.quietMs = quietMs;
  }

  /** These are about to be subscribed to. */
  asked(topicFilters: readonly string[]): void {
    for (const topicFilter of topicFilters) {
      this.tools.retained(topicFilter, ({ topicName, payload, isCopy }) => {
        this.doubtful.set(topicName, { digest: digestOf(payload), isCopy });
      });
    }
  }

  /** What was asked for was granted, and comes now. */
  granted(): void {
    if (this.doubtful.size === 0) return;
    this.wait();
    this.end ??= setTimeout(() => this.sweep(), LOOK_MS_MAX);
  }

  /**
   * The topic has this retained message now, there and here. True when it is no news: it was here already when its filter
   * was subscribed to.
   */
  heard(topicName: string, payload: Uint8Array): boolean {
    const before = this.doubtful.get(topicName);
    if (this.quiet !== undefined) this.wait();
    if (before === undefined) return false;
    this.doubtful.delete(topicName);
    return before.digest === digestOf(payload);
  }

  /** Takes away what no filter of these stands for any more. */
  forget(wanted: readonly string[]): void {
    const stale = new Set<string>();
    this.tools.retained("#", ({ topicName, isCopy }) => {
      if (isCopy) stale.add(topicName);
    });
    if (stale.size === 0) return;
    for (const topicFilter of wanted) this.tools.retained(topicFilter, ({ topicName }) => stale.delete(topicName));
    for (const topicName of stale) {
      this.doubtful.delete(topicName);
      this.tools.remove(topicName);
    }
  }

  stop(): void {
    clearTimeout(this.quiet);
    clearTimeout(this.end);
    this.quiet = undefined;
    this.end = undefined;
  }

  private wait(): void {
    clearTimeout(this.quiet);
    this.quiet = setTimeout(() => this.sweep(), this.quietMs);
  }

  private sweep(): void {
    this.stop();
    for (const [topicName, { isCopy }] of this.doubtful) if (isCopy) this.tools.remove(topicName);
    this.doubtful.clear();
  }
}

/** In place of the payload, of which there may be many megabytes. */
function digestOf(payload: Uint8Array): string {
  return hash("sha256", payload, "base64");
}
