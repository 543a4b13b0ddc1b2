/** 64k is what people write for 64 KiB, and "kB", "MB" and "GB" are decimal by their definition. */
const UNIT_BYTES: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 1024,
  kib: 1024,
  kb: 1000,
  m: 1024 ** 2,
  mib: 1024 ** 2,
  mb: 1000 ** 2,
  g: 1024 ** 3,
  gib: 1024 ** 3,
  gb: 1000 ** 3,
  t: 1024 ** 4,
  tib: 1024 ** 4,
  tb: 1000 ** 4,
};

/**
 * Reads a size: "2MiB", "64k", "1GB", "1.5 MiB"; a bare number is bytes. Units in any case.
 * Returns whole bytes; undefined when the text is not a size, not whole, or beyond exact integers.
 */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  if (match === null) return undefined;
  const unit = match[2]!.toLowerCase();
  if (!Object.hasOwn(UNIT_BYTES, unit)) return undefined;
  const bytes = Number(match[1]) * UNIT_BYTES[unit]!;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Writes `bytes` (0 or more) in the largest binary unit that loses nothing: 2097152 is "2MiB", 1000 is "1000". */
export function formatSize(bytes: number): string {
  for (const [unit, factor] of [
    ["TiB", 1024 ** 4],
    ["GiB", 1024 ** 3],
    ["MiB", 1024 ** 2],
    ["KiB", 1024],
  ] as const) {
    if (bytes >= factor && bytes % factor === 0) return `${bytes / factor}${unit}`;
  }
  return String(bytes);
}
