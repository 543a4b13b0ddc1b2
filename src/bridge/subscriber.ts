import { PacketType } from "../codec/constants.ts";
import { type Packet, RetainHandling } from "../codec/packet.ts";
import { reasonText } from "../codec/reason.ts";
import type { Log } from "../core/ports.ts";
import type { Notes } from "./notes.ts";
import type { RetainedCopies } from "./retained-copies.ts";

/** Filters of one SUBSCRIBE; and their characters, since some brokers take small packets only. */
const FILTERS_AT_ONCE = 50;
const CHARACTERS_AT_ONCE = 8_000;
/** Changes are gathered for so long. */
const GATHER_MS = 20;

export interface SubscriberTools {
  log: Log;
  /** The filters that the other broker may have of us. */
  notes: Notes;
  copies: RetainedCopies;
  wanted(): readonly string[];
  send(packet: Packet): void;
  /** A packet identifier that no message has at present. */
  freeIdentifier(): number;
}

/** Brings the subscriptions at the other broker in line with what is wanted. Of one connection; one packet at a time. */
export class Subscriber {
  private readonly tools: SubscriberTools;
  /** Granted or refused on this connection. */
  private readonly settled = new Set<string>();
  private pending: { identifier: number; topicFilters: readonly string[] } | undefined;
  private timer: NodeJS.Timeout | undefined;
  private isOpen = false;

  constructor(tools: SubscriberTools) {
    this.tools = tools;
  }

  /** From now on. `isNew`: the other broker has nothing of us. All is asked for anew, since retained messages come by that. */
  open(isNew: boolean): void {
    const { notes } = this.tools;
    if (isNew) for (const topicFilter of notes.names) notes.delete(topicFilter);
    this.isOpen = true;
    this.forgetCopies();
    this.next();
  }

  /** What is wanted may have changed. */
  changed(): void {
    if (!this.isOpen || this.timer !== undefined) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.next();
    }, GATHER_MS);
  }

  /** SUBACK and UNSUBACK of the other broker. */
  onPacket(packet: Packet): void {
    const { pending, tools } = this;
    if (packet.type !== PacketType.SUBACK && packet.type !== PacketType.UNSUBACK) return;
    if (pending === undefined || packet.packetIdentifier !== pending.identifier) return;
    this.pending = undefined;
    if (packet.type === PacketType.UNSUBACK) {
      for (const topicFilter of pending.topicFilters) tools.notes.delete(topicFilter);
      this.forgetCopies();
    } else {
      for (const [index, topicFilter] of pending.topicFilters.entries()) {
        const code = packet.reasonCodes[index] ?? 0x80;
        if (code < 0x80) continue;
        tools.notes.delete(topicFilter);
        tools.log.warn("The other broker refuses a subscription: MQTT-SN clients get nothing of it", {
          filter: topicFilter,
          reason: reasonText(code),
        });
      }
      tools.copies.granted();
    }
    this.next();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.isOpen = false;
  }

  private next(): void {
    if (this.pending !== undefined || !this.isOpen) return;
    const { tools, settled } = this;
    const wanted = tools.wanted();
    const added = some(wanted.filter((topicFilter) => !settled.has(topicFilter)));
    if (added.length > 0) {
      for (const topicFilter of added) {
        // Before the other broker can have it, or nobody would know of it after a cut.
        tools.notes.add(topicFilter);
        settled.add(topicFilter);
      }
      tools.copies.asked(added);
      this.ask(added, (packetIdentifier) => ({
        type: PacketType.SUBSCRIBE,
        packetIdentifier,
        entries: added.map((topicFilter) => ({
          topicFilter,
          // What comes by QoS 2 would have to be told apart from what an earlier session there has left under way.
          qos: 1,
          noLocal: true,
          retainAsPublished: true,
          retainHandling: RetainHandling.SendAtSubscribe,
        })),
        properties: {},
      }));
      return;
    }
    const present = new Set(wanted);
    const topicFilters = some(tools.notes.names.filter((topicFilter) => !present.has(topicFilter)));
    for (const topicFilter of [...settled]) if (!present.has(topicFilter)) settled.delete(topicFilter);
    if (topicFilters.length === 0) return;
    this.ask(topicFilters, (packetIdentifier) => ({
      type: PacketType.UNSUBSCRIBE,
      packetIdentifier,
      topicFilters,
      properties: {},
    }));
  }

  private ask(topicFilters: readonly string[], packetOf: (identifier: number) => Packet): void {
    const identifier = this.tools.freeIdentifier();
    this.pending = { identifier, topicFilters };
    this.tools.send(packetOf(identifier));
  }

  private forgetCopies(): void {
    this.tools.copies.forget(this.tools.wanted());
  }
}

/** As many of them as go into one packet. */
function some(topicFilters: readonly string[]): string[] {
  let characters = 0;
  const chosen = topicFilters.slice(0, FILTERS_AT_ONCE).filter(({ length }, index) => {
    characters += length;
    return index === 0 || characters <= CHARACTERS_AT_ONCE;
  });
  return chosen;
}
