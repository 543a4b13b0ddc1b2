import assert from "node:assert/strict";
import fc from "fast-check";
import { decodePacket, encodePacket } from "../../src/codec/codec.ts";
import { PacketType, type ProtocolVersion } from "../../src/codec/constants.ts";
import { FrameSplitter } from "../../src/codec/frame.ts";
import type { Packet } from "../../src/codec/packet.ts";
import { ProtocolError } from "../../src/codec/reason.ts";
import { TextCache } from "../../src/codec/text.ts";
import { variableByteIntegerSize, writeVariableByteInteger } from "../../src/codec/writer.ts";
import { packetsOf } from "../codec/arbitrary.ts";
import { concat, hexOf } from "../codec/kit.ts";

/**
 * Random and mutated bytes give packets or a ProtocolError, never another exception; and whatever is accepted can be
 * written, and reads the same again.
 *
 *     node test/fuzz/codec.ts [seconds] [seed]
 */
export interface FuzzTally {
  rounds: number;
  packets: number;
  refusals: number;
}

/** Runs rounds while `goOn` says so. Throws what broke, with the seed and the bytes in the message. */
export function fuzzCodec(seed: number, goOn: (rounds: number) => boolean): FuzzTally {
  const random = randomOf(seed);
  const corpus = corpusOf(seed);
  const names = new TextCache(64);
  const tally: FuzzTally = { rounds: 0, packets: 0, refusals: 0 };
  while (goOn(tally.rounds)) {
    tally.rounds++;
    const version = ([3, 4, 5, 5] as const)[random(4)]!;
    const stream = streamOf(corpus[version], random);
    try {
      readRandomly(stream, version, names, random, tally);
    } catch (error) {
      throw new Error(`seed ${seed}, round ${tally.rounds}, version ${version}: ${hexOf(stream)}`, { cause: error });
    }
  }
  return tally;
}

type Random = (below: number) => number;
type Corpus = Record<ProtocolVersion, Uint8Array[]>;

/** Bytes that mean something in many places. */
const TELLING = [0x00, 0x01, 0x02, 0x03, 0x0b, 0x1f, 0x23, 0x26, 0x2b, 0x7f, 0x80, 0x81, 0xc0, 0xed, 0xff];

function corpusOf(seed: number): Corpus {
  const samples = (version: ProtocolVersion) =>
    Object.values(packetsOf(version)).flatMap((packet) =>
      fc.sample(packet, { seed, numRuns: 20 }).map((each) => encodePacket(each, version)),
    );
  return { 3: samples(3), 4: samples(4), 5: samples(5) };
}

function streamOf(corpus: readonly Uint8Array[], random: Random): Uint8Array {
  if (random(8) === 0) {
    return Uint8Array.from({ length: random(64) }, () => random(256));
  }
  const count = 1 + random(3);
  return concat(Array.from({ length: count }, () => mutated(corpus[random(corpus.length)]!, random)));
}

/** A packet with a few changes; half of the time the Remaining Length is made to fit again. */
function mutated(packet: Uint8Array, random: Random): Uint8Array {
  const bytes = [...packet];
  for (let changes = random(4); changes > 0; changes--) {
    const at = random(bytes.length + 1);
    switch (random(5)) {
      case 0:
        bytes.splice(at, 1, (bytes[at] ?? 0) ^ (1 << random(8)));
        break;
      case 1:
        bytes.splice(at, 0, TELLING[random(TELLING.length)]!);
        break;
      case 2:
        bytes.splice(at, 1 + random(3));
        break;
      case 3:
        bytes[Math.min(at, bytes.length - 1)] = TELLING[random(TELLING.length)]!;
        break;
      default:
        bytes.splice(at, 0, ...bytes.slice(random(bytes.length + 1), at));
    }
    if (bytes.length === 0) {
      return Uint8Array.of();
    }
  }
  return random(2) === 0 ? Uint8Array.from(bytes) : refitted(Uint8Array.from(bytes));
}

function refitted(bytes: Uint8Array): Uint8Array {
  let bodyStart = 1;
  while (bodyStart < Math.min(bytes.length, 5) && bytes[bodyStart]! > 0x7f) {
    bodyStart++;
  }
  const body = bytes.subarray(Math.min(bodyStart + 1, bytes.length));
  const header = new Uint8Array(1 + variableByteIntegerSize(body.length));
  header[0] = bytes[0]!;
  writeVariableByteInteger(header, 1, body.length);
  return concat([header, body]);
}

function readRandomly(
  stream: Uint8Array,
  version: ProtocolVersion,
  names: TextCache,
  random: Random,
  tally: FuzzTally,
): void {
  const splitter = new FrameSplitter(
    {
      onFrame(bytes, start, bodyStart, end) {
        const packet = decodePacket(bytes, start, bodyStart, end, version, names);
        tally.packets++;
        checkWritten(packet, version, names);
        switch (random(16)) {
          case 0:
            splitter.stop();
            break;
          case 1:
          case 2:
            splitter.pause();
            break;
        }
      },
    },
    random(4) === 0 ? random(64) : 100_000,
  );
  splitter.version = random(8) === 0 ? 0 : version;
  try {
    for (let at = 0; at < stream.length; ) {
      const end = Math.min(stream.length, at + 1 + random(stream.length));
      splitter.push(stream, at, end);
      at = end;
      if (random(2) === 0) {
        splitter.resume();
      }
    }
    for (let rounds = 0; rounds < 4; rounds++) {
      splitter.resume();
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) {
      throw error;
    }
    assert.equal(splitter.bufferedBytes, 0);
    tally.refusals++;
  }
}

/** Not the same bytes as were read: there is more than one way to write some packets, and we choose the shortest. */
function checkWritten(packet: Packet, version: ProtocolVersion, names: TextCache): void {
  const own = packet.type === PacketType.CONNECT ? packet.protocolVersion : version;
  const written = encodePacket(packet, own);
  let bodyStart = 2;
  while (written[bodyStart - 1]! > 0x7f) {
    bodyStart++;
  }
  const again = decodePacket(written, 0, bodyStart, written.length, own, names);
  assert.deepEqual(encodePacket(again, own), written);
}

/** Small whole numbers from a seed: xorshift. */
function randomOf(seed: number): Random {
  let state = (seed ^ 0x9e3779b9) | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

if (import.meta.main) {
  const seconds = Number(process.argv[2] ?? 10);
  const seed = Number(process.argv[3] ?? Date.now() % 1_000_000_000);
  console.log(`Seed ${seed}, ${seconds} s`);
  const end = performance.now() + seconds * 1000;
  const { rounds, packets, refusals } = fuzzCodec(seed, () => performance.now() < end);
  console.log(`${rounds} streams: ${packets} packets, ${refusals} refusals, nothing else`);
}
