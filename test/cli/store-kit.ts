import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable, Writable } from "node:stream";
import { runStore } from "../../src/cli/store.ts";
import { hostFiles } from "../../src/config/files.ts";
import { storeTools } from "../../src/store/sqlite/commands.ts";

export interface StoreResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs `mqtt-broker store …` within this process, on the files of this machine. */
export async function runStoreCommand(
  argv: readonly string[],
  {
    input = "",
    env = {},
    cwd,
    closed = false,
  }: { input?: string; env?: Record<string, string>; cwd?: string; closed?: boolean } = {},
): Promise<StoreResult> {
  const [output, errors] = [new PassThrough(), new PassThrough()];
  const texts = Promise.all([textOf(output), textOf(errors)]);
  const files = { ...hostFiles(), ...(cwd === undefined ? {} : { workingDirectory: cwd }) };
  const stdin = Readable.from(chunksOf(Buffer.from(input)));
  const io = { stdin, stdout: closed ? closedPipe() : output, stderr: errors, env };
  const code = await runStore(argv, io, files, storeTools);
  output.end();
  errors.end();
  const [stdout, stderr] = await texts;
  return { code, stdout, stderr };
}

/** A folder that is removed after the test. */
export function emptyFolder(context: { after(action: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-store-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** An export in which every type of record occurs. */
export const EXPORT = [
  { type: "mqtt-broker-store", format: 1 },
  { type: "clock", key: 0, ageMs: 1_000_000, wallMs: 1_700_000_000_000, trusted: true },
  ...[
    { key: 1, clientId: "pump", expiresAtMs: 1_060_000 },
    { key: 2, clientId: "dash board\u001b[2J", userName: "ann", expiresAtMs: null },
  ].map(({ key, clientId, userName, expiresAtMs }) => ({
    type: "session",
    key,
    clientId,
    ...(userName === undefined ? {} : { userName }),
    protocolVersion: key === 1 ? 4 : 5,
    stored: true,
    connected: key === 2,
    expiryIntervalSeconds: 60,
    sentKey: 0,
    expiresAtMs,
  })),
  ...["pump/#", "all"].map((topicFilter, index) => ({
    type: "subscription",
    key: index,
    session: 1,
    topicFilter,
    qos: 1,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
  })),
  { type: "incoming", session: 2, packetIdentifier: 77 },
  queued(2 ** 20, 1, 5),
  queued(2 ** 20 + 1, 1, { ...members("pump/a", { base64: "/w==" }) }),
  queued(2 ** 21, 2, null),
  message("message", 5, "all", "to both"),
  message("retained", 1, "greenhouse/1/name", "tomatoes"),
  message("retained", 2, "greenhouse/2/name", "Überraschung\n"),
  { type: "raw", table: "totals", key: 0, name: "", value: "{}" },
]
  .map((line) => `${JSON.stringify(line)}\n`)
  .join("");

function members(topicName: string, payload: unknown): object {
  return { topicName, qos: 1, retain: false, expiresAtMs: null, payload };
}

function message(type: string, key: number, topicName: string, payload: unknown): object {
  return { type, key, ...members(topicName, payload) };
}

function queued(key: number, session: number, held: unknown): object {
  const head = { qos: 1, retain: false, packetIdentifier: 0, countedBytes: 10, session, queuedAtMs: 5 };
  return { type: "queued", key, ...head, message: held };
}

/** Of a prime length, so that lines and characters are cut everywhere. */
function* chunksOf(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 997) yield bytes.subarray(at, at + 997);
}

/** What a pipe is when its reader has gone. */
function closedPipe(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done(new Error("EPIPE")) });
}

async function textOf(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
