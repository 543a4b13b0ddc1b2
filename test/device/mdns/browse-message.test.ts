import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeResponse, encodeQueries, nameKey, RecordType } from "../../../device/mdns/message.ts";
import { described, labels, located, MQTT, placed, pointer, recordBytes, response, uint16 } from "./browse-packets.ts";

function hex(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString("hex");
}

test("records of all sections are read, each label as it is", () => {
  const records = [
    pointer("Küche 1.5"),
    placed("a", "edge", 65_535),
    described("a", "txtvers=1", "", Buffer.from([0x61, 0xff])),
    located("edge", "192.0.2.255"),
    located("edge", "2001:db8:0:0:0:0:0:ff01"),
  ];
  const bytes = response(...records);
  // One answer, two authorities, two additionals.
  uint16(1, 2, 2).copy(bytes, 6);
  const head = { ttl: 120, flush: true };
  assert.deepEqual(decodeResponse(bytes), [
    { name: [...MQTT], ttl: 4500, flush: false, type: RecordType.PTR, target: ["Küche 1.5", ...MQTT] },
    { ...head, name: ["a", ...MQTT], type: RecordType.SRV, port: 65_535, target: ["edge", "local"] },
    { ...head, name: ["a", ...MQTT], type: RecordType.TXT, texts: ["txtvers=1", "a\ufffd"] },
    { ...head, name: ["edge", "local"], type: RecordType.A, address: "192.0.2.255" },
    { ...head, name: ["edge", "local"], type: RecordType.AAAA, address: "2001:db8:0:0:0:0:0:ff01" },
  ]);
});

test("names may lead to others before them; questions and what nobody asked for are passed over", () => {
  const question = Buffer.concat([labels(MQTT), uint16(12, 1)]);
  // 12: the name in the question; 12 + 6: "_tcp.local" in it.
  const data = Buffer.concat([Buffer.of(1), Buffer.from("a"), uint16(0xc00c)]);
  const answer = Buffer.concat([uint16(0xc00c, 12, 1, 0, 9, data.length), data]);
  const nsec = recordBytes({ name: ["a", "local"], type: 47, data: Buffer.from("0001ff", "hex") });
  const chaos = recordBytes({ ...located("a", "192.0.2.1"), recordClass: 3 });
  const last = Buffer.concat([
    Buffer.of(1),
    Buffer.from("b"),
    uint16(0xc012, 1, 1, 0xffff, 0xffff, 4),
    Buffer.of(1, 2, 3, 4),
  ]);
  const bytes = Buffer.concat([uint16(0, 0x8400, 1, 4, 0, 0), question, answer, nsec, chaos, last]);
  assert.deepEqual(decodeResponse(bytes), [
    { name: [...MQTT], ttl: 9, flush: false, type: RecordType.PTR, target: ["a", ...MQTT] },
    { name: ["b", "_tcp", "local"], ttl: 0, flush: false, type: RecordType.A, address: "1.2.3.4" },
  ]);
});

test("what is no response, or none of mDNS, is nothing", () => {
  const good = response(located("a", "192.0.2.1"));
  const withFlags = (flags: number): Buffer => Buffer.concat([uint16(0, flags), good.subarray(4)]);
  assert.equal(decodeResponse(good)?.length, 1);
  assert.equal(decodeResponse(withFlags(0x8580))?.length, 1);
  for (const flags of [0, 0x0400, 0x8c00, 0x8403]) assert.equal(decodeResponse(withFlags(flags)), undefined);
  assert.equal(decodeResponse(Buffer.concat([good, Buffer.alloc(9_001 - good.length)])), undefined);
  assert.equal(decodeResponse(Buffer.concat([good, Buffer.alloc(9_000 - good.length)]))?.length, 1);
});

