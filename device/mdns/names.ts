/** The names under which services and their host stand in DNS: labels of at most 63 bytes, without dots. */

const LABEL_BYTES_MAX = 63;
const UTF8 = new TextEncoder();

/**
 * An instance name (RFC 6763, 4.1.1): `base` as people wrote it, then `more`. Dots and control characters become hyphens,
 * since not every program in between escapes them. What is too long loses the end of `base`, never of `more`.
 */
export function instanceName(base: string, more = ""): string {
  const tail = withoutDots(more);
  let head = [...withoutDots(base).trim()];
  while (utf8Length(head.join("") + tail) > LABEL_BYTES_MAX) head = head.slice(0, -1);
  const name = `${head.join("").trimEnd()}${tail}`;
  return name === "" ? "mqtt-broker" : name;
}

/** "Edge" is "Edge (2)" when somebody else has that name, then "Edge (3)" (RFC 6763, appendix D). */
export function numberedInstance(base: string, number: number): string {
  return instanceName(base, number === 1 ? "" : ` (${number})`);
}

/** The label of a host name that a text makes: "Küche 1" is "kuche-1". */
export function hostLabel(text: string): string {
  const plain = text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const label = plain.replace(/[^a-z0-9]+/g, "-").slice(0, LABEL_BYTES_MAX);
  return label.replace(/^-+|-+$/g, "") || "mqtt-broker";
}

/** "edge" is "edge-2" when somebody else answers for it (RFC 6762, 9). */
export function numberedHost(base: string, number: number): string {
  if (number === 1) return base;
  const tail = `-${number}`;
  return `${base.slice(0, LABEL_BYTES_MAX - tail.length)}${tail}`;
}

/** Bytes of a text in UTF-8. */
export function utf8Length(text: string): number {
  return UTF8.encode(text).length;
}

function withoutDots(text: string): string {
  return text.replace(/[.\p{Cc}]/gu, "-");
}
