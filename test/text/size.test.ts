import assert from "node:assert/strict";
import { test } from "node:test";
import { formatSize, parseSize } from "../../src/text/size.ts";

const GOOD: readonly [text: string, bytes: number][] = [
  ["0", 0],
  ["1048576", 1_048_576],
  ["2MiB", 2_097_152],
  ["2mib", 2_097_152],
  ["64k", 65_536],
  ["64KiB", 65_536],
  ["64kB", 64_000],
  ["1GB", 1_000_000_000],
  ["1G", 1_073_741_824],
  ["1.5 MiB", 1_572_864],
  ["1TiB", 1_099_511_627_776],
  ["10B", 10],
];
for (const [text, bytes] of GOOD) {
  test(`the size ${JSON.stringify(text)} is ${bytes} bytes`, () => assert.equal(parseSize(text), bytes));
}

for (const text of [
  "",
  "k",
  "-1",
  "1.5",
  "1x",
  "1 0",
  "1e3",
  "0x10",
  "9999999999T",
  "2MiBs",
  "constructor",
  "1toString",
]) {
  test(`${JSON.stringify(text)} is no size`, () => assert.equal(parseSize(text), undefined));
}

for (const [bytes, text] of [
  [0, "0"],
  [1000, "1000"],
  [65_536, "64KiB"],
  [2_097_152, "2MiB"],
  [1_073_741_824, "1GiB"],
  [1_099_511_627_776, "1TiB"],
] as const) {
  test(`${bytes} bytes are written ${text}, which is read back the same`, () => {
    assert.equal(formatSize(bytes), text);
    assert.equal(parseSize(text), bytes);
  });
}
