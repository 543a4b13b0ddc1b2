/** The package ws is the oracle: what it finds in the same bytes we should find, too. */
import assert from "node:assert/strict";
import type { Writable } from "node:stream";
import { describe, it } from "node:test";
import * as ws from "ws";
import { CloseCode, WebSocketError, WebSocketReader } from "../../src/transport/websocket-frames.ts";
import { SeededRandom } from "../hostile/random.ts";
import { frame, OPCODE } from "./websocket-rig.ts";

const MESSAGE_BYTES_MAX = 70_000;
const STREAMS = 600;
/** Its types leave the class out. */
const { Receiver } = ws as unknown as {
  Receiver: new (options: { isServer: true; maxPayload: number }) => Writable;
};
const STATUS_CODE = "status-code";

interface Found {
  payload: Buffer;
  pings: string[];
  /** Code of the close frame that came, or of what was wrong. */
  closed: number | undefined;
  failed: number | undefined;
}

/** What our reader finds when the bytes come in these pieces. */
function read(pieces: readonly Buffer[]): Found {
  const payloads: Buffer[] = [];
  const found: Found = { payload: Buffer.alloc(0), pings: [], closed: undefined, failed: undefined };
  const sink = {
    onPayload: (bytes: Uint8Array, start: number, end: number) => payloads.push(Buffer.from(bytes.slice(start, end))),
    onPing: (payload: Buffer) => found.pings.push(payload.toString("latin1")),
    onClose: (code: number) => {
      found.closed = code;
    },
  };
  const reader = new WebSocketReader(sink, MESSAGE_BYTES_MAX);
  for (const piece of pieces) {
    // At every place of a word, as in the middle of a larger buffer.
    const bytes = Buffer.alloc(piece.length + 3);
    const start = piece.length & 3;
    piece.copy(bytes, start);
    try {
      reader.push(bytes, start, start + piece.length);
    } catch (error) {
      assert.ok(error instanceof WebSocketError, String(error));
      assert.equal(found.failed, undefined, "it goes on after an error");
      found.failed = error.code;
    }
  }
  found.payload = Buffer.concat(payloads);
  return found;
}

/** What ws finds; it hands out whole messages only. */
function oracle(bytes: Buffer): Promise<Found & { texts: number }> {
  const payloads: Buffer[] = [];
  const found = {
    payload: Buffer.alloc(0),
    pings: [] as string[],
    closed: undefined,
    failed: undefined,
    texts: 0,
  } as Found & { texts: number };
  return new Promise((resolve) => {
    const receiver = new Receiver({ isServer: true, maxPayload: MESSAGE_BYTES_MAX });
    const done = (): void => resolve(Object.assign(found, { payload: Buffer.concat(payloads) }));
    receiver.on("message", (data: Buffer, isBinary: boolean) => {
      if (isBinary && found.texts === 0) payloads.push(data);
      if (!isBinary) found.texts++;
    });
    receiver.on("ping", (data: Buffer) => found.texts === 0 && found.pings.push(data.toString("latin1")));
    receiver.on("conclude", (code: number) => {
      found.closed = code;
    });
    receiver.on("error", (error: Error) => {
      const key = Object.getOwnPropertySymbols(error).find(({ description }) => description === STATUS_CODE)!;
      found.failed = (error as unknown as Record<symbol, number>)[key];
      done();
    });
    receiver.write(Buffer.from(bytes), () => setImmediate(done));
  });
}

/** Frames as a client may send them, and now and then what it must not. */
function makeStream(random: SeededRandom): { bytes: Buffer; mayHaveText: boolean } {
  const parts: Buffer[] = [];
  let mayHaveText = false;
  let open = false;
  for (let count = random.below(8) + 1; count > 0; count--) {
    const kind = random.below(20);
    if (kind < 12) {
      const size = random.pick([0, 1, 5, 95, 96, 97, 125, 126, 127, 1000, 65_535, 65_536, random.below(40_000)]);
      const final = random.below(3) > 0;
      parts.push(
        frame(
          open ? OPCODE.continuation : OPCODE.binary,
          random.bytes(Math.min(size, 2 + random.below(70_000))),
          final,
        ),
      );
      open = !final;
    } else if (kind < 16) parts.push(frame(OPCODE.ping, random.bytes(random.below(126))));
    else if (kind === 16) parts.push(frame(OPCODE.pong, random.bytes(random.below(126))));
    else if (kind === 17) {
      const opcode = random.below(16);
      mayHaveText ||= opcode === OPCODE.text;
      parts.push(frame(opcode, random.bytes(random.below(200)), random.below(2) > 0));
    } else if (kind === 18) parts.push(closing(random));
    else {
      // What follows may be taken for anything.
      mayHaveText = true;
      const damaged = frame(OPCODE.binary, random.bytes(random.below(30)));
      damaged[random.below(2)]! ^= 1 << random.below(8);
      parts.push(damaged);
    }
  }
  return { bytes: Buffer.concat(parts), mayHaveText };
}

