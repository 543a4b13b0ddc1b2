import assert from "node:assert/strict";
import { test } from "node:test";
import { decodePacket, encodePacket } from "../../src/codec/codec.ts";
import type { ProtocolVersion } from "../../src/codec/constants.ts";
import { FrameSplitter } from "../../src/codec/frame.ts";
import { type Packet, Publish, type PublishProperties } from "../../src/codec/packet.ts";
import { ProtocolError, type ReasonCode } from "../../src/codec/reason.ts";
import { encodeUtf8, TextCache } from "../../src/codec/text.ts";

/**
 * Bytes from a readable line: two hexadecimal digits each, 'text' as UTF-8, and `*` for the Remaining Length of what
 * follows. "82 * 0001 00 0001 'a' 00" is a SUBSCRIBE.
 */
export function bytesOf(line: string): Uint8Array {
  const tokens: string[] = line.match(/'[^']*'|\S+/g) ?? [];
  const star = tokens.indexOf("*");
  if (star >= 0) {
    const body = concat(tokens.slice(star + 1).map(tokenBytes));
    return concat([...tokens.slice(0, star).map(tokenBytes), Uint8Array.from(lengthBytes(body.length)), body]);
  }
  return concat(tokens.map(tokenBytes));
}

/** Digits in pairs, for messages that can be compared with the tables. */
export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

/** Splits and decodes everything in `bytes`; a partial packet at the end is a failure of the test. */
export function decodeAll(bytes: Uint8Array, version: ProtocolVersion): Packet[] {
  const packets: Packet[] = [];
  const names = new TextCache(16);
  const splitter = new FrameSplitter(
    {
      onFrame(chunk, start, bodyStart, end) {
        packets.push(decodePacket(chunk, start, bodyStart, end, version, names));
      },
    },
    268_435_460,
  );
  splitter.version = version;
  splitter.push(bytes, 0, bytes.length);
  assert.equal(splitter.bufferedBytes, 0, "the bytes end within a packet");
  return packets;
}

export function decodeOne(bytes: Uint8Array, version: ProtocolVersion): Packet {
  const packets = decodeAll(bytes, version);
  assert.equal(packets.length, 1);
  return packets[0]!;
}

/** A packet with nothing left that depends on where it was read from: payloads as plain arrays of their own. */
export function plain(packet: Packet): object {
  if (!(packet instanceof Publish)) {
    return packet;
  }
  const { type, topicName, qos, retain, dup, packetIdentifier, properties } = packet;
  const payload = new Uint8Array(packet.payload);
  return { type, topicName, qos, retain, dup, packetIdentifier, properties: { ...properties }, payload };
}

/** A PUBLISH of text; the rest as in the most common one. */
export function publishOf(
  topicName: string,
  payload: string,
  rest: Partial<Pick<Publish, "qos" | "retain" | "dup" | "packetIdentifier">> & { properties?: PublishProperties } = {},
): Publish {
  const { qos = 0, retain = false, dup = false, packetIdentifier = 0, properties = {} } = rest;
  const bytes = encodeUtf8(payload);
  return new Publish(topicName, qos, retain, dup, packetIdentifier, properties, bytes, 0, bytes.length);
}

/** One test for each direction: these bytes are this packet, and this packet is written as these bytes. */
export function both(name: string, version: ProtocolVersion, line: string, packet: Packet): void {
  reads(name, version, line, packet);
  test(`${label(version)} writes ${name}`, () => {
    assert.equal(hexOf(encodePacket(packet, version)), hexOf(bytesOf(line)));
  });
}

/** For forms that are allowed but that we do not write. */
export function reads(name: string, version: ProtocolVersion, line: string, packet: Packet): void {
  test(`${label(version)} reads ${name}`, () => {
    assert.deepEqual(plain(decodeOne(bytesOf(line), version)), plain(packet));
  });
}

/** `rule` is cited in the refusal, and at the head of the test's name. */
export function refuses(rule: string, name: string, version: ProtocolVersion, line: string, code: ReasonCode): void {
  const head = rule === "" ? label(version) : version === 3 ? `3.1, as ${rule}` : rule;
  test(`${head} refuses ${name}`, () => {
    const error = refusalOf(bytesOf(line), version);
    assert.equal(error.statement, rule);
    assert.equal(error.reasonCode, code);
  });
}

export function refusalOf(bytes: Uint8Array, version: ProtocolVersion): ProtocolError {
  try {
    decodeAll(bytes, version);
  } catch (error) {
    assert.ok(error instanceof ProtocolError, `not a ProtocolError: ${error}`);
    return error;
  }
  assert.fail("the packet was accepted");
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function label(version: ProtocolVersion): string {
  return { 3: "3.1", 4: "3.1.1", 5: "5.0" }[version];
}

function tokenBytes(token: string): Uint8Array {
  if (token.startsWith("'")) {
    return encodeUtf8(token.slice(1, -1));
  }
  assert.match(token, /^([0-9a-f]{2})+$/, `not hexadecimal: ${token}`);
  return Uint8Array.from(token.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function lengthBytes(length: number): number[] {
  return length < 0x80 ? [length] : [(length & 0x7f) | 0x80, ...lengthBytes(length >> 7)];
}
