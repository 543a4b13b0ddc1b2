import { PacketType, type ProtocolVersion, type Qos } from "./constants.ts";
import type { Connect, Will } from "./packet.ts";
import { checkAuthentication, readProperties, writeProperties } from "./properties.ts";
import { WILL } from "./property-table.ts";
import { malformed, Reader, violation } from "./reader.ts";
import { ProtocolError, ReasonCode, statement } from "./reason.ts";
import { hasWildcard } from "./text.ts";
import { Writer } from "./writer.ts";

/** Connect Flags, §3.1.2.3. */
const RESERVED = 0x01;
const CLEAN_START = 0x02;
const WILL_FLAG = 0x04;
const WILL_QOS_SHIFT = 3;
const WILL_QOS = 0x18;
const WILL_RETAIN = 0x20;
const PASSWORD = 0x40;
const USER_NAME = 0x80;

const BRIDGE = 0x80;

/** A protocol level that nobody here speaks; the server may answer before it closes, 5.0 [MQTT-3.1.2-2]. */
export class UnsupportedVersion extends ProtocolError {
  /** The level byte as it came, bridge bit included. */
  readonly level: number;

  constructor(level: number) {
    super(ReasonCode.UnsupportedProtocolVersion, "5.0 [MQTT-3.1.2-2]", `Protocol level ${level} is not supported`);
    this.level = level;
  }
}

/**
 * Reads a CONNECT of any version, §3.1. Throws UnsupportedVersion, or another ProtocolError.
 * Which client identifiers are allowed is not decided here.
 */
export function decodeConnect(bytes: Uint8Array, bodyStart: number, end: number): Connect {
  const level = readLevel(new Reader(bytes, bodyStart, end, 5));
  const reader = new Reader(bytes, level.end, end, level.version);
  const { version } = level;
  const flags = reader.uint8();
  checkFlags(flags, version);
  const keepAliveSeconds = reader.uint16();
  const properties = readProperties(reader, PacketType.CONNECT);
  checkAuthentication(properties, "5.0 §3.1.2.11.10");
  reader.rule = statement(version, "3.1.3-3");
  const clientId = reader.utf8String();
  const will = (flags & WILL_FLAG) === 0 ? undefined : readWill(reader, flags);
  const userName = hasField(reader, flags, USER_NAME) ? readUserName(reader) : undefined;
  const password = hasField(reader, flags, PASSWORD) ? readPassword(reader) : undefined;
  reader.finish();
  return {
    type: PacketType.CONNECT,
    protocolVersion: version,
    cleanStart: (flags & CLEAN_START) !== 0,
    keepAliveSeconds,
    clientId,
    will,
    userName,
    password,
    properties,
    bridge: level.bridge,
  };
}

/** The whole packet, in the version that it names. */
export function encodeConnect(connect: Connect): Uint8Array {
  const { protocolVersion: version, will, userName, password } = connect;
  const writer = new Writer();
  writer.utf8String(version === 3 ? "MQIsdp" : "MQTT");
  writer.uint8(connect.bridge && version !== 5 ? version | BRIDGE : version);
  writer.uint8(
    (connect.cleanStart ? CLEAN_START : 0) |
      (will === undefined ? 0 : WILL_FLAG | (will.qos << WILL_QOS_SHIFT) | (will.retain ? WILL_RETAIN : 0)) |
      (password === undefined ? 0 : PASSWORD) |
      (userName === undefined ? 0 : USER_NAME),
  );
  writer.uint16(connect.keepAliveSeconds);
  writeProperties(writer, PacketType.CONNECT, connect.properties, version);
  writer.utf8String(connect.clientId);
  if (will !== undefined) {
    writeProperties(writer, WILL, will.properties, version);
    writer.utf8String(will.topicName);
    writer.binaryData(will.payload);
  }
  if (userName !== undefined) {
    writer.utf8String(userName);
  }
  if (password !== undefined) {
    writer.binaryData(password);
  }
  return writer.packet(PacketType.CONNECT << 4);
}

function readLevel(reader: Reader): { version: ProtocolVersion; bridge: boolean; end: number } {
  reader.rule = "5.0 [MQTT-3.1.2-1]";
  const name = reader.utf8String();
  if (name !== "MQTT" && name !== "MQIsdp") {
    throw new ProtocolError(ReasonCode.UnsupportedProtocolVersion, reader.rule, "The Protocol Name is not MQTT");
  }
  reader.rule = "5.0 [MQTT-3.1.2-2]";
  const level = reader.uint8();
  const version = level & ~BRIDGE;
  const bridge = version !== level;
  const end = reader.position;
  if (name === "MQIsdp" && version === 3) {
    return { version, bridge, end };
  }
  if (name === "MQTT" && (version === 4 || level === 5)) {
    return { version: version === 4 ? 4 : 5, bridge, end };
  }
  throw new UnsupportedVersion(level);
}

/** 3.1 disregards the will's bits without a will and does not use the reserved one, its §3.1. */
function checkFlags(flags: number, version: ProtocolVersion): void {
  const willQos = (flags & WILL_QOS) >> WILL_QOS_SHIFT;
  if ((flags & WILL_FLAG) !== 0) {
    if (willQos === 3) {
      throw malformed(statement(version, "3.1.2-12", "3.1.2-14"), "Will QoS is 3");
    }
  } else if (version !== 3) {
    if (willQos !== 0) {
      throw malformed(statement(version, "3.1.2-11", "3.1.2-13"), `Will QoS is ${willQos} without a will`);
    }
    if ((flags & WILL_RETAIN) !== 0) {
      throw malformed(statement(version, "3.1.2-13", "3.1.2-15"), "Will Retain is set without a will");
    }
  }
  if ((flags & RESERVED) !== 0 && version !== 3) {
    throw malformed(statement(version, "3.1.2-3"), "The reserved Connect Flag is set");
  }
  if (version !== 5 && (flags & PASSWORD) !== 0 && (flags & USER_NAME) === 0) {
    throw malformed("3.1.1 [MQTT-3.1.2-22]", "A password without a user name");
  }
}

function readWill(reader: Reader, flags: number): Will {
  const { version } = reader;
  const properties = readProperties(reader, WILL);
  reader.rule = statement(version, "3.1.2-9");
  const topicName = reader.utf8String();
  if (topicName === "") {
    throw violation(statement(version, "4.7.3-1"), "The Will Topic is empty");
  }
  if (hasWildcard(topicName)) {
    throw violation(statement(version, "4.7.0-1", "4.7.1-1"), "The Will Topic contains a wildcard character");
  }
  return {
    topicName,
    payload: reader.binaryData(),
    qos: ((flags & WILL_QOS) >> WILL_QOS_SHIFT) as Qos,
    retain: (flags & WILL_RETAIN) !== 0,
    properties,
  };
}

/** In 3.1 the Remaining Length takes precedence over the User Name and Password flags, its §3.1. */
function hasField(reader: Reader, flags: number, flag: number): boolean {
  return (flags & flag) !== 0 && !(reader.version === 3 && reader.remaining === 0);
}

function readUserName(reader: Reader): string {
  reader.rule = statement(reader.version, "3.1.2-17", "3.1.2-19");
  return reader.utf8String();
}

function readPassword(reader: Reader): Uint8Array {
  reader.rule = statement(reader.version, "3.1.2-19", "3.1.2-21");
  return reader.binaryData();
}
