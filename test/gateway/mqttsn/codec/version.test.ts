import assert from "node:assert/strict";
import { test } from "node:test";
import { SnError } from "../../../../src/gateway/mqttsn/codec/error.ts";
import { codecOf, versionOf } from "../../../../src/gateway/mqttsn/codec/version.ts";
import { bytesOf, hexOf } from "../../../codec/kit.ts";

const VERSIONS: readonly [name: string, line: string, version: "1.2" | "2.0" | undefined][] = [
  ["CONNECT of 1.2", "0a 04 04 01 003c 'node'", "1.2"],
  ["CONNECT of 1.2 without a client id", "06 04 04 01 003c", "1.2"],
  ["CONNECT of 1.2 with a Length of three octets", "01 0009 04 04 01 003c 'n'", "1.2"],
  ["SEARCHGW of 1.2", "03 01 00", "1.2"],
  ["SEARCHGW of 1.2 with a Length of three octets", "01 0005 01 00", "1.2"],
  ["CONNECT of 2.0", "0e 01 00 0001 02 003c 0000 'node'", "2.0"],
  ["CONNECT of 2.0 with a Length of three octets", "01 0010 01 00 0001 02 003c 0000 'node'", "2.0"],
  ["no SEARCHGW, since one octet too many", "04 01 00 00", "2.0"],
  ["neither: PUBACK of 2.0, or a CONNECT of 1.2 that is cut off", "05 04 0001 00", undefined],
  ["neither: a CONNECT with another ProtocolId", "07 04 04 02 003c 'n'", undefined],
  ["either: PINGRESP of 1.2, SEARCHGW of 2.0", "02 17", undefined],
  ["neither: no variable part", "02 01", undefined],
  ["none: Length and octets differ", "04 01 00", undefined],
  ["none: nothing", "", undefined],
];

for (const [name, line, version] of VERSIONS) {
  test(`version of a message: ${name}`, () => {
    assert.equal(versionOf(bytesOf(line)), version);
  });
}

test("1.2 has a codec", () => {
  const codec = codecOf("1.2");
  assert.deepEqual(codec.decode(bytesOf("03 01 02")), { type: 0x01, radius: 2 });
  assert.equal(hexOf(codec.encode({ type: 0x01, radius: 2 })), "03 01 02");
});

test("2.0 has none, and the answer says what to do", () => {
  assert.throws(
    () => codecOf("2.0"),
    (error) =>
      error instanceof SnError &&
      error.reason === "version" &&
      error.message === "MQTT-SN 2.0 is not spoken here: set the client to MQTT-SN 1.2",
  );
});
