import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { after, suite, test } from "node:test";
import { framingOf } from "../../../device/serial/framing/framing.ts";
import { FakeTty } from "./fake-tty.ts";
import { until } from "./pty.ts";
import { withRig } from "./rig.ts";

/** DISCONNECT and PINGREQ of MQTT-SN. */
const DISCONNECT = Uint8Array.of(2, 0x18);
const PINGREQ = Uint8Array.of(2, 0x16);

const started: ChildProcess[] = [];

after(() => {
  for (const child of started) child.kill();
});

suite("a serial line", { concurrency: true }, () => {
  test(
    "a line carries frames both ways, and counts them",
    withRig(async ({ folder, heard, open }) => {
      const pty = await folder.plug("meter");
      const line = open("meter");
      await heard.heard("up meter");
      pty.write(slipCrc(PINGREQ));
      await heard.heard("frame meter 0216");
      assert.equal(line.send(DISCONNECT), true);
      await until(() => pty.sent.length > 0, "what was sent");
      assert.deepEqual(pty.sent, Buffer.from(slipCrc(DISCONNECT)));
      assert.deepEqual(line.state(), {
        name: "meter",
        path: folder.at("meter"),
        device: pty.device,
        isUp: true,
        reason: "",
        framing: "slip-crc",
        baudRate: 115_200,
        pendingBytes: 0,
        frames: 1,
        bytes: slipCrc(PINGREQ).length,
        checksumErrors: 0,
        resyncs: 0,
        discardedBytes: 0,
        opens: 1,
        writes: 1,
        writeErrors: 0,
        tooLong: 0,
        bytesSent: slipCrc(DISCONNECT).length,
      });
      await line.close();
      assert.deepEqual(heard.events, ["up meter", "frame meter 0216", "down meter: it was closed"]);
    }),
  );

  test(
    "every octet passes unchanged in both directions",
    withRig(async ({ folder, heard, open }) => {
      const pty = await folder.plug("meter");
      const line = open("meter", "framing=slip");
      await heard.heard("up meter");
      // A PUBLISH: length, type, flags, topic id, message id, and each octet that there is.
      const all = Uint8Array.from({ length: 256 }, (_, octet) => octet);
      const message = Uint8Array.of(1, 1, 9, 0x0c, 0, 0, 1, 0, 0, ...all);
      pty.write(framingOf("slip").encode(message, undefined));
      await heard.heard(`frame meter ${Buffer.from(message).toString("hex")}`);
      line.send(message);
      const expected = framingOf("slip").encode(message, undefined);
      await until(() => pty.sent.length >= expected.length, "what was sent");
      assert.deepEqual(pty.sent, Buffer.from(expected));
    }),
  );

  test(
    "the device is set up as asked, and the end of its use will not reset an Arduino",
    withRig(async ({ folder, heard, open }) => {
      const pty = await folder.plug("meter");
      // As a real one is.
      execFileSync("stty", ["-F", pty.device, "hupcl"]);
      // A pty keeps 8 bits without parity, whatever it is told.
      open("meter:57600", "framing=raw,flow=rts,stop=2");
      await heard.heard("up meter");
      const after = termios(pty.device);
      assert.match(after, /speed 57600 baud/);
      for (const setting of ["-hupcl", "crtscts", "cstopb", "clocal", "cread", "-icanon", "-echo", "-opost", "-ixon"]) {
        assert.equal(after.split(/[\s;]+/).includes(setting), true, `${setting} in ${after}`);
      }
    }),
  );

  test(
    "the framing is found out, and kept for what is sent after the line was away",
    withRig(async ({ folder, heard, log, open }) => {
      const pty = await folder.plug("meter");
      const line = open("meter", "framing=auto");
      await heard.heard("up meter");
      assert.equal(line.send(DISCONNECT), false);
      assert.equal(line.state().framing, "auto");
      pty.write(framingOf("cobs").encode(PINGREQ, undefined));
      pty.write(framingOf("cobs").encode(PINGREQ, undefined));
      await heard.heard("frame meter 0216", 2);
      assert.deepEqual(heard.events, ["up meter", "framing meter cobs", "frame meter 0216", "frame meter 0216"]);
      assert.equal(log.find("info The framing"), "info The framing of a serial line is known line=meter framing=cobs");
      await pty.unplug();
      const again = await folder.plug("meter");
      await heard.heard("up meter", 2);
      assert.equal(line.send(DISCONNECT), true);
      await until(() => again.sent.length > 0, "what was sent");
      assert.deepEqual(again.sent, Buffer.from(framingOf("cobs").encode(DISCONNECT, undefined)));
    }),
  );

  test(
    "an unfinished message is given up at the gap that was set",
    withRig(async ({ folder, heard, open }) => {
      const pty = await folder.plug("meter");
      const line = open("meter", "framing=raw,gap=50ms");
      await heard.heard("up meter");
      pty.write(Uint8Array.of(20, 0x0c, 0));
      await until(() => line.state().bytes === 3, "the beginning");
      const sinceMs = performance.now();
      await until(() => line.state().resyncs === 1, "the gap");
      const tookMs = performance.now() - sinceMs;
      assert.equal(tookMs > 30 && tookMs < 500, true, `given up after ${tookMs} ms`);
      assert.equal(line.state().discardedBytes, 3);
      pty.write(PINGREQ);
      await heard.heard("frame meter 0216");
    }),
  );

  test(
    "a message that the framing cannot carry is counted and told, and blocks nothing",
    withRig(async ({ folder, heard, log, open }) => {
      await folder.plug("meter");
      const line = open("meter", "framing=xbee1");
      await heard.heard("up meter");
      const message = new Uint8Array(70_000);
      assert.equal(line.send(message), true);
      assert.equal(line.state().tooLong, 1);
      assert.equal(line.pendingBytes, 0);
      assert.match(log.find("warn A message is too long")!, /line=meter octets=70000 reason=/);
    }),
  );

  test(
    "a closed line stays closed, and takes nothing",
    withRig(async ({ folder, heard, open }) => {
      const pty = await folder.plug("meter");
      const line = open("meter");
      await heard.heard("up meter");
      await line.close();
      await line.close();
      assert.equal(line.send(PINGREQ), false);
      assert.equal(isLocked(pty.device), false);
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.deepEqual(heard.events, ["up meter", "down meter: it was closed"]);
      assert.deepEqual([line.isUp, line.state().reason, line.state().device], [false, "it was closed", ""]);
    }),
  );

  test(
    "a line that is closed while it is being opened does not come up",
    withRig(async ({ folder, heard, open }) => {
      const pty = await folder.plug("meter");
      const line = open("meter");
      await line.close();
      assert.deepEqual(heard.events, []);
      assert.equal(isLocked(pty.device), false);
    }),
  );

  test(
    "who holds a device is named, and the line is taken when it is free",
    withRig(async ({ folder, heard, log, open }) => {
      const pty = await folder.plug("meter");
      const holder = start("flock", ["--no-fork", pty.device, "sleep", "60"]);
      await until(() => isLocked(pty.device), "the lock");
      const line = open("meter");
      const told = `warn A serial line cannot be opened line=meter reason=${pty.device} is held by `;
      const text = await log.line(told);
      assert.equal(text, `${told}sleep (pid ${holder.pid}): stop it, the line is taken as soon as it is free`);
      assert.equal(line.state().isUp, false);
      assert.equal(line.state().reason, text.slice(text.indexOf("reason=") + "reason=".length));
      holder.kill();
      await once(holder, "exit");
      await heard.heard("up meter");
    }),
  );

  test(
    "a program that reads the same device without a lock is named",
    withRig(async ({ folder, log, open }) => {
      const pty = await folder.plug("meter");
      const thief = start("tail", ["-f", pty.device]);
      await until(() => holds(thief.pid!, pty.device), "tail to open it");
      open("meter");
      const told = "warn A serial line is not ours alone line=meter ";
      assert.equal(
        await log.line(told),
        `${told}device=${pty.device} reason=tail (pid ${thief.pid}) reads it too and takes a part of what comes: stop it, the line is taken as soon as it is free`,
      );
    }),
  );

  test(
    "a file that is no serial device is told apart",
    withRig(async ({ folder, log, open }) => {
      writeFileSync(folder.at("meter"), "");
      open("meter");
      assert.equal(
        await log.line("warn A serial line cannot be opened"),
        `warn A serial line cannot be opened line=meter reason=${folder.at("meter")} is no serial device`,
      );
    }),
  );

  test(
    "a line whose bytes make no sense asks for its baud rate, once until a message comes",
    withRig(async ({ folder, heard, log, open }) => {
      writeFileSync(folder.at("meter"), "");
      const fake = new FakeTty(folder.at("meter"));
      let nowMs = 0;
      open("meter:9600", "framing=slip-crc", { openTty: fake.open, clock: { nowMs: () => nowMs } });
      await heard.heard("up meter");
      const told = () => log.lines.filter((line) => line.includes("none of them made sense")).length;
      for (; nowMs <= 4000; nowMs += 100) fake.events!.onData(new Uint8Array(20).fill(0x55));
      assert.equal(told(), 1);
      assert.equal(
        log.find("warn 620 bytes"),
        `warn 620 bytes came on ${folder.at("meter")} in 3 s and none of them made sense as framing slip-crc: is the baud rate really 9600, and the parity none? line=meter device=${folder.at("meter")}`,
      );
      fake.events!.onData(slipCrc(PINGREQ));
      assert.equal(heard.count("frame meter 0216"), 1);
      for (const endMs = nowMs + 4000; nowMs <= endMs; nowMs += 100) {
        fake.events!.onData(new Uint8Array(20).fill(0x55));
      }
      assert.equal(told(), 2);
    }),
  );
});

function slipCrc(message: Uint8Array): Uint8Array {
  return framingOf("slip-crc").encode(message, undefined);
}

function termios(device: string): string {
  return execFileSync("stty", ["-a", "-F", device], { encoding: "utf8" });
}

function isLocked(device: string): boolean {
  try {
    execFileSync("flock", ["--nonblock", device, "true"], { stdio: "ignore" });
    return false;
  } catch {
    return true;
  }
}

function start(command: string, words: readonly string[]): ChildProcess {
  const child = spawn(command, words, { stdio: "ignore" });
  started.push(child);
  return child;
}

function holds(pid: number, device: string): boolean {
  try {
    return execFileSync("ls", ["-l", `/proc/${pid}/fd`], { encoding: "utf8" }).includes(device);
  } catch {
    return false;
  }
}
