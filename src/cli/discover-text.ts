import type { FoundService } from "../../device/mdns/browse.ts";
import type { TestResult } from "./discover-test.ts";

/** A service with what its tests said; without --test there are none. */
export interface Discovered extends FoundService {
  tls: boolean;
  tests?: readonly TestResult[];
}

const HINT = `
Some devices cannot look up names in .local (Shelly Gen2, plain Arduino sketches): give those the numeric address.
`;

const TITLES = ["TYPE", "ADDRESS", "PORT", "TLS", "HOST", "NAME"] as const;

/** Columns for people, with what more there is to say indented below. Ends with a newline. */
export function discoveredText(services: readonly Discovered[]): string {
  const rows = services.map(rowOf);
  const widths = TITLES.map((title, column) =>
    Math.max(
      title.length,
      ...rows.map((row) => row[column]!.length),
      ...(column === 1 ? addressLengths(services) : []),
    ),
  );
  const line = (cells: readonly string[]): string =>
    `${cells.map((cell, column) => cell.padEnd(widths[column]!)).join("  ")}`.trimEnd();
  const lines = [line(TITLES)];
  for (const [index, service] of services.entries()) {
    lines.push(line(rows[index]!));
    for (const address of service.addresses.slice(1)) lines.push(line(["", shown(address)]));
    const txt = [...service.txt].map(([key, value]) => word(value === undefined ? key : `${key}=${value}`));
    if (txt.length > 0) lines.push(`    ${txt.join(" ")}`);
    for (const { address, ok, says } of service.tests ?? []) {
      lines.push(`    ${ok ? "" : "FAILED: "}${address === undefined ? "" : `${shown(address)} `}${shown(says)}`);
    }
  }
  const isLocal = services.some(({ host }) => host !== undefined && /\.local$/i.test(host));
  return `${lines.join("\n")}\n${isLocal ? HINT : ""}`;
}

/** One line of JSON for each. Ends with a newline. */
export function discoveredJson(services: readonly Discovered[]): string {
  return services
    .map(({ type, name, host = null, port = null, tls, addresses, txt, interfaces, tests }) => {
      const texts = Object.fromEntries([...txt].map(([key, value]) => [key, value ?? null]));
      const all = { type, name, host, addresses, port, tls, txt: texts, interfaces };
      return `${shown(JSON.stringify(tests === undefined ? all : { ...all, tests }))}\n`;
    })
    .join("");
}

/**
 * A text of somebody on the network as a terminal may have it: what would drive it, turn the direction of writing or cannot be
 * seen is written as JSON writes it.
 */
export function shown(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (character) =>
    Array.from({ length: character.length }, (_, index) => {
      return `\\u${character.charCodeAt(index).toString(16).padStart(4, "0")}`;
    }).join(""),
  );
}

function rowOf({ type, addresses, port, tls, host, name }: Discovered): string[] {
  const [address = "?"] = addresses;
  return [type, shown(address), String(port ?? "?"), tls ? "yes" : "no", shown(host ?? "?"), shown(name)];
}

function addressLengths(services: readonly Discovered[]): number[] {
  return services.flatMap(({ addresses }) => addresses.map((address) => shown(address).length));
}

/** Bare where that is unmistakable. */
function word(text: string): string {
  return /^[^\s"]+$/.test(text) ? shown(text) : shown(JSON.stringify(text));
}
