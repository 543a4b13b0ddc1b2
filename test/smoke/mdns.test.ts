/** The whole program, as a machine in the same network finds it by mDNS, and sees it go. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { edgeAndSensor, type Machine } from "../device/mdns/lan.ts";
import type { Running } from "./program.ts";

const RAW = join(import.meta.dirname, "../device/mdns/raw.ts");
const MQTT = "_mqtt._tcp";
const FOUND_MS_MAX = 3_000;
const GOODBYE_MS_MAX = 1_000;
/** RFC 6762, 10.1: whoever hears a goodbye keeps the record for one second more. */
const GONE_MS_MAX = 1_500;
/** Avahi and the sensor have to wait for the processor too, when other tests have it: so many starts, until one is quick. */
const ATTEMPTS = 3;

/** While other programs had the processor that it was ready for; 0 where the kernel does not say. */
function waitedMs({ pid }: Running): number {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[1]) / 1e6;
  } catch {
    return 0;
  }
}

/** As `tookMs`: from the start of the program to a message that the sensor published where it found it. */
async function start(edge: Machine, sensor: Machine, mode: string) {
  const browser = sensor.browse(MQTT);
  const startedMs = performance.now();
  const broker = edge.broker("--mdns", mode, "--mdns-name", "Edge", "--tcp-port", "1883", "--allow-anonymous");
  await broker.line(/^Found by mDNS on edge\.local as/);
  const { address, port } = await browser.seen(({ name }) => name === "Edge", `Edge by ${mode}`);
  await sensor.run("mosquitto_pub", "-h", address, "-p", String(port), "-t", "found", "-m", "it", "-q", "1");
  return { broker, browser, tookMs: performance.now() - startedMs - waitedMs(broker) };
}

async function quickStart(edge: Machine, sensor: Machine, mode: string) {
  const allMs: number[] = [];
  while (allMs.length < ATTEMPTS) {
    const { broker, browser, tookMs } = await start(edge, sensor, mode);
    if (tookMs < FOUND_MS_MAX) return { broker, browser };
    allMs.push(tookMs);
    await broker.stop();
    await browser.gone("Edge", MQTT);
  }
  return assert.fail(`found after ${allMs.join(", ")} ms`);
}

/** Resolves when the sensor has heard a goodbye. */
async function goodbye(ear: Running, linesBefore: number): Promise<void> {
  const isHeard = (): boolean => ear.lines.slice(linesBefore).some(({ message }) => message === "goodbye");
  await ear.until(isHeard, "a goodbye");
}

suite("the whole program by mDNS", { concurrency: true }, () => {
  for (const mode of ["bonjour", "avahi"]) {
    test(`by ${mode} a sensor publishes within 3 s of start where it found it, and hears of its end within 1 s of stop`, async (context) => {
      const { edge, sensor } = await edgeAndSensor(context);
      if (mode === "avahi") await edge.startAvahi();
      const ear = sensor.start(process.execPath, RAW, "ear", "192.0.2.2");
      await ear.line("listening");
      const { broker, browser } = await quickStart(edge, sensor, mode);
      const { length } = ear.lines;
      const stoppedMs = performance.now();
      broker.child.kill("SIGTERM");
      await goodbye(ear, length);
      const goodbyeMs = performance.now() - stoppedMs;
      await browser.gone("Edge", MQTT);
      const goneMs = performance.now() - stoppedMs;
      assert.ok(goodbyeMs < GOODBYE_MS_MAX, `its goodbye came after ${goodbyeMs} ms`);
      assert.ok(goneMs < GONE_MS_MAX, `it was gone after ${goneMs} ms`);
      assert.deepEqual([(await broker.ended).code, broker.stderr], [0, ""]);
    });
  }

  test("goes over to an Avahi that starts later; one that hangs does not keep it from ending in order", async (context) => {
    const { edge, sensor } = await edgeAndSensor(context);
    await edge.startBus();
    const words = ["--mdns-name", "edge", "--tcp-port", "1883", "--allow-anonymous", "--sys-interval", "1s"];
    const broker = edge.broker(...words);
    await broker.line(/^Found by mDNS on edge\.local as/, ({ provider }) => provider === "bonjour");
    await edge.startAvahi();
    await broker.line(/^Found by mDNS on edge\.local as/, ({ provider }) => provider === "avahi");
    const sys = sensor.start("mosquitto_sub", "-h", "192.0.2.1", "-t", "$SYS/broker/mdns/provider");
    await sys.saw("avahi\n");
    const client = sensor.start("stdbuf", "-oL", "mosquitto_sub", "-V", "5", "-h", "192.0.2.1", "-t", "a", "-d");
    await client.saw("received SUBACK");
    edge.freezeAvahi();
    const { code, tookMs } = await broker.stop();
    assert.ok(tookMs < 2_000, `it ended after ${tookMs} ms`);
    assert.deepEqual([code, broker.stderr], [0, ""]);
    // 5.0: 0x8B, Server shutting down.
    await client.saw("Received DISCONNECT (139)");
  });
});