function closing(random: SeededRandom): Buffer {
  const code = random.pick([1000, 1001, 1003, 1004, 1005, 1006, 1007, 1014, 1015, 999, 2999, 3000, 4999, 5000]);
  const reason = random.pick([Buffer.alloc(0), Buffer.from("gehe fort, bitte: \u{1F44B}"), Buffer.from([0xc3, 0x28])]);
  return frame(OPCODE.close, Buffer.concat([Buffer.from([code >> 8, code & 255]), reason]));
}

function cut(bytes: Buffer, random: SeededRandom): Buffer[] {
  const pieces: Buffer[] = [];
  const largest = random.pick([1, 3, 17, 500, 100_000]);
  // Byte by byte only where that is not a hundred thousand pieces.
  const most = bytes.length > 20_000 ? Math.max(largest, 500) : largest;
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + random.below(most);
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

describe("WebSocketReader", () => {
  it(`finds in ${STREAMS} streams what ws finds, however they were cut`, async () => {
    const seed = Number(process.env.FRAMES_SEED ?? 1);
    const random = new SeededRandom(seed);
    const seen = new Map<number | undefined, number>();
    for (let index = 0; index < STREAMS; index++) {
      const { bytes, mayHaveText } = makeStream(random);
      const [ours, theirs] = [read(cut(bytes, random)), await oracle(bytes)];
      const about = `FRAMES_SEED=${seed}, stream ${index}`;
      const outcome = ours.failed ?? ours.closed;
      seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
      // What comes in pieces is handed on before the message is whole.
      assert.ok(ours.payload.subarray(0, theirs.payload.length).equals(theirs.payload), about);
      assert.deepEqual(ours.pings, theirs.pings.slice(0, ours.pings.length), about);
      if (ours.failed === CloseCode.UnsupportedData) {
        assert.ok(mayHaveText, about);
        continue;
      }
      assert.deepEqual([ours.failed, ours.closed], [theirs.failed, theirs.closed], about);
      assert.equal(ours.pings.length, theirs.pings.length, about);
    }
    for (const code of [undefined, 1000, 1001, 1002, 1003, 1007, 1009, 3000, 4999]) {
      assert.ok(seen.has(code), `no stream ended with ${code}: FRAMES_SEED=${seed}`);
    }
  });

  it("keeps nothing of a payload, and says that a frame is too large by its head alone", () => {
    const piece = Buffer.alloc(1000);
    const head = frame(OPCODE.binary, Buffer.alloc(MESSAGE_BYTES_MAX)).subarray(0, 14);
    let passed = 0;
    const sink = {
      onPayload: (_bytes: Uint8Array, start: number, end: number) => {
        passed += end - start;
      },
      onPing: () => {},
      onClose: () => {},
    };
    const reader = new WebSocketReader(sink, MESSAGE_BYTES_MAX);
    reader.push(Buffer.from(head), 0, head.length);
    for (let count = 1; count <= 60; count++) {
      reader.push(piece, 0, piece.length);
      assert.equal(passed, count * 1000);
    }
    const larger = new WebSocketReader(sink, MESSAGE_BYTES_MAX - 1);
    const code = CloseCode.TooBig;
    assert.throws(() => larger.push(Buffer.from(head), 0, head.length), { name: "Error", code });
  });

  for (const [title, codes] of [
    ["a frame of 2^53 bytes and more", [0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]],
    ["fragments that are too large together", undefined],
  ] as const) {
    it(`refuses ${title} with 1009`, () => {
      const part = frame(OPCODE.binary, Buffer.alloc(40_000), false);
      const rest = frame(OPCODE.continuation, Buffer.alloc(40_000));
      const found = read([codes === undefined ? Buffer.concat([part, rest]) : Buffer.from(codes)]);
      assert.deepEqual([found.failed, found.payload.length], [1009, codes === undefined ? 40_000 : 0]);
    });
  }
});
