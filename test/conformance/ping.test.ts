import { after, test } from "node:test";
import { startBroker } from "../support/broker.ts";

const broker = await startBroker();
after(() => broker.stop());

for (const [version, id] of [
  [5, "5.0 [MQTT-3.12.4-1]"],
  [4, "3.1.1 [MQTT-3.12.4-1]"],
  [3, "3.1 §3.12"],
] as const) {
  test(`${id} answers PINGREQ with PINGRESP`, async () => {
    const client = await broker.connect({ version });
    client.sendBytes("c000");
    await client.expectBytes("d000");
    await client.disconnect();
  });

  test(`${id} answers each of several PINGREQ in one segment`, async () => {
    const client = await broker.connect({ version });
    client.sendBytes("c000 c000 c000");
    await client.expectBytes("d000");
    await client.expectBytes("d000");
    await client.expectBytes("d000");
    await client.disconnect();
  });
}
