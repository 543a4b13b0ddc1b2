/** Packets of mDNS, byte for byte from RFC 1035 and 6762, by none of the code that is tested. */

export interface Said {
  name: readonly string[];
  type: number;
  data: Buffer;
  ttl?: number;
  /** Default: Internet, with the bit that replaces what is known. */
  recordClass?: number;
}

export const [A, PTR, TXT, AAAA, SRV] = [1, 12, 16, 28, 33] as const;

export function uint16(...values: readonly number[]): Buffer {
  return Buffer.from(values.flatMap((value) => [value >> 8, value & 0xff]));
}

export function labels(name: readonly string[]): Buffer {
  const parts = name.map((label) => Buffer.concat([Buffer.of(Buffer.byteLength(label)), Buffer.from(label)]));
  return Buffer.concat([...parts, Buffer.of(0)]);
}

export function response(...records: readonly Said[]): Buffer {
  const header = uint16(0, 0x8400, 0, records.length, 0, 0);
  return Buffer.concat([header, ...records.map(recordBytes)]);
}

export function recordBytes({ name, type, data, ttl = 120, recordClass = 0x8001 }: Said): Buffer {
  return Buffer.concat([labels(name), uint16(type, recordClass, ttl >>> 16, ttl & 0xffff, data.length), data]);
}

export const MQTT = ["_mqtt", "_tcp", "local"] as const;

export function pointer(instance: string, ttl = 4500, type: readonly string[] = MQTT): Said {
  return { name: type, type: PTR, data: labels([instance, ...type]), ttl, recordClass: 1 };
}

export function placed(instance: string, host: string, port: number, ttl = 120, type: readonly string[] = MQTT): Said {
  return {
    name: [instance, ...type],
    type: SRV,
    data: Buffer.concat([uint16(0, 0, port), labels([host, "local"])]),
    ttl,
  };
}

export function described(instance: string, ...texts: readonly (string | Buffer)[]): Said {
  const strings = texts.map((text) => Buffer.concat([Buffer.of(Buffer.byteLength(text)), Buffer.from(text)]));
  return { name: [instance, ...MQTT], type: TXT, data: Buffer.concat(strings) };
}

export function located(host: string, address: string, ttl = 120): Said {
  const isIpv6 = address.includes(":");
  // Of IPv6 with all of its groups.
  const data = isIpv6
    ? uint16(...address.split(":").map((group) => Number.parseInt(group, 16)))
    : Buffer.from(address.split(".").map(Number));
  return { name: [host, "local"], type: isIpv6 ? AAAA : A, data, ttl };
}
