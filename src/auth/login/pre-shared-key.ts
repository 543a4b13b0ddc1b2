import type { Certified } from "./certificate.ts";
import { isUserName, shownName } from "./user-name.ts";
import type { Users } from "./users.ts";

/**
 * Whom the identity names whose key a client has proved to know (TLS-PSK); the entry's conditions have not been asked. A
 * user who is listed comes before "*", which lets nobody in under the name of one. A text says why it is nobody.
 */
export function keyHolder(users: Users, identity: string): Certified | string {
  const user = users.keyed.find((each) => each.name !== "*" && (each.identity ?? each.name) === identity);
  if (user !== undefined) return { name: user.name, user };
  const wild = users.keyed.find(({ name }) => name === "*");
  const listed = users.byName.get(identity);
  if (wild !== undefined && listed === undefined && isUserName(identity)) return { name: identity, user: wild };
  const why =
    wild === undefined
      ? "no entry with the method psk has"
      : listed === undefined
        ? "is no user name"
        : `is listed with the method ${listed.method}`;
  return `its key is that of the identity ${shownName(identity)}, which ${why}`;
}
