import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const FIRMWARE = join(import.meta.dirname, "../../../device/firmware");
export const STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"];
export const SANITIZED = ["-g1", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

/** The library's own sources. */
export const LIBRARY = ["client", "packet", "framing"].map((name) => join(FIRMWARE, "src", `${name}.c`));
export const NODE = ["clock", "node", "options", "tty", "udp"].map((name) => join(FIRMWARE, "posix", `${name}.c`));

export const FRAMINGS = { "slip-crc": "SLIP_CRC", slip: "SLIP", cobs: "COBS_CRC", raw: "RAW" } as const;
export type FirmwareFraming = keyof typeof FRAMINGS;
export const FRAMING_NAMES = Object.keys(FRAMINGS) as FirmwareFraming[];

export function framingFlag(framing: FirmwareFraming): string {
  return `-DMQTTSN_FRAMING=MQTTSN_${FRAMINGS[framing]}`;
}

export function own(name: string): string {
  return join(import.meta.dirname, name);
}

/** A folder of its own under the system's, removed when the process ends. */
export function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-firmware-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface Ran {
  status: number | null;
  stdout: string;
  stderr: string;
}

export function run(command: string, words: readonly string[], input = ""): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, words);
    const ran: Ran = { status: null, stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      ran.stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      ran.stderr += text;
    });
    child.on("error", reject);
    child.on("close", (status) => resolve({ ...ran, status }));
    // A program that ends early closes its input; its status tells why.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
  });
}

/** Compiles with gcc, and answers the path of what it made. */
export async function compile(output: string, words: readonly string[], compiler = "gcc"): Promise<string> {
  const { status, stderr } = await run(compiler, [...words, "-o", output]);
  if (status !== 0 || stderr !== "") throw new Error(`${compiler} ${words.join(" ")}\n${stderr}`);
  return output;
}
