import assert from "node:assert/strict";
import { test } from "node:test";
import { checkFixedHeader, type FrameSink, FrameSplitter } from "../../src/codec/frame.ts";
import { ProtocolError, ReasonCode } from "../../src/codec/reason.ts";
import { bytesOf, concat, hexOf } from "./kit.ts";

const PING = bytesOf("c0 00");
const PUBLISH = bytesOf("30 * 0001 'a' 'payload'");
const LONG = bytesOf(`30 * 0001 'b' '${"x".repeat(200)}'`);
const STREAM = concat([PING, PUBLISH, LONG, PING]);
const FRAMES = [PING, PUBLISH, LONG, PING].map(hexOf);

/** Notes each frame, and runs what the test puts in `during`. */
class Notes implements FrameSink {
  readonly frames: string[] = [];
  readonly bodies: number[] = [];
  during: (() => void) | undefined;

  onFrame(bytes: Uint8Array, start: number, bodyStart: number, end: number): void {
    this.frames.push(hexOf(bytes.subarray(start, end)));
    this.bodies.push(bodyStart - start);
    this.during?.();
  }
}

function splitterOf(packetBytesMax = 1000): { notes: Notes; splitter: FrameSplitter } {
  const notes = new Notes();
  const splitter = new FrameSplitter(notes, packetBytesMax);
  splitter.version = 4;
  return { notes, splitter };
}

test("passes on whole packets where they lie", () => {
  const seen: Uint8Array[] = [];
  const splitter = new FrameSplitter({ onFrame: (bytes) => seen.push(bytes) }, 1000);
  const chunk = concat([Uint8Array.of(0xff, 0xff), STREAM, Uint8Array.of(0xff)]);
  splitter.push(chunk, 2, chunk.length - 1);
  assert.equal(seen.length, 4);
  assert.ok(seen.every((bytes) => bytes === chunk));
  assert.equal(splitter.bufferedBytes, 0);
});

test("tells where the body begins", () => {
  const { notes, splitter } = splitterOf(100_000);
  splitter.push(concat([PING, LONG, bytesOf(`30 * 0001 'b' '${"x".repeat(20_000)}'`)]), 0, 2 + 206 + 20_007);
  assert.deepEqual(notes.bodies, [2, 3, 4]);
});

for (let cut = 1; cut < STREAM.length; cut++) {
  test(`gives the same packets when the stream is cut at byte ${cut}`, () => {
    const { notes, splitter } = splitterOf();
    splitter.push(STREAM, 0, cut);
    splitter.push(STREAM, cut, STREAM.length);
    assert.deepEqual(notes.frames, FRAMES);
    assert.equal(splitter.bufferedBytes, 0);
  });
  if (cut > 30 && cut < STREAM.length - 10) {
    cut += 9;
  }
}

test("gives the same packets byte by byte, with each byte in a buffer that is used again", () => {
  const { notes, splitter } = splitterOf();
  const chunk = new Uint8Array(1);
  for (const byte of STREAM) {
    chunk[0] = byte;
    splitter.push(chunk, 0, 1);
  }
  assert.deepEqual(notes.frames, FRAMES);
});

test("an empty push changes nothing", () => {
  const { notes, splitter } = splitterOf();
  splitter.push(PUBLISH, 0, 4);
  splitter.push(PUBLISH, 4, 4);
  splitter.push(PUBLISH, 4, PUBLISH.length);
  assert.deepEqual(notes.frames, [hexOf(PUBLISH)]);
});

test("holds back only the partial packet, and frees it when it is whole", () => {
  const { splitter } = splitterOf();
  splitter.push(STREAM, 0, 4);
  assert.equal(splitter.bufferedBytes, 2);
  splitter.push(STREAM, 4, STREAM.length);
  assert.equal(splitter.bufferedBytes, 0);
});

test("a claim of 256 MB costs nothing before the bytes are there", () => {
  const { splitter } = splitterOf(268_435_460);
  const before = process.memoryUsage().arrayBuffers;
  const splitters = Array.from({ length: 100 }, () => splitterOf(268_435_460).splitter);
  for (const each of [splitter, ...splitters]) {
    each.push(bytesOf("30 ff ff ff 7f 00"), 0, 6);
    assert.equal(each.bufferedBytes, 6);
  }
  assert.ok(process.memoryUsage().arrayBuffers - before < 200_000);
});

