import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { suite, test } from "node:test";
import { FakeTty } from "./fake-tty.ts";
import { until } from "./pty.ts";
import { withRig } from "./rig.ts";

/** PINGREQ of MQTT-SN. */
const PINGREQ = Uint8Array.of(2, 0x16);

suite("what is sent on a serial line", { concurrency: true }, () => {
  test(
    "a line that takes nothing refuses more, and goes on in order when it does",
    withRig(async ({ folder, heard, open }) => {
      const pty = await folder.plug("meter");
      const line = open("meter", "framing=raw,max=300");
      await heard.heard("up meter");
      await pty.stopReading();
      const expected: Buffer[] = [];
      for (let number = 0; ; number++) {
        const message = Buffer.alloc(254, number % 251);
        message.set([254, 0x0c]);
        if (!line.send(message)) break;
        expected.push(message);
      }
      assert.equal(
        line.pendingBytes >= 2048 && line.pendingBytes < 2048 + 254,
        true,
        `${line.pendingBytes} bytes wait`,
      );
      assert.equal(heard.count("drain meter"), 0);
      pty.goOnReading();
      await heard.heard("drain meter");
      assert.equal(line.pendingBytes, 0);
      const bytes = Buffer.concat(expected);
      await until(() => pty.sent.length >= bytes.length, "everything");
      assert.equal(pty.sent.equals(bytes), true);
      assert.deepEqual([line.state().writes, line.state().bytesSent], [expected.length, bytes.length]);
      await new Promise((resolve) => setTimeout(resolve, 20));
      assert.equal(heard.count("drain meter"), 1);
    }),
  );

  test(
    "a line on which nothing can be written for long is given up, and opened again",
    withRig(async ({ folder, heard, open }) => {
      const pty = await folder.plug("meter");
      const line = open("meter", "framing=raw", { writeTimeoutMs: 100 });
      await heard.heard("up meter");
      await pty.stopReading();
      const message = Buffer.alloc(254, 0);
      message.set([254, 0x0c]);
      while (line.send(message));
      const waiting = line.pendingBytes;
      const reason = `it took none of ${waiting} bytes for 0.1 s: is the other end alive, and does it want the flow control that is set here?`;
      await heard.heard(`down meter: ${reason}`);
      assert.equal(line.pendingBytes, 0);
      assert.equal(line.state().writeErrors, 1);
      pty.goOnReading();
      await heard.heard("up meter", 2);
      const before = pty.sent.length;
      assert.equal(line.send(message), true);
      await until(() => pty.sent.length > before, "the next message");
    }),
  );

  test(
    "both directions go on while the other one is full",
    withRig(async ({ folder, heard, open }) => {
      const pty = await folder.plug("meter");
      const line = open("meter", "framing=raw");
      await heard.heard("up meter");
      await pty.stopReading();
      const message = Buffer.alloc(254, 0);
      message.set([254, 0x0c]);
      while (line.send(message));
      // The line waits for room now; what comes in must be read all the same.
      pty.goOnReading();
      for (let count = 0; count < 400; count++) pty.write(PINGREQ);
      await heard.heard("frame meter 0216", 400);
      await heard.heard("drain meter");
    }),
  );

  test(
    "a device that fails when it is written is given up with what the system said",
    withRig(async ({ folder, heard, open }) => {
      writeFileSync(folder.at("meter"), "");
      const fake = new FakeTty(folder.at("meter"));
      const line = open("meter", "framing=slip-crc", { openTty: fake.open });
      await heard.heard("up meter");
      fake.failure = Object.assign(new Error("EIO: i/o error, write"), { code: "EIO" });
      assert.equal(line.send(PINGREQ), true);
      assert.deepEqual(heard.events, ["up meter", "down meter: it was unplugged"]);
      assert.equal(line.send(PINGREQ), false);
      assert.deepEqual([line.pendingBytes, line.state().writes], [0, 0]);
      fake.failure = undefined;
      await heard.heard("up meter", 2);
      fake.failure = Object.assign(new Error("EINVAL: invalid argument, write"), { code: "EINVAL" });
      line.send(PINGREQ);
      assert.equal(heard.events.at(-1), "down meter: the system said: EINVAL: invalid argument, write");
    }),
  );
});
