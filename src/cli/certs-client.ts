import { X509Certificate } from "node:crypto";
import { factsOf } from "../certs/facts.ts";
import type { CertificateFolder, Issued } from "../certs/folder.ts";
import { pkcs12 } from "../certs/pkcs12.ts";
import { dateOf, validityOf } from "../certs/validity.ts";
import { type NewFile, writeFiles } from "../certs/write-file.ts";
import { issue, newKey, type Revoked } from "../certs/x509.ts";
import { type CertsRun, demandClock, revocationFile, shellWord, warnOfShorter } from "./certs-run.ts";
import { ExitCode } from "./client-io.ts";
import { isTerminal, newPassword } from "./passwd-prompt.ts";

/** `mqtt-broker certs client NAME`: a certificate by which a client is known. */
export async function makeClient(run: CertsRun): Promise<number> {
  const { options, io, machine, folder, output } = run;
  const name = options.subjects[0]!;
  demandClock(run);
  const authority = folder.authority(machine.nowMs);
  const there = ["crt", "key", "p12"].map((ending) => `${name}.${ending}`).filter((file) => folder.has(file));
  if (there.length > 0 && !options.force) {
    const what = there.map((file) => folder.shown(file)).join(", ");
    throw new Error(
      `There is already ${what}: --force makes new ones, and the old certificate stays good until it is revoked`,
    );
  }
  const issued = folder.issued();
  const wantsBundle = options.passwordStdin || isTerminal(io);
  const password = wantsBundle ? await newPassword(io, options.passwordStdin, `${name}.p12`) : undefined;
  const validity = validityOf(machine.nowMs, options.days, authority.validity.untilMs);
  const key = newKey();
  const certificate = await issue(authority, { commonName: name, purpose: "client", names: [], key, validity });
  const { serial } = factsOf(new X509Certificate(certificate));
  const files: NewFile[] = [
    recordOf(folder, [...issued, { name, serial, untilMs: validity.untilMs }]),
    { path: folder.file(`${name}.key`), content: key, isSecret: true },
    { path: folder.file(`${name}.crt`), content: certificate, isSecret: false },
  ];
  if (password !== undefined) {
    const content = pkcs12({ certificate, key, authority: authority.certificate, name }, password);
    files.push({ path: folder.file(`${name}.p12`), content, isSecret: true });
  }
  writeFiles(files);
  warnOfShorter(run, validity, machine.nowMs);
  await output.write(adviceOf(folder, name, validity.untilMs, password !== undefined));
  return ExitCode.Ok;
}

/** `mqtt-broker certs revoke NAME`: all that this client has is no longer good. */
export async function revokeClient(run: CertsRun): Promise<number> {
  const { options, machine, folder, output } = run;
  const name = options.subjects[0]!;
  demandClock(run);
  const authority = folder.authority(machine.nowMs);
  const before = await folder.revoked();
  const known = folder.issuedTo(name, machine.nowMs);
  if (known.length === 0) {
    throw new Error(`No certificate of ${name} that is still good was made in ${folder.name}: nothing to revoke`);
  }
  const revoked = known.filter(({ serial }) => !before.some((one) => one.serial === serial));
  if (revoked.length === 0) {
    await output.write(`${name} is revoked already, in ${folder.shown("ca.crl")}\n`);
    return ExitCode.Ok;
  }
  const added: Revoked[] = revoked.map(({ serial }) => ({ serial, atMs: machine.nowMs }));
  writeFiles([await revocationFile(run, authority, [...before, ...added])]);
  const count = revoked.length === 1 ? "1 certificate" : `${revoked.length} certificates`;
  await output.write(
    `Revoked ${count} of ${name} in ${folder.shown("ca.crl")}\n` +
      `The broker refuses them when it runs with --client-crl ${shellWord(folder.shown("ca.crl"))}\n`,
  );
  return ExitCode.Ok;
}

function recordOf(folder: CertificateFolder, issued: readonly Issued[]): NewFile {
  return { path: folder.file("issued.json"), content: `${JSON.stringify(issued, undefined, 2)}\n`, isSecret: false };
}

function adviceOf(folder: CertificateFolder, name: string, untilMs: number, hasBundle: boolean): string {
  const path = (file: string): string => shellWord(folder.shown(file));
  const files = hasBundle ? `${name}.crt, ${name}.key and ${name}.p12 (all in one)` : `${name}.crt and ${name}.key`;
  return [
    `Made ${files} in ${folder.name}, good until ${dateOf(untilMs)}`,
    ...(hasBundle ? [] : [`With --password-stdin, ${name}.p12 is made too, for programs that import one file`]),
    "",
    "Start the broker so that it asks for certificates; besides its other options:",
    `  --client-cert optional --client-ca ${path("ca.crt")} --client-crl ${path("ca.crl")}`,
    'Add this to the "authentication" of auth.json5:',
    `  { name: ${JSON.stringify(name)}, method: "client_cert" },`,
    "Try it:",
    `  mosquitto_sub --cafile ${path("ca.crt")} --cert ${path(`${name}.crt`)} --key ${path(`${name}.key`)} -h localhost -p 8883 -t '#' -v`,
    "",
  ].join("\n");
}
