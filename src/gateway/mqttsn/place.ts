import type { Peer } from "../../core/ports.ts";

/** The same host, line and node; a port may change. */
export function isSamePlace(one: Peer, other: Peer): boolean {
  return hostPart(one) === hostPart(other) && one.line === other.line && one.nodeId === other.nodeId;
}

/** For the log: where somebody is. */
export function placeOf({ address, listener, nodeId }: Peer): { address: string; listener: string; nodeId?: string } {
  return { address, listener, ...(nodeId !== undefined && { nodeId }) };
}

function hostPart({ address, line }: Peer): string {
  return line === undefined ? address.replace(/:\d+$/, "") : "";
}
