import assert from "node:assert/strict";
import { test } from "node:test";
import type { SnDevice } from "./device.ts";
import { SnStage } from "./sn-stage.ts";

/** A device that sleeps for 100 s and is subscribed to everything; of set-points it is to have the newest only. */
function asleep(): { sn: SnStage; device: SnDevice } {
  const sn = new SnStage({}, { mqtt: { queue: { keepLast: ["set/#"] } } });
  const device = sn.connected("s");
  device.subscribe("#", 2);
  device.disconnect(100);
  device.lines();
  return { sn, device };
}

test("a sensor that is awake for 50 ms gets one set-point, not three hundred", () => {
  const { sn, device } = asleep();
  for (let degrees = 1; degrees <= 300; degrees++) {
    sn.publish("set/1", String(degrees), 1 + (degrees % 2) === 1 ? 1 : 2);
    sn.advance(100);
  }
  assert.equal(sn.gateway.client("s")?.buffered, 1);
  device.wake();
  sn.advance(50);
  assert.deepEqual(device.lines(), ["REGISTER set/1", 'PUBLISH set/1 "300" qos1 #1', "PINGRESP"]);
  assert.equal(sn.stage.counters.droppedBy.superseded, 299);
  assert.equal(sn.gateway.client("s")?.buffered, 0);
});

test("what comes while a message is under way takes the place of what waits behind it, and the window closes", () => {
  const { sn, device } = asleep();
  for (const payload of ["1", "2"]) sn.publish("log", payload);
  sn.publish("set/1", "old");
  device.answers = false;
  device.wake();
  assert.deepEqual(device.lines(), ["REGISTER log"]);
  sn.publish("set/1", "new");
  device.answers = true;
  sn.advance(10_000);
  assert.deepEqual(device.lines(), [
    "REGISTER log",
    'PUBLISH log "1" qos1 #1',
    'PUBLISH log "2" qos1 #2',
    "REGISTER set/1",
    'PUBLISH set/1 "new" qos1 #3',
    "PINGRESP",
  ]);
});
