import { createPublicKey, createSecretKey, type KeyObject } from "node:crypto";
import type { ReadJwt } from "../reading/read-auth.ts";
import { isUserName, shownName } from "./user-name.ts";

/** Whom a token names, verified. */
export interface TokenHolder {
  readonly name: string;
  /** With their "@", whether the file knows them or not. */
  readonly groups: readonly string[];
  /** Milliseconds since 1970, leeway included; Infinity: it does not end. */
  readonly expiresMs: number;
}

export interface BadToken {
  /** One clause for the log, without any part of the token but the user's name. */
  readonly reason: string;
  /** False when the signature was right, or could not be judged. */
  readonly guess: boolean;
}

export const JWT_ALGORITHMS = ["HS256", "RS256", "ES256", "EdDSA"] as const;
type Algorithm = (typeof JWT_ALGORITHMS)[number];

const TOKEN_BYTES_MAX = 8192;
/** Clocks differ. */
const LEEWAY_SECONDS = 5;
/** Of a key set, when the token does not say which. */
const KEYS_TRIED_MAX = 16;
const GROUPS_MAX = 256;
const RSA_BITS_MIN = 2048;
/** Shorter ones can be found by trying, RFC 7518 §3.2. */
const SECRET_BYTES_MIN = 32;
/** Before this the clock of the machine has not been set. */
const CLOCK_SET_MS = Date.UTC(2024, 0, 1);

/** A key is for one algorithm only, whatever the token says: a public key can so never be taken for a secret. */
interface Key {
  readonly algorithm: Algorithm;
  readonly id: string | undefined;
  readonly key: KeyObject;
}

/** Three parts in base64url, the first of which is a JSON object. Long ones too, so that they are refused as tokens. */
export function looksLikeToken(password: Uint8Array): boolean {
  const text = Buffer.from(password.buffer, password.byteOffset, password.length).toString("latin1");
  return /^eyJ[\w-]*\.[\w-]+\.[\w-]*$/.test(text);
}

/** What is wrong with the key of an entry, or with its algorithms: one clause, without any part of the key. undefined: nothing. */
export function checkJwt({ key, algorithms }: Pick<ReadJwt, "key" | "algorithms">): string | undefined {
  const keys = readKeys(key);
  if (typeof keys === "string") return keys;
  if (algorithms.length === 0 || keys.some(({ algorithm }) => algorithms.includes(algorithm))) return undefined;
  const fits = [...new Set(keys.map(({ algorithm }) => algorithm))].join(" and ");
  return `the key is for ${fits}, which algorithms does not list`;
}

/** A warning about a key that is right: a secret which is too short to withstand guessing. */
export function weakJwtKey({ kind, text }: ReadJwt["key"]): string | undefined {
  if (kind !== "secret" || Buffer.byteLength(text) >= SECRET_BYTES_MIN) return undefined;
  return `the secret is shorter than ${SECRET_BYTES_MIN} bytes: whoever has one token can find it by trying`;
}

/** The name that a token claims and that nothing has verified: good only for finding the entry to verify it by. */
export function claimedName(token: Uint8Array, userClaim: string): string | undefined {
  const [, payload = ""] = Buffer.from(token).toString("latin1").split(".", 2);
  if (payload.length > TOKEN_BYTES_MAX) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, "base64url").toString());
    const name = isObject(claims) ? claims[userClaim] : undefined;
    return isUserName(name) ? name : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Is the token signed by the entry's key, for us, and valid now? Never rejects. RFC 7515, RFC 7519. `wallMs` is
 * milliseconds since 1970.
 */
