/** What the other broker does not want, and what nobody may want of this one. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { emptyFolder, runCommand } from "../smoke/program.ts";
import { freePort } from "../support/free-port.ts";
import { connected, joinDevice, OtherBroker, publishSafely, startOurs, subscribe, until, watch } from "./kit.ts";

suite("refused", { concurrency: 4 }, () => {
  test("a wrong password is said once with what to do, not hammered, and read again when it is corrected", async (context) => {
    const folder = emptyFolder(context);
    const [users, secret] = [join(folder, "users"), join(folder, "secret")];
    await runCommand(context, "mosquitto_passwd", ["-c", "-b", users, "garden", "right-word"]);
    writeFileSync(secret, "wrong-word\n");
    const other = await OtherBroker.start(context, `allow_anonymous false\npassword_file ${users}`);
    const ours = await startOurs(context, other.url, [
      "--mqtt-sn-upstream-username=garden",
      `--mqtt-sn-upstream-password-file=${secret}`,
    ]);
    const { reason } = await ours.program.line(/^Cannot connect with the other broker/);
    assert.match(
      String(reason),
      /does not let in the user garden: is the password right \(--mqtt-sn-upstream-password-file\)/,
    );
    const asked = (): number => other.lines(/New connection from/).length;
    await until(() => asked() === 2, "a second attempt");
    await sleep(200);
    assert.equal(asked(), 2);
    assert.equal(
      ours.program.lines
        .filter(({ level }) => level === "warn" || level === "error")
        .filter(({ message }) => message.startsWith("Cannot connect")).length,
      1,
    );
    writeFileSync(secret, "right-word\n");
    await connected(ours);
    assert.doesNotMatch(ours.program.stdout, /wrong-word|right-word/);
  });

  test("what the other broker does not take is dropped with topic and reason, and the next message arrives", async (context) => {
    const folder = emptyFolder(context);
    writeFileSync(join(folder, "acl"), "topic readwrite ok/#\ntopic read no/#\n");
    const other = await OtherBroker.start(
      context,
      `allow_anonymous true\nacl_file ${folder}/acl\nretain_available false\nmax_packet_size 200`,
    );
    const ours = await startOurs(context, other.url);
    await connected(ours);
    const there = await other.watch("ok/#");
    const device = await joinDevice(context, "one", ours);
    await publishSafely(device, "no/entry", "x", 1);
    await publishSafely(device, "ok/large", "x".repeat(200), 2);
    device.register("ok/retained");
    await device.until("REGACK #3 code0");
    device.publish("ok/retained", "x", { qos: 2, messageId: 3, retain: true });
    await device.until("PUBREC #3");
    await publishSafely(device, "ok/small", "x", 4);
    assert.deepEqual(await there.until(1), ["ok/small x qos1"]);
    const dropped = (): unknown[][] =>
      ours.program.lines
        .filter(({ message }) => message.startsWith("A message of MQTT-SN clients is dropped"))
        .map(({ topic, reason }) => [topic, reason]);
    await until(
      () => dropped().length === 3,
      () => JSON.stringify(dropped()),
    );
    assert.deepEqual(dropped().sort(), [
      ["no/entry", "Not authorized (0x87)"],
      ["ok/large", "the other broker takes no packet over 200 bytes"],
      ["ok/retained", "the other broker keeps no retained messages"],
    ]);
  });

  test("a message that the other broker ends each connection at is dropped, and those behind it arrive", async (context) => {
    const other = await OtherBroker.start(context, "allow_anonymous true\nmax_packet_size 200");
    const ours = await startOurs(context, other.url, ["--mqtt-sn-upstream-version=4"]);
    await connected(ours);
    const there = await other.watch("ok/#");
    const device = await joinDevice(context, "one", ours);
    await publishSafely(device, "ok/large", "x".repeat(200), 1);
    for (const number of [1, 2, 3]) await publishSafely(device, "ok/small", `${number}`, 1 + number);
    assert.deepEqual(await there.until(3), ["ok/small 1 qos1", "ok/small 2 qos1", "ok/small 3 qos1"]);
    const { topic, reason } = await ours.program.line(/^A message of MQTT-SN clients is dropped/);
    assert.deepEqual([topic, reason], ["ok/large", "the other broker ends the connection each time it comes"]);
    await publishSafely(device, "ok/small", "4", 5);
    assert.deepEqual(await there.until(1), ["ok/small 4 qos1"]);
  });

  test("MQTT 3.1.1: no more is under way than a broker takes that can neither say how much nor that it was too much", async (context) => {
    const other = await OtherBroker.start(context);
    const ours = await startOurs(context, other.url, ["--mqtt-sn-upstream-version=4"]);
    await connected(ours);
    const there = await other.watch("t");
    const here = await watch(context, ours.port);
    const numbers = Array.from({ length: 400 }, (_, index) => index + 1);
    await Promise.all(numbers.map((number) => here.publish("mqtt-sn/t", `${number}`, number % 2 === 0 ? 1 : 2)));
    assert.deepEqual(
      (await there.until(400)).sort(),
      numbers.map((number) => `t ${number} qos${number % 2 === 0 ? 1 : 2}`).sort(),
    );
  });

  for (const maximumQos of [0, 1]) {
    test(`a broker that takes QoS ${maximumQos} at most gets all by that, and nothing waits for more`, async (context) => {
      const other = await OtherBroker.start(context, `allow_anonymous true\nmax_qos ${maximumQos}`);
      const ours = await startOurs(context, other.url, ["--sys-interval=1s"]);
      await connected(ours);
      const there = await other.watch("#");
      const here = await watch(context, ours.port);
      // More than may be under way at a time.
      const numbers = Array.from({ length: 120 }, (_, index) => index + 1);
      await Promise.all(numbers.map((number) => here.publish("mqtt-sn/t", `${number}`, number % 2 === 0 ? 1 : 2)));
      const label = maximumQos === 0 ? "" : " qos1";
      const heard = await there.until(120);
      assert.deepEqual(heard.sort(), numbers.map((number) => `t ${number}${label}`).sort());
      const sys = await watch(context, ours.port, "$SYS/broker/mqtt-sn/upstream/+");
      await until(
        () => ["sent 120", "waiting 0"].every((text) => sys.heard.some((line) => line.includes(`/${text}`))),
        () => String(sys.heard),
      );
    });
  }

  for (const version of [5, 4]) {
    test(`MQTT ${version}: a broker that is to be its own upstream sees it, and says what to do`, async (context) => {
      const port = await freePort();
      const ours = await startOurs(context, `mqtt://127.0.0.1:${port}`, [
        `--tcp-port=${port}`,
        `--mqtt-sn-upstream-version=${version}`,
      ]);
      const { reason } = await ours.program.line(/^Cannot connect with the other broker/);
      assert.match(String(reason), /it is this broker itself.*--mqtt-sn-upstream/);
      const device = await joinDevice(context, "one", ours);
      await subscribe(device, "#");
      // As long as an attempt takes, and longer.
      await sleep(200);
      assert.equal(
        ours.program.lines.filter(({ message }) => message.startsWith("Connected with the other")).length,
        0,
      );
    });
  }

  test("two brokers that fetch everything from each other come to rest", async (context) => {
    const [port, otherPort] = [await freePort(), await freePort()];
    const one = await startOurs(context, `mqtt://127.0.0.1:${otherPort}`, [
      `--tcp-port=${port}`,
      "--mqtt-sn-upstream-client-id=one",
    ]);
    const two = await startOurs(context, `mqtt://127.0.0.1:${port}`, [
      `--tcp-port=${otherPort}`,
      "--mqtt-sn-upstream-client-id=two",
    ]);
    await Promise.all([connected(one), connected(two)]);
    for (const ours of [one, two]) {
      const device = await joinDevice(context, "all", ours);
      device.subscribe("#");
      await device.until("SUBACK #1 qos1 code0");
    }
    const all = await watch(context, port, "#");
    const dropped = "A message of the other broker is dropped";
    await until(async () => {
      await all.publish("seed", "x");
      return two.program.stdout.includes(dropped);
    }, dropped);
    const { topic, reason } = await two.program.line(dropped);
    assert.equal(topic, "mqtt-sn/mqtt-sn/seed");
    assert.match(String(reason), /the other broker fetches from this one/);
    await sleep(100);
    assert.deepEqual([...new Set(all.heard)], ["seed x qos1", "mqtt-sn/mqtt-sn/seed x qos1"]);
  });
});
