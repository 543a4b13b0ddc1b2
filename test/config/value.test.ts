import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAddress, parseHost } from "../../src/config/address.ts";
import { describeType, formatValue, quoteValue, readValue, type ValueType } from "../../src/config/value.ts";

for (const [text, expected] of [
  [":1883", { host: undefined, port: 1883 }],
  ["localhost:0", { host: "localhost", port: 0 }],
  ["[::1]:65535", { host: "::1", port: 65_535 }],
  ["[fe80::1%eth0]:1", { host: "fe80::1%eth0", port: 1 }],
  ["::1:1883", undefined],
  ["1883", undefined],
  [":65536", undefined],
  ["[]:1", undefined],
  ["[localhost]:1", undefined],
  ["a b:1", undefined],
] as const) {
  test(`the address ${text} ${expected === undefined ? "is none" : "is read"}`, () => {
    assert.deepEqual(parseAddress(text), expected);
  });
}

for (const [text, expected] of [
  ["::", "::"],
  ["[::1]", "::1"],
  ["0.0.0.0", "0.0.0.0"],
  ["gateway.local", "gateway.local"],
  ["[gateway]", undefined],
  ["", undefined],
  ["-a", undefined],
  ["a:b:z", undefined],
  ["a".repeat(254), undefined],
] as const) {
  test(`the host ${text.slice(0, 20)} ${expected === undefined ? "is none" : "is read"}`, () => {
    assert.equal(parseHost(text), expected);
  });
}

const SECONDS: ValueType = { kind: "duration", unit: "s", min: 0, max: 100 };
const SIZE: ValueType = { kind: "size", min: 1, max: 4096 };

for (const [type, value, expected] of [
  [SECONDS, 10, 10],
  [SECONDS, "10s", 10],
  [SECONDS, "1m", 60],
  [SECONDS, 1.5, undefined],
  [SECONDS, 101, undefined],
  [SECONDS, true, undefined],
  [SIZE, 4096, 4096],
  [SIZE, "4KiB", 4096],
  [SIZE, 0, undefined],
  [SIZE, Number.POSITIVE_INFINITY, undefined],
  [{ kind: "boolean" }, "false", undefined],
  [{ kind: "boolean" }, 0, undefined],
  [{ kind: "boolean", words: ["local"] }, "local", "local"],
  [{ kind: "integer", min: 0, max: 9 }, "5", undefined],
  [{ kind: "file" }, 5, undefined],
  [{ kind: "string" }, {}, undefined],
  [{ kind: "enum", values: ["a"] }, ["a"], undefined],
] as const) {
  test(`${JSON.stringify(value)} in a file as ${type.kind} ${expected === undefined ? "is refused" : "is read"}`, () => {
    assert.equal(readValue(type, value), expected);
  });
}

test("values are written as people write them", () => {
  assert.equal(formatValue({ kind: "duration", unit: "s", min: 0, max: 1 }, 2_592_000), "30d");
  assert.equal(formatValue({ kind: "duration", unit: "ms", min: 0, max: 1 }, 5_400_000), "1h30m");
  assert.equal(formatValue({ kind: "duration", unit: "s", min: 0, max: 1 }, 4_294_967_295), "4,294,967,295s");
  assert.equal(formatValue(SIZE, 2_097_152), "2MiB");
  assert.equal(formatValue(SIZE, 4_294_967_295), "4,294,967,295");
  assert.equal(formatValue({ kind: "integer", min: 0, max: 1 }, 1024), "1,024");
  assert.equal(formatValue({ kind: "address" }, { host: undefined, port: 1883 }), ":1883");
});

test("a type says what it takes", () => {
  assert.equal(describeType({ kind: "boolean" }), "true or false");
  assert.equal(describeType({ kind: "boolean", words: ["local"] }), "true, false or local");
  assert.equal(describeType({ kind: "enum", values: ["a", "b"] }), "one of a, b");
  assert.equal(describeType(SECONDS), "a duration such as 10s or 1h30m, from 0s to 1m40s");
});

test("a long value is cut in messages and stays on its line", () => {
  assert.equal(quoteValue("a\nb"), '"a\\nb"');
  assert.equal(quoteValue("x".repeat(100)), `"${"x".repeat(59)}…`);
  assert.equal(quoteValue(undefined), "undefined");
});
