/** Packets written by hand, for tests of what no proper client sends. Bytes are given as hexadecimal digits. */

/** First byte, Remaining Length and body. */
export function packet(first: string, ...body: (string | Uint8Array)[]): Buffer {
  const bytes = Buffer.concat(body.map(bytesOf));
  return Buffer.concat([bytesOf(first), variableByteInteger(bytes.length), bytes]);
}

/** A UTF-8 Encoded String or Binary Data: two bytes of length, then the text, or bytes as they are. */
export function field(content: string | Uint8Array): Buffer {
  const bytes = Buffer.from(content);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** A property list with its length. */
export function properties(...list: (string | Uint8Array)[]): Buffer {
  const bytes = Buffer.concat(list.map(bytesOf));
  return Buffer.concat([variableByteInteger(bytes.length), bytes]);
}

export interface RawConnect {
  name?: string;
  level?: number;
  /** Connect Flags; 02 is Clean Start alone. */
  flags?: string;
  /** For level 5: the list with its length. */
  properties?: Uint8Array;
  /** All fields of the payload; a client identifier alone when left out. */
  payload?: (string | Uint8Array)[];
}

export function rawConnect(options: RawConnect = {}): Buffer {
  const { name = "MQTT", level = 5, flags = "02", payload = [field("raw")] } = options;
  const list = level === 5 ? (options.properties ?? properties()) : "";
  return packet("10", field(name), Buffer.from([level]), flags, "0000", list, ...payload);
}

export function variableByteInteger(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  do {
    const digit = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? digit | 0x80 : digit);
  } while (rest > 0);
  return Buffer.from(bytes);
}

function bytesOf(part: string | Uint8Array): Uint8Array {
  return typeof part === "string" ? Buffer.from(part.replace(/\s/g, ""), "hex") : part;
}
