import type { UserLimits } from "../../core/access.ts";
import { METHODS, type Method } from "../auth-rules.ts";
import { checkJwt, JWT_ALGORITHMS, weakJwtKey } from "../login/json-web-token.ts";
import { checkHash } from "../login/password.ts";
import { type Fields, quote } from "./fields.ts";
import type { ReadJwt, ReadUser, Secret } from "./read-auth.ts";
import { CONDITION_KEYS, readConditions } from "./read-conditions.ts";

/** What reading needs of the world. */
export interface AuthReading {
  /** A file that the rules name, by the path written there. Undefined: there is none; throws when it cannot be read. */
  readFile(path: string): string | undefined;
  /** Milliseconds since 1970. */
  nowMs: number;
  /** A listener verifies certificates. */
  certificatesVerified?: boolean;
  /** A listener has a file of keys. Not known when it is left out. */
  keysChecked?: boolean | undefined;
}

const VERIFY_FIELDS = ["CN", "subjectAltName", "DNS", "IP", "email", "URI"] as const;

/** The keys of each method, beside those that all have. */
const METHOD_KEYS: Readonly<Record<Method, readonly string[]>> = {
  sha256: ["digest", "salt"],
  plain_password: ["password", "digest"],
  scrypt: ["hash"],
  argon2id: ["hash"],
  mosquitto: ["hash"],
  client_cert: ["verify_field"],
  psk: ["identity"],
  jwt: ["key", "keyFile", "jwksFile", "algorithms", "audience", "issuer", "claims"],
  unix_socket: [],
  serial: ["port"],
  mqtt_sn: ["nodeId"],
  anonymous: [],
  unauthenticated: [],
};
const LIMIT_KEYS = ["maxConnections", "messagesPerSecond", "bytesPerSecond", "queueBytes"] as const;
const USER_KEYS = ["name", "method", ...CONDITION_KEYS, "admin", ...LIMIT_KEYS];
const ALL_KEYS = [...new Set([...USER_KEYS, ...Object.values(METHOD_KEYS).flat()])];

/** `passwd` leaves a file alone that has mistakes: so the entry has to go first. */
const PASSWORD_HINT = "Remove the entry; mqtt-broker passwd add NAME then asks for a password and writes a new one";

/** Reads one entry of `authentication`; undefined when too little of it is right to go on. `number`: its position, from 1. */
export function readUser(entry: Fields, number: number, reading: AuthReading): ReadUser | undefined {
  const name = entry.text("name");
  entry.label = name === undefined ? `user ${number}` : `user ${quote(name)}`;
  if (!entry.has("name"))
    entry.error("", `${entry.label} has no name`, 'Add name: "…", as clients give it when they connect');
  const method = readMethod(entry);
  if (name !== undefined) checkName(entry, name, method);
  checkKeys(entry, method);
  const user = {
    ...readConditions(entry, reading.nowMs),
    admin: readAdmin(entry, method),
    limits: readLimits(entry),
    port: method === "serial" ? (entry.text("port") ?? "*") : "*",
    nodeId: method === "mqtt_sn" ? readNodeId(entry) : "*",
    ...(method === "psk" && { identity: readIdentity(entry, name) }),
    verifyField: method === "client_cert" ? (entry.oneOf("verify_field", VERIFY_FIELDS) ?? "CN") : "CN",
  };
  const secret = method && readSecret(entry, method);
  const jwt = method === "jwt" ? readJwt(entry, reading) : undefined;
  if (name === undefined || method === undefined) return undefined;
  return { name, method, secret, jwt, ...user, place: entry.place() };
}

function readMethod(entry: Fields): Method | undefined {
  if (entry.has("method")) return entry.oneOf("method", METHODS);
  const hint = `Add method: "…", one of ${METHODS.join(", ")}`;
  entry.error("", `${entry.label} has no method`, hint);
  return undefined;
}

function checkName(entry: Fields, name: string, method: Method | undefined): void {
  if (name.startsWith("@")) {
    entry.error(
      "name",
      `${entry.label}: a name that begins with "@" is a group's`,
      "Write it in group, or without the @",
    );
  } else if (name === "*" && method !== undefined && !mayBeBrought(method)) {
    const hint = "For clients without a user name there is the method anonymous";
    entry.error("name", `${entry.label}: only the methods client_cert, psk and jwt can have the name "*"`, hint);
  } else if (name.includes("\0") || !name.isWellFormed() || Buffer.byteLength(name) > 65_535) {
    entry.error(
      "name",
      `${entry.label}: no client can send this name`,
      "It is too long, or has characters that MQTT forbids",
    );
  }
}

