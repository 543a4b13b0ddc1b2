/**
 * Messages of mDNS (RFC 6762, 18) for who looks for services. Names are lists of labels here and not texts: a label may
 * have dots of its own ("Edge 1.5"), and with them joined nobody could ask for it again.
 */

export type DnsName = readonly string[];

/** The types of records that are read and asked for (RFC 1035, 3596, 2782). */
export const RecordType = { A: 1, PTR: 12, TXT: 16, AAAA: 28, SRV: 33 } as const;
export type RecordType = (typeof RecordType)[keyof typeof RecordType];

export interface Question {
  name: DnsName;
  type: RecordType;
}

interface RecordHead {
  name: DnsName;
  /** Seconds; 0 says goodbye. */
  ttl: number;
  /** What was known of this name and type is replaced. */
  flush: boolean;
}
export interface PointerRecord extends RecordHead {
  type: typeof RecordType.PTR;
  target: DnsName;
}
export interface ServiceRecord extends RecordHead {
  type: typeof RecordType.SRV;
  port: number;
  target: DnsName;
}
export interface TextRecord extends RecordHead {
  type: typeof RecordType.TXT;
  /** Those that are not UTF-8 have U+FFFD in them. */
  texts: readonly string[];
}
export interface AddressRecord extends RecordHead {
  type: typeof RecordType.A | typeof RecordType.AAAA;
  /** "192.0.2.1", "2001:db8:0:0:0:0:0:1" */
  address: string;
}
export type FoundRecord = PointerRecord | ServiceRecord | TextRecord | AddressRecord;

/** RFC 6762, 17: no message is longer. */
export const MESSAGE_BYTES_MAX = 9_000;
/** What leaves fits into one packet of Ethernet, by IPv6 too. */
const QUERY_BYTES_MAX = 1_400;
const HEADER_BYTES = 12;
const NAME_BYTES_MAX = 255;
const LABEL_BYTES_MAX = 63;
/** Nobody who means well goes round more corners. */
const POINTERS_MAX = 32;

const CLASS_INTERNET = 1;
/** The first bit of a class: of a record "flush". */
const FLUSH = 0x8000;
const IS_RESPONSE = 0x8000;
/** Operation and result of the header, both 0 in mDNS (RFC 6762, 18.3 and 18.11). */
const OPCODE_AND_RCODE = 0x780f;
/** RFC 2181, 8: a TTL with its first bit set counts as 0. */
const TTL_MAX = 0x7fff_ffff;

const UTF8 = new TextEncoder();
const FROM_UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * The records of a response, in whatever section; those of other types and classes are left out. Undefined for a query, and
 * for bytes that are no message.
 */
