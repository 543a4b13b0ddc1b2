import type { Connect, Publish, Subscribe, Unsubscribe } from "../codec/packet.ts";
import type { Client } from "../core/client.ts";
import type { SysInfo } from "../core/counters.ts";
import type { Hook } from "../core/hooks.ts";
import type { Later } from "./keeper.ts";

type Stored<M extends "storedClients" | "storedSubscriptions" | "storedInflightMessages" | "storedRetainedMessages"> =
  () => Later<ReturnType<NonNullable<Hook[M]>>>;

/**
 * mochi's way of keeping things: five Stored… hooks hand over what an earlier run kept, and On… hooks hear what there is
 * to keep. They have the names, and their arguments the shapes, that Hook has, but that all may answer with a promise,
 * which resolves when it is safe: acknowledgements wait for it. Those that are missing keep nothing.
 *
 * They are told what is to be kept, not what happens on the wire: `onQosPublish` as soon as a message waits for a client,
 * sent or not; `onSessionEstablished` for sessions that outlive their connection only. Payloads are theirs to keep.
 *
 * What such a store cannot promise: a batch is kept call by call, so that a crash in the middle leaves a part of it, and
 * a message whose publisher had no acknowledgement yet comes twice to some clients, QoS 2 as well. Identifiers of incoming
 * QoS 2 messages, wills, response topics, messages of QoS 0 and the time of the last run are not kept. What expires gets
 * its whole time again at each start, unless the hooks count. Of one client's messages that share a packet identifier,
 * which begins with the 65,536th that waits, all but the first are not kept until that one is complete.
 */
export interface HookOperations {
  storedClients?: Stored<"storedClients">;
  storedSubscriptions?: Stored<"storedSubscriptions">;
  /** Each with its packet identifier, in the order in which `onQosPublish` told them. */
  storedInflightMessages?: Stored<"storedInflightMessages">;
  storedRetainedMessages?: Stored<"storedRetainedMessages">;
  storedSysInfo?(): Later<Partial<SysInfo> | undefined>;

  /** There is a session, or it goes on, perhaps changed. `sessionExpiryInterval` tells the seconds it outlives its client. */
  onSessionEstablished?(client: Client, packet: Connect): Later<void>;
  /** With `expire` false only, while its session is kept. */
  onDisconnect?(client: Client, error: Error | undefined, expire: boolean): Later<void>;
  /** The session and all that belongs to it are gone. */
  onClientExpired?(client: Client): Later<void>;
  onSubscribed?(client: Client, packet: Subscribe, reasonCodes: readonly number[]): Later<void>;
  onUnsubscribed?(client: Client, packet: Unsubscribe): Later<void>;
  /** `stored` 1: keep it; -1: nothing is retained under this topic any more. */
  onRetainMessage?(client: Client, packet: Publish, stored: -1 | 0 | 1): Later<void>;
  /** The message waits for the client until it is complete, under its packet identifier. */
  onQosPublish?(client: Client, packet: Publish, sentMs: number, resends: number): Later<void>;
  /**
   * PUBREC came: `released` is to be true when it is handed over again. Without this a crash before PUBCOMP has the
   * message sent once more.
   */
  onQosReleased?(client: Client, packet: Publish): Later<void>;
  onQosComplete?(client: Client, packet: Publish): Later<void>;
  /** As `onQosComplete`, for messages that go with their session. Where it is missing `onQosComplete` is told. */
  onQosDropped?(client: Client, packet: Publish): Later<void>;
  onSysInfoTick?(info: SysInfo): Later<void>;
  /** The last call. */
  onStopped?(): Later<void>;
}
