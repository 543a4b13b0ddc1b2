import type { Auth, Connect, Packet, Publish, Subscribe, Unsubscribe, UserProperty, Will } from "../codec/packet.ts";
import { ReasonCode, type SubackReasonCode } from "../codec/reason.ts";
import type { Identity } from "./access.ts";
import type { Client } from "./client.ts";
import type { SysInfo } from "./counters.ts";
import type { Log } from "./ports.ts";
import type { StoredClient, StoredMessage, StoredRetained, StoredSubscription } from "./stored.ts";
import type { Subscription } from "./subscription.ts";

/** A hook's "no": the reason code goes on the wire where the packet has room for one. */
export class Refusal {
  readonly reasonCode: ReasonCode;
  /** The client is told. */
  readonly reasonString: string | undefined;
  /** What the log says in its place, where the client is not to know. */
  readonly logReason: string | undefined;

  constructor(reasonCode: ReasonCode, reasonString?: string, logReason?: string) {
    this.reasonCode = reasonCode;
    this.reasonString = reasonString;
    this.logReason = logReason;
  }
}

/** A hook threw where it could have refused: the fault is on our side, not the client's. */
export class HookFailure extends Refusal {
  constructor() {
    super(ReasonCode.ImplementationSpecificError, "a hook failed");
  }
}

/** For hooks: `return refuse(ReasonCode.NotAuthorized, "the line is closed at night")`. */
export function refuse(reasonCode: ReasonCode, reasonString?: string): Refusal {
  return new Refusal(reasonCode, reasonString);
}

/** For `onPublish`: accept and acknowledge the message, but give it to nobody. */
export const IGNORE: unique symbol = Symbol("ignore");

/** What `onAuthPacket` answers: go on asking, or accept. Refusals end the connection, 5.0 §4.12. */
export interface AuthAnswer {
  reasonCode: typeof ReasonCode.ContinueAuthentication | typeof ReasonCode.Success;
  authenticationData?: Uint8Array;
  reasonString?: string;
  userProperties?: readonly UserProperty[];
  /** With Success: the name the client is known by from now on. */
  userName?: string;
}

/**
 * true: let in. A string: let in under that user name. An identity: let in as that. false or a refusal: refuse.
 * undefined: no opinion.
 */
export type Admission = boolean | string | Identity | Refusal | undefined;

/** A subscription that `onSelectSubscribers` may drop or reorder; `group` says whose turn is being decided. */
export interface SubscriberSelection {
  /** Members of one share, live ones first, the one whose turn it is at the head. */
  readonly group: string;
  candidates: Subscription[];
}

/**
 * The moments at which code may watch, change or refuse what the broker does.
 *
 * Hooks run in the order they were added. "May change": returning a value replaces the argument for
 * the hooks after it and for the broker; returning nothing passes. "May refuse": returning a `Refusal` stops the
 * chain. A hook that throws is named in the log and, where refusing is possible, refuses with
 * Implementation specific error. Only `onConnectAuthenticate` and `onAuthPacket` may be asynchronous:
 * PUBLISH never waits. Packets and payloads are valid during the call only: copy what you keep.
 */
export interface Hook {
  /** Named in the log when it throws. */
  readonly name: string;

