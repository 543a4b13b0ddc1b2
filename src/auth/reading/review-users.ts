import { joined } from "../enumeration.ts";
import type { Complaints } from "./complaints.ts";
import { quote } from "./fields.ts";
import { EVERYBODY } from "./names.ts";
import type { ReadAuth, ReadUser } from "./read-auth.ts";
import type { AuthReading } from "./read-users.ts";

/** What is to be said of all users together: one line for each matter, however many users it concerns. */
export function reviewUsers(
  auth: ReadAuth,
  { certificatesVerified = false, keysChecked = true }: Pick<AuthReading, "certificatesVerified" | "keysChecked">,
  complaints: Complaints,
): void {
  const say = (
    severity: "warning" | "note",
    concerned: readonly ReadUser[],
    message: (names: string) => string,
    hint: string,
  ) => {
    const [first] = concerned;
    if (first === undefined) return;
    complaints.say(
      severity,
      first.place,
      message(joined([...new Set(concerned.map(({ name }) => quote(name)))])),
      hint,
    );
  };
  const { users } = auth;
  const by = (...methods: string[]): ReadUser[] => users.filter(({ method }) => methods.includes(method));

  say(
    "warning",
    by("plain_password"),
    (names) => `the password of ${names} can be read by everybody who can read this file`,
    "mqtt-broker passwd add NAME asks for a new one and keeps a hash of it",
  );
  const unsalted = by("sha256").filter(({ secret }) => secret?.method === "sha256" && secret.salt === "");
  say(
    "warning",
    unsalted,
    (names) => `the digest of ${names} has no salt: such passwords are found in ready-made tables`,
    "mqtt-broker passwd add NAME asks for a new one and keeps a salted hash of it",
  );
  say(
    "note",
    by("sha256"),
    (names) => `sha256 is so fast that whoever has this file can find the password of ${names} by trying`,
    "mqtt-broker passwd add NAME asks for a new one and keeps it as argon2id, which is slow",
  );
  say(
    "warning",
    certificatesVerified ? [] : by("client_cert"),
    (names) => `${names} cannot get in: no listener verifies certificates of clients`,
    "The method client_cert needs a TLS listener with --client-ca FILE; some older brokers let such users in unverified",
  );
  say(
    "warning",
    keysChecked ? [] : by("psk"),
    (names) => `${names} cannot get in: no listener has keys of clients`,
    "The method psk needs a TLS listener with --psk-file FILE",
  );
  say(
    "warning",
    sharedKeys(by("psk")),
    (names) => `${names} cannot get in: an earlier entry has the same identity`,
    "Whoever proves a key is one user: give each an identity and a key of its own",
  );
  say(
    "note",
    idle(auth),
    (names) => `no rule allows anything to ${names}, who may connect and do nothing`,
    'Add a rule such as { topic: "home/#", allow: { sub: ["NAME"], pub: ["NAME"] } }',
  );
  if (users.length === 0) {
    const message = "Nobody can connect: authentication has no entry";
    complaints.say("warning", complaints.at(["authentication"]), message, "mqtt-broker passwd add NAME writes one");
  } else if (auth.rules.length === 0) {
    const message = "Nobody may publish or subscribe: authorization has no rule";
    complaints.say(
      "warning",
      complaints.at(["authorization"]),
      message,
      `Add one, such as { topic: "home/#", allow: { sub: ["${EVERYBODY}"], pub: ["${EVERYBODY}"] } }`,
    );
  }
}

/** Those whose identity another user before them has. */
function sharedKeys(users: readonly ReadUser[]): readonly ReadUser[] {
  const seen = new Set<string>();
  return users.filter(({ name, identity = name }) => {
    const isShared = seen.has(identity);
    seen.add(identity);
    return isShared;
  });
}

/** Whom no rule allows anything. Where there are no rules at all the warning about that says it already. */
function idle({ users, groups, rules }: ReadAuth): readonly ReadUser[] {
  const allowed = new Set<string>();
  for (const { sub, pub } of rules) {
    for (const side of [sub, pub]) if (side?.allow === true) for (const name of side.names) allowed.add(name);
  }
  if (rules.length === 0 || allowed.has(EVERYBODY)) return [];
  for (const { name, members } of groups) if (allowed.has(name)) for (const member of members) allowed.add(member);
  // Whom "*" lets in has another name, and an administrator may have come for the administration.
  return users.filter(({ name, admin }) => name !== "*" && admin === "none" && !allowed.has(name));
}
