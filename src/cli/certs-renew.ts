import { factsOf } from "../certs/facts.ts";
import { missingNames, namesAfter, namesOfMachine, withoutRepeats } from "../certs/names.ts";
import { daysUntil, validityOf } from "../certs/validity.ts";
import { type NewFile, writeFiles } from "../certs/write-file.ts";
import { issue, newKey } from "../certs/x509.ts";
import { commonNameOf } from "./certs-init.ts";
import { type CertsRun, dateOf, demandClock, warnOfShorter } from "./certs-run.ts";
import { ExitCode } from "./client-io.ts";

/** `mqtt-broker certs renew`: the server's certificate anew, with the names it had and those that came since. */
export async function renewCertificate(run: CertsRun): Promise<number> {
  const { options, machine, folder, output } = run;
  demandClock(run);
  const authority = folder.authority(machine.nowMs);
  const before = factsOf(folder.certificate("server.crt"));
  const oldKey = folder.key("server");
  const now = withoutRepeats([...namesOfMachine(machine), ...options.names]);
  const added = missingNames(now, before.names);
  const left = daysUntil(before.validity.untilMs, machine.nowMs);
  const shown = folder.shown("server.crt");
  if (options.ifNeeded !== undefined && !options.newKey && left >= options.ifNeeded && added.length === 0) {
    await output.write(`${shown} is good for ${left} more days and has all names: nothing to do\n`);
    return ExitCode.Ok;
  }
  const names = namesAfter(before.names, now);
  const validity = validityOf(machine.nowMs, options.days, authority.validity.untilMs);
  const key = options.newKey ? newKey() : oldKey;
  const commonName = before.commonName === "" ? commonNameOf(names) : before.commonName;
  const certificate = await issue(authority, { commonName, purpose: "server", names, key, validity });
  const files: NewFile[] = [
    { path: folder.file("server.crt"), content: certificate + authority.certificate, isSecret: false },
  ];
  if (options.newKey) files.unshift({ path: folder.file("server.key"), content: key, isSecret: true });
  writeFiles(files);
  warnOfShorter(run, validity, machine.nowMs);
  const news = added.length === 0 ? "" : `, now also for ${added.map(({ value }) => value).join(", ")}`;
  const keyNote = options.newKey ? "with a new key" : "with the same key";
  await output.write(`Made ${shown} anew ${keyNote}, until ${dateOf(validity.untilMs)}${news}\n`);
  return ExitCode.Ok;
}