export async function verifyToken(jwt: ReadJwt, token: Uint8Array, wallMs: number): Promise<TokenHolder | BadToken> {
  if (token.length > TOKEN_BYTES_MAX)
    return { reason: `the token is longer than ${TOKEN_BYTES_MAX} bytes`, guess: true };
  if (wallMs < CLOCK_SET_MS) {
    const date = new Date(wallMs).toISOString().slice(0, 10);
    return { reason: `tokens cannot be judged: the clock of this machine is not set, it says ${date}`, guess: false };
  }
  const text = Buffer.from(token).toString("latin1");
  const keys = keysOf(jwt);
  if (typeof keys === "string") return { reason: `tokens cannot be judged: ${keys}`, guess: false };
  const fitting = keysFor(keys, jwt.algorithms, text);
  if (typeof fitting === "string") return { reason: fitting, guess: true };
  const { jwtVerify } = await import("jose");
  let bad: BadToken = WRONG_SIGNATURE;
  for (const { key, algorithm } of fitting) {
    try {
      const { payload } = await jwtVerify(text, key, {
        algorithms: [algorithm],
        clockTolerance: LEEWAY_SECONDS,
        currentDate: new Date(wallMs),
        ...(jwt.audience.length === 0 ? {} : { audience: [...jwt.audience] }),
        ...(jwt.issuer === undefined ? {} : { issuer: jwt.issuer }),
      });
      return holderOf(jwt, payload);
    } catch (error) {
      bad = badToken(error);
      if (!bad.guess) return bad;
    }
  }
  return bad;
}

/** The keys that the token may have been signed with, by what its header says; or what is wrong with it. */
function keysFor(keys: readonly Key[], algorithms: readonly string[], token: string): readonly Key[] | string {
  const header = headerOf(token);
  if (header === undefined) return "the password is not a token that can be read";
  const { alg, kid } = header;
  const allowed = keys.filter(({ algorithm }) => algorithms.length === 0 || algorithms.includes(algorithm));
  const signed = allowed.filter(({ algorithm }) => algorithm === alg);
  if (signed.length === 0) {
    const listed = [...new Set(allowed.map(({ algorithm }) => algorithm))].join(", ");
    return `the token is signed with ${typeof alg === "string" ? shownName(alg) : "nothing"}, and the key is for ${listed || "none of the algorithms"}`;
  }
  const named = signed.filter(({ id }) => id === undefined || typeof kid !== "string" || id === kid);
  return named.length === 0
    ? "the token is signed with a key that the key set does not have"
    : named.slice(0, KEYS_TRIED_MAX);
}

function headerOf(token: string): { alg?: unknown; kid?: unknown } | undefined {
  try {
    const header: unknown = JSON.parse(Buffer.from(token.slice(0, token.indexOf(".")), "base64url").toString());
    return isObject(header) ? header : undefined;
  } catch {
    return undefined;
  }
}

function holderOf(jwt: ReadJwt, claims: Record<string, unknown>): TokenHolder | BadToken {
  const name = claims[jwt.userClaim];
  if (!isUserName(name)) {
    const what = name === undefined ? "is not there" : "is no user name";
    return {
      reason: `the token's claim ${shownName(jwt.userClaim)}, which should name the user, ${what}`,
      guess: false,
    };
  }
  const { exp } = claims;
  return {
    name,
    groups: jwt.groupsClaim === undefined ? [] : groupsOf(claims[jwt.groupsClaim]),
    expiresMs: typeof exp === "number" ? (exp + LEEWAY_SECONDS) * 1000 : Number.POSITIVE_INFINITY,
  };
}

/** A list of texts, or one text with spaces between the names, as "scope" is. */
function groupsOf(claim: unknown): string[] {
  const names: readonly unknown[] = typeof claim === "string" ? claim.split(" ") : Array.isArray(claim) ? claim : [];
  const groups = new Set<string>();
  for (const name of names.slice(0, GROUPS_MAX)) {
    if (typeof name === "string" && name !== "") groups.add(name.startsWith("@") ? name : `@${name}`);
  }
  return [...groups];
}

const WRONG_SIGNATURE: BadToken = {
  reason: "the token's signature is wrong: it was not made with the key of the entry",
  guess: true,
};

