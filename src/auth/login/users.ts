import type { Client } from "../../core/client.ts";
import type { Peer } from "../../core/ports.ts";
import type { Method } from "../auth-rules.ts";
import type { ReadAuth, ReadUser, Secret } from "../reading/read-auth.ts";
import { ClientIdPatterns, FromConditions } from "../rules/from.ts";
import { decoyFor } from "./password.ts";

/** What must hold of a client beside its credentials, for the entry to let it in. */
export type Condition = "method" | "expires" | "clientId" | "from";

interface Conditions {
  readonly from: FromConditions | undefined;
  readonly clientIds: ClientIdPatterns | undefined;
}

/** Who may connect, by one file of rules, ready to be asked. */
export class Users {
  /** For messages; "" for rules made by a program. */
  readonly file: string;
  /** Without those named "*". */
  readonly byName: ReadonlyMap<string, ReadUser>;
  /** Named "*": whatever name a certificate, key or token brings. */
  readonly wild: readonly ReadUser[];
  readonly anonymous: ReadUser | undefined;
  readonly unauthenticated: ReadUser | undefined;
  /** Those whom their connection names: of the methods serial, mqtt_sn and unix_socket. Lines that are named whole come first. */
  readonly lines: readonly ReadUser[];
  /** The entries whose method is client_cert; in the order of the file. */
  readonly certified: readonly ReadUser[];
  /** The entries whose method is psk; in the order of the file. */
  readonly keyed: readonly ReadUser[];
  /** The entries whose method is jwt and that have a name. */
  readonly tokened: readonly ReadUser[];
  /** What passwords of nobody are compared with. */
  readonly decoy: Secret;
  private readonly groups: ReadonlySet<string>;
  private readonly groupsByName: ReadonlyMap<string, readonly string[]>;
  private readonly conditions: ReadonlyMap<ReadUser, Conditions>;

  constructor(auth: ReadAuth) {
    const { users } = auth;
    this.file = auth.file;
    this.byName = new Map(users.filter(isNamed).map((user) => [user.name, user]));
    this.wild = users.filter((user) => !isNamed(user));
    this.anonymous = users.find(({ method }) => method === "anonymous");
    this.unauthenticated = users.find(({ method }) => method === "unauthenticated");
    this.lines = users.filter(isLine).sort((one, other) => Number(isPattern(one)) - Number(isPattern(other)));
    this.certified = users.filter(({ method }) => method === "client_cert");
    this.keyed = users.filter(({ method }) => method === "psk");
    this.tokened = users.filter((user) => user.method === "jwt" && isNamed(user));
    this.decoy = decoyFor(users.flatMap(({ secret }) => (secret === undefined ? [] : [secret])));
    this.groups = new Set(auth.groups.map(({ name }) => name));
    this.groupsByName = groupsByName(auth);
    this.conditions = new Map(users.map((user) => [user, conditionsOf(user)]));
  }

  /** Groups beside @any, with their "@". */
  groupsOf(name: string): readonly string[] {
    return this.groupsByName.get(name) ?? [];
  }

  /** Is there a group of this name (with its "@")? */
  hasGroup(name: string): boolean {
    return this.groups.has(name);
  }

  /** Which condition of the entry keeps the client out; undefined: all hold. `anywhere`: its `from` does not count. */
  obstacle(user: ReadUser, client: Client, wallMs: number, anywhere = false): Condition | undefined {
    if (!counts(user.method, client)) return "method";
    const { from, clientIds } = this.conditions.get(user) ?? conditionsOf(user);
    if (wallMs >= user.expiresMs) return "expires";
    if (!anywhere && from?.matches(client.peer) === false) return "from";
    if (clientIds?.matches(client.clientId) === false) return "clientId";
    return undefined;
  }

  /** Whom the connection itself names, when all conditions of that entry hold. */
  lineUser(client: Client, wallMs: number): ReadUser | undefined {
    if (this.lines.length === 0) return undefined;
    return this.lines.find((user) => isOn(user, client.peer) && this.obstacle(user, client, wallMs) === undefined);
  }
}

/** Does the client's listener let in by the method? */
export function counts(method: Method, { entrance }: Client): boolean {
  return entrance.authMethods === undefined || entrance.authMethods.includes(method);
}

function isNamed({ name }: ReadUser): boolean {
  return name !== "*";
}

function isLine({ method }: ReadUser): boolean {
  return method === "serial" || method === "mqtt_sn" || method === "unix_socket";
}

function isPattern({ method, port, nodeId }: ReadUser): boolean {
  return (method === "serial" ? port : method === "mqtt_sn" ? nodeId : "").includes("*");
}

function isOn({ method, port, nodeId }: ReadUser, peer: Peer): boolean {
  switch (method) {
    case "unix_socket":
      return peer.transport === "unix";
    case "serial":
      return peer.line !== undefined && new ClientIdPatterns([port]).matches(peer.line);
    default: {
      if (nodeId === "*") return peer.transport === "mqtt-sn" || peer.nodeId !== undefined;
      const given = peer.nodeId?.toLowerCase();
      return given !== undefined && new ClientIdPatterns([nodeId.toLowerCase()]).matches(given);
    }
  }
}

function conditionsOf({ from, clientIds }: ReadUser): Conditions {
  return {
    from: from.length === 0 ? undefined : new FromConditions(from),
    clientIds: clientIds.length === 0 ? undefined : new ClientIdPatterns(clientIds),
  };
}

function groupsByName({ groups }: ReadAuth): Map<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const { name, members } of groups) {
    for (const member of new Set(members)) {
      const names = found.get(member);
      if (names === undefined) found.set(member, [name]);
      else names.push(name);
    }
  }
  return found;
}
