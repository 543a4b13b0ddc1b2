import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeSn } from "../../src/gateway/mqttsn/codec/decode.ts";
import { encodeSn } from "../../src/gateway/mqttsn/codec/encode.ts";
import { SnError } from "../../src/gateway/mqttsn/codec/error.ts";
import {
  decodeEncapsulated,
  type Encapsulated,
  encodeEncapsulated,
  isEncapsulated,
} from "../../src/gateway/mqttsn/codec/forwarder.ts";
import { messageLength } from "../../src/gateway/mqttsn/codec/length.ts";
import type { SnPacket } from "../../src/gateway/mqttsn/codec/packet.ts";
import { versionOf } from "../../src/gateway/mqttsn/codec/version.ts";
import { hexOf } from "../codec/kit.ts";
import { PACKETS } from "../gateway/mqttsn/codec/arbitrary.ts";
import { SeededRandom } from "../hostile/random.ts";
import type { FuzzTally } from "./codec.ts";

/**
 * Random and mutated octets give MQTT-SN messages or an SnError, never another exception; and whatever is accepted can be
 * written, and reads the same again.
 *
 *     node test/fuzz/mqttsn.ts [seconds] [seed]
 */

/** Runs rounds while `goOn` says so. Throws what broke, with the seed and the octets in the message. */
export function fuzzMqttSn(seed: number, goOn: (rounds: number) => boolean): FuzzTally {
  const random = new SeededRandom(seed);
  const corpus = corpusOf(seed);
  const tally: FuzzTally = { rounds: 0, packets: 0, refusals: 0 };
  while (goOn(tally.rounds)) {
    tally.rounds++;
    const bytes = datagramOf(corpus, random);
    try {
      readOne(bytes, tally);
    } catch (error) {
      throw new Error(`seed ${seed}, round ${tally.rounds}: ${hexOf(bytes)}`, { cause: error });
    }
  }
  return tally;
}

/** Octets that mean something in many places. */
const TELLING = [0x00, 0x01, 0x02, 0x03, 0x04, 0x07, 0x0c, 0x12, 0x1e, 0x60, 0x7f, 0x80, 0xc3, 0xed, 0xfe, 0xff];

function corpusOf(seed: number): Uint8Array[] {
  const messages = Object.values(PACKETS).flatMap((packets) => fc.sample(packets, { seed, numRuns: 20 }).map(encodeSn));
  const enveloped = messages.slice(0, 60).map((each, at) => encodeEncapsulated(at & 3, each.subarray(0, 200), each));
  return [...messages, ...enveloped];
}

function datagramOf(corpus: readonly Uint8Array[], random: SeededRandom): Uint8Array {
  if (random.below(8) === 0) return random.bytes(random.below(40));
  return mutated(random.pick(corpus), random);
}

/** A message with a few changes; half of the time its Length is made to fit again, if one octet is enough for it. */
function mutated(message: Uint8Array, random: SeededRandom): Uint8Array {
  const bytes = [...message];
  for (let changes = random.below(4); changes > 0; changes--) {
    const at = random.below(bytes.length + 1);
    switch (random.below(4)) {
      case 0:
        bytes.splice(at, 1, (bytes[at] ?? 0) ^ (1 << random.below(8)));
        break;
      case 1:
        bytes.splice(at, 0, random.pick(TELLING));
        break;
      case 2:
        bytes.splice(at, 1 + random.below(3));
        break;
      default:
        bytes.splice(at, 1, random.pick(TELLING));
    }
  }
  if (random.below(2) === 0 && bytes.length > 1 && bytes.length < 256) bytes[0] = bytes.length;
  return Uint8Array.from(bytes);
}

function readOne(bytes: Uint8Array, tally: FuzzTally): void {
  versionOf(bytes);
  const length = messageLength(bytes, 0, bytes.length);
  assert.ok(length === undefined || length === 0 || length >= 2);
  const envelope = isEncapsulated(bytes) ? accepted(() => decodeEncapsulated(bytes)) : undefined;
  const message = envelope?.message ?? bytes;
  const packet = accepted(() => decodeSn(message));
  if (packet === undefined) tally.refusals++;
  else tally.packets++;
  // What is accepted can be written, outside of where an SnError is expected.
  if (packet !== undefined) checkWritten(packet, message);
  if (envelope !== undefined) checkEnvelope(envelope, bytes);
}

function accepted<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof SnError)) throw error;
    return undefined;
  }
}

/** Not always the same octets: unused flags are not written again, and a short message gets a short Length. */
function checkWritten(packet: SnPacket, message: Uint8Array): void {
  const written = encodeSn(packet);
  assert.deepEqual(decodeSn(written), packet);
  assert.ok(written.length <= message.length);
}

function checkEnvelope(envelope: Encapsulated, bytes: Uint8Array): void {
  const written = encodeEncapsulated(envelope.radius, envelope.nodeId, envelope.message);
  assert.deepEqual(decodeEncapsulated(written), envelope);
  assert.equal(written.length, bytes.length);
}

if (import.meta.main) {
  const seconds = Number(process.argv[2] ?? 10);
  const seed = Number(process.argv[3] ?? Date.now() % 1_000_000_000);
  console.log(`Seed ${seed}, ${seconds} s`);
  const end = performance.now() + seconds * 1000;
  const { rounds, packets, refusals } = fuzzMqttSn(seed, () => performance.now() < end);
  console.log(`${rounds} datagrams: ${packets} messages, ${refusals} refusals, nothing else`);
}
