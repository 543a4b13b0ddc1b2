/** A value of ASN.1 in its one canonical form (DER): ready bytes. Only what PKCS#12 needs is here. */
export type Der = Buffer;

const TAG = { integer: 2, octets: 4, nothing: 5, oid: 6, utf16: 30, sequence: 0x30, set: 0x31, context: 0xa0 } as const;
/** In front of a context tag that replaces one of a plain value. */
const CONTEXT_PLAIN = 0x80;

/** 0 to 2^53 - 1. */
export function integer(value: number): Der {
  let hex = value.toString(16);
  if (hex.length % 2 === 1) hex = `0${hex}`;
  // The first bit is the sign.
  if (Number.parseInt(hex.slice(0, 2), 16) >= 0x80) hex = `00${hex}`;
  return tagged(TAG.integer, Buffer.from(hex, "hex"));
}

export function octets(bytes: Uint8Array): Der {
  return tagged(TAG.octets, bytes);
}

export function nothing(): Der {
  return tagged(TAG.nothing, Buffer.alloc(0));
}

/** "1.2.840.113549.1.7.1". */
export function oid(text: string): Der {
  const [first = 0, second = 0, ...others] = text.split(".").map(Number);
  const bytes = [first * 40 + second, ...others].flatMap((part) => {
    const groups = [part % 128];
    for (let rest = Math.floor(part / 128); rest > 0; rest = Math.floor(rest / 128)) groups.unshift((rest % 128) + 128);
    return groups;
  });
  return tagged(TAG.oid, Buffer.from(bytes));
}

/** A BMPString: UTF-16, the high byte first. */
export function utf16(text: string): Der {
  return tagged(TAG.utf16, utf16Bytes(text));
}

export function utf16Bytes(text: string): Buffer {
  return Buffer.from(text, "utf16le").swap16();
}

export function sequence(...values: readonly Der[]): Der {
  return tagged(TAG.sequence, Buffer.concat(values));
}

/** In the order of their bytes, as DER wants it. */
export function set(...values: readonly Der[]): Der {
  return tagged(TAG.set, Buffer.concat(values.toSorted(Buffer.compare)));
}

/** [number] EXPLICIT. */
export function explicit(number: number, value: Der): Der {
  return tagged(TAG.context + number, value);
}

/** [number] IMPLICIT, in the place of an octet string's tag. */
export function implicitOctets(number: number, bytes: Uint8Array): Der {
  return tagged(CONTEXT_PLAIN + number, bytes);
}

function tagged(tag: number, content: Uint8Array): Der {
  return Buffer.concat([Buffer.from([tag, ...lengthOf(content.length)]), content]);
}

function lengthOf(length: number): number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return [0x80 + bytes.length, ...bytes];
}
