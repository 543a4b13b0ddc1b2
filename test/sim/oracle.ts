import { matches, type SimMessage } from "./message.ts";
import type { SimLink } from "./network.ts";
import { RetainedModel } from "./retained-model.ts";
import type { Scenario } from "./scenario.ts";
import { type FilterModel, type History, SessionModel } from "./session-model.ts";
import type { Timeline } from "./timeline.ts";
import { WillModel } from "./will-model.ts";

/** Why a message of QoS 1 or 2 may be dropped at all. */
const DROPS_DECLARED = ["queueFull", "queueBytes", "expired", "sessionEnded", "storeFull"];
/** From the broker's decision that a message has not expired to its first byte on the link. */
const EXPIRY_SLACK_MS = 2_000;

/** From the end of a storm until the store has tried again. */
const STORM_SLACK_MS = 2_000;

/** A PUBLISH that an application got: resends that a receiver must recognize are not among them. */
export interface Delivery {
  message: SimMessage | undefined;
  key: string;
  topic: string;
  qos: 0 | 1 | 2;
  retain: boolean;
  dup: boolean;
  /** Seconds that are left, as the broker tells. */
  expirySeconds: number | undefined;
  /** Not after the broker wrote it. */
  writtenMs: number;
}

/**
 * Knows what every client sent and got, when the broker crashed, and what it declared lost; and says what must not be.
 * Whatever is not sure, because an answer never came, is allowed both ways.
 */
export class Oracle {
  readonly crashes: number[] = [];
  readonly restarts: number[] = [];
  private readonly storms: { fromMs: number; toMs: number }[] = [];
  /** What broke first; everything after it may follow from it. */
  violation: string | undefined;
  readonly messages = new Map<string, SimMessage>();
  readonly sessions = new Map<string, SessionModel>();
  readonly retained = new RetainedModel();
  readonly wills: WillModel;
  /** Records were damaged and named: messages may be missing or come twice, but wrong values may not. */
  readonly damaged: boolean;
  private readonly history: History;
  /** Acknowledged messages that one member of the group must get. */
  private readonly owedToGroups = new Map<string, Map<string, SimMessage>>();
  /** When a member last left or may have: what it had under way with QoS 2 goes to nobody else. */
  private readonly leftMs = new Map<string, number>();
  private readonly timeline: Timeline;
  private readonly keepLast: readonly string[];

  constructor(timeline: Timeline, { trusted, damages, mqtt }: Pick<Scenario, "trusted" | "damages" | "mqtt">) {
    this.timeline = timeline;
    this.damaged = damages > 0;
    this.keepLast = mqtt.queue?.keepLast ?? [];
    const { crashes, restarts, storms } = this;
    this.history = { crashes, restarts, storms, trusted };
    this.wills = new WillModel(this.history);
  }

  /** As `break`, for what lost records may be the reason of. */
  breakUnlessDamaged(violation: string | undefined): void {
    if (!this.damaged) this.break(violation);
  }

  break(violation: string | undefined): void {
    if (violation !== undefined) this.violation ??= violation;
  }

  session(clientId: string): SessionModel {
    let session = this.sessions.get(clientId);
    if (session === undefined) {
      session = new SessionModel(clientId, this.history);
      this.sessions.set(clientId, session);
    }
    return session;
  }

  crashed(): void {
    this.crashes.push(this.timeline.nowMs);
    this.retained.crashed(this.timeline.nowMs);
  }

  /** The disk takes nothing for a while: what comes meanwhile may be refused, and sent again afterwards. */
  stormBegan(): void {
    this.storms.push({ fromMs: this.timeline.nowMs, toMs: Number.POSITIVE_INFINITY });
  }

  stormEnded(): void {
    this.storms.at(-1)!.toMs = this.timeline.nowMs + STORM_SLACK_MS;
  }

  restarted(): void {
    this.restarts.push(this.timeline.nowMs);
  }

  connectSent(clientId: string, link: SimLink, clean: boolean, expiryMs: number, will: SimMessage | undefined): void {
    const session = this.session(clientId);
    if (clean) this.endGroupsOf(session);
    session.connectSent(link, clean, expiryMs, this.timeline.nowMs);
    if (will === undefined) return;
    this.messages.set(will.key, will);
    this.wills.connectSent(will, clientId, expiryMs > 0);
  }

  connackReceived(clientId: string, present: boolean, will: SimMessage | undefined): void {
    const { nowMs } = this.timeline;
    const session = this.session(clientId);
    const groups = [...session.filters.values()].flatMap(({ group }) => group ?? []);
    const wrong = session.connackReceived(present, nowMs);
    this.breakUnlessDamaged(wrong);
    if (!present || session.isAmbiguous) for (const group of groups) this.memberLeft(group);
    this.wills.connackReceived(clientId, will, nowMs);
  }

  /** The client asked for the end of its session, or something else that may end it. */
  sessionMayEnd(clientId: string): void {
    const session = this.session(clientId);
    this.endGroupsOf(session);
    session.mayHaveEnded();
  }

