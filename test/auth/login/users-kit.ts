import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import type { Method } from "../../../src/auth/auth-rules.ts";
import type { LoginTools } from "../../../src/auth/login/attempt.ts";
import { HashQueue } from "../../../src/auth/login/hash-queue.ts";
import { logIn } from "../../../src/auth/login/log-in.ts";
import type { LoginFailure } from "../../../src/auth/login/login-failure.ts";
import { Users } from "../../../src/auth/login/users.ts";
import { Login } from "../../../src/auth/login.ts";
import type { ReadAuth, ReadJwt, ReadUser } from "../../../src/auth/reading/read-auth.ts";
import { PacketType } from "../../../src/codec/constants.ts";
import type { Connect } from "../../../src/codec/packet.ts";
import { Client } from "../../../src/core/client.ts";
import type { Peer } from "../../../src/core/ports.ts";

/** 2026-11-21 12:00 UTC. */
export const NOW_MS = Date.UTC(2026, 10, 21, 12);

/** An entry with nothing but its name, method and what is given; `line` is its place in the file. */
export function user(name: string, method: Method, given: Partial<ReadUser> & { line?: number } = {}): ReadUser {
  const { line = 7, ...rest } = given;
  return {
    name,
    method,
    from: [],
    clientIds: [],
    expiresMs: Number.POSITIVE_INFINITY,
    secret: undefined,
    verifyField: "CN",
    jwt: undefined,
    port: "*",
    nodeId: "*",
    admin: "none",
    limits: {},
    place: { file: "auth.json5", line, column: 5, text: "" },
    ...rest,
  };
}

/** A user whose password is `password`. */
export function plain(name: string, password: string, given: Partial<ReadUser> & { line?: number } = {}): ReadUser {
  return user(name, "plain_password", { secret: { method: "plain_password", password }, ...given });
}

/** An entry for tokens that are signed with this secret. */
export function tokenUser(name: string, secret: string, given: Partial<ReadJwt> = {}): ReadUser {
  return user(name, "jwt", { jwt: jwt({ kind: "secret", text: secret }, given) });
}

export function jwt(key: ReadJwt["key"], given: Partial<ReadJwt> = {}): ReadJwt {
  return { key, algorithms: [], audience: [], issuer: undefined, userClaim: "sub", groupsClaim: undefined, ...given };
}

export function usersOf(users: readonly ReadUser[], groups: Readonly<Record<string, readonly string[]>> = {}): Users {
  const auth: ReadAuth = {
    file: "auth.json5",
    users,
    groups: Object.entries(groups).map(([name, members]) => ({ name, members, place: users[0]!.place })),
    rules: [],
    ledger: undefined,
    explainToClients: false,
    whenRevoked: "disconnect",
  };
  return new Users(auth);
}

export interface Visitor {
  id?: string;
  /** CONNECT's User Name and Password; absent when undefined. */
  user?: string | undefined;
  password?: string | Uint8Array | undefined;
  peer?: Partial<Peer>;
  /** What its listener lets in by; undefined: everything. */
  methods?: readonly Method[];
}

const REMOTE: Peer = { address: "192.168.1.9:50312", local: false, listener: "tcp", transport: "tcp" };

export function clientOf({ id = "c1", user: userName, peer, methods }: Visitor): Client {
  return new Client(id, userName, 5, true, 60, { ...REMOTE, ...peer }, false, { authMethods: methods });
}

export function connectOf({ id = "c1", user: userName, password }: Visitor): Connect {
  return {
    type: PacketType.CONNECT,
    protocolVersion: 5,
    cleanStart: true,
    keepAliveSeconds: 60,
    clientId: id,
    will: undefined,
    userName,
    password: typeof password === "string" ? Buffer.from(password) : password,
    properties: {},
    bridge: false,
  };
}

/** The book is never asked anything by what is tested with these. */
export function toolsOf(given: Partial<LoginTools> = {}): LoginTools {
  const book = {} as LoginTools["book"];
  return { verifier: new HashQueue(), wallMs: () => NOW_MS, book, anonymous: undefined, ...given };
}

export function visit(
  users: Users,
  visitor: Visitor,
  tools: Partial<LoginTools> = {},
): Login | LoginFailure | Promise<Login | LoginFailure> {
  return logIn(users, clientOf(visitor), connectOf(visitor), toolsOf(tools));
}

/** "kim", "anonymous (nobody's)" when its session is nobody's, or "no: " and the reason; "try: " when it counts as a guess. */
export function told(answer: Login | LoginFailure): string {
  if (answer instanceof Login) return answer.userName === answer.name ? answer.name : `${answer.name} (nobody's)`;
  return `${answer.guess ? "try" : "no"}: ${answer.logReason}`;
}

/** What came of it, in words. */
export async function outcome(users: Users, visitor: Visitor, tools: Partial<LoginTools> = {}): Promise<string> {
  return told(await visit(users, visitor, tools));
}

/** A test for each row: what a client brings, and what comes of it. */
export function table(users: readonly ReadUser[], rows: readonly (readonly [string, Visitor, string])[]): void {
  const all = usersOf(users);
  for (const [name, visitor, wanted] of rows) {
    test(`${name}: ${wanted}`, async () => assert.equal(await outcome(all, visitor), wanted));
  }
}

/** Signed by HS256. */
export function token(claims: object, secret: string): string {
  const text = [{ alg: "HS256" }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

export function certificate(commonName: string, ...subjectAltNames: string[]): Partial<Peer> {
  return { transport: "tls", certificate: { commonName, subjectAltNames } };
}
