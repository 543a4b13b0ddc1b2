/** Tags of ASN.1 that certificates and lists of revoked ones are made of. */
export const Tag = {
  Boolean: 0x01,
  Integer: 0x02,
  BitString: 0x03,
  OctetString: 0x04,
  Oid: 0x06,
  UtcTime: 0x17,
  GeneralizedTime: 0x18,
  Sequence: 0x30,
  Context0: 0xa0,
  Context3: 0xa3,
} as const;

/** UTCTime has two digits of the year: RFC 5280, section 4.1.2.5.1, says which century. */
const TIME = /^(\d\d)?(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;

/**
 * Reads values of ASN.1 one behind the other, in the form of DER: tag, length, content. Every method throws a RangeError
 * for what is not there or not in that form.
 */
export class DerReader {
  readonly bytes: Uint8Array;
  private at: number;
  private readonly end: number;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get more(): boolean {
    return this.at < this.end;
  }

  /** Whether a value of this tag comes next. */
  isNext(tag: number): boolean {
    return this.more && this.bytes[this.at] === tag;
  }

  /** The content of the next value, to be read on. */
  into(tag: number): DerReader {
    const { start, end } = this.take(tag);
    return new DerReader(this.bytes, start, end);
  }

  /** The content of the next value. */
  content(tag: number): Uint8Array {
    const { start, end } = this.take(tag);
    return this.bytes.subarray(start, end);
  }

  /** The next value with its tag and length, as it was signed. */
  whole(tag: number): Uint8Array {
    const from = this.at;
    const { end } = this.take(tag);
    return this.bytes.subarray(from, end);
  }

  /** "1.2.840.113549". */
  oid(): string {
    const numbers: number[] = [];
    let value = 0;
    for (const byte of this.content(Tag.Oid)) {
      value = value * 128 + (byte & 0x7f);
      if (byte >= 0x80) continue;
      numbers.push(value);
      value = 0;
    }
    const [first = 0, ...others] = numbers;
    const root = Math.min(2, Math.floor(first / 40));
    return [root, first - root * 40, ...others].join(".");
  }

  /** Of a BOOLEAN that may be left out where it is false. */
  flag(): boolean {
    if (!this.isNext(Tag.Boolean)) return false;
    const content = this.content(Tag.Boolean);
    if (content.length !== 1) throw new RangeError("Whether something is so is not one byte");
    return content[0] !== 0;
  }

  /** 0 to 2^31; what is more counts as that, and what is negative throws. */
  count(): number {
    const content = this.content(Tag.Integer);
    if (content.length === 0 || content[0]! >= 0x80) throw new RangeError("A number is negative");
    return content.reduce((value, byte) => Math.min(2 ** 31, value * 256 + byte), 0);
  }

  /** Lower-case hexadecimal, as it stands. */
  hex(): string {
    return Buffer.from(this.content(Tag.Integer)).toString("hex");
  }

  /** The bytes of a BIT STRING; the first bit is the highest of the first byte. */
  bits(): Uint8Array {
    const [unused = 8, ...content] = this.content(Tag.BitString);
    const last = content.at(-1) ?? 0;
    // What is not used is 0, or else it might be taken for what is.
    if (unused > 7 || (unused > 0 && content.length === 0) || last % 2 ** unused !== 0) {
      throw new RangeError("A row of bits does not say how long it is");
    }
    return Uint8Array.from(content);
  }

  /** Milliseconds since 1970. */
  time(): number {
    const tag = this.isNext(Tag.UtcTime) ? Tag.UtcTime : Tag.GeneralizedTime;
    const match = TIME.exec(Buffer.from(this.content(tag)).toString("latin1"));
    if (match === null || (match[1] === undefined) !== (tag === Tag.UtcTime)) throw new RangeError("A time is damaged");
    const [, century, years, month, day, hour, minute, second] = match as unknown as string[];
    const year = `${century ?? (years! < "50" ? "20" : "19")}${years}`;
    const text = `${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
    const time = new Date(text);
    // Of February the 30th it may make March the 2nd, and of what is not even that nothing, which throws a RangeError too.
    if (time.toISOString() !== text) throw new RangeError("There is no such time");
    return time.getTime();
  }

  private take(tag: number): { start: number; end: number } {
    if (!this.isNext(tag)) throw new RangeError(`A value of another kind stands where one of tag ${tag} should`);
    let start = this.at + 2;
    let length = this.bytes[this.at + 1] ?? 0;
    if (length >= 0x80) {
      const count = length - 0x80;
      if (count === 0 || count > 4) throw new RangeError("A length is damaged");
      length = 0;
      for (const last = start + count; start < last; start++) length = length * 256 + (this.bytes[start] ?? 0);
    }
    const end = start + length;
    if (end > this.end) throw new RangeError("A value ends too early");
    this.at = end;
    return { start, end };
  }
}
