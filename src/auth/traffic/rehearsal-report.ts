import { quoted } from "./quoted.ts";
import type { ChangedUse, Rehearsal } from "./rehearsal.ts";
import { hasLosses } from "./rehearsal.ts";
import { ANY_CLIENT, type Traffic, type TrafficClient, type TrafficRefusal } from "./traffic.ts";

/** Lines of one kind that one user gets; the rest is counted. */
const SHOWN_MAX = 20;

/** A rehearsal for people: by what changes, by user, by the rule that decides. Ends with a newline. */
export function rehearsalReport(rehearsal: Rehearsal, { header }: Traffic, file: string): string {
  const { uses, clients, newlyDenied, newlyBound, newlyAllowed, letIn, otherProofs } = rehearsal;
  const lines = [
    `Tried ${file} with ${count(uses, "use")} of ${count(clients, "client")} since ${dateOf(header.sinceSeconds)}`,
  ];
  const dropped = header.droppedUses + header.droppedClients;
  if (dropped > 0) {
    lines.push(`The record lacks ${count(dropped, "use")}, which came when it was full or too many at once: not tried`);
  }
  lines.push(
    ...section("Would not get in any more", lockedOut(rehearsal)),
    ...section("Newly denied", usesByUser(newlyDenied)),
    ...section("Allowed with a lower QoS, or without RETAIN", usesByUser(newlyBound)),
    ...section("Newly allowed", usesByUser(newlyAllowed)),
    ...section("Would now get in without credentials", shown(letIn.map(describeRefusal))),
    ...section("To be looked at", shown(otherProofs.map(({ client, proof }) => `${who(client)} ${proof}`))),
    "",
    hasLosses(rehearsal) ? "Somebody would lose something: see above" : "Nobody would lose anything that was used",
  );
  return `${lines.join("\n")}\n`;
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", `${title}:`, ...lines.map((line) => `  ${line}`)];
}

function lockedOut({ lockedOut: clients }: Rehearsal): string[] {
  const byReason = Map.groupBy(clients, ({ client, reason }) => `${quoted(client.name)}: ${reason}`);
  return shown(
    [...byReason].map(([reason, members]) => {
      const last = members.reduce((a, b) => (b.client.lastSeconds > a.client.lastSeconds ? b : a)).client;
      return `${reason}; ${clientsOf(members.map(({ client }) => client))}, last ${seenText(last)}`;
    }),
  );
}

function usesByUser(changes: readonly ChangedUse[]): string[] {
  const byUser = Map.groupBy(changes, ({ use }) => use.name);
  return [...byUser].flatMap(([name, ofUser]) => {
    const byRule = Map.groupBy(ofUser, ({ reason, place }) => (place === "" ? reason : `${place}: ${reason}`));
    const rules = [...byRule].flatMap(([rule, ofRule]) => {
      const { text } = ofRule[0]!;
      return [
        rule,
        ...(text === "" ? [] : [`  ${text}`]),
        ...shown(ofRule.map(describeUse)).map((line) => `  ${line}`),
      ];
    });
    return [quoted(name), ...rules.map((line) => `  ${line}`)];
  });
}

function describeUse({ use }: ChangedUse): string {
  const { operation, topic, folded, sampleTopic, clientId, sampleClientId, count: times, lastSeconds } = use;
  const pattern = folded ? ` (a pattern; tried: ${quoted(sampleTopic ?? topic)})` : "";
  const client =
    clientId === ANY_CLIENT ? `clients such as ${quoted(sampleClientId ?? "")}` : `client ${quoted(clientId)}`;
  return `${operation} ${quoted(topic)}${pattern}, ${client}, ${count(times, "time")}, last ${dateOf(lastSeconds)}`;
}

function describeRefusal({ clientId, address, lastSeconds, count: times }: TrafficRefusal): string {
  return `client ${quoted(clientId)} from ${address}, refused ${count(times, "time")}, last ${dateOf(lastSeconds)}`;
}

function clientsOf(clients: readonly TrafficClient[]): string {
  const names = clients.map(({ clientId, sampleClientId }) => quoted(sampleClientId ?? clientId));
  const listed = names.slice(0, 5).join(", ");
  return names.length > 5
    ? `${count(names.length, "client")}: ${listed}, …`
    : `${names.length === 1 ? "client" : "clients"} ${listed}`;
}

function seenText({ address, lastSeconds }: TrafficClient): string {
  return `seen ${dateOf(lastSeconds)}${address === "" ? "" : ` at ${address}`}`;
}

function who({ name, clientId, sampleClientId }: TrafficClient): string {
  return `${quoted(name)} (client ${quoted(sampleClientId ?? clientId)})`;
}

function shown(lines: readonly string[]): string[] {
  if (lines.length <= SHOWN_MAX) return [...lines];
  return [...lines.slice(0, SHOWN_MAX), `and ${lines.length - SHOWN_MAX} more`];
}

/** "2026-05-01 10:00", in UTC. */
export function dateOf(seconds: number): string {
  return Number.isFinite(seconds) && seconds < 8e12
    ? `${new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ")}`
    : "?";
}

export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
