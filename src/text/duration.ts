const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

const PART = /(\d+(?:\.\d+)?)(ms|s|m|h|d|w)/y;

/**
 * Reads a duration: "10s", "1h30m", "250ms", "30d", "1.5h"; a bare number is seconds.
 * Returns milliseconds, rounded to whole ones; undefined when the text is not a duration or is beyond exact integers.
 */
export function parseDuration(text: string): number | undefined {
  const trimmed = text.trim();
  if (/^\d+(\.\d+)?$/.test(trimmed)) return exact(Number(trimmed) * 1000);
  let totalMs = 0;
  PART.lastIndex = 0;
  while (PART.lastIndex < trimmed.length) {
    const part = PART.exec(trimmed);
    if (part === null) return undefined;
    totalMs += Number(part[1]) * UNIT_MS[part[2]!]!;
  }
  return trimmed === "" ? undefined : exact(totalMs);
}

/** Writes `ms` (0 or more) with the fewest units that lose nothing: 5400000 is "1h30m", 0 is "0s". */
export function formatDuration(ms: number): string {
  let rest = Math.round(ms);
  let text = "";
  for (const unit of ["d", "h", "m", "s", "ms"]) {
    const count = Math.floor(rest / UNIT_MS[unit]!);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * UNIT_MS[unit]!;
  }
  return text === "" ? "0s" : text;
}

function exact(ms: number): number | undefined {
  const rounded = Math.round(ms);
  return Number.isSafeInteger(rounded) ? rounded : undefined;
}
