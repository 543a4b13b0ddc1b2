import assert from "node:assert/strict";
import { test } from "node:test";
import { copyBytes } from "../../src/codec/bytes.ts";
import { Reader } from "../../src/codec/reader.ts";
import {
  isAuthReasonCode,
  isConnackReasonCode,
  isConnectReturnCode,
  isDisconnectReasonCode,
  isPubackReasonCode,
  isPubrelReasonCode,
  isSubackReasonCode,
  isUnsubackReasonCode,
  reasonText,
} from "../../src/codec/reason.ts";
import { decodeUtf8, encodeUtf8, hasWildcard, isUtf8, TextCache, utf8Length } from "../../src/codec/text.ts";
import { variableByteIntegerSize, Writer, writeVariableByteInteger } from "../../src/codec/writer.ts";
import { bytesOf, hexOf } from "./kit.ts";

const GOOD = [
  "",
  "a",
  "a/b/c",
  "ü",
  "€/x",
  "𐍈",
  "\u{10ffff}",
  "\ufeffa",
  "a\ufeff",
  "\u0001\u001f\u007f\u009f",
  "\ufffe",
];
const BAD: [string, string][] = [
  ["a lone continuation byte", "80"],
  ["a cut sequence of two", "61 c3"],
  ["a cut sequence of three", "e2 82"],
  ["a cut sequence of four", "f0 90 8d"],
  ["an overlong slash", "c0 af"],
  ["an overlong null", "c0 80"],
  ["an overlong sequence of three", "e0 80 af"],
  ["the surrogate U+D800", "ed a0 80"],
  ["the surrogate U+DFFF", "ed bf bf"],
  ["a surrogate pair", "ed a0 80 ed b0 80"],
  ["U+110000", "f4 90 80 80"],
  ["0xFE", "fe"],
  ["0xFF after text", "61 62 ff"],
];

for (const text of GOOD) {
  test(`reads and writes ${JSON.stringify(text)} unchanged`, () => {
    const bytes = encodeUtf8(text);
    const cache = new TextCache(4);
    assert.deepEqual(bytes, new Uint8Array(Buffer.from(text)));
    assert.equal(decodeUtf8(bytes, 0, bytes.length), text);
    assert.equal(cache.read(bytes, 0, bytes.length), text);
    assert.equal(cache.read(bytes, 0, bytes.length), text);
    assert.equal(utf8Length(text), bytes.length);
    assert.equal(isUtf8(bytes, 0, bytes.length), true);
  });
}
for (const [name, line] of BAD) {
  test(`5.0 [MQTT-1.5.4-1] refuses ${name}`, () => {
    const bytes = bytesOf(line);
    const refused = { reasonCode: 0x81, statement: "5.0 [MQTT-1.5.4-1]" };
    const cache = new TextCache(4);
    assert.throws(() => decodeUtf8(bytes, 0, bytes.length), refused);
    assert.throws(() => cache.read(bytes, 0, bytes.length), refused);
    assert.throws(() => cache.read(bytes, 0, bytes.length, 4), { statement: "3.1.1 [MQTT-1.5.3-1]" });
    assert.throws(() => decodeUtf8(bytes, 0, bytes.length, 3), { statement: "3.1.1 [MQTT-1.5.3-1]" });
    assert.equal(isUtf8(bytes, 0, bytes.length), false);
    assert.equal(decodeUtf8(Uint8Array.of(0x61), 0, 1), "a", "a refusal leaves nothing behind");
  });
}

test("5.0 [MQTT-1.5.4-2] refuses U+0000, which a payload may hold", () => {
  const bytes = bytesOf("61 00 62");
  assert.throws(() => decodeUtf8(bytes, 0, 3), { reasonCode: 0x81, statement: "5.0 [MQTT-1.5.4-2]" });
  assert.throws(() => decodeUtf8(bytes, 0, 3, 4), { reasonCode: 0x81, statement: "3.1.1 [MQTT-1.5.3-2]" });
  assert.equal(isUtf8(bytes, 0, 3), true);
});

