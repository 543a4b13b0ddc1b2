import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ProxySource, readProxyHeader } from "../../src/transport/proxy-header.ts";

const SIGNATURE = "0d0a0d0a000d0a515549540a";
const IPV6_BLOCK = "20010db8000000000000000000000007" + "20010db8000000000000000000000001" + "c350" + "075b";
const UNKNOWN: ProxySource = { kind: "unknown" };

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(" ", ""), "hex");
}

function line(text: string): Buffer {
  return Buffer.from(`${text}\r\n`, "latin1");
}

const WHOLE: readonly (readonly [title: string, header: Buffer, source: ProxySource])[] = [
  [
    "version 1 over IPv4",
    line("PROXY TCP4 192.168.1.7 10.0.0.1 50000 1883"),
    { kind: "client", host: "192.168.1.7", port: 50_000 },
  ],
  [
    "version 1 over IPv6",
    line("PROXY TCP6 2001:db8::7 2001:db8::1 0 65535"),
    { kind: "client", host: "2001:db8::7", port: 0 },
  ],
  [
    "the longest line of version 1",
    line(`PROXY UNKNOWN ${"f".repeat(39)} ${"f".repeat(39)} 65535 65535`.padEnd(105)),
    UNKNOWN,
  ],
  ["version 1 of somebody unknown", line("PROXY UNKNOWN"), UNKNOWN],
  ["version 1 of somebody unknown, with more", line("PROXY UNKNOWN \xff whatever"), UNKNOWN],
  [
    "version 2 over IPv4",
    hex(`${SIGNATURE} 21 11 000c c0a80107 0a000001 c350 075b`),
    { kind: "client", host: "192.168.1.7", port: 50_000 },
  ],
  [
    "version 2 over IPv6",
    hex(`${SIGNATURE} 21 21 0024 ${IPV6_BLOCK}`),
    { kind: "client", host: "2001:db8::7", port: 50_000 },
  ],
  [
    "version 2 with an IPv4-mapped address",
    hex(`${SIGNATURE} 21 21 0024 00000000000000000000ffffc0a80107 ${"00".repeat(16)} c350 075b`),
    { kind: "client", host: "::ffff:192.168.1.7", port: 50_000 },
  ],
  [
    "version 2 with TLVs",
    hex(`${SIGNATURE} 21 11 0013 c0a80107 0a000001 c350 075b 03 0004 11223344`),
    { kind: "client", host: "192.168.1.7", port: 50_000 },
  ],
  [
    "version 2 of 536 bytes",
    hex(`${SIGNATURE} 21 11 0208 c0a80107 0a000001 c350 075b ${"ee".repeat(508)}`),
    { kind: "client", host: "192.168.1.7", port: 50_000 },
  ],
  [
    "LOCAL, whose addresses do not count",
    hex(`${SIGNATURE} 20 11 000c 7f000001 7f000001 0001 0002`),
    { kind: "proxy" },
  ],
  ["LOCAL without addresses, of any family", hex(`${SIGNATURE} 20 ff 0000`), { kind: "proxy" }],
  ["version 2, unspecified", hex(`${SIGNATURE} 21 00 0000`), UNKNOWN],
  ["version 2, datagrams", hex(`${SIGNATURE} 21 12 000c c0a80107 0a000001 c350 075b`), UNKNOWN],
  ["version 2, a Unix socket", hex(`${SIGNATURE} 21 31 00d8 ${"2f".repeat(216)}`), UNKNOWN],
];

