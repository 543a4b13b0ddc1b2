import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DerReader, Tag } from "../../src/transport/tls-der.ts";

/** A value with this tag and content, its length in one byte. */
function reader(tag: number, ...content: number[]): DerReader {
  return new DerReader(Uint8Array.of(tag, content.length, ...content));
}

function time(text: string): number {
  const tag = text.length === 13 ? Tag.UtcTime : Tag.GeneralizedTime;
  return reader(tag, ...Buffer.from(text)).time();
}

describe("a time", () => {
  for (const [text, expected] of [
    ["491231235959Z", "2049-12-31T23:59:59.000Z"],
    ["500101000000Z", "1950-01-01T00:00:00.000Z"],
    ["20280229000000Z", "2028-02-29T00:00:00.000Z"],
    ["00500101000000Z", "0050-01-01T00:00:00.000Z"],
    ["99991231235959Z", "9999-12-31T23:59:59.000Z"],
  ] as const) {
    it(`${text} is ${expected}`, () => assert.equal(new Date(time(text)).toISOString(), expected));
  }

  // OpenSSL refuses each of them, and one that is rolled over may be later than what its writer meant.
  for (const text of [
    "400001000000Z",
    "401301000000Z",
    "400100000000Z",
    "400132000000Z",
    "20270229000000Z",
    "400101240000Z",
    "400101006000Z",
    "400101000060Z",
  ]) {
    it(`${text} is none`, () => assert.throws(() => time(text), { name: "RangeError" }));
  }

  it("of either form is not taken under the other's tag", () => {
    assert.throws(() => reader(Tag.UtcTime, ...Buffer.from("20400101000000Z")).time(), RangeError);
    assert.throws(() => reader(Tag.GeneralizedTime, ...Buffer.from("400101000000Z")).time(), RangeError);
  });
});

describe("bits", () => {
  it("are those behind the first byte, which says how many of the last are not used", () => {
    assert.deepEqual([...reader(Tag.BitString, 5, 0xa0).bits()], [0xa0]);
    assert.deepEqual([...reader(Tag.BitString, 0, 0xff, 0x01).bits()], [0xff, 0x01]);
    assert.deepEqual([...reader(Tag.BitString, 0).bits()], []);
  });

  it("that are not used are not set", () => {
    for (const content of [[], [8, 0], [1], [7, 0xff], [1, 0x03]]) {
      assert.throws(() => reader(Tag.BitString, ...content).bits(), RangeError, String(content));
    }
  });
});

describe("a length", () => {
  it("may have several bytes", () => {
    const bytes = [0x04, 0x82, 0x01, 0x00, ...Buffer.alloc(256, 7)];
    assert.equal(new DerReader(Uint8Array.from(bytes)).content(Tag.OctetString).length, 256);
  });

  it("that is missing, not told, too long or cut off is refused", () => {
    for (const bytes of [
      [],
      [4],
      [4, 1],
      [4, 0x80, 0, 0],
      [4, 0x85, 0, 0, 0, 0, 0],
      [4, 0x84, 0xff, 0xff, 0xff, 0xff],
    ]) {
      const read = (): Uint8Array => new DerReader(Uint8Array.from(bytes)).content(Tag.OctetString);
      assert.throws(read, RangeError, String(bytes));
    }
  });

  it("does not lead out of the value around it", () => {
    const inner = new DerReader(Uint8Array.of(0x30, 2, 0x04, 1, 7)).into(Tag.Sequence);
    assert.throws(() => inner.content(Tag.OctetString), RangeError);
  });
});

it("a flag is one byte, and a number is not negative", () => {
  assert.deepEqual(
    [reader(Tag.Boolean, 255).flag(), reader(Tag.Boolean, 0).flag(), reader(Tag.Oid).flag()],
    [true, false, false],
  );
  assert.throws(() => reader(Tag.Boolean).flag(), RangeError);
  assert.throws(() => reader(Tag.Integer, 0x80).count(), RangeError);
  assert.equal(reader(Tag.Integer, 0x7f, 0xff, 0xff, 0xff, 0xff).count(), 2 ** 31);
});