/** Does what the client proves bring a name along, so that "*" can stand for it? */
export function mayBeBrought(method: string): boolean {
  return method === "client_cert" || method === "psk" || method === "jwt";
}

/** "*" lets in every identity, each under its own name. */
function readIdentity(entry: Fields, name: string | undefined): string | undefined {
  const identity = entry.text("identity");
  if (identity !== undefined && name === "*") {
    const hint = "Give the entry the user's name, or take identity away";
    entry.error("identity", `${entry.label} lets in every identity under its own name, so it has none`, hint);
  }
  return identity;
}

/** Keys that belong to another method are mistakes of their own: something was thought to protect that does not. */
function checkKeys(entry: Fields, method: Method | undefined): void {
  const own = method === undefined ? ALL_KEYS : [...USER_KEYS, ...METHOD_KEYS[method]];
  const foreign = entry.keys().filter((key) => ALL_KEYS.includes(key) && !own.includes(key));
  entry.checkKeys([...own, ...foreign]);
  for (const key of foreign) {
    const methods = METHODS.filter((each) => METHOD_KEYS[each].includes(key));
    const message = `${entry.label} has the method ${method}, which takes no ${key}`;
    entry.say("error", key, message, `Remove it; ${key} belongs to ${methods.join(", ")}`, true);
  }
}

function readAdmin(entry: Fields, method: Method | undefined): ReadUser["admin"] {
  const admin = entry.oneOf("admin", ["read", "all"] as const) ?? "none";
  if (admin !== "none" && (method === "anonymous" || method === "unauthenticated")) {
    const message = `${entry.label}: whoever connects without a password may use the administration`;
    entry.say("warning", "admin", message, "Give admin to a user with a password");
  }
  return admin;
}

function readLimits(entry: Fields): UserLimits {
  const maxConnections = entry.positive("maxConnections", true);
  const messagesPerSecond = entry.positive("messagesPerSecond", false);
  const bytesPerSecond = entry.bytes("bytesPerSecond");
  const queueBytes = entry.bytes("queueBytes");
  return {
    ...(maxConnections === undefined ? {} : { maxConnections }),
    ...(messagesPerSecond === undefined ? {} : { messagesPerSecond }),
    ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
    ...(queueBytes === undefined ? {} : { queueBytes }),
  };
}

function readNodeId(entry: Fields): string {
  const nodeId = entry.text("nodeId") ?? "*";
  if (!/^[0-9a-fA-F*]+$/.test(nodeId)) {
    const message = `${entry.label}: nodeId must be hexadecimal digits, not ${quote(nodeId)}`;
    entry.error("nodeId", message, 'Such as "0013A20040A1B2C3", where * stands for any of them');
  }
  return nodeId;
}

function readSecret(entry: Fields, method: Method): Secret | undefined {
  switch (method) {
    case "sha256":
      return readSha256(entry);
    case "plain_password":
      return readPlainPassword(entry);
    case "scrypt":
    case "argon2id":
    case "mosquitto":
      return readHash(entry, method);
    default:
      return undefined;
  }
}

function readSha256(entry: Fields): Secret | undefined {
  const salt = entry.text("salt", true) ?? "";
  if (!needs(entry, "digest")) return undefined;
  const digest = entry.text("digest");
  if (digest === undefined) return undefined;
  if (/^[0-9a-fA-F]{64}$/.test(digest)) return { method: "sha256", salt, digest };
  const hint = `It is the SHA-256 of the salt and the password. ${PASSWORD_HINT}`;
  entry.error(
    "digest",
    `${entry.label}: digest must be 64 hexadecimal digits, and has ${digest.length} characters${oddity(digest)}`,
    hint,
  );
  return undefined;
}

/** Of the right length it is another character that is wrong. */
function oddity(digest: string): string {
  return digest.length === 64 ? ", not all of them such digits" : "";
}

function readPlainPassword(entry: Fields): Secret | undefined {
  if (entry.has("password") && entry.has("digest")) {
    entry.error(
      "digest",
      `${entry.label} has a password and a digest`,
      "Keep password: for plain_password they mean the same",
    );
  }
  if (!entry.has("password") && !entry.has("digest")) needs(entry, "password");
  const password = entry.text(entry.has("password") ? "password" : "digest");
  return password === undefined ? undefined : { method: "plain_password", password };
}

