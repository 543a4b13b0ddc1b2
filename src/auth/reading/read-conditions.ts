import { FROM_FORMS, parseFrom } from "../rules/from.ts";
import type { Fields } from "./fields.ts";
import { quote } from "./fields.ts";
import type { ReadConditions } from "./read-auth.ts";

/** The keys that users and rules have in common. */
export const CONDITION_KEYS = ["clientId", "expires", "note", "from"] as const;

/** Reads the conditions of a user or rule. Says when the entry has expired, if `nowMs` is a time. */
export function readConditions(fields: Fields, nowMs: number): ReadConditions {
  fields.text("note", true);
  return { from: readFrom(fields), clientIds: readList(fields, "clientId"), expiresMs: readExpiry(fields, nowMs) };
}

function readFrom(fields: Fields): readonly string[] {
  const key = "from";
  const from = readList(fields, key);
  for (const [index, text] of from.entries()) {
    const mistake = parseFrom(text);
    if (mistake !== undefined) {
      fields.errorIn(
        key,
        index,
        `${fields.label}: ${key} ${quote(text)} ${mistake}`,
        `It may be ${FROM_FORMS}, or a list of them`,
      );
    }
  }
  return from;
}

/** A condition that nothing meets is a mistake, and no way to switch an entry off. */
function readList(fields: Fields, key: string): readonly string[] {
  const texts = fields.texts(key, true);
  if (texts?.length === 0) {
    fields.error(
      key,
      `${fields.label}: ${key} is an empty list, which no client meets`,
      `Leave ${key} out for all clients`,
    );
  }
  return texts ?? [];
}

function readExpiry(fields: Fields, nowMs: number): number {
  const text = fields.text("expires");
  if (text === undefined) return Number.POSITIVE_INFINITY;
  const expiresMs = parseExpiry(text);
  if (expiresMs === undefined) {
    const hint =
      'Write "2027-03-31", which ends with that day in UTC, or "2027-03-31T18:00:00Z", with Z or +02:00 at the end';
    fields.error("expires", `${fields.label}: expires ${quote(text)} is no date`, hint);
    return Number.POSITIVE_INFINITY;
  }
  if (expiresMs <= nowMs) {
    const message = `${fields.label} has expired: it counts as if it were not there`;
    fields.say("warning", "expires", message, "Remove the entry, or give it a later date");
  }
  return expiresMs;
}

/** Milliseconds since 1970; undefined when the text is no date, or a time without its zone. */
export function parseExpiry(text: string): number | undefined {
  const parts = /^(\d{4})-(\d\d)-(\d\d)(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?$/.exec(text);
  if (parts === null) return undefined;
  const [, year, month, day] = parts.map(Number) as [number, number, number, number];
  const midnight = new Date(Date.UTC(year, month - 1, day));
  // 30 February would be the 2nd of March.
  if (midnight.getUTCMonth() !== month - 1 || midnight.getUTCDate() !== day) return undefined;
  const timeMs = text.length === 10 ? Date.UTC(year, month - 1, day + 1) : Date.parse(text);
  return Number.isNaN(timeMs) ? undefined : timeMs;
}