export function decodeResponse(bytes: Uint8Array): FoundRecord[] | undefined {
  if (bytes.length < HEADER_BYTES || bytes.length > MESSAGE_BYTES_MAX) return undefined;
  const reader = new MessageReader(bytes);
  reader.at = 2;
  const flags = reader.uint16();
  if ((flags & IS_RESPONSE) === 0 || (flags & OPCODE_AND_RCODE) !== 0) return undefined;
  const questions = reader.uint16();
  const records = reader.uint16() + reader.uint16() + reader.uint16();
  try {
    for (let read = 0; read < questions; read++) {
      reader.name();
      reader.skip(4);
    }
    const found: FoundRecord[] = [];
    for (let read = 0; read < records; read++) {
      const record = readRecord(reader);
      if (record !== undefined) found.push(record);
    }
    return found;
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

/**
 * Queries for all of these, as many as it takes. What is `known` of the answers to pointers stands beside the question, so
 * that nobody says it again (RFC 6762, 7.1); what does not fit there is left out.
 */
export function encodeQueries(questions: readonly Question[], known: readonly PointerRecord[] = []): Uint8Array[] {
  const queries: Uint8Array[] = [];
  let asked: Uint8Array[] = [];
  let bytes = HEADER_BYTES;
  const end = (): void => {
    const answers: Uint8Array[] = [];
    for (const record of queries.length === 0 ? known : []) {
      const answer = pointerBytes(record);
      if (bytes + answer.length > QUERY_BYTES_MAX) break;
      answers.push(answer);
      bytes += answer.length;
    }
    queries.push(joined([uint16s(0, 0, asked.length, answers.length, 0, 0), ...asked, ...answers]));
    asked = [];
    bytes = HEADER_BYTES;
  };
  for (const { name, type } of questions) {
    const question = joined([nameBytes(name), uint16s(type, CLASS_INTERNET)]);
    if (bytes + question.length > QUERY_BYTES_MAX) end();
    asked.push(question);
    bytes += question.length;
  }
  if (asked.length > 0) end();
  return queries;
}

/** What tells names apart: capitals and small letters of ASCII are the same. */
export function nameKey(name: DnsName): string {
  return JSON.stringify(name.map((label) => label.replace(/[A-Z]/g, (letter) => letter.toLowerCase())));
}

class Malformed extends Error {}

class MessageReader {
  at = 0;
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  uint8(): number {
    const value = this.bytes[this.at++];
    if (value === undefined) throw new Malformed();
    return value;
  }

  uint16(): number {
    return this.uint8() * 0x100 + this.uint8();
  }

  uint32(): number {
    return this.uint16() * 0x1_0000 + this.uint16();
  }

  skip(count: number): void {
    this.take(count);
  }

  take(count: number): Uint8Array {
    const taken = this.bytes.subarray(this.at, this.at + count);
    if (taken.length < count) throw new Malformed();
    this.at += count;
    return taken;
  }

  /** RFC 1035, 4.1.4: each pointer leads to what stands before it, so there is an end. */
  name(): DnsName {
    const labels: string[] = [];
    let bytes = 1;
    let pointers = 0;
    let start = this.at;
    let behind: number | undefined;
    for (;;) {
      const length = this.uint8();
      if (length === 0) break;
      if (length >= 0xc0) {
        const target = (length - 0xc0) * 0x100 + this.uint8();
        if (target >= start || ++pointers > POINTERS_MAX) throw new Malformed();
        behind ??= this.at;
        start = target;
        this.at = target;
        continue;
      }
      bytes += length + 1;
      if (length > LABEL_BYTES_MAX || bytes > NAME_BYTES_MAX) throw new Malformed();
      labels.push(FROM_UTF8.decode(this.take(length)));
    }
    this.at = behind ?? this.at;
    return labels;
  }
}

function readRecord(reader: MessageReader): FoundRecord | undefined {
  const name = reader.name();
  const type = reader.uint16();
  const recordClass = reader.uint16();
  const seconds = reader.uint32();
  const size = reader.uint16();
  const end = reader.at + size;
  const head = { name, ttl: seconds > TTL_MAX ? 0 : seconds, flush: (recordClass & FLUSH) !== 0 };
  const isInternet = (recordClass & ~FLUSH) === CLASS_INTERNET;
  const record = isInternet ? readData(reader, head, type, size) : undefined;
  if (record === undefined) reader.skip(end - reader.at);
  if (reader.at !== end) throw new Malformed();
  return record;
}

function readData(reader: MessageReader, head: RecordHead, type: number, size: number): FoundRecord | undefined {
  switch (type) {
    case RecordType.PTR:
      return { ...head, type, target: reader.name() };
    case RecordType.SRV: {
      // Priority and weight: nobody has several targets here.
      reader.skip(4);
      return { ...head, type, port: reader.uint16(), target: reader.name() };
    }
    case RecordType.TXT: {
      const end = reader.at + size;
      const texts: string[] = [];
      while (reader.at < end) texts.push(FROM_UTF8.decode(reader.take(reader.uint8())));
      return { ...head, type, texts: texts.filter((text) => text !== "") };
    }
    case RecordType.A:
      return { ...head, type, address: [...reader.take(4)].join(".") };
    case RecordType.AAAA: {
      const groups = Array.from({ length: 8 }, () => reader.uint16().toString(16));
      return { ...head, type, address: groups.join(":") };
    }
    default:
      return undefined;
  }
}

function nameBytes(name: DnsName): Uint8Array {
  const labels = name.map((label) => UTF8.encode(label));
  return joined([...labels.flatMap((label) => [Uint8Array.of(label.length), label]), Uint8Array.of(0)]);
}

function pointerBytes({ name, ttl, target }: PointerRecord): Uint8Array {
  const data = nameBytes(target);
  const seconds = [Math.floor(ttl / 0x1_0000), ttl % 0x1_0000] as const;
  return joined([nameBytes(name), uint16s(RecordType.PTR, CLASS_INTERNET, ...seconds, data.length), data]);
}

function uint16s(...values: number[]): Uint8Array {
  return Uint8Array.from(values.flatMap((value) => [value >> 8, value & 0xff]));
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((bytes, { length }) => bytes + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