/** By the codes that jose gives its errors. It looks at the claims only when the signature was right. */
function badToken(error: unknown): BadToken {
  const { code, claim } = isObject(error) ? error : {};
  if (code === "ERR_JWS_SIGNATURE_VERIFICATION_FAILED") return WRONG_SIGNATURE;
  if (code === "ERR_JWT_EXPIRED") return { reason: "the token has expired", guess: false };
  if (code === "ERR_JWT_CLAIM_VALIDATION_FAILED") {
    if (claim === "nbf") return { reason: "the token is not valid yet", guess: false };
    if (claim === "aud") return { reason: "the token is for another audience", guess: false };
    if (claim === "iss") return { reason: "the token is of another issuer", guess: false };
    return { reason: `the token's claim ${shownName(String(claim))} is not as it should be`, guess: false };
  }
  return { reason: "the token cannot be read", guess: true };
}

/** Reading a key takes longer than verifying by it. */
const keysRead = new WeakMap<ReadJwt, readonly Key[] | string>();

function keysOf(jwt: ReadJwt): readonly Key[] | string {
  let keys = keysRead.get(jwt);
  if (keys === undefined) {
    keys = readKeys(jwt.key);
    keysRead.set(jwt, keys);
  }
  return keys;
}

function readKeys({ kind, text }: ReadJwt["key"]): readonly Key[] | string {
  switch (kind) {
    case "secret":
      if (text === "") return "the key is empty";
      // Whoever meant a public key would make it a secret that everybody knows.
      if (text.includes("-----BEGIN ")) return "the key is in PEM and cannot be a secret";
      return [{ algorithm: "HS256", id: undefined, key: createSecretKey(Buffer.from(text)) }];
    case "pem":
      return readPem(text);
    case "jwks":
      return readKeySet(text);
  }
}

function readPem(text: string): readonly Key[] | string {
  let key: KeyObject;
  try {
    key = createPublicKey(text);
  } catch {
    return "the key is no public key in PEM, which begins with -----BEGIN PUBLIC KEY-----";
  }
  const algorithm = algorithmOf(key);
  return typeof algorithm === "object" ? algorithm.reason : [{ algorithm, id: undefined, key }];
}

function readKeySet(text: string): readonly Key[] | string {
  let set: unknown;
  try {
    set = JSON.parse(text);
  } catch {
    return "the key set is not JSON";
  }
  if (!isObject(set) || !Array.isArray(set.keys)) return 'the key set has no list "keys"';
  const keys: Key[] = [];
  let reason = "it is empty";
  for (const item of set.keys as readonly unknown[]) {
    const key = isObject(item) ? readSetKey(item) : "it is not an object";
    if (typeof key === "string") reason = key;
    else keys.push(key);
  }
  // Sets have keys for other purposes too; those that are of no use here do no harm.
  return keys.length === 0 ? `the key set has no key that can be used: ${reason}` : keys;
}

function readSetKey(item: Record<string, unknown>): Key | string {
  if (item.use !== undefined && item.use !== "sig") return "it is not for signatures";
  const id = typeof item.kid === "string" ? item.kid : undefined;
  let found: Key;
  try {
    if (item.kty === "oct") {
      if (typeof item.k !== "string" || item.k === "") return "it has no secret";
      found = { algorithm: "HS256", id, key: createSecretKey(Buffer.from(item.k, "base64url")) };
    } else {
      const key = createPublicKey({ key: item, format: "jwk" });
      const algorithm = algorithmOf(key);
      if (typeof algorithm === "object") return algorithm.reason;
      found = { algorithm, id, key };
    }
  } catch {
    return "it cannot be read";
  }
  return item.alg === undefined || item.alg === found.algorithm ? found : "it is for another algorithm";
}

function algorithmOf(key: KeyObject): Algorithm | { reason: string } {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === "rsa") {
    if ((details?.modulusLength ?? 0) >= RSA_BITS_MIN) return "RS256";
    return { reason: `the RSA key has fewer than ${RSA_BITS_MIN} bits` };
  }
  if (type === "ec") {
    return details?.namedCurve === "prime256v1"
      ? "ES256"
      : { reason: "the key's curve is not P-256, which ES256 needs" };
  }
  return type === "ed25519"
    ? "EdDSA"
    : { reason: `keys of the kind ${type ?? "unknown"} are for none of ${JWT_ALGORITHMS.join(", ")}` };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
