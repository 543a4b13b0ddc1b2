/** Bounds of this broker that are meant for its clients, and must not cut off the connection with the other one. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { connected, joinDevice, OtherBroker, publishSafely, startOurs, subscribe, until, watch } from "./kit.ts";

suite("narrow bounds here", { concurrency: 3 }, () => {
  for (const word of ["--mqtt-session-expiry-interval=0", "--mqtt-session-expiry-max=0"]) {
    test(`${word}: what was acknowledged to devices while the other broker is away arrives there`, async (context) => {
      const other = await OtherBroker.start(context);
      await other.stop();
      const ours = await startOurs(context, other.url, [word]);
      const device = await joinDevice(context, "one", ours);
      for (const number of [1, 2, 3]) await publishSafely(device, "t", `${number}`, number);
      await other.start();
      const there = await other.watch("t");
      await connected(ours);
      assert.deepEqual(await there.until(3), ["t 1 qos1", "t 2 qos1", "t 3 qos1"]);
    });
  }

  test("where no retained messages are kept here, those of the other broker come as ordinary ones", async (context) => {
    const other = await OtherBroker.start(context);
    const there = await other.watch(undefined);
    await there.publish("a", "0", 0, true);
    await there.publish("b", "1", 1, true);
    const ours = await startOurs(context, other.url, ["--mqtt-retain-support=false"]);
    await connected(ours);
    const here = await watch(context, ours.port, "mqtt-sn/#");
    await subscribe(await joinDevice(context, "one", ours), "+");
    assert.deepEqual((await here.until(2)).sort(), ["mqtt-sn/a 0", "mqtt-sn/b 1 qos1"]);
    await there.publish("b", "2", 1, true);
    assert.deepEqual(await here.until(1), ["mqtt-sn/b 2 qos1"]);
    assert.equal(ours.program.lines.filter(({ message }) => message.startsWith("The other broker")).length, 0);
  });

  test("where this broker takes no more than QoS 0, what comes by more comes by that", async (context) => {
    const other = await OtherBroker.start(context);
    const there = await other.watch(undefined);
    const ours = await startOurs(context, other.url, ["--mqtt-maximum-qos=0"]);
    await connected(ours);
    const here = await watch(context, ours.port, "mqtt-sn/#");
    const device = await joinDevice(context, "one", ours);
    await subscribe(device, "+", 0);
    await until(() => other.lines(/Sending SUBACK to mqtt-sn-/).length === 1, "SUBACK");
    for (const qos of [1, 2, 0] as const) await there.publish("a", `${qos}`, qos);
    assert.deepEqual(await here.until(3), ["mqtt-sn/a 1", "mqtt-sn/a 2", "mqtt-sn/a 0"]);
  });

  test("a full house keeps the other broker out no more than clients that are in", async (context) => {
    const other = await OtherBroker.start(context);
    await other.stop();
    const ours = await startOurs(context, other.url, ["--limit=clients=1"]);
    const device = await joinDevice(context, "one", ours);
    await publishSafely(device, "t", "1", 1);
    await other.start();
    const there = await other.watch("t");
    assert.deepEqual(await there.until(1), ["t 1 qos1"]);
  });
});
