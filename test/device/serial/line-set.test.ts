import assert from "node:assert/strict";
import { symlinkSync } from "node:fs";
import { suite, test } from "node:test";
import { until } from "./pty.ts";
import { withRig } from "./rig.ts";

suite("a set of lines", { concurrency: true }, () => {
  test(
    "a glob takes new devices as they appear, and lets go of those that are gone",
    withRig(async ({ folder, heard, log, openSet }) => {
      const set = openSet("ttyACM*:9600,framing=slip");
      assert.deepEqual(set.states(), []);
      assert.equal(
        log.find("info Waiting"),
        `info Waiting for serial lines path=${folder.at("ttyACM*")} reason=nothing fits it yet`,
      );
      const first = await folder.plug("ttyACM0");
      await heard.heard("up ttyACM0");
      await folder.plug("ttyACM1");
      await folder.plug("ttyUSB0");
      await heard.heard("up ttyACM1");
      assert.deepEqual(
        set.states().map(({ name, path, isUp, baudRate, framing }) => [name, path, isUp, baudRate, framing]),
        [
          ["ttyACM0", folder.at("ttyACM0"), true, 9600, "slip"],
          ["ttyACM1", folder.at("ttyACM1"), true, 9600, "slip"],
        ],
      );
      await first.unplug();
      await heard.heard("down ttyACM0: it was unplugged");
      await until(() => set.lines.length === 1, "ttyACM0 to be let go");
      await folder.plug("ttyACM0");
      await heard.heard("up ttyACM0", 2);
      assert.deepEqual(
        set.lines.map(({ name }) => name),
        ["ttyACM1", "ttyACM0"],
      );
      assert.equal(
        heard.events.some((event) => event.includes("ttyUSB0")),
        false,
      );
    }),
  );

  test(
    "a device that has a line of its own is not taken by a glob",
    withRig(async ({ folder, heard, openSet }) => {
      const pty = await folder.plug("ttyACM0");
      symlinkSync(pty.device, folder.at("by-id"));
      await folder.plug("ttyACM1");
      const set = openSet("ttyACM*", "by-id,name=garden");
      await heard.heard("up garden");
      await heard.heard("up ttyACM1");
      assert.deepEqual(
        set.lines.map(({ name }) => name),
        ["garden", "ttyACM1"],
      );
    }),
  );

  test(
    "a glob gives a device up when the stable name of a line comes to lead to it",
    withRig(async ({ folder, heard, log, openSet }) => {
      const pty = await folder.plug("ttyACM0");
      const set = openSet("by-id,name=garden", "ttyACM*");
      await heard.heard("up ttyACM0");
      symlinkSync(pty.device, folder.at("by-id"));
      await heard.heard("up garden");
      assert.deepEqual(heard.events, ["up ttyACM0", "down ttyACM0: it was closed", "up garden"]);
      assert.deepEqual(
        set.lines.map(({ name }) => name),
        ["garden"],
      );
      assert.equal(log.find("warn A serial line cannot"), undefined);
    }),
  );

  test(
    "two lines that lead to one device open it once, which is told once",
    withRig(async ({ folder, heard, log, openSet }) => {
      const pty = await folder.plug("ttyUSB0");
      symlinkSync(pty.device, folder.at("by-id"));
      const set = openSet("by-id", "ttyUSB0");
      await heard.heard("up by-id");
      const told = "warn Two serial lines lead to one device line=ttyUSB0 ";
      assert.equal(
        await log.line(told),
        `${told}device=${pty.device} reason=${folder.at("by-id")} is the same device and has it: leave one of the two out`,
      );
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.deepEqual(heard.events, ["up by-id"]);
      assert.deepEqual(
        set.states().map(({ isUp, reason, opens }) => [isUp, reason, opens]),
        [
          [true, "", 1],
          [false, `another line has ${pty.device}`, 0],
        ],
      );
      assert.equal(log.lines.filter((line) => line.startsWith(told)).length, 1);
    }),
  );

  test(
    "each line has a name of its own, since names become topics",
    withRig(async ({ folder, heard, openSet }) => {
      await folder.plug("ttyACM0");
      const set = openSet("meter,name=garden", "x/meter,name=garden", "ttyACM?,name=field", "meter");
      await heard.heard("up field-ttyACM0");
      assert.deepEqual(
        set.lines.map(({ name }) => name),
        ["garden", folder.at("x-meter").slice(1).replaceAll("/", "-"), "meter", "field-ttyACM0"],
      );
    }),
  );

  test(
    "signs of a path that mean something in regular expressions stand for themselves",
    withRig(async ({ folder, heard, openSet }) => {
      await folder.plug("usb-A.B+0");
      await folder.plug("usb-AxBB0");
      const set = openSet("usb-A.B+?");
      await heard.heard("up usb-A.B+0");
      assert.deepEqual(
        set.lines.map(({ name }) => name),
        ["usb-A.B+0"],
      );
    }),
  );

  test(
    "a closed set has closed every line, and takes no new ones",
    withRig(async ({ folder, heard, openSet }) => {
      const pty = await folder.plug("ttyACM0");
      const set = openSet("ttyACM*");
      await heard.heard("up ttyACM0");
      await set.close();
      await set.close();
      await folder.plug("ttyACM1");
      await new Promise((resolve) => setTimeout(resolve, 1100));
      assert.deepEqual(heard.events, ["up ttyACM0", "down ttyACM0: it was closed"]);
      await pty.unplug();
    }),
  );
});
