import assert from "node:assert/strict";
import { test } from "node:test";
import { suggest } from "../../src/text/suggest.ts";

const NAMES = ["tcp-port", "tls-port", "log-level", "log-format", "receiveMaximum", "sys", "store"];

for (const [word, meant] of [
  ["tcp-prt", "tcp-port"],
  ["tcpport", "tcp-port"],
  ["TCP_PORT", "tcp-port"],
  ["tpc-port", "tcp-port"],
  ["log-lvel", "log-level"],
  ["receiveMax", "receiveMaximum"],
  ["recieveMaximum", "receiveMaximum"],
  ["log-f", "log-format"],
  ["stroe", "store"],
  ["sy", "sys"],
] as const) {
  test(`${word} was probably meant to be ${meant}`, () => assert.equal(suggest(word, NAMES), meant));
}

for (const word of ["", "--", "xyz", "log", "quic-socket", "a".repeat(1000)]) {
  test(`${JSON.stringify(word.slice(0, 20))} resembles no single name`, () => {
    assert.equal(suggest(word, NAMES), undefined);
  });
}

test("the nearer of two names is suggested", () => {
  assert.equal(suggest("tls-prt", NAMES), "tls-port");
});

test("no name is suggested when there are none", () => {
  assert.equal(suggest("tcp-port", []), undefined);
});
