import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, type Readable } from "node:stream";
import type { ClientIo } from "../../src/cli/client-io.ts";
import { type Files, hostFiles } from "../../src/config/files.ts";

export type FileCommand = (argv: readonly string[], io: ClientIo, files: Files) => Promise<number>;

export interface CommandResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a command within this process, as if it had been started in `cwd`. */
export async function runIn(
  cwd: string,
  command: FileCommand,
  argv: readonly string[],
  input: string | Uint8Array | TypedInput = "",
  env: Readonly<Record<string, string>> = {},
): Promise<CommandResult> {
  const stdin = input instanceof TypedInput ? input : new PassThrough();
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const texts = Promise.all([textOf(stdout), textOf(stderr)]);
  if (!(input instanceof TypedInput)) stdin.end(input);
  const code = await command(argv, { stdin, stdout, stderr, env }, { ...hostFiles(), workingDirectory: cwd });
  stdout.end();
  stderr.end();
  const [out, errors] = await texts;
  return { code, stdout: out, stderr: errors };
}

/** A terminal at which somebody types: what is typed comes in the pieces in which it is given. */
export class TypedInput extends PassThrough {
  readonly isTTY = true;
  /** Whether it shows what is typed by itself: as it should be at the end. */
  isRaw = false;
  /** It was raw at some time. */
  wasRaw = false;

  constructor(...typed: readonly (string | Uint8Array)[]) {
    super();
    for (const piece of typed) this.write(piece);
  }

  setRawMode(mode: boolean): this {
    this.isRaw = mode;
    this.wasRaw ||= mode;
    return this;
  }
}

/** A folder that is removed after the test. */
export function emptyFolder(context: { after(action: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-passwd-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function textOf(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