describe("a PROXY header", () => {
  for (const [title, header, source] of WHOLE) {
    it(`of ${title} is read once it is whole, and not a byte more`, () => {
      for (let length = 0; length < header.length; length++) {
        assert.equal(readProxyHeader(header.subarray(0, length)), undefined, `${length} bytes`);
      }
      assert.deepEqual(readProxyHeader(header), { length: header.length, source });
      const followed = Buffer.concat([header, header, Buffer.alloc(2000, 0x10)]);
      assert.deepEqual(readProxyHeader(followed), { length: header.length, source });
    });
  }

  it("of version 2 has 536 bytes at most, which is told before they have come", () => {
    assert.throws(() => readProxyHeader(hex(`${SIGNATURE} 21 11 0209`)), {
      message: "its PROXY header has 537 bytes, and 536 are the most that is read",
    });
  });

  it("of version 1 ends within 107 bytes", () => {
    const long = `PROXY UNKNOWN${" ".repeat(94)}`;
    assert.equal(readProxyHeader(Buffer.from(long.slice(0, 106))), undefined);
    const message = "its PROXY line does not end within 107 bytes";
    assert.throws(() => readProxyHeader(Buffer.from(long)), { message });
    assert.throws(() => readProxyHeader(Buffer.from(`${long.slice(0, 106)}\r\n`)), { message });
  });

  for (const text of [
    "PROXY ",
    "PROXY TCP4",
    "PROXY tcp4 192.168.1.7 10.0.0.1 1 2",
    "PROXY TCP5 192.168.1.7 10.0.0.1 1 2",
    "PROXY TCP4 192.168.1.256 10.0.0.1 1 2",
    "PROXY TCP4 192.168.1.7 10.0.0 1 2",
    "PROXY TCP4 2001:db8::7 2001:db8::1 1 2",
    "PROXY TCP6 192.168.1.7 10.0.0.1 1 2",
    "PROXY TCP6 fe80::1%eth0 fe80::2 1 2",
    "PROXY TCP4 192.168.1.7 10.0.0.1 1",
    "PROXY TCP4 192.168.1.7 10.0.0.1 1 2 3",
    "PROXY TCP4 192.168.1.7 10.0.0.1 65536 2",
    "PROXY TCP4 192.168.1.7 10.0.0.1 01 2",
    "PROXY TCP4 192.168.1.7 10.0.0.1 -1 2",
    "PROXY TCP4  192.168.1.7 10.0.0.1 1 2",
    "PROXY UNKNOWNS",
  ]) {
    it(`"${text}" is malformed`, () => {
      assert.throws(() => readProxyHeader(line(text)), { message: "its PROXY line is malformed" });
    });
  }

  for (const [bytes, message] of [
    ["1180", "it begins without a PROXY header"],
    ["10", "it begins without a PROXY header"],
    ["50524f5859", undefined],
    ["50524f585a", "it begins without a PROXY header"],
    [`${SIGNATURE.slice(0, -2)}0b`, "it begins without a PROXY header"],
    [`${SIGNATURE} 11 11 0000`, "its PROXY header is of version 1"],
    [`${SIGNATURE} 22 11 0000`, "its PROXY header has the unknown command 2"],
    [`${SIGNATURE} 21 41 0000`, "its PROXY header has the unknown family 65"],
    [`${SIGNATURE} 21 13 000c c0a80107 0a000001 c350 075b`, "its PROXY header has the unknown family 19"],
    [`${SIGNATURE} 21 11 000b c0a80107 0a000001 c350 07`, "its PROXY header is too short for its addresses"],
    [`${SIGNATURE} 21 21 000c c0a80107 0a000001 c350 075b`, "its PROXY header is too short for its addresses"],
  ] as const) {
    it(`${bytes}: ${message ?? "may become one"}`, () => {
      if (message === undefined) assert.equal(readProxyHeader(hex(bytes)), undefined);
      else assert.throws(() => readProxyHeader(hex(bytes)), { message });
    });
  }

  it("is never mistaken, whatever the bytes: it is read, refused or waited for", () => {
    let seed = 7;
    for (let round = 0; round < 20_000; round++) {
      const header = Buffer.from(WHOLE[round % WHOLE.length]![1]);
      for (let change = 0; change < 3; change++) {
        seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
        header[(seed >>> 8) % Math.min(header.length, 60)] = seed >>> 24;
      }
      try {
        const found = readProxyHeader(header);
        assert.ok(found === undefined || found.length <= 536);
      } catch (error) {
        assert.match((error as Error).message, /^(?:it begins without|its PROXY)/);
      }
    }
  });
});
