import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, writeFileSync } from "node:fs";
import { suite, test } from "node:test";
import { parseLine } from "../../../device/serial/line-spec.ts";
import { adviceFor, troubleKind, troubleOf } from "../../../device/serial/line-trouble.ts";
import { withRig } from "./rig.ts";

suite("trouble with a serial line", { concurrency: true }, () => {
  test(
    "whoever may not open a device is told the group that may",
    withRig(async ({ folder }) => {
      const device = folder.at("ttyUSB0");
      writeFileSync(device, "");
      chmodSync(device, 0o660);
      // Debian's dialout; who is not root can only give a file to a group of its own.
      const group = process.getuid?.() === 0 ? 20 : process.getgid!();
      chownSync(device, process.getuid!(), group);
      const groupName = execFileSync("getent", ["group", String(group)], { encoding: "utf8" }).split(":")[0];
      const user = execFileSync("id", ["-un"], { encoding: "utf8" }).trim();
      const denied = new Error(`Error: Permission denied, cannot open ${device}`);
      assert.equal(
        await troubleOf(denied, device, device, parseLine(device, [])!),
        `this user may not open ${device}, which belongs to ${user}:${groupName} with the rights 0660: sudo usermod -aG ${groupName} ${user}, then start the broker again`,
      );
      chmodSync(device, 0o600);
      assert.equal(
        await troubleOf(denied, device, device, parseLine(device, [])!),
        `this user may not open ${device}, which belongs to ${user}:${groupName} with the rights 0600: install 60-mqtt-broker-serial.rules, which gives it to the group dialout`,
      );
    }),
  );

  test(
    "a device whose holder may not be seen comes with the command that shows it",
    withRig(async ({ folder }) => {
      const device = folder.at("ttyUSB0");
      const busy = new Error(`Error: Device or resource busy, cannot open ${device}`);
      assert.equal(
        await troubleOf(busy, device, device, parseLine(device, [])!),
        `${device} is held by another program, which we may not see: find it with sudo fuser -v ${device} and stop it`,
      );
    }),
  );

  test("the login prompt and the modem manager come with the command that keeps them away", () => {
    assert.equal(
      adviceFor([{ pid: 7, program: "agetty" }], "/dev/ttyAMA0"),
      "stop it with sudo systemctl disable --now serial-getty@ttyAMA0.service",
    );
    assert.equal(
      adviceFor([{ pid: 7, program: "ModemManager" }], "/dev/ttyACM0"),
      "stop it with sudo systemctl disable --now ModemManager, or install 60-mqtt-broker-serial.rules",
    );
    assert.equal(
      adviceFor([{ pid: 7, program: "constructor" }], "/dev/ttyACM0"),
      "stop it, the line is taken as soon as it is free",
    );
  });

  test("what the package says when it cannot open a device is understood", () => {
    const kinds = [
      "Error: No such file or directory, cannot open /dev/ttyUSB0",
      "Error: No such device or address, cannot open /dev/ttyUSB0",
      "Error: Permission denied, cannot open /dev/ttyUSB0",
      "Error: Device or resource busy, cannot open /dev/ttyUSB0",
      "Error Resource temporarily unavailable Cannot lock port",
      "Error: Input/output error, cannot open /dev/ttyUSB0",
    ].map((message) => troubleKind(new Error(message)));
    assert.deepEqual(kinds, ["absent", "absent", "denied", "held", "held", "other"]);
  });

  test("a rate that the device cannot do, and anything else, is told", async () => {
    const line = parseLine("/dev/ttyUSB0:250000", [])!;
    const rate = new Error("Error: Invalid argument || while setting custom baud rate of 250000");
    const tell = (error: Error) => troubleOf(error, line.path, line.path, line);
    assert.equal(await tell(rate), "/dev/ttyUSB0 cannot do 250000 baud: choose another rate");
    const other = "Error: Input/output error, cannot open /dev/ttyUSB0";
    assert.equal(await tell(new Error(other)), `the system said: ${other}`);
  });
});