  /** All listeners accept connections. */
  onStarted?(): void;
  /** All connections are closed. */
  onStopped?(): void;
  /** A CONNECT was read. May refuse (CONNACK with the code), before anybody is authenticated. */
  onConnect?(client: Client, packet: Connect): Refusal | undefined | void;
  /** Who is this? The first hook with an opinion decides; none: the broker's own access rules do. */
  onConnectAuthenticate?(client: Client, packet: Connect): Admission | Promise<Admission>;
  /** May the client publish to (`write`) or receive from (`!write`) the topic? The first opinion decides. */
  onACLCheck?(client: Client, topic: string, write: boolean): boolean | undefined;
  /** A CONNECT with an Authentication Method, or an AUTH. The first answer decides; none: Bad authentication method. */
  onAuthPacket?(
    client: Client,
    packet: Connect | Auth,
  ): AuthAnswer | Refusal | undefined | Promise<AuthAnswer | Refusal | undefined>;
  /** Admitted, but CONNACK is not sent yet. */
  onSessionEstablish?(client: Client, packet: Connect): void;
  /** CONNACK was sent. */
  onSessionEstablished?(client: Client, packet: Connect): void;
  /** The connection ended; `expire` tells that its session ends with it. */
  onDisconnect?(client: Client, error: Error | undefined, expire: boolean): void;
  /** A packet was decoded. May change it, may refuse (the connection ends with the code). */
  onPacketRead?(client: Client, packet: Packet): Packet | Refusal | undefined | void;
  /** A packet is about to be encoded. May change it. */
  onPacketEncode?(client: Client, packet: Packet): Packet | undefined | void;
  /** A packet's bytes were handed to the connection. */
  onPacketSent?(client: Client, packet: Packet, bytes: Uint8Array): void;
  /** A packet was dealt with; `error` when it ended the connection. */
  onPacketProcessed?(client: Client, packet: Packet, error: Error | undefined): void;
  /** May change the entries, may refuse them all with one code. */
  onSubscribe?(client: Client, packet: Subscribe): Subscribe | Refusal | undefined | void;
  onSubscribed?(client: Client, packet: Subscribe, reasonCodes: readonly SubackReasonCode[]): void;
  /** Whose turn is it in a shared subscription? May change the order; the first that can take the message gets it. */
  onSelectSubscribers?(selection: SubscriberSelection, packet: Publish): SubscriberSelection | undefined | void;
  /** May change the filters. */
  onUnsubscribe?(client: Client, packet: Unsubscribe): Unsubscribe | undefined | void;
  onUnsubscribed?(client: Client, packet: Unsubscribe): void;
  /** May change the message, refuse it (acknowledged with the code, given to nobody), or IGNORE it. */
  onPublish?(client: Client, packet: Publish): Publish | Refusal | typeof IGNORE | undefined | void;
  onPublished?(client: Client, packet: Publish): void;
  /** A message for this client was dropped: too slow, queue full, expired, too large. */
  onPublishDropped?(client: Client, packet: Publish, reason: string): void;
  /** `stored` is 1 when a message was retained, -1 when one was removed, 0 when there was none to remove. */
  onRetainMessage?(client: Client, packet: Publish, stored: -1 | 0 | 1): void;
  /** A retained message was sent because of a subscription. */
  onRetainPublished?(client: Client, packet: Publish): void;
  /** A QoS 1 or 2 message is under way to the client; `resends` counts the sendings after the first. */
  onQosPublish?(client: Client, packet: Publish, sentMs: number, resends: number): void;
  onQosComplete?(client: Client, packet: Publish): void;
  /** A QoS 1 or 2 message under way was given up: refused by the receiver, or its session ended. */
  onQosDropped?(client: Client, packet: Publish): void;
  /** All packet identifiers of the client are in use; the message waits. */
  onPacketIDExhausted?(client: Client, packet: Publish): void;
  /** The will is about to be published. May change it, may refuse it. */
  onWill?(client: Client, will: Will): Will | Refusal | undefined | void;
  onWillSent?(client: Client, packet: Publish): void;
  /** The session of a client that is away ended. */
  onClientExpired?(client: Client): void;
  onRetainedExpired?(topicName: string): void;
  /** $SYS is about to be published. */
  onSysInfoTick?(info: SysInfo): void;

  /** What an earlier run left behind; asked once, before the listeners accept. */
  storedClients?(): readonly StoredClient[];
  storedSubscriptions?(): readonly StoredSubscription[];
  storedInflightMessages?(): readonly StoredMessage[];
  storedRetainedMessages?(): readonly StoredRetained[];
  storedSysInfo?(): Partial<SysInfo> | undefined;
}

export type Moment = Exclude<keyof Hook, "name">;

/**
 * Whether any hook listens at each moment. A class with a field for each, so that the hot path asks for the price of
 * reading a field; an object filled by name would be a dictionary and cost ten times that.
 */
class Present implements Record<Moment, boolean> {
  onStarted = false;
  onStopped = false;
  onConnect = false;
  onConnectAuthenticate = false;
  onACLCheck = false;
  onAuthPacket = false;
  onSessionEstablish = false;
  onSessionEstablished = false;
  onDisconnect = false;
  onPacketRead = false;
  onPacketEncode = false;
  onPacketSent = false;
  onPacketProcessed = false;
  onSubscribe = false;
  onSubscribed = false;
  onSelectSubscribers = false;
  onUnsubscribe = false;
  onUnsubscribed = false;
  onPublish = false;
  onPublished = false;
  onPublishDropped = false;
  onRetainMessage = false;
  onRetainPublished = false;
  onQosPublish = false;
  onQosComplete = false;
  onQosDropped = false;
  onPacketIDExhausted = false;
  onWill = false;
  onWillSent = false;
  onClientExpired = false;
  onRetainedExpired = false;
  onSysInfoTick = false;
  storedClients = false;
  storedSubscriptions = false;
  storedInflightMessages = false;
  storedRetainedMessages = false;
  storedSysInfo = false;
}

