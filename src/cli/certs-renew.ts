import { missingNames, namesOfMachine, withoutRepeats } from "../certs/names.ts";
import { readRenewable, renewServer } from "../certs/renewal.ts";
import { dateOf, daysUntil } from "../certs/validity.ts";
import { type CertsRun, demandClock, warnOfShorter } from "./certs-run.ts";
import { ExitCode } from "./client-io.ts";

/** `mqtt-broker certs renew`: the server's certificate anew, with the names it had and those that came since. */
export async function renewCertificate(run: CertsRun): Promise<number> {
  const { options, machine, folder, output } = run;
  const { nowMs } = machine;
  demandClock(run);
  const renewable = readRenewable(folder, nowMs);
  const { before } = renewable;
  const now = withoutRepeats([...namesOfMachine(machine), ...options.names]);
  const added = missingNames(now, before.names);
  const left = daysUntil(before.validity.untilMs, nowMs);
  const shown = folder.shown("server.crt");
  if (options.ifNeeded !== undefined && !options.newKey && left >= options.ifNeeded && added.length === 0) {
    await output.write(`${shown} is good for ${left} more days and has all names: nothing to do\n`);
    return ExitCode.Ok;
  }
  const order = { names: now, nowMs, days: options.days, withNewKey: options.newKey };
  const validity = await renewServer(folder, renewable, order);
  warnOfShorter(run, validity, nowMs);
  const news = added.length === 0 ? "" : `, now also for ${added.map(({ value }) => value).join(", ")}`;
  const keyNote = options.newKey ? "with a new key" : "with the same key";
  await output.write(`Made ${shown} anew ${keyNote}, until ${dateOf(validity.untilMs)}${news}\n`);
  return ExitCode.Ok;
}
