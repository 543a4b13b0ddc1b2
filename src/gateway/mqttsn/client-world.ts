import type { Will } from "../../codec/packet.ts";
import type { TextCache } from "../../codec/text.ts";
import type { Flushes } from "../../core/core-link.ts";
import type { Log, LogFields } from "../../core/ports.ts";
import type { SnClient } from "./client.ts";
import type { GatewaySettings } from "./settings.ts";
import type { PredefinedTopics, TopicTable } from "./topic-table.ts";

/** 1.2 §6.14, and before it: `will` asks for the will, `opening` waits for the broker. */
export type ClientState = "will" | "opening" | "active" | "asleep" | "awake" | "gone";

/**
 * Why a client is gone: it said so; it was silent; it was let go by us; or it is here again, by this or another way, or has
 * another connection with the broker.
 */
export type ClientEnd = "disconnected" | "lost" | "let go" | "replaced";

/** What is remembered of a client beyond its connection, 1.2 §6.3: its session, but for what the broker has of it. */
export interface Remembered {
  readonly topics: TopicTable;
  /** For this client: all predefined topics that hold for it. */
  readonly predefined: PredefinedTopics;
  will: Will | undefined;
}

/** What a client has of its gateway. */
export interface ClientWorld {
  readonly settings: GatewaySettings;
  readonly log: Log;
  readonly flushes: Flushes;
  readonly names: TextCache;
  nowMs(): number;
  /** The broker has let the client in: it is the one of its identifier from now on. */
  accepted(client: SnClient): void;
  /** The client's deadline or state is another. */
  changed(client: SnClient): void;
  /** `deadlineMs` may have come. */
  due(client: SnClient, nowMs: number): void;
  sent(): void;
  /** A mistake of ours, which costs one client and nobody else. */
  fault(error: unknown, fields: LogFields, client?: SnClient): void;
}
