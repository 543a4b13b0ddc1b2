import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { type ClientIo, UsageError } from "./client-io.ts";

/** MQTT's longest password. */
const PASSWORD_BYTES_MAX = 65_535;
const INTERRUPTED = 130;

/** Ctrl-C at a prompt: the terminal is as it was before. */
export class Interrupted extends Error {
  /** What shells give for SIGINT. */
  readonly exitCode = INTERRUPTED;

  constructor() {
    super("Interrupted: nothing was changed");
    this.name = "Interrupted";
  }
}

interface Terminal extends Readable {
  isTTY?: boolean;
  setRawMode?(mode: boolean): unknown;
}

export function isTerminal(io: ClientIo): boolean {
  const stdin = io.stdin as Terminal;
  return stdin.isTTY === true && stdin.setRawMode !== undefined;
}

/** A new password, asked for twice, or from standard input. Throws UsageError, Interrupted. */
export async function newPassword(io: ClientIo, fromStdin: boolean, name: string): Promise<string> {
  if (fromStdin) return readPassword(io);
  demandTerminal(io);
  for (;;) {
    const password = await ask(io, `New password of ${name}: `, true);
    const objection = objectionTo(password);
    if (objection !== undefined) {
      io.stderr.write(`${objection}\n`);
    } else {
      if ((await ask(io, "Again: ", true)) === password) return password;
      io.stderr.write("These were two different passwords: once more\n");
    }
  }
}

/** A password as it is, asked for once, or from standard input. Throws UsageError, Interrupted. */
export async function givenPassword(io: ClientIo, fromStdin: boolean, name: string): Promise<string> {
  if (fromStdin) return readPassword(io);
  demandTerminal(io);
  return ask(io, `Password of ${name}: `, true);
}

/** A question that only "y" or "yes" answers with yes. */
export async function confirm(io: ClientIo, question: string): Promise<boolean> {
  return /^y(?:es)?$/i.test((await ask(io, `${question} [y/N] `, false)).trim());
}

function demandTerminal(io: ClientIo): void {
  if (isTerminal(io)) return;
  throw new UsageError("Standard input is no terminal to ask for a password: --password-stdin reads it from there");
}

function objectionTo(password: string): string | undefined {
  if (password === "") return "The password is empty: it needs at least one character";
  if (Buffer.byteLength(password) > PASSWORD_BYTES_MAX)
    return "The password is too long: MQTT's have 65,535 bytes at most";
  return undefined;
}

/** All of standard input, without the line end behind it. */
async function readPassword(io: ClientIo): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of io.stdin) {
    chunks.push(Buffer.from(chunk as Buffer));
    length += chunks.at(-1)!.length;
    if (length > PASSWORD_BYTES_MAX + 2) break;
  }
  const bytes = Buffer.concat(chunks);
  let password: string;
  try {
    password = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes).replace(/\r?\n$/, "");
  } catch {
    throw new UsageError("The password on standard input is no text in UTF-8");
  }
  if (/[\r\n]/.test(password)) throw new UsageError("Standard input has several lines: one password is expected there");
  const objection = objectionTo(password);
  if (objection !== undefined) throw new UsageError(objection);
  return password;
}

/** One line from the terminal. Without `secret` what is typed is shown. */
async function ask(io: ClientIo, prompt: string, secret: boolean): Promise<string> {
  const stdin = io.stdin as Terminal;
  // First, so that nothing is shown of what is typed at once.
  stdin.setRawMode?.(true);
  io.stderr.write(prompt);
  try {
    return await readLine(stdin, (typed) => {
      if (!secret) io.stderr.write(typed);
    });
  } finally {
    stdin.setRawMode?.(false);
    io.stderr.write("\n");
  }
}

const KEYS = { interrupt: "\u0003", end: "\u0004", eraseLine: "\u0015", escape: "\u001b" } as const;

/** What was typed behind the line end is put back, for the next question. */
function readLine(stdin: Terminal, echo: (text: string) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    const decoder = new StringDecoder("utf8");
    const line = new TypedLine(echo);
    const stop = (): void => {
      stdin.off("data", onData).off("end", onEnd).off("error", onEnd);
      stdin.pause();
    };
    const onEnd = (): void => {
      stop();
      reject(new Interrupted());
    };
    const onData = (chunk: Buffer | string): void => {
      const rest = line.take(typeof chunk === "string" ? chunk : decoder.write(chunk));
      if (rest === undefined) return;
      stop();
      if (rest !== "") stdin.unshift(Buffer.from(rest));
      if (line.isInterrupted) reject(new Interrupted());
      else resolve(line.text);
    };
    stdin.on("data", onData).on("end", onEnd).on("error", onEnd);
    stdin.resume();
  });
}

/** A line that is being typed, with the few keys that people need. */
class TypedLine {
  private characters: string[] = [];
  /** What has come of a key that sends several characters, such as an arrow: it types nothing. */
  private sequence = "";
  /** It was ended by Ctrl-C, or by Ctrl-D before anything else. */
  isInterrupted = false;
  private readonly echo: (text: string) => void;

  constructor(echo: (text: string) => void) {
    this.echo = echo;
  }

  get text(): string {
    return this.characters.join("");
  }

  /** What is typed behind the line's end; undefined: it goes on. */
  take(typed: string): string | undefined {
    const characters = [...typed];
    for (const [index, character] of characters.entries()) {
      this.isInterrupted = character === KEYS.interrupt || (character === KEYS.end && this.characters.length === 0);
      const isEnd = this.isInterrupted || character === "\r" || character === "\n" || character === KEYS.end;
      // A pasted CRLF is one line end.
      if (isEnd)
        return characters
          .slice(index + 1)
          .join("")
          .replace(/^\n/, "");
      this.type(character);
    }
    return undefined;
  }

  private type(character: string): void {
    if (this.sequence !== "") {
      this.sequence += character;
      const goesOn = /^(?:[[O][\d;]*)?$/.test(this.sequence.slice(1));
      if (!goesOn) this.sequence = "";
    } else if (character === KEYS.escape) this.sequence = character;
    else if (character === "\u007f" || character === "\b") this.erase(1);
    else if (character === KEYS.eraseLine) this.erase(this.characters.length);
    else if (character >= " " || character === "\t") {
      this.characters.push(character);
      this.echo(character);
    }
  }

  private erase(count: number): void {
    const erased = this.characters.splice(Math.max(0, this.characters.length - count));
    this.echo("\b \b".repeat(erased.length));
  }
}
