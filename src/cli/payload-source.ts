import { readFile } from "node:fs/promises";
import type { Readable } from "node:stream";
import type { PayloadSource } from "./client-options.ts";
import { ConnectionError, plainReason } from "./connection-error.ts";

/** A PUBLISH packet can carry no more: the largest Remaining Length, §1.5.5, less a topic of one byte. */
const PAYLOAD_BYTES_MAX = 268_435_455 - 3;

/**
 * The payloads to send, one after the other. A file and all of standard input are read before the first one is
 * handed out. Throws an error that names the file which cannot be read.
 */
export async function openPayloads(source: PayloadSource, stdin: Readable): Promise<AsyncIterable<Uint8Array>> {
  switch (source.from) {
    case "stdin-lines":
      return lines(stdin);
    case "stdin":
      return one(await readAll(stdin));
    case "file":
      return one(await readWhole(source.path));
    case "text":
      return one(Buffer.from(source.text));
    case "nothing":
      return one(Buffer.alloc(0));
  }
}

async function* one(payload: Uint8Array): AsyncIterable<Uint8Array> {
  yield payload;
}

async function readWhole(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new ConnectionError(`Error: Cannot read ${path}: ${plainReason(error)}`);
  }
}

async function readAll(stream: Readable): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(toBuffer(chunk));
  return Buffer.concat(chunks);
}

/** The lines of a stream of any bytes, without their newline; a last line needs none. */
async function* lines(stream: Readable): AsyncIterable<Uint8Array> {
  let pieces: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream) {
    let rest = toBuffer(chunk);
    for (let end = rest.indexOf(0x0a); end !== -1; end = rest.indexOf(0x0a)) {
      yield Buffer.concat([...pieces, rest.subarray(0, end)]);
      pieces = [];
      length = 0;
      rest = rest.subarray(end + 1);
    }
    if (rest.length === 0) continue;
    pieces.push(rest);
    length += rest.length;
    if (length > PAYLOAD_BYTES_MAX) throw new ConnectionError("Error: A line is longer than a message may be");
  }
  if (pieces.length > 0) yield Buffer.concat(pieces);
}

function toBuffer(chunk: unknown): Buffer {
  return typeof chunk === "string" ? Buffer.from(chunk) : (chunk as Buffer);
}