test("no bytes can do harm: cut anywhere, with names that go round, longer than they may be or out of the packet", () => {
  const whole = response(pointer("a"), placed("a", "edge", 1), described("a", "b=c"), located("edge", "192.0.2.1"));
  for (let end = 0; end < whole.length; end++)
    assert.equal(decodeResponse(whole.subarray(0, end)), undefined, `cut at ${end}`);
  const named = (name: Buffer): Buffer =>
    Buffer.concat([uint16(0, 0x8400, 0, 1, 0, 0), name, uint16(1, 1, 0, 9, 4), Buffer.of(1, 2, 3, 4)]);
  const long = (count: number): Buffer => labels([...Array<string>(3).fill("x".repeat(63)), "y".repeat(count)]);
  assert.equal(decodeResponse(named(long(61)))?.length, 1);
  const bad = [
    // To itself, to what comes behind, out of it; a label of a kind that there is not; 256 bytes.
    uint16(0xc00c),
    uint16(0xc00e),
    uint16(0xffff),
    Buffer.concat([Buffer.of(1), Buffer.from("a"), uint16(0xc00c)]),
    Buffer.of(0x40, 0),
    Buffer.of(0x80, 0),
    long(62),
  ];
  for (const name of bad) assert.equal(decodeResponse(named(name)), undefined, hex(name));
  // Strings and names that are longer than their record says, or shorter.
  const wrong = [
    { ...described("a", "b"), data: Buffer.of(2, 0x61) },
    { ...located("a", "192.0.2.1"), data: Buffer.of(1, 2, 3, 4, 5) },
    { ...pointer("a"), data: Buffer.of(1, 0x61) },
  ];
  for (const record of wrong) assert.equal(decodeResponse(response(record)), undefined);
  // A chain of pointers, each to the one before it.
  const chain = Buffer.concat([
    Buffer.of(0),
    ...Array.from({ length: 4_000 }, (_, index) => uint16(0xc000 + 12 + 11 + Math.max(0, 2 * index - 1))),
  ]);
  const unread = recordBytes({ name: [], type: 10, data: chain });
  const behind = (pointers: number): Buffer => {
    const at = uint16(0xc000 + 12 + 11 + 1 + 2 * (pointers - 2), 1, 1, 0, 9, 4);
    return Buffer.concat([uint16(0, 0x8400, 0, 2, 0, 0), unread, at, Buffer.of(1, 2, 3, 4)]);
  };
  assert.equal(decodeResponse(behind(32))?.length, 1);
  assert.equal(decodeResponse(behind(33)), undefined);
  assert.equal(decodeResponse(behind(3_999)), undefined);
  let seed = 7;
  const random = (below: number): number => {
    seed = (seed * 48_271) % 0x7fff_ffff;
    return seed % below;
  };
  for (let round = 0; round < 20_000; round++) {
    const bytes = Buffer.from(whole);
    for (let change = 0; change <= random(4); change++) bytes[random(bytes.length)] = random(256);
    decodeResponse(bytes);
  }
});

test("a query asks for names as they are, with what is known beside it, in packets that fit", () => {
  const name = ["Edge 1.5", ...MQTT];
  const known = { type: RecordType.PTR, name: [...MQTT], ttl: 70_000, flush: false, target: name };
  const [query, ...more] = encodeQueries(
    [
      { name: [...MQTT], type: RecordType.PTR },
      { name, type: RecordType.SRV },
    ],
    [known],
  );
  assert.deepEqual(more, []);
  const questions = [labels(MQTT), uint16(12, 1), labels(name), uint16(33, 1)];
  const answer = recordBytes({ ...pointer("Edge 1.5"), ttl: 70_000 });
  assert.equal(hex(query), hex(Buffer.concat([uint16(0, 0, 2, 1, 0, 0), ...questions, answer])));
  assert.deepEqual(encodeQueries([]), []);
  const many = Array.from({ length: 100 }, (_, index) => ({
    name: [`${index} ${"x".repeat(50)}`, ...MQTT],
    type: RecordType.TXT,
  }));
  const targets = many.map((one) => ({ ...known, target: one.name }));
  const queries = encodeQueries(many, targets);
  assert.equal(Math.max(...queries.map(({ length }) => length)) <= 1_400, true);
  const counts = queries.map((bytes) => Buffer.from(bytes).readUInt16BE(4));
  assert.equal(
    counts.reduce((sum, count) => sum + count),
    100,
  );
  const full = encodeQueries(many.slice(0, 1), targets)[0]!;
  assert.ok(full.length > 1_200 && full.length <= 1_400, `${full.length} bytes`);
  assert.deepEqual(decodeResponse(full), undefined);
});

test("names are the same in capitals and small letters of ASCII alone", () => {
  assert.equal(nameKey(["Edge", "LOCAL"]), nameKey(["edge", "local"]));
  assert.notEqual(nameKey(["É"]), nameKey(["é"]));
  assert.notEqual(nameKey(["a", "b"]), nameKey(["a.b"]));
});