test("5.0 [MQTT-1.5.4-3] keeps U+FEFF wherever it stands", () => {
  const bytes = bytesOf("ef bb bf 61 ef bb bf");
  assert.equal(decodeUtf8(bytes, 0, bytes.length), "\ufeffa\ufeff");
});

test("utf8Length counts lone surrogates as encodeUtf8 writes them", () => {
  for (const text of ["\ud800", "\udc00\ud800", "a\ud800b", "\ud800\ud800\udc00", "𐍈\udc00"]) {
    assert.equal(utf8Length(text), encodeUtf8(text).length);
  }
});

test("isUtf8 looks at its range only", () => {
  const bytes = bytesOf("ff c3 bc ff");
  assert.equal(isUtf8(bytes, 1, 3), true);
  assert.equal(isUtf8(bytes, 0, 3), false);
  assert.equal(isUtf8(bytes, 1, 4), false);
  assert.equal(isUtf8(bytes, 2, 2), true);
});

test("a TextCache gives the same string again, and the right one when names share a slot", () => {
  const cache = new TextCache(1);
  const names = ["a/b", "a/c", "ü/b", "é", "x".repeat(256), "x".repeat(257), ""];
  for (let round = 0; round < 3; round++) {
    for (const name of names) {
      const bytes = encodeUtf8(`--${name}--`);
      assert.equal(cache.read(bytes, 2, bytes.length - 2), name);
      assert.equal(cache.read(bytes, 2, bytes.length - 2), name);
    }
  }
});

test("a TextCache does not mistake the bytes of another encoding for a name it knows", () => {
  const cache = new TextCache(1);
  const known = encodeUtf8("é");
  assert.equal(cache.read(known, 0, 2), "é");
  assert.throws(() => cache.read(Uint8Array.of(0xe9), 0, 1), { statement: "5.0 [MQTT-1.5.4-1]" });
  assert.equal(cache.read(known, 0, 2), "é");
});

test("a TextCache does not keep the buffer that a name was read from", () => {
  const cache = new TextCache(8);
  const bytes = encodeUtf8("temperature");
  assert.equal(cache.read(bytes, 0, bytes.length), "temperature");
  bytes[0] = 0x54;
  assert.equal(cache.read(bytes, 0, bytes.length), "Temperature");
});

test("names that differ in their digits spread over the slots of a TextCache", () => {
  const decoder = TextDecoder.prototype.decode;
  let decoded = 0;
  TextDecoder.prototype.decode = function (...input) {
    decoded++;
    return decoder.apply(this, input);
  };
  try {
    const cache = new TextCache(1024);
    const names = Array.from({ length: 100 }, (_, at) => encodeUtf8(`sensors/kitchen/t${String(at).padStart(3, "0")}`));
    for (let round = 0; round < 10; round++) {
      for (const name of names) {
        cache.read(name, 0, name.length);
      }
    }
  } finally {
    TextDecoder.prototype.decode = decoder;
  }
  assert.ok(decoded < 300, `${decoded} of 1000 reads were not answered from the cache`);
});

test("hasWildcard finds + and #", () => {
  assert.deepEqual(["a/b", "a/+", "#", "", "$SYS"].map(hasWildcard), [false, true, true, false, false]);
});

test("copyBytes copies every length and nothing beside it", () => {
  const source = Uint8Array.from({ length: 400 }, (_, at) => at % 251);
  for (let length = 0; length < 300; length++) {
    const target = new Uint8Array(310).fill(0xee);
    copyBytes(target, 5, source, 7, 7 + length);
    assert.equal(Buffer.compare(target.subarray(5, 5 + length), source.subarray(7, 7 + length)), 0);
    assert.ok(target.subarray(5 + length).every((byte) => byte === 0xee));
    assert.ok(target.subarray(0, 5).every((byte) => byte === 0xee));
  }
});

