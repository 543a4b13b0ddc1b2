import assert from "node:assert/strict";
import { test } from "node:test";
import { HeldStore } from "./held-store.ts";
import { Stage } from "./stage.ts";

const DAY_MS = 86_400_000;

test("a budget that is used up stretches batches, says so once, and lets go when it is kept again", async () => {
  const store = new HeldStore();
  let written = 0;
  const stage = await Stage.load(store, { mqtt: { dailyBudgetBytes: 86_400_000 }, bytesWritten: () => written });
  store.sync();
  const peer = stage.dial({ clientId: "s", clean: false, properties: { sessionExpiryInterval: 3600 } });
  store.sync();
  await stage.settle();
  peer.subscribe("t", 1);
  store.sync();
  peer.hangUp();
  store.sync();
  const { journal, flash } = stage.broker.archive!;
  const publisher = stage.connect("p");
  // A whole day's worth at once is allowed, and what a day earns meanwhile.
  written = 86_400_000;
  stage.advance(10_000);
  assert.equal(journal.pauseMs, 0);
  written += 10_000;
  stage.advance(10_000);
  assert.equal(journal.pauseMs, 0);
  written += 200_000;
  stage.advance(10_000);
  assert.equal(journal.pauseMs, 100);
  written += 100_000;
  stage.advance(10_000);
  assert.equal(journal.pauseMs, 200);
  // The acknowledgement waits as long as the batch: nothing is answered for that is not on disk.
  publisher.publish("t", "one", { qos: 1 });
  store.sync();
  assert.deepEqual(publisher.take(), ["PUBACK #1"]);
  publisher.publish("t", "two", { qos: 1 });
  assert.equal(store.pending.length, 0);
  stage.advance(199);
  assert.equal(store.pending.length, 0);
  stage.advance(1);
  assert.equal(store.pending.length, 1);
  store.sync();
  assert.deepEqual(publisher.take(), ["PUBACK #2"]);
  stage.advance(1_000_000);
  assert.equal(journal.pauseMs, 0);
  assert.deepEqual(
    stage.log.lines.map(({ message }) => message).filter((message) => message.includes("budget")),
    [
      "The day's budget of writing is used up: messages are written in larger batches, and wait for it",
      "Writing is within the day's budget again",
    ],
  );
  assert.equal(flash.writtenBytes, 86_710_000);
  const seconds = stage.broker.nowMs / 1000 - 50;
  assert.equal(flash.bytesPerDay, Math.round((86_710_000 * 86_400) / seconds));
});

test("QoS 2 identifiers are not held back by a budget", async () => {
  const store = new HeldStore();
  let written = 0;
  const stage = await Stage.load(store, { mqtt: { dailyBudgetBytes: 1000 }, bytesWritten: () => written });
  store.sync();
  const publisher = stage.dial({ clientId: "p", clean: false, properties: { sessionExpiryInterval: 3600 } });
  store.sync();
  await stage.settle();
  publisher.take();
  written = 1_000_000;
  stage.advance(100_000);
  store.sync();
  assert.ok(stage.broker.archive!.journal.pauseMs >= 1000);
  for (const id of [1, 2]) {
    publisher.publish("t", "m", { qos: 2, id });
    assert.equal(store.pending.length, 1);
    store.sync();
  }
  assert.deepEqual(publisher.take(), ["PUBREC #1 10", "PUBREC #2 10"]);
});

test("$SYS shows what the store does", async () => {
  const store = new HeldStore();
  const stage = await Stage.load(store, { mqtt: { sys: { enabled: true } }, bytesWritten: () => 5 * DAY_MS });
  const shown = (topic: string): string =>
    Buffer.from(stage.broker.retained.get(`$SYS/broker/store/${topic}`)!.payload).toString();
  assert.equal(shown("state"), "writable");
  store.trouble({ kind: "full", reason: "no room" });
  stage.advance(10_000);
  assert.equal(shown("state"), "full");
  assert.equal(shown("bytes/written/estimate"), "0");
  const without = new Stage({ mqtt: { sys: { enabled: true } } });
  assert.equal(Buffer.from(without.broker.retained.get("$SYS/broker/store/state")!.payload).toString(), "memory");
});
