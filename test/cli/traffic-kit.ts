import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import type { Traffic } from "../../src/auth/traffic/traffic.ts";
import type { ClientIo } from "../../src/cli/client-io.ts";
import { type Files, hostFiles } from "../../src/config/files.ts";

export interface Result {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a command within this process, on the files of this machine. */
export async function runWith(
  command: (io: ClientIo, files: Files) => Promise<number>,
  cwd: string,
  env: Record<string, string> = {},
): Promise<Result> {
  const [output, errors] = [new PassThrough(), new PassThrough()];
  const texts = Promise.all([textOf(output), textOf(errors)]);
  const files = { ...hostFiles(), workingDirectory: cwd };
  const code = await command({ stdin: Readable.from([]), stdout: output, stderr: errors, env }, files);
  output.end();
  errors.end();
  const [stdout, stderr] = await texts;
  return { code, stdout, stderr };
}

async function textOf(stream: PassThrough): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += chunk;
  return text;
}

/** A folder that is removed after the test. */
export function emptyFolder(context: { after(action: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-traffic-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const SEEN = { count: 3, firstSeconds: 1_777_000_000, lastSeconds: 1_777_000_060 };
const PLACE = { address: "192.168.1.7:50000", local: false, listener: "tcp", transport: "tcp" };
const HEADER = {
  type: "mqtt-broker-traffic",
  format: 1,
  sinceSeconds: 1_777_000_000,
  droppedUses: 0,
  droppedClients: 0,
} as const;

/** Kim publishes home/door and receives home/lamp; Lee was denied home/door. */
export const RECORD: Traffic = {
  header: HEADER,
  clients: ["kim", "lee"].map((name) => ({
    type: "client",
    name,
    userName: name,
    clientId: `${name}-1`,
    method: "sha256",
    groups: [],
    ...PLACE,
    ...SEEN,
  })),
  uses: [
    { type: "use", name: "kim", clientId: "kim-1", operation: "publish", topic: "home/door", allowed: true, ...SEEN },
    { type: "use", name: "kim", clientId: "kim-1", operation: "receive", topic: "home/lamp", allowed: true, ...SEEN },
    { type: "use", name: "lee", clientId: "lee-1", operation: "publish", topic: "home/door", allowed: false, ...SEEN },
  ],
  refusals: [],
};

export function linesOf({ header, clients, uses, refusals }: Traffic): unknown[] {
  return [header, ...clients, ...uses, ...refusals];
}

export function writeRecord(path: string, traffic: Traffic = RECORD): void {
  writeFileSync(
    path,
    linesOf(traffic)
      .map((line) => `${JSON.stringify(line)}\n`)
      .join(""),
  );
}

const DIGEST = "ab".repeat(32);

/** A file of users and rules with kim and lee. */
export function authText(rules: string): string {
  return `{
  authentication: [
    // Kim's, with a comment to be kept
    { name: "kim", method: "sha256", salt: "s", digest: "${DIGEST}" },
    { name: "lee", method: "sha256", salt: "s", digest: "${DIGEST}" },
  ],
  authorization: [
    ${rules}
  ],
}
`;
}