  unsubscribeSent(clientId: string, topicFilter: string): number {
    const session = this.session(clientId);
    const group = session.filters.get(topicFilter)?.group;
    if (group !== undefined) this.memberLeft(group);
    return session.unsubscribeSent(topicFilter);
  }

  published(message: SimMessage): void {
    this.messages.set(message.key, message);
    message.inStorm = (this.storms.at(-1)?.toMs ?? -1) >= this.timeline.nowMs;
    if (message.retain) this.retained.sent(message);
  }

  /** PUBACK or PUBREC came: from now on the broker owes the message to whoever had subscribed before it was sent. */
  acknowledged(message: SimMessage, reasonCode: number): void {
    if (message.acknowledgedMs !== Number.POSITIVE_INFINITY) return;
    message.acknowledgedMs = this.timeline.nowMs;
    message.refused = reasonCode >= 0x80;
    if (message.refused || message.removes) return;
    for (const session of this.sessions.values()) {
      const filter = session.sure ? session.surelyWanted(message) : undefined;
      if (filter === undefined || session.excused.has(message.key)) continue;
      if (filter.group !== undefined) this.owe(filter, message);
      else if (!session.seen.has(message.key)) session.owed.set(message.key, message);
    }
  }

  /** The broker says that it dropped a message. */
  dropped(clientId: string, key: string, qos: number, reason: string): void {
    const message = this.messages.get(key);
    if (message === undefined) return;
    const session = this.session(clientId);
    session.excused.add(key);
    session.owed.delete(key);
    for (const owed of this.owedToGroups.values()) owed.delete(key);
    const isDeclared = DROPS_DECLARED.includes(reason);
    const mayBeQos0 = session.surelyWanted(message) === undefined;
    if (qos > 0 && !isDeclared && !mayBeQos0) this.break(`${key} was dropped for ${clientId}: ${reason}`);
    if (reason === "expired" && message.expirySeconds === undefined) {
      this.break(`${key} was dropped for ${clientId} as expired, though it never expires`);
    }
  }

  /** A QoS 2 message of a share whose receiver's session ended goes to nobody else, 5.0 [MQTT-4.8.2-5]. */
  givenUp(key: string): void {
    for (const owed of this.owedToGroups.values()) owed.delete(key);
  }

  willPublished(key: string): void {
    const wrong = this.wills.published(key, this.timeline.nowMs);
    this.breakUnlessDamaged(wrong);
  }

  delivered(clientId: string, delivery: Delivery): void {
    const { message, key, topic, qos } = delivery;
    const session = this.session(clientId);
    const who = `${clientId} got ${key} on ${topic} with QoS ${qos}`;
    if (message === undefined || message.topic !== topic) {
      this.break(`${who}, which nobody published there`);
      return;
    }
    if (qos > message.qos) this.break(`${who}, published with ${message.qos}`);
    this.breakUnlessDamaged(this.expiryProblem(who, delivery, message));
    if (!session.maybeWanted(message) && !delivery.retain) this.break(`${who} without a subscription`);
    if (delivery.retain) this.retainedDelivered(session, delivery, message);
    else this.liveDelivered(session, delivery, message, who);
  }

  /** At the end, when all clients are back and nothing is under way any more. */
  finish(found: ReadonlyMap<string, SimMessage>): void {
    if (this.damaged) return;
    const { nowMs } = this.timeline;
    const isDue = ({ expirySeconds, firstSentMs }: SimMessage) =>
      expirySeconds === undefined || nowMs - firstSentMs < expirySeconds * 1000;
    for (const session of this.sessions.values()) {
      for (const message of session.owed.values()) {
        if (isDue(message) && !this.isSuperseded(session, message))
          this.break(`${session.clientId} never got ${message.key} (${message.topic}, QoS ${message.qos})`);
      }
    }
    for (const [group, owed] of this.owedToGroups) {
      for (const message of owed.values()) {
        if (isDue(message)) this.break(`nobody of the share ${group} got ${message.key} (QoS ${message.qos})`);
      }
    }
    this.break(this.retained.verdict(found, nowMs));
  }

  /** Another of its topic, which may have come to the broker after it, took its place: it came, or was declared lost. */
  private isSuperseded({ seen, excused }: SessionModel, { key, topic, firstSentMs }: SimMessage): boolean {
    if (!this.keepsLast(topic)) return false;
    return [...seen.keys(), ...excused].some((other) => {
      const message = other === key ? undefined : this.messages.get(other);
      return message?.topic === topic && message.acknowledgedMs >= firstSentMs;
    });
  }

  private keepsLast(topic: string): boolean {
    return this.keepLast.some((topicFilter) => matches(topicFilter, topic));
  }

  private owe(filter: FilterModel, message: SimMessage): void {
    const group = filter.group!;
    if (message.firstSentMs <= (this.leftMs.get(group) ?? -1)) return;
    for (const session of this.sessions.values()) {
      if (session.seen.has(message.key) || session.excused.has(message.key)) return;
    }
    const owed = this.owedToGroups.get(group) ?? new Map<string, SimMessage>();
    this.owedToGroups.set(group, owed);
    owed.set(message.key, message);
  }

