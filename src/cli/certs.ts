import { type Machine, thisMachine } from "../certs/machine.ts";
import type { Files } from "../config/files.ts";
import { makeClient, revokeClient } from "./certs-client.ts";
import { initCertificates } from "./certs-init.ts";
import { type CertsCommand, certsHelp, parseCertsOptions } from "./certs-options.ts";
import { renewCertificate } from "./certs-renew.ts";
import { type CertsRun, findCertificateFolder } from "./certs-run.ts";
import { showCertificates } from "./certs-show.ts";
import { type ClientIo, ExitCode, Output, UsageError } from "./client-io.ts";
import { Interrupted } from "./passwd-prompt.ts";

const COMMANDS: Readonly<Record<CertsCommand, (run: CertsRun) => Promise<number>>> = {
  init: initCertificates,
  client: makeClient,
  show: showCertificates,
  renew: renewCertificate,
  revoke: revokeClient,
};

/**
 * `mqtt-broker certs …`; `argv` begins after that word. Returns the exit code: 0, 1 when it failed or a certificate is not
 * valid, 2 for usage, 130 when it was interrupted. Never throws for what the user did or the files hold.
 */
export async function runCerts(
  argv: readonly string[],
  io: ClientIo,
  files: Files,
  machine: Machine = thisMachine(),
): Promise<number> {
  const output = new Output(io.stdout);
  try {
    const options = parseCertsOptions(argv);
    if (options === "help") {
      await output.write(certsHelp());
      return ExitCode.Ok;
    }
    const folder = findCertificateFolder(options, io.env, files);
    return await COMMANDS[options.command]({ options, io, files, output, machine, folder });
  } catch (error) {
    io.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    if (error instanceof Interrupted) return error.exitCode;
    return error instanceof UsageError ? ExitCode.Usage : ExitCode.Failed;
  } finally {
    await output.finish();
  }
}
