import { quoted } from "../traffic/quoted.ts";

/** Bytes of the longest UTF-8 Encoded String, 5.0 §1.5.4. */
const BYTES_MAX = 65_535;
const CHARACTERS_SHOWN = 64;

/**
 * May a certificate or token name a user so? The text must be one that CONNECT could carry, and nothing that has a meaning of
 * its own in rules: "@…" is a group, "*" stands for everybody.
 */
export function isUserName(text: unknown): text is string {
  if (typeof text !== "string" || text === "" || text === "*" || text.startsWith("@") || text.includes("\0"))
    return false;
  return text.isWellFormed() && Buffer.byteLength(text) <= BYTES_MAX;
}

/** A name to be typed into a command: NAME in place of one that a shell, or the command, would take for something else. */
export function typedName(name: string): string {
  return /^\w[\w.-]{0,63}$/.test(name) ? name : "NAME";
}

/** A name for a message. What a client sends may be long, and may look like the words around it. */
export function shownName(name: string): string {
  const short = name.length > CHARACTERS_SHOWN ? `${name.slice(0, CHARACTERS_SHOWN)}…` : name;
  return /^[\w.@:+-]+$/.test(short) ? short : quoted(short);
}