  private memberLeft(group: string): void {
    this.leftMs.set(group, this.timeline.nowMs);
    this.owedToGroups.get(group)?.clear();
  }

  private endGroupsOf(session: SessionModel): void {
    for (const { group } of session.filters.values()) if (group !== undefined) this.memberLeft(group);
  }

  private liveDelivered(session: SessionModel, delivery: Delivery, message: SimMessage, who: string): void {
    const { key, qos } = delivery;
    // While nothing can be kept, QoS 0 goes to who is there, and is not retained.
    if (message.retain && (message.qos > 0 || this.storms.length === 0))
      this.retained.seenLive(message, delivery.writtenMs, this.timeline.nowMs);
    session.owed.delete(key);
    const inShare = [...session.filters.values()].some(
      (filter) => filter.group !== undefined && matches(filter.filter, message.topic),
    );
    if (inShare) for (const owed of this.owedToGroups.values()) owed.delete(key);
    const before = inShare ? this.seenByAnybody(key) : session.seen.get(key);
    if (before !== undefined) {
      // With a lower QoS a message goes out before it is on disk: after a crash it may come anew, with another QoS.
      const wasForgotten = session.seenUnstored.has(key) && this.crashes.length > 0;
      const mayComeAgain = wasForgotten || (before < 2 && (qos < 2 || this.crashes.length > 0));
      if (!mayComeAgain) this.breakUnlessDamaged(`${who} twice`);
      if (!inShare && !message.isWill && session.isDoneWith(message)) {
        this.breakUnlessDamaged(`${who} again after all of its ${message.sendings} copies were acknowledged`);
      }
      session.seen.set(key, qos > before ? qos : before);
      return;
    }
    session.seen.set(key, qos);
    if (!session.stored) session.seenUnstored.add(key);
    if (message.isWill || inShare || this.damaged) return;
    const line = `${message.publisher} ${message.topic} ${message.qos} ${qos}`;
    const last = session.lastNumbers.get(line) ?? -1;
    // One whose first copy came before the subscription, or was dropped, refused or superseded, may be sent again after
    // later ones.
    const isFirst = !session.excused.has(key) && !message.inStorm && !this.keepsLast(message.topic);
    const isSure = session.surelyWanted(message) !== undefined && isFirst;
    if (message.number < last && isSure) this.break(`${who} after number ${last}`);
    else if (message.number > last) session.lastNumbers.set(line, message.number);
  }

  private retainedDelivered(session: SessionModel, delivery: Delivery, message: SimMessage): void {
    // Sent again, it is what was handed out before.
    if (delivery.dup) return;
    let askedMs = Number.POSITIVE_INFINITY;
    for (const subscription of session.filters.values()) {
      if (subscription.group !== undefined || !matches(subscription.filter, message.topic)) continue;
      const latest = subscription.askedMs.findLast((ms) => ms <= delivery.writtenMs);
      if (latest !== undefined) askedMs = Math.min(askedMs, latest);
    }
    const { nowMs } = this.timeline;
    this.breakUnlessDamaged(
      this.retained.handedOut(message, askedMs === Number.POSITIVE_INFINITY ? 0 : askedMs, delivery.writtenMs, nowMs),
    );
  }

  private seenByAnybody(key: string): 0 | 1 | 2 | undefined {
    for (const session of this.sessions.values()) {
      const qos = session.seen.get(key);
      if (qos !== undefined) return qos;
    }
    return undefined;
  }

  private expiryProblem(who: string, delivery: Delivery, message: SimMessage): string | undefined {
    const { expirySeconds } = message;
    if (expirySeconds === undefined) return delivery.expirySeconds === undefined ? undefined : `${who} with an expiry`;
    // Without a clock that can be trusted a restarted broker knows its age by what it wrote last only.
    const isKnown = this.history.trusted || this.crashes.length === 0;
    if (isKnown && delivery.expirySeconds !== undefined && delivery.expirySeconds > expirySeconds) {
      return `${who} with ${delivery.expirySeconds} s to live of ${expirySeconds}`;
    }
    if (!this.history.trusted || delivery.dup || message.acknowledgedMs === Number.POSITIVE_INFINITY) return undefined;
    const ageMs = delivery.writtenMs - message.acknowledgedMs;
    const leftMs = (delivery.expirySeconds ?? 0) * 1000;
    if (leftMs > expirySeconds * 1000 - ageMs + EXPIRY_SLACK_MS) {
      return `${who} ${ageMs} ms after its PUBACK with ${leftMs} ms to live of ${expirySeconds} s`;
    }
    return ageMs > expirySeconds * 1000 + EXPIRY_SLACK_MS
      ? `${who} ${ageMs} ms after its PUBACK, of ${expirySeconds} s`
      : undefined;
  }
}
