/** The other broker away, and this one cut off: what is acknowledged is not lost on either side. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { suite, test } from "node:test";
import { SnType } from "../../src/gateway/mqttsn/codec/types.ts";
import { emptyFolder } from "../smoke/program.ts";
import { connected, joinDevice, OtherBroker, publishSafely, startOurs, subscribe, until, watch } from "./kit.ts";

suite("away from the other broker", { concurrency: 4 }, () => {
  test("both ways nothing is lost when the other broker is away and this one is killed meanwhile", async (context) => {
    const other = await OtherBroker.start(context);
    const cwd = emptyFolder(context);
    const before = await startOurs(context, other.url, [], { cwd });
    await connected(before);
    const sleeper = await joinDevice(context, "sleeper", before);
    await subscribe(sleeper, "cmd/+");
    const sender = await joinDevice(context, "sender", before);
    await subscribe(sender, "gone/#");
    const there = await other.watch("copy/a");
    await there.publish("copy/a", "old", 1, true);
    await there.publish("copy/b", "good", 1, true);
    await subscribe(sleeper, "copy/+");
    await sleeper.until('PUBLISH copy/b "good" qos1 #2');
    sleeper.disconnect(600);
    await sleeper.until("DISCONNECT");
    await publishSafely(sender, "t", "0", 10);
    // Its acknowledgement has arrived before what that broker sends later, or it would rightly go there twice.
    await until(() => other.lines(/Sending PUBACK to mqtt-sn-/).length === 1, "PUBACK of the other broker");
    await there.publish("gone/x", "y");
    await sender.until('PUBLISH gone/x "y" qos1 #1');
    await other.stop();
    await before.program.line(/^The other broker of the MQTT-SN clients is lost/);
    sender.publish("t", "nobody keeps QoS 0");
    for (const number of [1, 2, 3]) await publishSafely(sender, "t", `${number}`, 10 + number);
    sender.send({ type: SnType.Unsubscribe, messageId: 20, topic: { topicIdType: 0, name: "gone/#" } });
    await sender.until("UNSUBACK #20");
    await before.program.stop("SIGKILL");

    await other.start();
    const late = await other.watch("t");
    await late.publish("cmd/x", "1");
    await late.publish("cmd/y", "2", 2);
    // Of QoS 0 Mosquitto keeps nothing for who is away, so nobody tells us that this one is gone.
    await late.publish("copy/a", "", 0, true);
    const after = await startOurs(context, other.url, [], { cwd });
    await connected(after);
    assert.deepEqual(await late.until(3), ["t 1 qos1", "t 2 qos1", "t 3 qos1"]);
    await until(() => other.lines(/^\d+: \tgone\/#$/).length === 1, "UNSUBSCRIBE of gone/#");
    assert.equal(other.lines(/^\d+: \tcmd\/\+$/).length, 0);
    sleeper.port = after.snPort;
    sleeper.connect();
    assert.deepEqual(await sleeper.until('PUBLISH cmd/y "2" qos1 #2'), [
      "CONNACK code0",
      "REGISTER cmd/x",
      'PUBLISH cmd/x "1" qos1 #1',
      "REGISTER cmd/y",
      'PUBLISH cmd/y "2" qos1 #2',
    ]);
    // What was deleted there meanwhile is deleted here when nothing of it has come; the other copy stays.
    const local = await watch(context, after.port, "mqtt-sn/copy/+");
    await until(
      () => local.heard.includes("mqtt-sn/copy/a  retain"),
      () => `no removal: ${local.heard}`,
    );
    const later = await watch(context, after.port, "mqtt-sn/copy/+");
    assert.deepEqual(await later.until(1), ["mqtt-sn/copy/b good qos1 retain"]);
  });

  test("after a while without the other broker all goes on as before, in order, and each message once", async (context) => {
    const other = await OtherBroker.start(context);
    await other.stop();
    const ours = await startOurs(context, other.url, ["--sys-interval=1s"]);
    const device = await joinDevice(context, "one", ours);
    // Before it was ever there.
    await publishSafely(device, "t", "0", 10);
    await other.start();
    await connected(ours);
    await until(() => other.lines(/Received PUBLISH from mqtt-sn-\S+ \(.*'t'/).length === 1, "the first message");
    await subscribe(device, "cmd");
    await until(() => other.lines(/Sending SUBACK to mqtt-sn-/).length === 1, "SUBACK");
    await other.stop();
    const sys = await watch(context, ours.port, "$SYS/broker/mqtt-sn/upstream/+");
    for (const number of [1, 2, 3, 4]) await publishSafely(device, "t", `${number}`, 10 + number);
    await until(
      () => sys.heard.some((line) => line.startsWith("$SYS/broker/mqtt-sn/upstream/waiting 4")),
      () => `waiting 4: ${sys.heard}`,
    );
    assert.equal(
      sys.heard.some((line) => line.startsWith("$SYS/broker/mqtt-sn/upstream/connected 0")),
      true,
    );
    await other.start();
    const there = await other.watch("#");
    await connected(ours, 2);
    await publishSafely(device, "t", "5", 15);
    await until(() => there.heard.includes("t 5 qos1"), "the last message");
    // It may have come back before the watcher looked, but never out of order and never twice.
    const numbers = there.heard.map((line) => Number(line.split(" ")[1]));
    assert.deepEqual(numbers, [1, 2, 3, 4, 5].slice(-numbers.length));
    await there.publish("cmd", "again");
    assert.deepEqual(await device.until('PUBLISH cmd "again" qos1 #1'), ['PUBLISH cmd "again" qos1 #1']);
  });

  test("a stop lets what is under way arrive and says goodbye", async (context) => {
    const other = await OtherBroker.start(context);
    const ours = await startOurs(context, other.url);
    await connected(ours);
    const there = await other.watch("#");
    const device = await joinDevice(context, "one", ours);
    for (const number of [1, 2, 3, 4, 5]) await publishSafely(device, "t", `${number}`, number);
    const { code } = await ours.program.stop();
    assert.equal(code, 0);
    assert.deepEqual(
      await there.until(5),
      ["1", "2", "3", "4", "5"].map((text) => `t ${text} qos1`),
    );
    await until(() => other.lines(/Received DISCONNECT from mqtt-sn-/).length === 1, "DISCONNECT");
  });

  test("a message that the other broker has not acknowledged is sent again, with DUP, after a cut", async (context) => {
    const came: string[] = [];
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", (bytes) => {
        // CONNACK of 5.0, with a session after the first time.
        if (bytes[0] === 0x10) socket.write(Buffer.from([0x20, 0x03, came.length > 0 ? 1 : 0, 0x00, 0x00]));
        const at = bytes.indexOf("precious");
        if (at === -1) return;
        // Topic "t", its packet identifier and no properties stand before the payload.
        came.push(bytes.subarray(at - 8, at).toString("hex"));
        if (came.length === 1) socket.destroy();
        else socket.write(Buffer.from([0x40, 0x02, bytes[at - 3]!, bytes[at - 2]!]));
      });
    });
    server.listen(0, "127.0.0.1");
    context.after(() => void server.close());
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const ours = await startOurs(context, `mqtt://127.0.0.1:${port}`, ["--sys-interval=1s"]);
    await connected(ours);
    await publishSafely(await joinDevice(context, "one", ours), "t", "precious", 5);
    await connected(ours, 2);
    const sys = await watch(context, ours.port, "$SYS/broker/mqtt-sn/upstream/waiting");
    await until(
      () => came.length === 2,
      () => String(came),
    );
    await until(() => sys.heard.at(-1)?.startsWith("$SYS/broker/mqtt-sn/upstream/waiting 0") === true, "nothing waits");
    assert.deepEqual(came, ["320e000174000100", "3a0e000174000100"]);
    await ours.program.stop();
  });
});
