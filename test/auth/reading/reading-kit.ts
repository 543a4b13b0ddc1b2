import { type AuthAnswer, readAuthFile } from "../../../src/auth/reading/auth-document.ts";
import type { AuthReading } from "../../../src/auth/reading/read-users.ts";
import type { Problem } from "../../../src/text/problem.ts";

export const DIGEST = "0123456789abcdef".repeat(4);
const NOW_MS = Date.UTC(2026, 5, 15, 12);
export const READING: AuthReading = {
  readFile(path) {
    if (path === "secret.txt") return `${"s".repeat(32)}\n`;
    if (path === "locked.pem") throw new Error("permission denied");
    return undefined;
  },
  nowMs: NOW_MS,
  certificatesVerified: true,
};

export function read(text: string, file = "auth.json5"): AuthAnswer {
  return readAuthFile(text, file, READING);
}

/** `rules` in the place of `authorization`, and two users. */
export function withRules(rules: string, more = ""): string {
  return `{ authentication: [{ name: "kima", method: "scrypt", hash: "${SCRYPT}" }, { name: "anonymous", method: "anonymous" }],${more}\n  authorization: [\n${rules}\n] }`;
}

/** `users` in the place of `authentication`. */
export function withUsers(users: string): string {
  return `{ authentication: [\n${users}\n], authorization: [{ topic: "a", allow: { sub: ["@any"] } }] }`;
}

export const SCRYPT = `$scrypt$ln=15,r=8,p=1$${Buffer.alloc(16).toString("base64").replaceAll("=", "")}$${Buffer.alloc(32).toString("base64").replaceAll("=", "")}`;

/** "3:5 the message (the hint)", with "warning: " and "note: ". */
export function lines({ problems }: AuthAnswer): string[] {
  return problems.map(({ severity, line, column, message, hint }) => {
    const kind = severity === "error" ? "" : `${severity}: `;
    return `${line}:${column} ${kind}${message}${hint === undefined ? "" : ` (${hint})`}`;
  });
}

/** Without hints. */
export function messages(answer: AuthAnswer): string[] {
  return lines({ ...answer, problems: answer.problems.map(({ hint, ...problem }): Problem => problem) });
}
