import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NO_PROPERTIES } from "../../src/codec/packet.ts";
import { Inflight } from "../../src/core/inflight.ts";
import { Message } from "../../src/core/message.ts";
import { Outgoing } from "../../src/core/outgoing.ts";

const message = new Message("t", 1, false, NO_PROPERTIES, Number.POSITIVE_INFINITY, new Uint8Array(0), 0, 0);
const outgoing = (): Outgoing => new Outgoing(message, 1, false, undefined, undefined, 0);

function added(inflight: Inflight): Outgoing {
  const one = outgoing();
  inflight.add(one);
  return one;
}

test("5.0 [MQTT-4.3.2-1] identifiers begin at 1 and are given in turn, also when earlier ones are free", () => {
  const inflight = new Inflight();
  const given = [1, 2, 3].map(() => added(inflight));
  inflight.remove(given[0]!);
  given.push(added(inflight));
  assert.deepEqual(
    given.map((one) => one.packetIdentifier),
    [1, 2, 3, 4],
  );
  assert.equal(inflight.count, 3);
  assert.equal(inflight.get(1), undefined);
  assert.equal(inflight.get(2), given[1]);
});

test("identifiers go on at 1 after 65,535, leaving out what is in use", () => {
  const inflight = new Inflight();
  const usedOnce = (count: number): void => {
    for (let left = count; left > 0; left--) inflight.remove(added(inflight));
  };
  usedOnce(65_533);
  const around = [1, 2, 3].map(() => added(inflight));
  assert.deepEqual(
    around.map((one) => one.packetIdentifier),
    [65_534, 65_535, 1],
  );
  inflight.remove(around[1]!);
  // So many that every identifier has had its turn: 1 and 65,534 are not given again.
  for (let left = 2 * 65_535; left > 0; left--) {
    const { packetIdentifier } = added(inflight);
    assert.ok(packetIdentifier !== 1 && packetIdentifier !== 65_534 && packetIdentifier <= 65_535);
    inflight.remove(inflight.get(packetIdentifier)!);
  }
});

test("all 65,535 identifiers can be in use at once, each for one message; then it is full", () => {
  const inflight = new Inflight();
  const given = new Map<number, Outgoing>();
  for (let count = 0; count < 65_535; count++) {
    assert.equal(inflight.full, false);
    const one = added(inflight);
    given.set(one.packetIdentifier, one);
  }
  assert.equal(inflight.full, true);
  assert.equal(given.size, 65_535);
  assert.equal(Math.min(...given.keys()), 1);
  assert.equal(Math.max(...given.keys()), 65_535);
  for (const [identifier, one] of given) assert.equal(inflight.get(identifier), one);
  inflight.remove(given.get(4711)!);
  assert.equal(inflight.full, false);
  assert.equal(added(inflight).packetIdentifier, 4711);
});

test("an identifier that only shares its low bits with one in use is not found", () => {
  const inflight = new Inflight();
  added(inflight);
  assert.equal(inflight.get(1 + 16), undefined);
  assert.equal(inflight.get(1 + 65_536), undefined);
});

test("the order is that of the first sending, also around 65,535", () => {
  const inflight = new Inflight();
  for (let count = 0; count < 65_533; count++) inflight.remove(added(inflight));
  const given = [1, 2, 3, 4].map(() => added(inflight));
  assert.deepEqual(
    inflight.inOrder().map((one) => one.packetIdentifier),
    [65_534, 65_535, 1, 2],
  );
  assert.deepEqual(inflight.inOrder(), given);
});

test("restore takes an identifier once, and adding leaves it out", () => {
  const inflight = new Inflight();
  assert.equal(inflight.restore(outgoing(), 2), true);
  assert.equal(inflight.restore(outgoing(), 2), false);
  assert.equal(inflight.restore(outgoing(), 2 + 16), true);
  assert.equal(inflight.restore(outgoing(), 65_535), true);
  const given = [added(inflight), added(inflight)].map((one) => one.packetIdentifier);
  assert.equal(new Set([...given, 2, 18, 65_535]).size, 5);
  assert.deepEqual(
    inflight.inOrder().map((one) => one.packetIdentifier),
    [2, 18, 65_535, ...given],
  );
});

test("5.0 [MQTT-2.2.1-4] whatever is added, restored and removed, no identifier is used twice", () => {
  const operation = fc.oneof(
    { weight: 4, arbitrary: fc.constant({ kind: "add" as const, value: 0 }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("remove" as const), value: fc.nat(1000) }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant("restore" as const), value: fc.integer({ min: 1, max: 200 }) }),
    },
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const inflight = new Inflight();
      const model: Outgoing[] = [];
      for (const { kind, value } of operations) {
        if (kind === "remove") {
          if (model.length === 0) continue;
          const [gone] = model.splice(value % model.length, 1);
          inflight.remove(gone!);
          assert.equal(inflight.get(gone!.packetIdentifier), undefined);
          continue;
        }
        const one = outgoing();
        if (kind === "restore") {
          const isFree = model.every((other) => other.packetIdentifier !== value);
          assert.equal(inflight.restore(one, value), isFree);
          if (isFree) model.push(one);
          continue;
        }
        inflight.add(one);
        assert.ok(model.every((other) => other.packetIdentifier !== one.packetIdentifier));
        model.push(one);
      }
      assert.equal(inflight.count, model.length);
      assert.deepEqual(inflight.inOrder(), model);
      for (const one of model) assert.equal(inflight.get(one.packetIdentifier), one);
    }),
    { numRuns: 300, seed: 11 },
  );
});