test("a large packet in many pieces is gathered in a buffer no larger than itself", () => {
  const size = 1_000_000;
  const large = concat([bytesOf("30 c0 84 3d 0001 'a'"), new Uint8Array(size - 3).fill(7)]);
  let capacity = 0;
  const splitter = new FrameSplitter(
    {
      onFrame(bytes, start, _bodyStart, end) {
        assert.equal(end - start, large.length);
        assert.equal(Buffer.compare(bytes.subarray(start, end), large), 0);
        capacity = bytes.length;
      },
    },
    2_000_000,
  );
  for (let at = 0; at < large.length; at += 1000) {
    splitter.push(large, at, Math.min(at + 1000, large.length));
  }
  assert.equal(capacity, large.length);
  assert.equal(splitter.bufferedBytes, 0);
});

test("pause within onFrame holds back the rest of the chunk, and resume passes it on", () => {
  const { notes, splitter } = splitterOf();
  notes.during = () => splitter.pause();
  splitter.push(STREAM, 0, STREAM.length);
  for (let count = 1; count <= FRAMES.length; count++) {
    assert.deepEqual(notes.frames, FRAMES.slice(0, count));
    splitter.resume();
  }
  assert.equal(splitter.bufferedBytes, 0);
});

test("what is pushed during a pause comes after what was held back", () => {
  const { notes, splitter } = splitterOf();
  notes.during = () => splitter.pause();
  splitter.push(STREAM, 0, 10);
  splitter.push(STREAM, 10, 100);
  splitter.push(STREAM, 100, STREAM.length);
  assert.deepEqual(notes.frames, FRAMES.slice(0, 1));
  assert.equal(splitter.bufferedBytes, STREAM.length - PING.length);
  notes.during = undefined;
  splitter.resume();
  assert.deepEqual(notes.frames, FRAMES);
  assert.equal(splitter.bufferedBytes, 0);
});

test("a partial packet survives pauses before and after it", () => {
  const { notes, splitter } = splitterOf();
  splitter.pause();
  splitter.push(STREAM, 0, 20);
  splitter.resume();
  assert.deepEqual(notes.frames, FRAMES.slice(0, 2));
  splitter.pause();
  splitter.push(STREAM, 20, 50);
  splitter.resume();
  splitter.push(STREAM, 50, STREAM.length);
  assert.deepEqual(notes.frames, FRAMES);
});

test("a pause on the packet that completes a partial one holds back what follows", () => {
  const { notes, splitter } = splitterOf();
  splitter.push(STREAM, 0, 5);
  notes.during = () => splitter.pause();
  splitter.push(STREAM, 5, STREAM.length);
  assert.deepEqual(notes.frames, FRAMES.slice(0, 2));
  notes.during = undefined;
  splitter.resume();
  assert.deepEqual(notes.frames, FRAMES);
});

test("resume within onFrame undoes a pause in the same call", () => {
  const { notes, splitter } = splitterOf();
  notes.during = () => {
    splitter.pause();
    splitter.resume();
  };
  splitter.push(STREAM, 0, STREAM.length);
  assert.deepEqual(notes.frames, FRAMES);
});

test("resume without a pause, and twice, does nothing", () => {
  const { notes, splitter } = splitterOf();
  splitter.push(STREAM, 0, 5);
  splitter.resume();
  splitter.resume();
  splitter.push(STREAM, 5, STREAM.length);
  assert.deepEqual(notes.frames, FRAMES);
});

test("stop within onFrame ignores the rest of the chunk and everything after it", () => {
  const { notes, splitter } = splitterOf();
  notes.during = () => splitter.stop();
  splitter.push(STREAM, 0, STREAM.length);
  splitter.push(STREAM, 0, STREAM.length);
  splitter.resume();
  assert.deepEqual(notes.frames, FRAMES.slice(0, 1));
  assert.equal(splitter.bufferedBytes, 0);
});

test("stop while resuming, and stop during a pause, free what was held back", () => {
  for (const within of [true, false]) {
    const { notes, splitter } = splitterOf();
    splitter.pause();
    splitter.push(STREAM, 0, STREAM.length);
    if (within) {
      notes.during = () => splitter.stop();
      splitter.resume();
    } else {
      splitter.stop();
      splitter.resume();
    }
    assert.equal(notes.frames.length, within ? 1 : 0);
    assert.equal(splitter.bufferedBytes, 0);
  }
});

test("what the sink throws comes out, and nothing more goes in", () => {
  const { notes, splitter } = splitterOf();
  notes.during = () => {
    throw new ProtocolError(ReasonCode.ProtocolError, "", "No more");
  };
  assert.throws(() => splitter.push(STREAM, 0, STREAM.length), { message: "No more" });
  splitter.push(STREAM, 0, STREAM.length);
  assert.equal(notes.frames.length, 1);
  const other = splitterOf();
  other.splitter.pause();
  other.splitter.push(STREAM, 0, STREAM.length);
  other.notes.during = notes.during;
  assert.throws(() => other.splitter.resume(), { message: "No more" });
  assert.equal(other.splitter.bufferedBytes, 0);
});

