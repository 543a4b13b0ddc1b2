import { runCerts } from "../../src/cli/certs.ts";
import type { Files } from "../../src/config/files.ts";
import { BOX } from "../certs/certs-kit.ts";
import { type CommandResult, runIn } from "./passwd-kit.ts";

export interface CertsSurroundings {
  input?: Parameters<typeof runIn>[3];
  env?: Readonly<Record<string, string>>;
  machine?: Partial<typeof BOX>;
}

/** `mqtt-broker certs` on a machine that is always the same. */
export function certs(cwd: string, words: readonly string[], options: CertsSurroundings = {}): Promise<CommandResult> {
  const machine = { ...BOX, ...options.machine };
  const command = (argv: readonly string[], io: Parameters<typeof runCerts>[1], files: Files) =>
    runCerts(argv, io, files, machine);
  return runIn(cwd, command, words, options.input, options.env);
}
