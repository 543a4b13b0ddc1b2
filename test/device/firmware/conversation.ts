import assert from "node:assert/strict";
import { join } from "node:path";
import { decodeSn } from "../../../src/gateway/mqttsn/codec/decode.ts";
import { encodeSn } from "../../../src/gateway/mqttsn/codec/encode.ts";
import type { SnPacket } from "../../../src/gateway/mqttsn/codec/packet.ts";
import { compile, LIBRARY, own, run, SANITIZED, STRICT, scratch } from "./build.ts";

/** In the order of mqttsn_event_type. */
const EVENTS = [
  "connected",
  "refused",
  "unanswered",
  "lost",
  "disconnected",
  "asleep",
  "registered",
  "subscribed",
  "unsubscribed",
  "published",
  "failed",
  "message",
] as const;

/** What the client sends, as a packet; an event or a result, as words; what poll answers, as a number of milliseconds. */
export type Said = SnPacket | string | number;

let driver: Promise<string> | undefined;

/**
 * Plays commands and the gateway's packets to a client with its own clock, and answers what it said. The packets are
 * encoded and decoded by the broker's own codec.
 */
export async function converse(script: readonly (string | SnPacket | Uint8Array)[]): Promise<Said[]> {
  driver ??= compile(join(scratch(), "client"), [...STRICT, ...SANITIZED, ...LIBRARY, own("client-driver.c")]);
  const commands = script.map((line) => (typeof line === "string" ? line : `rx ${hexOf(line)}`));
  const { status, stdout, stderr } = await run(await driver, [], `${commands.join("\n")}\n`);
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" }, commands.join("\n"));
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map(said);
}

function hexOf(packet: SnPacket | Uint8Array): string {
  return Buffer.from(packet instanceof Uint8Array ? packet : encodeSn(packet)).toString("hex");
}

function said(line: string): Said {
  const [kind, ...words] = line.split(" ");
  if (kind === "tx") {
    const packet = decodeSn(new Uint8Array(Buffer.from(words[0]!, "hex")));
    // There is one best way to write it.
    assert.equal(words[0], hexOf(packet));
    return packet;
  }
  if (kind === "poll") return Number(words[0]);
  if (kind !== "event") return line;
  const [type, code, qos, retain, dup, aboutMessage, id, name, data = ""] = words;
  const event = EVENTS[Number(type)]!;
  const about = id === "0:0" && name === "-" ? "" : ` ${name === "-" ? id : name}`;
  const text = Buffer.from(data, "hex").toString();
  const flags = [retain === "1" ? " retain" : "", dup === "1" ? " dup" : ""].join("");
  if (event === "message") return `message${about} qos ${qos}${flags} "${text}"`;
  if (event === "published") return `published${about} "${text}"`;
  if (event === "subscribed") return `subscribed${about} qos ${qos}`;
  if (event === "failed") return `failed${about} code ${code}${aboutMessage === "1" ? ` "${text}"` : ""}`;
  return `${event}${about}${event === "refused" || event === "lost" ? ` ${code}` : ""}`;
}
