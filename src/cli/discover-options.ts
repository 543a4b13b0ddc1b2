import { BROWSED_TYPES } from "../../device/mdns/browse.ts";
import { type Link, linksNow } from "../../device/mdns/link.ts";
import { addressOf } from "../../device/mdns/networks.ts";
import { formatDuration, parseDuration } from "../text/duration.ts";
import { UsageError } from "./client-io.ts";
import { choose, readWords } from "./words.ts";

/** The options of `discover`. */
export const DISCOVER_OPTIONS = {
  timeout: { takes: "a duration, such as 5s" },
  type: { takes: `a type of service, such as ${BROWSED_TYPES[0]}` },
  test: {},
  json: {},
  interface: { takes: "the name of an interface, or an address of it" },
} as const;

const DEFAULT_TIMEOUT_MS = 3_000;
const TIMEOUT_MS = { min: 100, max: 600_000 } as const;

export interface DiscoverOptions {
  /** "_mqtt._tcp"; each once. */
  types: readonly string[];
  /** Of the search, and of each test. */
  timeoutMs: number;
  test: boolean;
  json: boolean;
  links: readonly Link[];
}

/** Reads the words after `discover`. Returns "help" when that is asked for; throws UsageError. */
export function parseDiscoverOptions(
  argv: readonly string[],
  links: readonly Link[] = linksNow(),
): DiscoverOptions | "help" {
  const words = readWords("discover", argv, DISCOVER_OPTIONS);
  if (words.help || words.plain[0] === "help") return "help";
  const [extra] = words.plain;
  if (extra !== undefined) throw new UsageError(`Unexpected argument ${JSON.stringify(extra)}`);
  const known = `there are ${BROWSED_TYPES.join(", ")}`;
  const types = words
    .values("type")
    .map((word) => choose("type of service", word.replace(/\.local\.?$|\.$/, ""), BROWSED_TYPES, known));
  return {
    types: types.length === 0 ? BROWSED_TYPES : [...new Set(types)],
    timeoutMs: timeout(words.value("timeout")),
    test: words.has("test"),
    json: words.has("json"),
    links: chosenLinks(links, words.value("interface")),
  };
}

function timeout(text: string | undefined): number {
  if (text === undefined) return DEFAULT_TIMEOUT_MS;
  const { min, max } = TIMEOUT_MS;
  const ms = parseDuration(text);
  if (ms !== undefined && ms >= min && ms <= max) return ms;
  const range = `from ${formatDuration(min)} to ${formatDuration(max)}`;
  throw new UsageError(`--timeout needs a duration ${range}, such as 5s, not ${JSON.stringify(text)}`);
}

function chosenLinks(links: readonly Link[], chosen: string | undefined): readonly Link[] {
  if (chosen === undefined) return links;
  const byName = links.filter((link) => link.interface === chosen);
  const wanted = chosen.toLowerCase();
  const byAddress = links.find(({ addresses }) => addresses.some((cidr) => addressOf(cidr) === wanted))?.interface;
  const found = byName.length > 0 ? byName : links.filter((link) => link.interface === byAddress);
  if (found.length > 0) return found;
  const names = [...new Set(links.map((link) => link.interface))].map((name) => {
    const of = links.filter((link) => link.interface === name).flatMap(({ addresses }) => addresses.map(addressOf));
    return `${name} (${of.join(" ")})`;
  });
  const there = names.length === 0 ? "this machine is on none" : `networks are on ${names.join(", ")}`;
  throw new UsageError(`--interface ${JSON.stringify(chosen)} is on no network: ${there}`);
}

export const DISCOVER_HELP = `Usage: mqtt-broker discover [OPTIONS]

Looks for brokers in the networks of this machine, by mDNS, and prints where they are and what they say of themselves:
any broker that tells of itself, not only this one, and any web server that does.

  --timeout DURATION        How long to look, and to wait for each answer of --test; 3s
  --type TYPE               Only this type of service, repeatable; else all of them:
                            ${BROWSED_TYPES.join(" ")}
  --test                    Connect to each, and say whether it answers, and what it asks for
  --json                    One line of JSON for each
  --interface NAME|ADDRESS  Only in the network of this interface; else in all

Exit codes: 0 found, 1 nothing found or a test failed, 2 usage.
`;
