import { shownPath } from "../auth/auth-file.ts";
import type { Method } from "../auth/auth-rules.ts";
import { loadAuth } from "../auth/load-auth.ts";
import type { ReadAuth, ReadUser } from "../auth/reading/read-auth.ts";
import type { Anonymous, AuthSettings } from "../config/settings.ts";
import type { Problem } from "../text/problem.ts";

/** Names that one line shows. */
const NAMES_MAX = 10;

export interface CheckedAuth {
  /** The file as messages name it; "" without one. */
  readonly name: string;
  readonly problems: readonly Problem[];
  /** Who may connect; undefined when the file cannot be used. */
  readonly lines: readonly string[] | undefined;
}

/**
 * Reads the file of users and rules as `run` does, and says who may connect. `certificatesVerified`, `keysChecked`:
 * whether a listener checks those of its clients.
 */
export async function checkAuth(
  settings: AuthSettings,
  workingDirectory: string,
  { certificatesVerified, keysChecked }: { certificatesVerified: boolean; keysChecked: boolean },
): Promise<CheckedAuth> {
  const { file, anonymous } = settings;
  const name = file === undefined ? "" : shownPath(file, workingDirectory);
  const loaded = file === undefined ? undefined : await loadAuth(file, { name, certificatesVerified, keysChecked });
  if (loaded === undefined || loaded.missing) {
    return { name: "", problems: [], lines: [withoutName(ANONYMOUS[anonymous ?? "local"])] };
  }
  const { auth, problems } = loaded;
  return { name, problems, lines: auth === undefined ? undefined : linesOf(auth, name, anonymous) };
}

const ANONYMOUS: Record<Anonymous, string> = {
  local: "from this machine only",
  all: "from everywhere",
  none: "not let in",
};

/** What proves who a client is, for those methods that name a user. */
const PROOFS: readonly [proof: string, methods: readonly Method[]][] = [
  ["with a password", ["argon2id", "scrypt", "mosquitto", "sha256", "plain_password"]],
  ["with a certificate", ["client_cert"]],
  ["with a key (TLS-PSK)", ["psk"]],
  ["with a token", ["jwt"]],
  ["on a Unix socket", ["unix_socket"]],
  ["on a serial line", ["serial"]],
  ["by wireless node", ["mqtt_sn"]],
];

function linesOf({ users, groups, rules, ledger }: ReadAuth, name: string, anonymous: Anonymous | undefined): string[] {
  if (ledger !== undefined) {
    return [
      `Users and rules: ${name}, a ledger of ${count(ledger.users.size, "user")}, ${count(ledger.acl.length, "rule")}`,
    ];
  }
  const named = PROOFS.flatMap(([proof, methods]) => {
    const names = users.filter(({ method }) => methods.includes(method)).map((user) => shownUser(user));
    return names.length === 0 ? [] : [`Clients ${proof}: ${list(names)}`];
  });
  const fallback = users.find(({ method }) => method === "unauthenticated");
  return [
    `Users and rules: ${name}, ${count(users.length, "user")}, ${count(groups.length, "group")}, ${count(rules.length, "rule")}`,
    ...named,
    withoutName(
      anonymous === undefined ? ofEntry(users.find(({ method }) => method === "anonymous")) : ANONYMOUS[anonymous],
    ),
    ...(fallback === undefined ? [] : [`Clients with a wrong password: ${ofEntry(fallback)}, as ${fallback.name}`]),
  ];
}

function withoutName(whence: string): string {
  return `Clients without a user name: ${whence}`;
}

function ofEntry(user: ReadUser | undefined): string {
  if (user === undefined) return ANONYMOUS.none;
  const { from } = user;
  if (from.length === 0) return ANONYMOUS.all;
  return from.length === 1 && from[0] === "local" ? ANONYMOUS.local : `from ${from.join(", ")}`;
}

function shownUser({ name, from }: ReadUser): string {
  const shown = name === "*" ? "every name" : name;
  return from.length === 0 ? shown : `${shown} (from ${from.join(", ")})`;
}

function list(names: readonly string[]): string {
  const more = names.length - NAMES_MAX;
  return more <= 0 ? names.join(", ") : `${names.slice(0, NAMES_MAX).join(", ")} and ${more} more`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
