import assert from "node:assert/strict";
import { test } from "node:test";
import { allowAll, createBroker, TcpListener } from "../../../src/library.ts";
import { freePort } from "../../support/free-port.ts";
import { untilServing } from "./serving.ts";

test("serving is to be connected and to have read the retained message, and nothing less", async () => {
  const port = await freePort();
  const broker = createBroker({ auth: allowAll() });
  const seen: string[] = [];
  const serving = untilServing(port, "bench/retained/1").then(() => seen.push("serving"));
  try {
    await broker.addListener(new TcpListener({ name: "main", host: "127.0.0.1", port, turn: broker.turn }));
    await broker.start();
    // It is asked meanwhile, and has nothing: another topic's message is not what is waited for.
    broker.publish("bench/retained/2", "other", { retain: true });
    await new Promise((resolve) => setTimeout(resolve, 50));
    seen.push("published");
    broker.publish("bench/retained/1", new Uint8Array(200), { retain: true });
    await serving;
    assert.deepEqual(seen, ["published", "serving"]);
  } finally {
    await broker.stop();
  }
});
