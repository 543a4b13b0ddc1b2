import assert from "node:assert/strict";
import { duplexPair } from "node:stream";
import { test } from "node:test";
import { certificateOf, readAltNames } from "../../src/transport/certificate.ts";

for (const [text, names] of [
  ["", []],
  ["DNS:a.example", ["DNS:a.example"]],
  ["DNS:a.example, DNS:b.example", ["DNS:a.example", "DNS:b.example"]],
  ['DNS:"good.example\\u002c DNS:evil.example"', ["DNS:good.example, DNS:evil.example"]],
  ['DNS:"good.example, DNS:evil.example", DNS:c', ["DNS:good.example, DNS:evil.example", "DNS:c"]],
  ['URI:"a\\"b\\\\", DNS:c', ['URI:a"b\\', "DNS:c"]],
  ["IP Address:10.0.0.1, IP Address:2001:DB8:0:0:0:0:0:7", ["IP:10.0.0.1", "IP:2001:db8::7"]],
  ["IP Address:<invalid length=5>, DNS:a", ["DNS:a"]],
  ["Registered ID:1.2.3, othername:<unsupported>, DirName:x, DNS:a", ["DNS:a"]],
  ['othername:"XmppAddr:a\\u002c DNS:b", DNS:c', ["DNS:c"]],
  ["DNS:, DNS:a", ["DNS:a"]],
] as const) {
  test(`the names ${text || "of an empty text"} are read`, () => {
    assert.deepEqual(readAltNames(text), names);
  });
}

for (const text of [
  "DNS",
  "DNS:a,DNS:b",
  "DNS:a, ",
  'DNS:"a',
  'DNS:"a"b, DNS:c',
  'DNS:a"b", DNS:c',
  'DNS:"\\x", DNS:a',
  "DNS:a, :b",
  "DNS:a\nDNS:b, c",
]) {
  test(`the names ${JSON.stringify(text)} are in no known form, and give none`, () => {
    assert.deepEqual(readAltNames(text), []);
  });
}

test("a stream that is no TLS socket has no certificate", () => {
  assert.equal(certificateOf(duplexPair()[0]), undefined);
});