export const MOMENTS = Object.keys(new Present()) as readonly Moment[];

type Call<M extends Moment> = NonNullable<Hook[M]>;

type Answer<T> = T | Refusal | undefined;

/** The hooks by moment. Ask `present` before building arguments: no hook, no cost. */
export class Hooks {
  readonly present: Readonly<Record<Moment, boolean>>;
  readonly lists: { readonly [M in Moment]: (Hook & Required<Pick<Hook, M>>)[] };
  private readonly log: Log;

  constructor(hooks: readonly Hook[], log: Log) {
    const lists: Partial<Record<Moment, Hook[]>> = {};
    for (const moment of MOMENTS) lists[moment] = hooks.filter((hook) => hook[moment] !== undefined);
    this.lists = lists as Hooks["lists"];
    const present = new Present();
    for (const moment of MOMENTS) present[moment] = this.lists[moment].length !== 0;
    this.present = present;
    this.log = log;
  }

  /** Tells every hook; what one throws is logged and does not keep the others from hearing. */
  notify<M extends Moment>(moment: M, ...args: Parameters<Call<M>>): void {
    for (const hook of this.lists[moment]) this.call(hook, moment, args);
  }

  /**
   * Passes `value` (the last of `args`) through every hook. Returns what is left of it, or the first
   * refusal or symbol, which stops the chain.
   */
  pass<M extends Moment, V>(moment: M, value: V, call: (hook: Hook, value: V) => unknown): V | Refusal | typeof IGNORE {
    let current = value;
    for (const hook of this.lists[moment]) {
      const verdict = this.guardNow(hook, moment, () => call(hook, current));
      if (verdict === undefined) continue;
      if (verdict instanceof Refusal || verdict === IGNORE) return verdict;
      current = verdict as V;
    }
    return current;
  }

  /** The first answer that is not undefined; a hook that throws answers with a refusal. */
  first<T>(moment: Moment, call: (hook: Hook) => T | undefined): T | Refusal | undefined {
    for (const hook of this.lists[moment]) {
      const answer = this.guardNow(hook, moment, () => call(hook));
      if (answer !== undefined) return answer as T | Refusal;
    }
    return undefined;
  }

  /** As `first`, for the two moments that may be asynchronous. Stays synchronous when all hooks are. */
  firstLater<T>(moment: Moment, call: (hook: Hook) => Answer<T> | Promise<Answer<T>>): Answer<T> | Promise<Answer<T>> {
    return this.firstFrom(moment, 0, call);
  }

  private firstFrom<T>(
    moment: Moment,
    index: number,
    call: (hook: Hook) => Answer<T> | Promise<Answer<T>>,
  ): Answer<T> | Promise<Answer<T>> {
    const list: readonly Hook[] = this.lists[moment];
    for (let at = index; at < list.length; at++) {
      const hook = list[at]!;
      const answer = this.guard(hook, moment, () => call(hook));
      if (answer instanceof Promise) {
        return answer.then(
          (later: Answer<T>) => later ?? this.firstFrom(moment, at + 1, call),
          (error: unknown) => this.failed(hook, moment, error),
        );
      }
      if (answer !== undefined) return answer as T | Refusal;
    }
    return undefined;
  }

  private call<M extends Moment>(hook: Hook, moment: M, args: Parameters<Call<M>>): void {
    const heard = this.guard(hook, moment, () => (hook[moment] as (...all: unknown[]) => unknown).apply(hook, args));
    // Nobody waits for what a hook that was told goes on to do, but its failure is its own, not the program's end.
    if (heard instanceof Promise) heard.catch((error: unknown) => this.failed(hook, moment, error));
  }

  private guard(hook: Hook, moment: Moment, call: () => unknown): unknown {
    try {
      return call();
    } catch (error) {
      return this.failed(hook, moment, error);
    }
  }

  /** As `guard`, for the moments that do not wait: an answer that comes later is none, and counts as thrown. */
  private guardNow(hook: Hook, moment: Moment, call: () => unknown): unknown {
    const answer = this.guard(hook, moment, call);
    if (!(answer instanceof Promise)) return answer;
    answer.catch((error: unknown) => this.failed(hook, moment, error));
    return this.failed(hook, moment, new Error(`${moment} cannot wait for a promise`));
  }

  private failed(hook: Hook, moment: Moment, error: unknown): Refusal {
    this.log.error("A hook threw", {
      hook: hook.name,
      moment,
      reason: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
    return new HookFailure();
  }
}
