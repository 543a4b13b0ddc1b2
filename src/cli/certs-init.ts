import { COMMON_NAME_MAX, commonNameOf, hostOf, namesOfMachine, withoutRepeats } from "../certs/names.ts";
import { dateOf, validityOf } from "../certs/validity.ts";
import { writeFiles } from "../certs/write-file.ts";
import { issue, newAuthority, newKey } from "../certs/x509.ts";
import { type CertsRun, demandClock, revocationFile, shellWord, warnOfShorter } from "./certs-run.ts";
import { ExitCode } from "./client-io.ts";

const FILES = ["ca.crt", "ca.key", "ca.crl", "server.crt", "server.key", "issued.json"] as const;

/** `mqtt-broker certs init`: the authority and the server's certificate, and what to do with them. */
export async function initCertificates(run: CertsRun): Promise<number> {
  const { options, machine, folder, output } = run;
  const there = FILES.filter((name) => folder.has(name));
  if (there.length > 0 && !options.force) {
    const what = there.map((name) => folder.shown(name)).join(", ");
    const advice =
      "mqtt-broker certs renew makes the server's certificate anew; --force replaces the authority too, and then every " +
      "client needs its new ca.crt and a new certificate of its own";
    throw new Error(`There is already ${what}. ${advice}`);
  }
  demandClock(run);
  const names = withoutRepeats([...namesOfMachine(machine), ...options.names]);
  const host = hostOf(names);
  const lasting = validityOf(machine.nowMs, options.authorityDays);
  const made = await newAuthority(`mqtt-broker CA of ${host}`.slice(0, COMMON_NAME_MAX), lasting);
  const authority = { ...made, validity: lasting };
  const validity = validityOf(machine.nowMs, options.days, lasting.untilMs);
  const key = newKey();
  const certificate = await issue(authority, {
    commonName: commonNameOf(names),
    purpose: "server",
    names,
    key,
    validity,
  });
  const list = await revocationFile(run, authority, []);
  writeFiles([
    { path: folder.file("ca.key"), content: authority.key, isSecret: true },
    { path: folder.file("ca.crt"), content: authority.certificate, isSecret: false },
    list,
    { path: folder.file("server.key"), content: key, isSecret: true },
    { path: folder.file("server.crt"), content: certificate + authority.certificate, isSecret: false },
    { path: folder.file("issued.json"), content: "[]\n", isSecret: false },
  ]);
  warnOfShorter(run, validity, machine.nowMs);
  await output.write(
    [
      `Made in ${folder.name}:`,
      `  ca.crt      the authority, until ${dateOf(lasting.untilMs)}: clients need a copy of this file`,
      "  ca.key      its key: who has it can make certificates; keep it secret, and a copy in a safe place",
      "  ca.crl      the list of revoked certificates, still empty",
      `  server.crt  for the broker, until ${dateOf(validity.untilMs)}: ${names.map(({ value }) => value).join(", ")}`,
      "  server.key  its key",
      "",
      "Start the broker with TLS:",
      `  mqtt-broker --tls-port 8883 --server-crt ${shellWord(folder.shown("server.crt"))} --server-key ${shellWord(folder.shown("server.key"))}`,
      "Try it on this machine; elsewhere, copy ca.crt there and give one of the names above as the host:",
      `  mosquitto_sub --cafile ${shellWord(folder.shown("ca.crt"))} -h localhost -p 8883 -t '#' -v`,
      "With --tls-reissue too the broker makes server.crt anew by itself when this machine gets another name or address.",
      "",
    ].join("\n"),
  );
  return ExitCode.Ok;
}