function readHash(entry: Fields, method: "scrypt" | "argon2id" | "mosquitto"): Secret | undefined {
  if (!needs(entry, "hash")) return undefined;
  const hash = entry.text("hash");
  if (hash === undefined) return undefined;
  const mistake = checkHash(method, hash);
  if (mistake === undefined) return { method, hash };
  entry.error("hash", `${entry.label}: ${mistake}`, mistake.includes("write method") ? undefined : PASSWORD_HINT);
  return undefined;
}

/** What the keys of tokens have to be. */
const KEY_HINTS = {
  secret: "A text is a secret for HS256; a public key is a PEM text or file, for RS256, ES256 or EdDSA",
  pem: "It is a public key in PEM: RSA for RS256, P-256 for ES256, Ed25519 for EdDSA; leave algorithms out to follow it",
  jwks: 'It is a JSON Web Key Set, { "keys": [ … ] }, with keys for HS256, RS256, ES256 or EdDSA',
} as const;

function needs(entry: Fields, key: string): boolean {
  if (entry.has(key)) return true;
  entry.error("", `${entry.label} has the method ${String(entry.value("method"))} and no ${key}`, PASSWORD_HINT);
  return false;
}

function readJwt(entry: Fields, reading: AuthReading): ReadJwt | undefined {
  const algorithms = entry.texts("algorithms", false) ?? [];
  for (const [index, algorithm] of algorithms.entries()) {
    if ((JWT_ALGORITHMS as readonly string[]).includes(algorithm)) continue;
    const message = `${entry.label}: algorithms has ${quote(algorithm)}, which is not supported`;
    entry.errorIn("algorithms", index, message, `Supported are ${JWT_ALGORITHMS.join(", ")}`);
  }
  const claims = entry.inner("claims");
  claims?.checkKeys(["user", "groups"]);
  const settings = {
    algorithms,
    audience: entry.texts("audience", true) ?? [],
    issuer: entry.text("issuer"),
    userClaim: claims?.text("user") ?? "sub",
    groupsClaim: claims?.text("groups"),
  };
  const key = readKey(entry, reading);
  if (key === undefined) return undefined;
  const jwt = { key: key.key, ...settings };
  const mistake = checkJwt(jwt);
  if (mistake !== undefined) entry.error(key.from, `${entry.label}: ${mistake}`, KEY_HINTS[key.key.kind]);
  const weakness = weakJwtKey(jwt.key);
  if (weakness !== undefined)
    entry.say("warning", key.from, `${entry.label}: ${weakness}`, "Take 32 random bytes or more");
  return mistake === undefined ? jwt : undefined;
}

function readKey(entry: Fields, reading: AuthReading): { key: ReadJwt["key"]; from: string } | undefined {
  const given = ["key", "keyFile", "jwksFile"].filter((key) => entry.has(key));
  const [from] = given;
  if (from === undefined || given.length > 1) {
    const what = from === undefined ? "no key" : given.join(" and ");
    const message = `${entry.label} has the method jwt and ${what}, and needs exactly one of key, keyFile and jwksFile`;
    const example = 'Such as keyFile: "issuer.pem", the public key of who makes the tokens';
    entry.error(given[1] ?? "", message, from === undefined ? example : "Keep one of them");
    return undefined;
  }
  const text = from === "key" ? entry.text("key") : readNamedFile(entry, from, reading);
  if (text === undefined) return undefined;
  const kind = from === "jwksFile" ? "jwks" : text.includes("-----BEGIN ") ? "pem" : "secret";
  // An editor ends a file with a line end, which is no part of a secret.
  return { key: { kind, text: kind === "secret" && from === "keyFile" ? text.replace(/[\r\n]+$/, "") : text }, from };
}

function readNamedFile(entry: Fields, key: string, reading: AuthReading): string | undefined {
  const path = entry.text(key);
  if (path === undefined) return undefined;
  let reason = "there is no such file";
  try {
    const text = reading.readFile(path);
    if (text !== undefined) return text;
  } catch (error) {
    reason = error instanceof Error ? error.message : String(error);
  }
  const hint = "A relative path begins at the folder of this file";
  entry.error(key, `${entry.label}: ${key} ${quote(path)} cannot be read: ${reason}`, hint);
  return undefined;
}