test("push from within onFrame is our mistake", () => {
  const { notes, splitter } = splitterOf();
  notes.during = () => splitter.push(PING, 0, 2);
  assert.throws(() => splitter.push(STREAM, 0, STREAM.length), /called from within onFrame/);
});

for (const [name, line, version, code, rule] of [
  ["a Remaining Length of five bytes", "30 80 80 80 80", 5, 0x81, "5.0 §2.1.4"],
  ["a Remaining Length of five bytes", "30 ff ff ff ff", 4, 0x81, "3.1.1 §2.2.3"],
  ["a Remaining Length of five bytes before CONNECT", "10 ff ff ff ff", 0, 0x81, "5.0 §2.1.4"],
  ["a needless byte in a Remaining Length", "30 80 00", 5, 0x81, "5.0 [MQTT-1.5.5-1]"],
  ["a packet over the limit", "30 e7 07", 5, 0x95, "5.0 [MQTT-3.2.2-15]"],
  ["a packet over the limit", "30 e7 07", 4, 0x95, ""],
  ["the largest claim", "30 ff ff ff 7f", 4, 0x95, ""],
  ["packet type 0", "0f", 0, 0x81, "5.0 §2.1.2"],
  ["reserved flags", "13", 0, 0x81, "5.0 [MQTT-2.1.3-1]"],
  ["the beginning of TLS", "16", 0, 0x81, "5.0 [MQTT-2.1.3-1]"],
  ["SUBSCRIBE without its flag", "80", 4, 0x81, "3.1.1 [MQTT-3.8.1-1]"],
] as const) {
  test(`refuses ${name} (version ${version}) as soon as its last byte is here, and not before`, () => {
    const bytes = bytesOf(line);
    const whole = splitterOf(1000);
    whole.splitter.version = version;
    assert.throws(() => whole.splitter.push(bytes, 0, bytes.length), { reasonCode: code, statement: rule });
    const { notes, splitter } = splitterOf(1000);
    splitter.version = version;
    for (let at = 0; at < bytes.length - 1; at++) {
      splitter.push(bytes, at, at + 1);
    }
    assert.throws(() => splitter.push(bytes, bytes.length - 1, bytes.length), { reasonCode: code, statement: rule });
    splitter.push(PING, 0, 2);
    assert.deepEqual(notes.frames, []);
  });
}

test("the limit counts the fixed header", () => {
  const { notes, splitter } = splitterOf(PUBLISH.length);
  splitter.push(PUBLISH, 0, PUBLISH.length);
  assert.equal(notes.frames.length, 1);
  splitter.packetBytesMax = PUBLISH.length - 1;
  assert.throws(() => splitter.push(PUBLISH, 0, PUBLISH.length), { reasonCode: ReasonCode.PacketTooLarge });
});

test("3.x takes a Remaining Length with needless bytes, which it does not forbid", () => {
  const { notes, splitter } = splitterOf();
  splitter.push(bytesOf("c0 80 80 80 00 c0 00"), 0, 7);
  assert.deepEqual(notes.frames, ["c0 80 80 80 00", "c0 00"]);
  assert.deepEqual(notes.bodies, [5, 2]);
});

test("a bad packet after a good one is refused after the good one was passed on", () => {
  const { notes, splitter } = splitterOf();
  assert.throws(() => splitter.push(concat([PING, bytesOf("c1 00")]), 0, 4), { reasonCode: 0x81 });
  assert.deepEqual(notes.frames, ["c0 00"]);
});

test("5.0 [MQTT-2.1.3-1] allows exactly the flags of the table, for each first byte and version", () => {
  const fixed = new Map([
    [6, 2],
    [8, 2],
    [10, 2],
  ]);
  for (const version of [0, 3, 4, 5] as const) {
    for (let first = 0; first < 256; first++) {
      const type = first >> 4;
      const flags = first & 0x0f;
      const expected = fixed.get(type) ?? 0;
      const known = type !== 0 && (type !== 15 || version === 5 || version === 0);
      const again = version === 3 && expected === 2 && flags === 0x0a;
      const allowed = known && (type === 3 || flags === expected || again);
      let taken = true;
      try {
        checkFixedHeader(first, version);
      } catch (error) {
        assert.ok(error instanceof ProtocolError);
        assert.notEqual(error.statement, "");
        taken = false;
      }
      assert.equal(taken, allowed, `0x${first.toString(16)} in version ${version}`);
    }
  }
});
