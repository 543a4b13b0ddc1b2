import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { freePort } from "../support/free-port.ts";

const TOUR = join(import.meta.dirname, "../../examples/serial/tour.sh");

test("examples/serial: the firmware's node speaks with the broker over a pty, sleeps, and hears of a set-point", async () => {
  const port = await freePort();
  const tour = spawn("sh", [TOUR, "5"], {
    env: { ...process.env, PORT: String(port) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines: string[] = [];
  const events: Record<string, unknown>[] = [];
  for await (const line of createInterface({ input: tour.stdout })) {
    lines.push(line);
    const event = line.startsWith("{") ? (JSON.parse(line) as Record<string, unknown>) : {};
    if ("event" in event) events.push(event);
  }
  const [status] = tour.exitCode === null ? await once(tour, "exit") : [tour.exitCode];
  const seen = JSON.stringify(lines);
  assert.equal(status, 0, seen);
  for (const name of ["connected", "registered", "subscribed", "published", "asleep", "goodbye"]) {
    assert.ok(
      events.some(({ event }) => event === name),
      `${name} is missing in ${seen}`,
    );
  }
  const heard = events.filter(({ event }) => event === "message").map(({ topic, data }) => `${topic} ${data}`);
  assert.deepEqual(heard, ["garden/pump/set off", "garden/pump/set on"], seen);
  assert.ok(lines.includes("garden/temperature 21.2"), seen);
});
