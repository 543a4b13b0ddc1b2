import type { UserLine } from "./passwd-entry.ts";

const COLUMNS = [
  ["NAME", ({ name }) => name],
  ["METHOD", ({ method }) => method],
  ["GROUPS", ({ groups }) => groups.join(" ")],
  ["ADMIN", ({ admin }) => admin],
  ["EXPIRES", ({ expires }) => expires],
  ["NOTE", ({ note }) => note],
] as const satisfies readonly (readonly [string, (user: UserLine) => string | undefined])[];

/** Users for people, a line each; columns in which nobody has anything are left out. */
export function userTable(users: readonly UserLine[]): string {
  if (users.length === 0) return "No users\n";
  const columns = COLUMNS.map(([title, read]) => ({ title, cells: users.map((user) => printable(read(user) ?? "")) }))
    .filter(({ cells }) => cells.some((cell) => cell !== ""))
    .map(({ title, cells }) => {
      const width = Math.max(title.length, ...cells.map((cell) => cell.length));
      return [title, ...cells].map((cell) => cell.padEnd(width));
    });
  const lines = [...users.keys(), users.length].map((line) => columns.map((column) => column[line]).join("  "));
  return lines.map((line) => `${line.trimEnd()}\n`).join("");
}

/** Control characters would reach the terminal otherwise. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "?");
}
