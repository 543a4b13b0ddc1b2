import type { PeerCertificate } from "../../core/ports.ts";
import type { ReadUser } from "../reading/read-auth.ts";
import { isUserName, shownName } from "./user-name.ts";
import type { Users } from "./users.ts";

/** Whom a verified certificate names by the rules; the entry's conditions have not been asked. */
export interface Certified {
  readonly name: string;
  readonly user: ReadUser;
}

/**
 * A user who is listed comes before "*", the common name before the alternative ones. What "*" lets in under its own name
 * is never a listed user: who that is, is for his entry to say.
 *
 * A text says why it is nobody. The certificate must have been verified.
 */
export function certified(users: Users, certificate: PeerCertificate): Certified | string {
  const names = namesOf(certificate);
  for (const { kind, name } of names) {
    const user = users.byName.get(name);
    if (user?.method === "client_cert" && takes(user, kind)) return { name, user };
  }
  let reason: string | undefined;
  for (const user of users.certified) {
    if (user.name !== "*") continue;
    for (const { kind, name } of names) {
      if (!takes(user, kind)) continue;
      const listed = users.byName.get(name);
      if (listed === undefined && isUserName(name)) return { name, user };
      reason ??= listed === undefined ? "is no user name" : `is listed with the method ${listed.method}`;
    }
  }
  const [first] = names;
  if (first === undefined) return "its certificate has no name";
  const why = reason ?? "no entry with the method client_cert has";
  return `its certificate says ${first.kind} ${shownName(first.name)}, which ${why}`;
}

interface CertifiedName {
  /** "CN", or the kind of the subjectAltName. */
  readonly kind: string;
  readonly name: string;
}

function namesOf({ commonName, subjectAltNames }: PeerCertificate): CertifiedName[] {
  const names = subjectAltNames.map((text) => {
    const colon = text.indexOf(":");
    return { kind: text.slice(0, Math.max(0, colon)), name: text.slice(colon + 1) };
  });
  return commonName === "" ? names : [{ kind: "CN", name: commonName }, ...names];
}

function takes({ verifyField }: ReadUser, kind: string): boolean {
  return verifyField === "subjectAltName" ? kind !== "CN" : verifyField === kind;
}
