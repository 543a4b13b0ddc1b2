import { isIP } from "node:net";
import type { Problem } from "../text/problem.ts";
import type { ListenerEntry } from "./listener.ts";
import type { WebSocketSettings } from "./settings.ts";
import { quoteValue } from "./value.ts";

/** What the options of WebSocket say, for the listeners that do not say it themselves. */
export interface WebSocketDefaults {
  path: string | undefined;
  origins: readonly string[];
  trustedProxies: readonly string[];
}

/** Joins what a listener says of WebSocket with what the options say. Problems: what is no path, origin or network. */
export function webSocketOf(
  { origin: place, path: ownPath, ...entry }: ListenerEntry,
  defaults: WebSocketDefaults,
  problems: Problem[],
): WebSocketSettings {
  const complain = (message: string, hint: string) => problems.push(place.problem("error", message, hint));
  const path = ownPath ?? defaults.path;
  if (path !== undefined && !/^\/[^\s?#]*$/.test(path)) {
    complain(`${quoteValue(path)} is no path of a URL`, "It begins with /, and has no ? and no #: /mqtt");
  }
  const origins: string[] = [];
  for (const text of entry.origins ?? defaults.origins) {
    const read = readOrigin(text);
    if (read !== undefined) origins.push(read);
    else
      complain(`${quoteValue(text)} is no origin of a page`, "Such as https://example.org; with none all may connect");
  }
  const trustedProxies = [...(entry.trustedProxies ?? defaults.trustedProxies)];
  for (const text of trustedProxies) {
    if (!isNetwork(text))
      complain(`${quoteValue(text)} is no address and no network`, "Such as 127.0.0.1 or 10.0.0.0/8");
  }
  return { path, origins, trustedProxies };
}

/** An origin as browsers send it, in lower case and without the usual port. */
function readOrigin(text: string): string | undefined {
  const plain = text.toLowerCase().replace(/\/$/, "");
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@*]+$/.test(plain)) return undefined;
  if (!/^https?:/.test(plain)) return plain;
  try {
    return new URL(plain).origin;
  } catch {
    return undefined;
  }
}

/** An address or a network in CIDR notation. */
export function isNetwork(text: string): boolean {
  const [address = "", bits, ...more] = text.split("/");
  const family = isIP(address);
  if (family === 0 || more.length > 0 || address.includes("%")) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}
