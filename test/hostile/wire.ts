/** Packets as bytes, right and wrong ones: written by hand, so that nothing keeps them from being wrong. */

/** A packet with a correct Remaining Length. */
export function packet(firstByte: number, ...body: readonly Uint8Array[]): Buffer {
  const length = body.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([Buffer.from([firstByte]), remainingLength(length), ...body]);
}

export function remainingLength(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return Buffer.from(bytes);
}

/** Two bytes of length and the bytes: a string or binary data. */
export function text(value: string | Uint8Array): Buffer {
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  return Buffer.concat([uint16(bytes.length), bytes]);
}

export function uint16(value: number): Buffer {
  return Buffer.from([(value >> 8) & 0xff, value & 0xff]);
}

const NO_PROPERTIES = Buffer.from([0]);

export function connect(version: 4 | 5, clientId: string | Uint8Array, flags = 0x02, properties?: Uint8Array): Buffer {
  const own =
    properties === undefined ? NO_PROPERTIES : Buffer.concat([remainingLength(properties.length), properties]);
  return packet(
    0x10,
    text("MQTT"),
    Buffer.from([version, flags, 0, 60]),
    version === 5 ? own : Buffer.alloc(0),
    text(clientId),
  );
}

export function publish5(
  topic: string | Uint8Array,
  payload: Uint8Array,
  qos = 0,
  id = 1,
  properties?: Uint8Array,
): Buffer {
  const own =
    properties === undefined ? NO_PROPERTIES : Buffer.concat([remainingLength(properties.length), properties]);
  return packet(0x30 | (qos << 1), text(topic), qos === 0 ? Buffer.alloc(0) : uint16(id), own, payload);
}

export function subscribe5(id: number, filters: readonly (string | Uint8Array)[], options = 1): Buffer {
  const entries = filters.flatMap((filter) => [text(filter), Buffer.from([options])]);
  return packet(0x82, uint16(id), NO_PROPERTIES, ...entries);
}

export function unsubscribe5(id: number, filters: readonly string[]): Buffer {
  return packet(0xa2, uint16(id), NO_PROPERTIES, ...filters.map((filter) => text(filter)));
}

export const PINGREQ = Buffer.from([0xc0, 0]);

/** PUBACK, PUBREC, PUBREL or PUBCOMP by its first byte. */
export function ack(firstByte: 0x40 | 0x50 | 0x62 | 0x70, id: number): Buffer {
  return packet(firstByte, uint16(id));
}
