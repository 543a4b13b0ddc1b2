import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { framingOf } from "../../../device/serial/framing/framing.ts";
import { compile, FIRMWARE, LIBRARY, own, run, STRICT, scratch } from "./build.ts";
import { FakeGateway } from "./fake-gateway.ts";

const folder = scratch();
/** As for a microcontroller, but by the compiler of this machine: nothing of libc may be taken for granted. */
const BARE = ["-Os", "-ffreestanding", "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fno-pic"];
let objects: string[] = [];

before(async () => {
  objects = await Promise.all(
    LIBRARY.map((source, index) =>
      compile(join(folder, `${index}.o`), [...STRICT, ...BARE, "-Wconversion", "-c", source]),
    ),
  );
});

test("the library needs nothing but memcpy, memset and their like: no heap, no stdio, no clock", async () => {
  const { stdout } = await run("nm", ["-u", ...objects]);
  const wanted = [...stdout.matchAll(/^ +U (\S+)$/gm)].map(([, name]) => name!);
  assert.deepEqual(
    wanted.filter((name) => !/^(?:mem(?:cpy|set|cmp|move)|mqttsn_\w+)$/.test(name)),
    [],
  );
  const includes = LIBRARY.flatMap((source) => [...readFileSync(source, "utf8").matchAll(/#include <(.*)>/g)]);
  assert.deepEqual(includes, []);
});

test("its code is under 8 KB here too, and it keeps no data of its own", async () => {
  const { stdout } = await run("size", objects);
  const rows = stdout
    .trim()
    .split("\n")
    .slice(1)
    .map((row) => row.trim().split(/\s+/).map(Number));
  const code = rows.reduce((sum, [text]) => sum + text!, 0);
  assert.ok(code > 2000 && code < 8192, `${code} octets of code`);
  assert.deepEqual(
    rows.map(([, data, bss]) => data! + bss!),
    [0, 0, 0],
  );
});

test("nothing beside what the headers declare is visible to the program, under any name without mqttsn_", async () => {
  const { stdout } = await run("nm", ["--defined-only", "-g", ...objects]);
  const names = [...stdout.matchAll(/^[0-9a-f]+ [A-Z] (\S+)$/gm)].map(([, name]) => name!);
  assert.ok(names.length > 15);
  assert.deepEqual(
    names.filter((name) => !name.startsWith("mqttsn_")),
    [],
  );
});

test("the README's sizes are those that sizes.sh printed, and under 8 KB", () => {
  const readme = readFileSync(join(FIRMWARE, "README.md"), "utf8");
  const printed = /^Cortex-M0: code (\d+) octets \(client (\d+) packet (\d+) framing (\d+)\)/m
    .exec(readme)!
    .slice(1)
    .map(Number);
  const [code, ...parts] = printed;
  assert.equal(
    parts.reduce((sum, part) => sum + part, 0),
    code,
  );
  assert.ok(code! < 8192);
});

test("the README's program compiles, against the library alone", async () => {
  const readme = readFileSync(join(FIRMWARE, "README.md"), "utf8");
  const program = /^```c\n([\s\S]*?)^```$/m.exec(readme)![1]!;
  const { status, stderr } = await run(
    "gcc",
    [...STRICT, `-I${join(FIRMWARE, "include")}`, "-fsyntax-only", "-xc", "-"],
    program,
  );
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
});

test("the sketch for Arduino-style boards publishes, and does as it is told", async () => {
  const stub = own("arduino-stub");
  const sketch = join(FIRMWARE, "examples/arduino/arduino.ino");
  const words = [
    "-std=c++11",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-O1",
    `-I${stub}`,
    `-I${join(FIRMWARE, "src")}`,
    "-no-pie",
  ];
  const sources = ["-include", "Arduino.h", "-x", "c++", sketch, join(stub, "core.cpp"), "-x", "none"];
  const program = await compile(join(folder, "sketch"), [...words, ...sources, ...objects], "g++");

  const gateway = new FakeGateway();
  const child = spawn(program, { stdio: ["pipe", "pipe", "pipe"] });
  try {
    let pins = "";
    child.stderr.on("data", (chunk: Buffer) => {
      pins += chunk;
    });
    child.stdin.on("error", () => undefined);
    const framing = framingOf("slip-crc");
    gateway.send = (message) => child.stdin.write(framing.encode(message, undefined));
    const counters = { frames: 0, bytes: 0, checksumErrors: 0, resyncs: 0, discardedBytes: 0 };
    const reader = framing.reader(({ message }) => gateway.receive(message), counters, {
      baudRate: 115_200,
      maxMessage: 256,
    });
    child.stdout.on("data", (chunk: Buffer) => reader.push(chunk, performance.now()));
    const end = performance.now() + 6000;
    while (!gateway.isSubscribed("cellar/lamp") && performance.now() < end) await sleep(5);
    gateway.deliver("cellar/lamp", "on", 1);
    while ((gateway.accepted.length < 2 || !pins.includes("pin 13 1")) && performance.now() < end) await sleep(5);
    assert.deepEqual(
      gateway.accepted.slice(0, 2),
      Array(2).fill({ topic: "cellar/voltage", data: "2502", qos: 1, retain: false }),
    );
    assert.equal(gateway.isSubscribed("cellar/lamp"), true);
    // Of QoS 1 it may have been told twice.
    assert.match(pins, /^mode 13 1\nbaud 115200\n(?:pin 13 1\n)+$/);
    assert.deepEqual([counters.checksumErrors, counters.resyncs, gateway.malformed], [0, 0, 0]);
  } finally {
    gateway.stop();
    const closed = once(child, "close");
    child.kill("SIGKILL");
    await closed;
  }
});
