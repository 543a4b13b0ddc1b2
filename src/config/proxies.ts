import type { Problem } from "../text/problem.ts";
import type { ListenerEntry } from "./listener.ts";
import { quoteValue } from "./value.ts";
import { isNetwork } from "./web-socket.ts";

/**
 * Of a listener behind proxies: those that it believes. `usual`: whom a WebSocket trusts when its entry names nobody; there
 * the proxies may also send X-Forwarded-For, with or without a PROXY header. Problems: nobody to believe, proxies that
 * would say nothing, and what is no network.
 */
export function proxiesOf(
  { origin, type, proxyProtocol, trustedProxies }: ListenerEntry,
  problems: Problem[],
  usual?: readonly string[],
): { proxies?: string[] } {
  const hint = 'Such as { proxyProtocol: true, trustedProxies: ["192.168.1.2", "10.0.0.0/8"] }';
  const complain = (message: string) => problems.push(origin.problem("error", message, hint));
  if (proxyProtocol !== true) {
    if (trustedProxies !== undefined && usual === undefined) {
      complain(`trustedProxies of a ${NAMES[type] ?? type} listener need proxyProtocol: true`);
    }
    return {};
  }
  const proxies = trustedProxies ?? usual ?? [];
  if (proxies.length === 0) {
    complain("proxyProtocol needs trustedProxies: a PROXY header says who a client is, so not everybody may send one");
  }
  // Those of a WebSocket have been looked at already.
  for (const text of usual === undefined ? proxies : []) {
    if (!isNetwork(text)) complain(`${quoteValue(text)} is no address and no network`);
  }
  return { proxies: [...proxies] };
}

const NAMES: Readonly<Record<string, string>> = { tcp: "TCP", tls: "TLS" };
