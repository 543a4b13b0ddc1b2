import { existsSync, readdirSync } from "node:fs";
import { type CertificateFacts, factsOf, readCertificates } from "../certs/facts.ts";
import type { CertificateFolder } from "../certs/folder.ts";
import { dateOf, daysUntil } from "../certs/validity.ts";
import type { CertsRun } from "./certs-run.ts";
import { ExitCode } from "./client-io.ts";
import { readGiven } from "./passwd-file.ts";

const PURPOSES = { authority: "an authority", server: "servers", client: "clients" } as const;

/** `mqtt-broker certs show`: what the files say, one paragraph for each certificate. Exit 1: one is not valid now. */
export async function showCertificates(run: CertsRun): Promise<number> {
  const { options, files, folder, machine, output } = run;
  const given = options.subjects.map((file) => ({ shown: file, text: readGiven(file, files).toString("latin1") }));
  const named = given.length > 0 ? given : certificatesIn(folder);
  const revoked = new Map(named === given ? [] : await revokedIn(folder));
  const seen = new Set<string>();
  let areValid = true;
  for (const { shown, text } of named) {
    for (const facts of factsIn(shown, text)) {
      // The authority is also at the end of what it signed.
      if (seen.has(facts.fingerprint)) continue;
      seen.add(facts.fingerprint);
      const { fromMs, untilMs } = facts.validity;
      areValid &&= untilMs > machine.nowMs && fromMs <= machine.nowMs;
      await output.write(paragraph(shown, facts, machine.nowMs, revoked.get(facts.serial)));
    }
  }
  return areValid ? ExitCode.Ok : ExitCode.Failed;
}

function certificatesIn(folder: CertificateFolder): { shown: string; text: string }[] {
  const names = existsSync(folder.path) ? readdirSync(folder.path) : [];
  const found = names.filter((name) => name.endsWith(".crt") && !name.startsWith("."));
  if (found.length === 0) {
    throw new Error(
      `There are no certificates in ${folder.name}: mqtt-broker certs init makes them; --dir names another folder`,
    );
  }
  const first = ["ca.crt", "server.crt"].filter((name) => found.includes(name));
  const others = found.filter((name) => !first.includes(name)).sort();
  return [...first, ...others].map((name) => ({ shown: folder.shown(name), text: folder.read(name) }));
}

async function revokedIn(folder: CertificateFolder): Promise<[serial: string, atMs: number][]> {
  if (!folder.has("ca.crt")) return [];
  return (await folder.revoked()).map(({ serial, atMs }) => [serial, atMs]);
}

function factsIn(shown: string, text: string): CertificateFacts[] {
  try {
    return readCertificates(text).map(factsOf);
  } catch (error) {
    throw new Error(`${shown}: ${(error as Error).message}`);
  }
}

function paragraph(shown: string, facts: CertificateFacts, nowMs: number, revokedMs: number | undefined): string {
  const of = (kind: "dns" | "ip"): string[] =>
    facts.names.filter((name) => name.kind === kind).map(({ value }) => value);
  const purposes = facts.purposes.map((purpose) => PURPOSES[purpose]).join(" and ");
  const rows: [string, string][] = [
    ["Name", facts.commonName],
    ["For", purposes],
    ["Signed by", facts.issuer],
    ["Host names", of("dns").join(", ")],
    ["Addresses", of("ip").join(", ")],
    ["Valid", validityText(facts, nowMs)],
    ["Revoked", revokedMs === undefined ? "" : dateOf(revokedMs)],
    ["SHA-256", facts.fingerprint],
  ];
  const lines = rows.filter(([, text]) => text !== "").map(([title, text]) => `  ${title.padEnd(11)} ${text}`);
  return `${[shown, ...lines].join("\n")}\n`;
}

function validityText({ validity: { fromMs, untilMs } }: CertificateFacts, nowMs: number): string {
  const range = `${dateOf(fromMs)} to ${dateOf(untilMs)}`;
  if (fromMs > nowMs) return `${range}: NOT YET valid; is the clock of this machine right?`;
  if (untilMs <= nowMs) return `${range}: EXPIRED`;
  const days = daysUntil(untilMs, nowMs);
  return `${range}: ${days} ${days === 1 ? "day" : "days"} left`;
}