for (const [value, line] of [
  [0, "00"],
  [127, "7f"],
  [128, "80 01"],
  [16_383, "ff 7f"],
  [16_384, "80 80 01"],
  [2_097_151, "ff ff 7f"],
  [2_097_152, "80 80 80 01"],
  [268_435_455, "ff ff ff 7f"],
] as const) {
  test(`5.0 [MQTT-1.5.5-1] writes ${value} in as few bytes as it needs`, () => {
    const target = new Uint8Array(5);
    const end = writeVariableByteInteger(target, 0, value);
    assert.equal(hexOf(target.subarray(0, end)), hexOf(bytesOf(line)));
    assert.equal(variableByteIntegerSize(value), end);
    assert.equal(new Reader(target, 0, end, 5).variableByteInteger(), value);
  });
}

test("a value that its field cannot hold is our mistake", () => {
  const writer = new Writer();
  assert.throws(() => variableByteIntegerSize(268_435_456), RangeError);
  assert.throws(() => writer.uint16(65_536), RangeError);
  assert.throws(() => writer.uint16(-1), RangeError);
  assert.throws(() => writer.uint32(4_294_967_296), RangeError);
  assert.throws(() => writer.uint32(-1), RangeError);
  assert.throws(() => writer.utf8String("x".repeat(65_536)), RangeError);
});

test("a Writer grows at every kind of field", () => {
  for (let before = 100; before < 130; before++) {
    const writer = new Writer();
    const filler = new Uint8Array(before).fill(1);
    writer.raw(filler);
    writer.uint8(0xa1);
    writer.uint16(0xb1b2);
    writer.uint32(0xc1c2c3c4);
    writer.variableByteInteger(128);
    assert.equal(hexOf(writer.body().subarray(before)), "a1 b1 b2 c1 c2 c3 c4 80 01");
    const byBytes = new Writer();
    for (let at = 0; at < before; at++) {
      byBytes.uint8(at);
    }
    assert.deepEqual(
      [...byBytes.body()],
      Array.from({ length: before }, (_, at) => at),
    );
  }
});

test("a Reader refuses to read past the end of the packet, though bytes follow", () => {
  const bytes = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const reader = (end: number) => new Reader(bytes, 0, end, 5);
  const refused = { reasonCode: 0x81, statement: "5.0 [MQTT-4.13.1-1]" };
  assert.throws(() => reader(0).uint8(), refused);
  assert.throws(() => reader(1).uint16(), refused);
  assert.throws(() => reader(3).uint32(), refused);
  assert.throws(() => reader(3).utf8String(), refused);
  assert.throws(() => reader(3).binaryData(), refused);
  assert.equal(reader(4).uint32(), 0x01020304);
});

test("uint32 is never negative", () => {
  assert.equal(new Reader(Uint8Array.of(255, 255, 255, 255), 0, 4, 5).uint32(), 4_294_967_295);
});

test("each packet may carry the reason codes of its table in 5.0 and no other", () => {
  const codes = (may: (code: number) => boolean) =>
    Array.from({ length: 256 }, (_, code) => code)
      .filter(may)
      .map((code) => code.toString(16).padStart(2, "0"))
      .join(" ");
  assert.equal(codes(isConnackReasonCode), "00 80 81 82 83 84 85 86 87 88 89 8a 8c 90 95 97 99 9a 9b 9c 9d 9f");
  assert.equal(codes(isPubackReasonCode), "00 10 80 83 87 90 91 97 99");
  assert.equal(codes(isPubrelReasonCode), "00 92");
  assert.equal(codes(isSubackReasonCode), "00 01 02 80 83 87 8f 91 97 9e a1 a2");
  assert.equal(codes(isUnsubackReasonCode), "00 11 80 83 87 8f 91");
  // Table 2-6 lists 0x8C for DISCONNECT, though §3.14.2.1 does not.
  assert.equal(
    codes(isDisconnectReasonCode),
    "00 04 80 81 82 83 87 89 8b 8c 8d 8e 8f 90 93 94 95 96 97 98 99 9a 9b 9c 9d 9e 9f a0 a1 a2",
  );
  assert.equal(codes(isAuthReasonCode), "00 18 19");
  assert.equal(codes(isConnectReturnCode), "00 01 02 03 04 05");
});

test("reasonText names a code for people", () => {
  assert.equal(reasonText(0x87), "Not authorized (0x87)");
  assert.equal(reasonText(0), "Success (0x00)");
  assert.equal(reasonText(0x7f), "0x7f");
});
