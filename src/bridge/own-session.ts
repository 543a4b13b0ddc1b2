import { PacketType } from "../codec/constants.ts";
import type { Packet } from "../codec/packet.ts";
import { RetainHandling } from "../codec/packet.ts";
import { reasonText } from "../codec/reason.ts";
import type { TextCache } from "../codec/text.ts";
import { CoreLink, type Flushes } from "../core/core-link.ts";
import type { GatewayAccept, Peer } from "../core/ports.ts";

/** The session of ours that holds what MQTT-SN clients have published until the other broker has it. */
export const UPSTREAM_CLIENT_ID = "mqtt-sn-upstream";

/** What waits is not wanted any more when nobody has named an upstream for so long: each start begins it anew. */
const SESSION_SECONDS = 365 * 86_400;
/** The disk may be busy with what an earlier run has left. */
const WAIT_MS_MAX = 10_000;

export interface OwnSessionTools {
  peer: Peer;
  flushes: Flushes;
  names: TextCache;
  /** Without a mount point. */
  accept: GatewayAccept;
}

/** Of our own session. What the broker grants its clients, and how many, must not lose what it has acknowledged to them. */
export class OwnLink extends CoreLink {
  readonly isOwn = true;
  /** It may be fed again. */
  onRoom: () => void = () => {};

  override resumeReading(): void {
    super.resumeReading();
    this.onRoom();
  }
}

/** The CONNECT of our own session. */
export function ownConnect(receiveMaximum: number): Packet {
  return {
    type: PacketType.CONNECT,
    protocolVersion: 5,
    cleanStart: false,
    keepAliveSeconds: 0,
    clientId: UPSTREAM_CLIENT_ID,
    will: undefined,
    userName: undefined,
    password: undefined,
    properties: { sessionExpiryInterval: SESSION_SECONDS, receiveMaximum },
    bridge: false,
  };
}

/**
 * All that the filter stands for, but not what this session has published itself; and nothing that was retained before,
 * which may be older than what is retained at the other broker.
 */
export function ownSubscribe(topicFilter: string): Packet {
  return {
    type: PacketType.SUBSCRIBE,
    packetIdentifier: 1,
    entries: [
      { topicFilter, qos: 2, noLocal: true, retainAsPublished: true, retainHandling: RetainHandling.DoNotSend },
    ],
    properties: {},
  };
}

/**
 * Sees to it that the session exists and gets what is published below the mount point, and nothing else: what comes from
 * now on waits in it. `others`: filters that it had before. Rejects when the broker does not grant it.
 */
export function prepareOwnSession(
  tools: OwnSessionTools,
  topicFilter: string,
  others: readonly string[],
): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => end(new Error("the disk did not answer in time")), WAIT_MS_MAX);
    const link: OwnLink = new OwnLink(tools.peer, tools.flushes, tools.names, {
      onPacket: (packet) => {
        if (packet.type === PacketType.CONNACK && packet.reasonCode !== 0) end(refused(packet.reasonCode));
        else if (packet.type === PacketType.CONNACK) queueMicrotask(() => link.feed(ownSubscribe(topicFilter)));
        else if (packet.type === PacketType.SUBACK) {
          const [code = 0x80] = packet.reasonCodes;
          if (code >= 0x80) end(refused(code));
          else if (others.length === 0) end();
          else queueMicrotask(() => link.feed(unsubscribe(others)));
        } else if (packet.type === PacketType.UNSUBACK) end();
      },
      onQuiet: () => {},
      onEnded: () => end(new Error("our own broker has ended it")),
      onFault: (error) => end(error as Error),
    });
    const end = (error?: Error): void => {
      clearTimeout(timer);
      queueMicrotask(() => link.abandon());
      if (error === undefined) resolve();
      else reject(error);
    };
    link.open(tools.accept);
    // No message: it would be under way, and come again.
    link.feed(ownConnect(1));
  });
}

function unsubscribe(topicFilters: readonly string[]): Packet {
  return { type: PacketType.UNSUBSCRIBE, packetIdentifier: 1, topicFilters: [...topicFilters], properties: {} };
}

function refused(code: number): Error {
  return new Error(`our own broker refuses it: ${reasonText(code)}`);
}
