import type { Qos } from "../codec/constants.ts";
import { ReasonCode, reasonText } from "../codec/reason.ts";
import type { Grant, Verdict } from "./access.ts";
import type { Broker } from "./broker.ts";
import type { Client } from "./client.ts";
import type { Connection } from "./connection.ts";
import { ConnectionState } from "./connection-state.ts";
import type { Timed } from "./deadlines.ts";
import { Refusal } from "./hooks.ts";
import { disconnectCode } from "./reason-mapping.ts";
import type { Route } from "./router.ts";
import type { Subscription } from "./subscription.ts";

/** Denials of one kind are logged once in so long for each user and topic. */
const DENIAL_LOG_INTERVAL_MS = 60_000;
const DENIAL_LOG_MAX = 10_000;
/** Characters of a name and of a topic that tell denials apart: both may have 65,535. */
const DENIAL_TEXT_MAX = 128;
/** Connections that are looked at in one go after the rules have changed: twenty thousand must not hold up the others. */
const REVIEWED_AT_ONCE = 256;

/** May a client use a topic: what hooks and access rules say, remembered as long as it holds, and obeyed when it changes. */
export class Permissions implements Timed {
  heapIndex = -1;
  dueMs = 0;
  /** Topics are not free for all: each publish and each delivery is judged. */
  readonly asked: boolean;
  /** A verdict for a client and topic holds as long as `generation` is the same. */
  readonly remembered: boolean;
  generation = 0;
  /** How often the access rules have changed. */
  changes = 0;
  private readonly broker: Broker;
  private readonly denials = new Map<string, number>();
  /** Connections that have not been looked at since the last change. */
  private unreviewed: Connection[] = [];

  constructor(broker: Broker) {
    this.broker = broker;
    const { access, hooks } = broker;
    const { onACLCheck } = hooks.present;
    this.asked = onACLCheck || access.check !== undefined;
    // A hook may say something else each time.
    this.remembered = !onACLCheck && access.onChange !== undefined;
    access.onChange?.(() => this.changed());
  }

  verdict(client: Client, topic: string, write: boolean): Verdict {
    const { hooks, access } = this.broker;
    if (hooks.present.onACLCheck) {
      const opinion = hooks.first<boolean>("onACLCheck", (hook) => hook.onACLCheck!(client, topic, write));
      if (opinion !== undefined) return opinion === true;
    }
    return access.check === undefined || access.check(client, topic, write);
  }

  mayReceive(client: Client, topic: string): boolean {
    return this.verdict(client, topic, false) !== false;
  }

  /** For the members of a share: who may receive from the topic; undefined when everybody may. */
  receivers(topicName: string): ((member: Subscription) => boolean) | undefined {
    return this.asked ? (member) => this.ofMember(member, topicName) !== false : undefined;
  }

  /** What a member of a share may receive; the verdict on the last topic is at hand, since shares are asked for each message. */
  ofMember(member: Subscription, topicName: string): Verdict {
    if (member.verdictGeneration === this.generation && member.verdictTopic === topicName) return member.verdict;
    const verdict = this.verdict(member.session.client, topicName, false);
    if (this.remembered) {
      member.verdict = verdict;
      member.verdictTopic = topicName;
      member.verdictGeneration = this.generation;
    }
    return verdict;
  }

  /** The QoS that is left of `qos` for a message to this client. */
  lowered(client: Client, topicName: string, qos: Qos): Qos {
    return this.asked && qos > 0 ? lower(this.verdict(client, topicName, false), qos) : qos;
  }

  /** The verdicts for the targets of a route, in their order; undefined when all may have everything, or nothing is remembered. */
  ofRoute(route: Route, topicName: string): readonly Verdict[] | undefined {
    if (route.judged === this.generation) return route.verdicts;
    const verdicts = route.targets.map(({ session }) => this.verdict(session.client, topicName, false));
    route.judged = this.generation;
    route.verdicts = verdicts.every((verdict) => verdict === true) ? undefined : verdicts;
    return route.verdicts;
  }

