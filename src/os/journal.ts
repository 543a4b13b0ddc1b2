import type { LogFields, LogLevel } from "../core/ports.ts";
import { loadDatagrams, type SendDatagram } from "./datagram.ts";
import { priorityOf, shorten } from "./log-line.ts";

/** Where systemd's journal takes entries with fields, systemd-journald.socket(8). */
const SOCKET = "/run/systemd/journal/socket";

/** Hands a line to the journal; false when it does not take it now. `text`: what people read, `fields`: what can be asked for. */
export type JournalWriter = (level: LogLevel, text: string, fields: LogFields | undefined) => boolean;

/**
 * Writes into the journal with fields, so that `journalctl MQTT_CLIENT=kitchen` finds what concerns a client. undefined when the
 * add-on for that cannot be loaded: then standard output goes to the journal, without fields.
 */
export function openJournal(load: () => SendDatagram = loadDatagrams, path = SOCKET): JournalWriter | undefined {
  try {
    const send = load();
    return (level, text, fields) => send(path, journalEntry(level, text, fields)) === 0;
  } catch {
    return undefined;
  }
}

/**
 * One entry in the journal's native protocol: each field as its name, a line feed, its length in eight octets with the least
 * one first, its octets and a line feed, so that no value can be taken for another field.
 */
export function journalEntry(level: LogLevel, text: string, fields: LogFields | undefined): Uint8Array {
  const parts: Uint8Array[] = [];
  const add = (name: string, value: string): void => {
    const octets = Buffer.from(value);
    const length = Buffer.alloc(8);
    length.writeUInt32LE(octets.length);
    parts.push(Buffer.from(`${name}\n`), length, octets, Buffer.from("\n"));
  };
  add("MESSAGE", text);
  add("PRIORITY", String(priorityOf(level)));
  add("SYSLOG_IDENTIFIER", "mqtt-broker");
  for (const name in fields) {
    const value = fields[name];
    if (value !== undefined) add(journalName(name), shorten(String(value)));
  }
  return Buffer.concat(parts);
}

/** "clientId" is MQTT_CLIENT_ID: the journal knows capitals, digits and underscores, and at most 64 of them. */
export function journalName(name: string): string {
  const words = name.replace(/(?<=[a-z0-9])(?=[A-Z])/g, "_").replace(/[^A-Za-z0-9]/g, "_");
  return `MQTT_${words.toUpperCase()}`.slice(0, 64);
}
