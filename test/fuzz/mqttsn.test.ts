import assert from "node:assert/strict";
import { test } from "node:test";
import { fuzzMqttSn } from "./mqttsn.ts";

const ROUNDS = 8_000;

for (const seed of [1, 2, 3]) {
  test(`random and mutated octets give MQTT-SN messages or an SnError (seed ${seed})`, () => {
    const tally = fuzzMqttSn(seed, (rounds) => rounds < ROUNDS);
    assert.equal(tally.rounds, ROUNDS);
    assert.ok(tally.packets > ROUNDS / 4, `only ${tally.packets} messages were accepted`);
    assert.ok(tally.refusals > ROUNDS / 4, `only ${tally.refusals} datagrams were refused`);
  });
}