  /** A session goes on as somebody else, from somewhere else, or without its client: what is remembered of routes to it may be wrong. */
  clientChanged(): void {
    this.generation++;
  }

  /** One sentence with the rule that denies, when it is a rule: hooks give no reasons. */
  why(client: Client, topic: string, write: boolean): string | undefined {
    const { access, hooks } = this.broker;
    if (access.why === undefined || (hooks.present.onACLCheck && access.check?.(client, topic, write) === true)) {
      return undefined;
    }
    return access.why(client, topic, write);
  }

  /** As `why`, when clients are told. */
  reasonFor(client: Client, topic: string, write: boolean): string | undefined {
    return this.broker.access.explainsToClients === true ? this.why(client, topic, write) : undefined;
  }

  /** One line for each user, operation and topic in a while: a denied sensor must not fill the log. */
  logDenied(client: Client, operation: "publish" | "subscribe", topic: string, code: number): void {
    const { broker, denials } = this;
    const who = client.userName ?? client.identity?.name ?? client.clientId;
    const key = `${who.slice(0, DENIAL_TEXT_MAX)}\u0000${operation}\u0000${topic.slice(0, DENIAL_TEXT_MAX)}`;
    const loggedMs = denials.get(key);
    if (loggedMs !== undefined && broker.nowMs - loggedMs < DENIAL_LOG_INTERVAL_MS) return;
    if (denials.size >= DENIAL_LOG_MAX) denials.clear();
    denials.set(key, broker.nowMs);
    const rule = code === ReasonCode.NotAuthorized ? this.why(client, topic, operation === "publish") : undefined;
    broker.log.warn(`Refused to ${operation}`, { ...client.logFields(), topic, reason: reasonText(code), rule });
  }

  onDue(): void {
    for (const connection of this.unreviewed.splice(-REVIEWED_AT_ONCE)) this.review(connection);
    if (this.unreviewed.length > 0) this.broker.deadlines.set(this, this.broker.nowMs);
  }

  /** Verdicts are others from now on; whom that costs its place is found out in turns. */
  private changed(): void {
    const { broker } = this;
    broker.turn();
    this.generation++;
    this.changes++;
    this.denials.clear();
    this.unreviewed = [...broker.connections];
    this.onDue();
    broker.reschedule();
  }

  private review(connection: Connection): void {
    const { broker } = this;
    const { access } = broker;
    if (connection.state !== ConnectionState.Connected && connection.state !== ConnectionState.Opening) return;
    const { client } = connection;
    const standing = access.review?.(client);
    if (standing instanceof Refusal) {
      connection.disconnect(disconnectCode(standing.reasonCode), standing.reasonString ?? "not authorized any more");
      return;
    }
    if (standing !== undefined) {
      client.identity = standing;
      broker.rates.renew(connection);
    }
    if (access.endsLostSubscriptions !== true) return;
    for (const { topicFilter } of connection.session.subscriptions.values()) {
      if (this.mayReceive(client, topicFilter)) continue;
      const rule = this.why(client, topicFilter, false);
      broker.log.warn("Disconnecting a client that lost a subscription", {
        ...client.logFields(),
        topic: topicFilter,
        rule,
      });
      const reason = `no longer allowed to subscribe to ${topicFilter}`;
      connection.disconnect(ReasonCode.AdministrativeAction, reason);
      return;
    }
  }
}

/** The QoS that a verdict leaves of `qos`. */
export function lower(verdict: Verdict, qos: Qos): Qos {
  return isGrant(verdict) && verdict.maximumQos < qos ? verdict.maximumQos : qos;
}

/** Is publishing with this QoS and RETAIN within the verdict? */
export function permits(verdict: Verdict, qos: Qos, retain: boolean): boolean {
  return isGrant(verdict) ? qos <= verdict.maximumQos && (verdict.retain || !retain) : verdict;
}

function isGrant(verdict: Verdict): verdict is Grant {
  return typeof verdict === "object";
}
