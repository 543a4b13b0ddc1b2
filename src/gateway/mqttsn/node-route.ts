import { encodeEncapsulated } from "./codec/forwarder.ts";
import type { Route } from "./route.ts";

/** An envelope's head for such a node id is all that the length octet can say. */
const ENVELOPE_HEAD_BYTES = 3;

/** The way to a node behind a forwarder, 1.2 §5.5: what goes there is put into an envelope. */
export function nodeRoute(route: Route, nodeId: Uint8Array): Route {
  const hex = Array.from(nodeId, (octet) => octet.toString(16).padStart(2, "0")).join("");
  const node = nodeId.slice();
  return {
    key: `${route.key}/${hex}`,
    peer: { ...route.peer, nodeId: hex },
    origin: route.origin,
    maxBytes: route.maxBytes - ENVELOPE_HEAD_BYTES - node.length,
    // It changes while the client is there.
    get linkQuality() {
      return route.linkQuality;
    },
    accept: route.accept,
    send: (message) => route.send(encodeEncapsulated(0, node, message)),
    answered: (roundTripMs) => route.answered?.(roundTripMs),
    retried: () => route.retried?.(),
  };
}
