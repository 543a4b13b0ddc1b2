import type { Problem } from "../text/problem.ts";
import type { ListenerEntry } from "./listener.ts";
import type { TcpListenerSettings } from "./settings.ts";
import { quoteValue } from "./value.ts";
import { isNetwork } from "./web-socket.ts";

/**
 * Of a TCP listener behind proxies: those that it believes. Problems: nobody to believe, proxies that would say nothing,
 * and what is no network.
 */
export function proxiesOf(
  { origin, proxyProtocol, trustedProxies }: ListenerEntry,
  problems: Problem[],
): Pick<TcpListenerSettings, "proxies"> {
  const hint = 'Such as { proxyProtocol: true, trustedProxies: ["192.168.1.2", "10.0.0.0/8"] }';
  const complain = (message: string) => problems.push(origin.problem("error", message, hint));
  if (proxyProtocol !== true) {
    if (trustedProxies !== undefined) complain("trustedProxies of a TCP listener need proxyProtocol: true");
    return {};
  }
  const proxies = trustedProxies ?? [];
  if (proxies.length === 0) {
    complain("proxyProtocol needs trustedProxies: a PROXY header says who a client is, so not everybody may send one");
  }
  for (const text of proxies) {
    if (!isNetwork(text)) complain(`${quoteValue(text)} is no address and no network`);
  }
  return { proxies: [...proxies] };
}
