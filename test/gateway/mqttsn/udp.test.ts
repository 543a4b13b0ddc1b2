import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { SnGateway } from "../../../src/gateway/mqttsn/gateway.ts";
import { DEFAULT_SETTINGS } from "../../../src/gateway/mqttsn/settings.ts";
import { UdpListener } from "../../../src/gateway/mqttsn/udp.ts";
import { TestLog } from "../../core/stage.ts";
import { UdpDevice } from "./udp-device.ts";
import { startUdpHost } from "./udp-host.ts";

test("over UDP: publish, subscribe, sleep and wake, each client by its own address", async (context) => {
  const host = await startUdpHost();
  context.after(() => host.stop());
  const [one, two] = [await UdpDevice.open(context, "one", host.port), await UdpDevice.open(context, "two", host.port)];
  for (const device of [one, two]) {
    device.connect();
    await device.until("CONNACK code0");
  }
  one.subscribe("t", 2);
  await one.until("SUBACK #1 qos2 code0");
  two.register("t");
  await two.until("REGACK #1 code0");
  two.publish("t", "x", { qos: 1, messageId: 5 });
  assert.deepEqual(await two.until("PUBACK #5 code0"), ["PUBACK #5 code0"]);
  assert.deepEqual(await one.until('PUBLISH t "x" qos1 #1'), ['PUBLISH t "x" qos1 #1']);
  one.disconnect(60);
  await one.until("DISCONNECT");
  two.publish("t", "y", { qos: 2, messageId: 6 });
  await two.until("PUBREC #6");
  one.wake();
  assert.deepEqual(await one.until("PINGRESP"), ['PUBLISH t "y" qos2 #2', "PUBREL #2", "PINGRESP"]);
});

test("a broker that stops tells its clients over UDP", async (context) => {
  const host = await startUdpHost();
  const device = await UdpDevice.open(context, "a", host.port);
  device.connect();
  await device.until("CONNACK code0");
  await host.stop();
  assert.deepEqual(await device.until("DISCONNECT"), ["DISCONNECT"]);
});

test("a port that is in use is named with what to do", async (context) => {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  context.after(() => void socket.close());
  await once(socket, "listening");
  const log = new TestLog("info");
  const world = { log, flushes: { add: () => {} }, nowMs: () => 0, schedule: () => {} };
  const listener = new UdpListener({
    name: "sn",
    host: "127.0.0.1",
    port: socket.address().port,
    gateway: new SnGateway(DEFAULT_SETTINGS, world),
    log,
    advertiseSeconds: 0,
  });
  await assert.rejects(
    listener.listen(() => assert.fail()),
    /^Error: Cannot listen on mqtt-sn-udp:\/\/127\.0\.0\.1:\d+: the port is in use by another program/,
  );
});
