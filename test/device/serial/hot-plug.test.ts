import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { symlinkSync, writeFileSync } from "node:fs";
import { mock, suite, test } from "node:test";
import { framingOf } from "../../../device/serial/framing/framing.ts";
import type { OpenTty } from "../../../device/serial/tty.ts";
import { FakeTty } from "./fake-tty.ts";
import { until } from "./pty.ts";
import { withRig } from "./rig.ts";

/** DISCONNECT and PINGREQ of MQTT-SN. */
const DISCONNECT = Uint8Array.of(2, 0x18);
const PINGREQ = Uint8Array.of(2, 0x16);

test(
  "a device that is unplugged while it sends is noticed at once, and costs nothing",
  withRig(async ({ folder, heard, open }) => {
    const line = open("meter");
    for (let round = 1; round <= 10; round++) {
      const pty = await folder.plug("meter");
      await heard.heard("up meter", round);
      pty.write(slipCrc(PINGREQ));
      await heard.heard("frame meter 0216", round);
      const flood = setInterval(() => pty.write(Buffer.alloc(16_384)), 1);
      const before = line.state().bytes;
      await until(() => line.state().bytes > before + 50_000, "the flood");
      clearInterval(flood);
      await pty.unplug();
      await heard.heard("down meter: it was unplugged", round);
    }
    const used = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, 200));
    const { user, system } = process.cpuUsage(used);
    assert.equal(user + system < 100_000, true, `${user + system} us of processor time in 0.2 s without a device`);
  }),
);

test(
  "a line is looked for each second, for ever",
  withRig(async ({ folder, open }) => {
    writeFileSync(folder.at("meter"), "");
    let attempts = 0;
    mock.timers.enable({ apis: ["setTimeout"] });
    try {
      const openTty: OpenTty = async () => {
        attempts++;
        throw new Error("Error: No such device, cannot open it");
      };
      open("meter", "framing=slip-crc", { openTty });
      for (let second = 0; second < 3600; second++) {
        mock.timers.tick(1000);
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      mock.timers.reset();
    }
    // The first ones come a little more often.
    assert.equal(attempts >= 3600 && attempts < 3620, true, `${attempts} attempts in an hour`);
  }),
);

suite("a serial line that comes and goes", { concurrency: true }, () => {
  test(
    "a line is opened within 1.5 s however long it was away",
    withRig(async ({ folder, heard, log, open }) => {
      open("meter");
      // The pauses between looks have grown to their longest.
      await new Promise((resolve) => setTimeout(resolve, 1400));
      await folder.plug("meter");
      const pluggedMs = performance.now();
      await heard.heard("up meter");
      assert.equal(performance.now() - pluggedMs < 1500, true);
      const told = "info Waiting for a serial line line=meter reason=";
      assert.equal(
        log.find(told),
        `${told}${folder.at("meter")} is not there; it is opened as soon as it is plugged in`,
      );
      assert.equal(log.lines.filter((text) => text.startsWith(told)).length, 1);
    }),
  );

  test(
    "a link that comes to lead to another device is followed, though the old device is still there",
    withRig(async ({ folder, heard, open }) => {
      const old = await folder.plug("old");
      const young = await folder.plug("young");
      symlinkSync(old.device, folder.at("meter"));
      const line = open("meter");
      await heard.heard("up meter");
      execFileSync("ln", ["-sfn", young.device, folder.at("meter")]);
      await heard.heard("down meter: its path leads to another device now");
      await heard.heard("up meter", 2);
      assert.equal(line.state().device, young.device);
      young.write(slipCrc(PINGREQ));
      await heard.heard("frame meter 0216");
    }),
  );

  test(
    "a line that is unplugged and plugged in a hundred times comes back each time, and frames flow",
    withRig(async ({ folder, heard, open }) => {
      const line = open("meter");
      for (let round = 1; round <= 100; round++) {
        const pty = await folder.plug("meter");
        await heard.heard("up meter", round);
        pty.write(slipCrc(PINGREQ));
        await heard.heard("frame meter 0216", round);
        assert.equal(line.send(DISCONNECT), true);
        await until(() => pty.sent.length > 0, "what was sent");
        assert.deepEqual(pty.sent, Buffer.from(slipCrc(DISCONNECT)));
        await pty.unplug();
        await heard.heard("down meter: it was unplugged", round);
      }
      const { opens, frames, writes, checksumErrors, resyncs } = line.state();
      assert.deepEqual([opens, frames, writes, checksumErrors, resyncs], [100, 100, 100, 0, 0]);
    }),
  );

  test(
    "a device that is gone as soon as it is open is not opened all the time",
    withRig(async ({ folder, heard, open }) => {
      writeFileSync(folder.at("meter"), "");
      const fake = new FakeTty(folder.at("meter"));
      const line = open("meter", "framing=slip-crc", { openTty: fake.open });
      const timer = setInterval(() => fake.events?.onGone("it was unplugged"), 1);
      await new Promise((resolve) => setTimeout(resolve, 400));
      clearInterval(timer);
      // 10, 20, 40, 80, 160 ms after each other.
      const { opens } = line.state();
      assert.equal(opens >= 3 && opens <= 6, true, `${opens} opens`);
      assert.equal(heard.count("up meter"), opens);
    }),
  );
});

function slipCrc(message: Uint8Array): Uint8Array {
  return framingOf("slip-crc").encode(message, undefined);
}
