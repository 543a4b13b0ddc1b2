import { spawn } from "node:child_process";
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { fileURLToPath } from "node:url";
import type { ClientIo } from "../../src/cli/client-io.ts";

export type Command = (argv: readonly string[], io: ClientIo) => Promise<number>;

export interface Result {
  code: number;
  stdout: Buffer;
  stderr: string;
}

/** A command that is running. */
export interface Running {
  stdin: PassThrough;
  result: Promise<Result>;
  /** Resolves when standard output contains `text`; rejects when the command ends without. */
  saw(text: string): Promise<void>;
  interrupt(): void;
}

/** Starts one of our commands in this process. */
export function start(command: Command, argv: readonly string[], input?: string | Uint8Array): Running {
  const stdin = new PassThrough();
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  if (input !== undefined) stdin.end(input);
  const abort = new AbortController();
  const out = gather(stdout);
  const err = gather(stderr);
  const result = command(argv, { stdin, stdout, stderr, env: {}, interrupt: abort.signal }).then((code) => ({
    code,
    stdout: Buffer.concat(out),
    stderr: Buffer.concat(err).toString(),
  }));
  const saw = async (text: string): Promise<void> => {
    let over = false;
    result.then(
      () => {
        over = true;
      },
      () => {
        over = true;
      },
    );
    while (!Buffer.concat(out).includes(text)) {
      if (over) throw new Error(`Ended without "${text}": ${Buffer.concat([...out, ...err])}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  return { stdin, result, saw, interrupt: () => abort.abort() };
}

/** Runs one of our commands to its end. */
export function ours(command: Command, argv: readonly string[], input: string | Uint8Array = ""): Promise<Result> {
  return start(command, argv, input).result;
}

/** Runs a program to its end, such as the real mosquitto_sub. */
export async function real(program: string, argv: readonly string[], input: string | Uint8Array = ""): Promise<Result> {
  const child = spawn(program, [...argv], { stdio: "pipe" });
  const out = gather(child.stdout);
  const err = gather(child.stderr);
  child.stdin.on("error", () => {});
  child.stdin.end(input);
  const [code] = await once(child, "close");
  return { code: code as number, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString() };
}

/** The words that start one of our commands as a process of its own. */
export function asProcess(exported: string, file: string): string[] {
  const path = fileURLToPath(new URL(`../../src/cli/${file}`, import.meta.url));
  const script = `const { ${exported} } = await import(${JSON.stringify(path)});
    const { stdin, stdout, stderr, env } = process;
    process.exitCode = await ${exported}(process.argv.slice(1), { stdin, stdout, stderr, env });`;
  return [process.execPath, "--input-type=module", "-e", script, "--"];
}

function gather(stream: NodeJS.ReadableStream): Buffer[] {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  return chunks;
}
