import {
  argon2,
  createHash,
  createHmac,
  pbkdf2,
  randomBytes,
  type ScryptOptions,
  scrypt,
  timingSafeEqual,
} from "node:crypto";
import type { Secret } from "../reading/read-auth.ts";

/** A hash that one computation may take no more of: it would stop an appliance. */
const MEMORY_BYTES_MAX = 256 * 1024 * 1024;
const TIME_MS_MAX = 10_000;

/** What one millisecond is good for, measured on a small x86-64 server with other work to do: estimates, to compare hashes by. */
const ARGON2_KIB_PER_MS = 800;
const SCRYPT_BLOCKS_PER_MS = 2600;
const PBKDF2_ROUNDS_PER_MS = 1700;

type HashMethod = "scrypt" | "argon2id" | "mosquitto";

export const HASH_FORMS: Record<HashMethod, string> = {
  argon2id: "$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH",
  scrypt: "$scrypt$ln=15,r=8,p=1$SALT$HASH",
  mosquitto: "$6$SALT$HASH or $7$ROUNDS$SALT$HASH",
};

const NUMBER = "([1-9]\\d{0,8})";
/** Base64; the padding is no part of the form, but programs write it. */
const BYTES = "([A-Za-z0-9+/]{1,344})={0,2}";
const SCRYPT = new RegExp(`^\\$scrypt\\$ln=${NUMBER},r=${NUMBER},p=${NUMBER}\\$${BYTES}\\$${BYTES}$`);
const ARGON2 = new RegExp(`^\\$argon2id\\$v=19\\$m=${NUMBER},t=${NUMBER},p=${NUMBER}\\$${BYTES}\\$${BYTES}$`);
const SHA512 = new RegExp(`^\\$6\\$${BYTES}\\$${BYTES}$`);
const PBKDF2 = new RegExp(`^\\$7\\$${NUMBER}\\$${BYTES}\\$${BYTES}$`);

/**
 * Is it this password? A promise where that takes work, which other threads do then; it rejects when they cannot (no
 * memory). The time it takes does not tell how near a guess was. False for a secret that is not one of its method's.
 */
export function verify(secret: Secret, password: Uint8Array): boolean | Promise<boolean> {
  switch (secret.method) {
    case "sha256": {
      const digest = createHash("sha256").update(secret.salt).update(password).digest();
      const wanted = Buffer.from(secret.digest, "hex");
      return equal(wanted, digest);
    }
    case "plain_password":
      return timingSafeEqual(digestOf(Buffer.from(secret.password)), digestOf(password));
    default: {
      const hash = parseHash(secret.method, secret.hash);
      if (hash === undefined) return false;
      const computed = compute(hash, password);
      if (computed instanceof Uint8Array) return equal(computed, hash.hash);
      return computed.then((bytes) => equal(bytes, hash.hash));
    }
  }
}

/**
 * What is wrong with the `hash` of an entry of this method: one clause, without any part of the hash. undefined:
 * nothing. Refused are also those that would take more than 256 MiB of memory, or some 10 s.
 */
export function checkHash(method: HashMethod, text: string): string | undefined {
  const hash = parseHash(method, text);
  if (hash === undefined) {
    const other = (["argon2id", "scrypt", "mosquitto"] as const).find((name) => parseHash(name, text) !== undefined);
    const form = `hash is not of the form ${HASH_FORMS[method]}`;
    if (other !== undefined) return `${form}, but of the method "${other}": write method: "${other}"`;
    return form;
  }
  if (hash.kind === "argon2id" && hash.memoryKib < 8 * hash.lanes) return "m of the hash is below 8 times p";
  if (hash.kind === "argon2id" && hash.salt.length < 8) return "the salt of the hash is shorter than 8 bytes";
  if (memoryBytes(hash) > MEMORY_BYTES_MAX)
    return "the hash takes more than 256 MiB of memory: make one that takes less";
  if (costMs(hash) > TIME_MS_MAX) return "the hash takes more than 10 s to compute: make one that takes less";
  const bytes = method === "mosquitto" ? 64 : 16;
  if (hash.hash.length < bytes) return `the last part of the hash is shorter than ${bytes} bytes: it was cut`;
  if (hash.hash.length > 64) return "the last part of the hash is longer than 64 bytes: something was added to it";
  return undefined;
}

/** A new hash for an entry, with a salt of its own: some 20 ms and 19 MiB for argon2id, 70 ms and 32 MiB for scrypt. */
export async function makeHash(method: "argon2id" | "scrypt", password: string | Uint8Array): Promise<string> {
  const salt = randomBytes(16);
  const hash: Hash =
    method === "argon2id"
      ? { kind: "argon2id", memoryKib: 19_456, passes: 2, lanes: 1, salt, hash: Buffer.alloc(32) }
      : { kind: "scrypt", logCost: 15, blockSize: 8, parallelism: 1, salt, hash: Buffer.alloc(32) };
  const made = await compute(hash, typeof password === "string" ? Buffer.from(password) : password);
  return written({ ...hash, hash: Buffer.from(made) });
}

/** About how long `verify` takes, in milliseconds: 0 where it gives its answer at once. */
export function secretCostMs(secret: Secret): number {
  if (secret.method === "sha256" || secret.method === "plain_password") return 0;
  const hash = parseHash(secret.method, secret.hash);
  return hash === undefined ? 0 : costMs(hash);
}

/**
 * What to compare a password with that belongs to nobody, so that it takes as long as one that is wrong: nobody knows
 * what it is the hash of. Of the slow ones it takes the kind that most users have; where there are none a fast one.
 */
export function decoyFor(secrets: readonly Secret[]): Secret {
  const counts = new Map<string, { count: number; hash: Hash }>();
  for (const secret of secrets) {
    if (secret.method === "sha256" || secret.method === "plain_password") continue;
    const hash = parseHash(secret.method, secret.hash);
    if (hash === undefined || costMs(hash) < 1) continue;
    const kind = written({ ...hash, salt: Buffer.alloc(0), hash: Buffer.alloc(0) });
    counts.set(kind, { count: (counts.get(kind)?.count ?? 0) + 1, hash });
  }
  let commonest: { count: number; hash: Hash } | undefined;
  for (const entry of counts.values()) if (entry.count > (commonest?.count ?? 0)) commonest = entry;
  if (commonest === undefined) return { method: "sha256", salt: "", digest: randomBytes(32).toString("hex") };
  const { hash } = commonest;
  const decoy = { ...hash, salt: randomBytes(hash.salt.length), hash: randomBytes(hash.hash.length) };
  return { method: hash.kind === "pbkdf2" || hash.kind === "sha512" ? "mosquitto" : hash.kind, hash: written(decoy) };
}

interface Salted {
  readonly salt: Buffer;
  readonly hash: Buffer;
}
type Hash =
  | (Salted & { kind: "scrypt"; logCost: number; blockSize: number; parallelism: number })
  | (Salted & { kind: "argon2id"; memoryKib: number; passes: number; lanes: number })
  | (Salted & { kind: "sha512" })
  | (Salted & { kind: "pbkdf2"; rounds: number });

function parseHash(method: HashMethod, text: string): Hash | undefined {
  if (method === "scrypt") {
    const parts = SCRYPT.exec(text);
    if (parts === null) return undefined;
    const [logCost, blockSize, parallelism] = numbers(parts, 3);
    return { kind: "scrypt", logCost, blockSize, parallelism, ...salted(parts) };
  }
  if (method === "argon2id") {
    const parts = ARGON2.exec(text);
    if (parts === null) return undefined;
    const [memoryKib, passes, lanes] = numbers(parts, 3);
    return { kind: "argon2id", memoryKib, passes, lanes, ...salted(parts) };
  }
  const sha512 = SHA512.exec(text);
  if (sha512 !== null) return { kind: "sha512", ...salted(sha512) };
  const parts = PBKDF2.exec(text);
  return parts === null ? undefined : { kind: "pbkdf2", rounds: numbers(parts, 1)[0], ...salted(parts) };
}

function numbers(parts: RegExpExecArray, count: number): [number, number, number] {
  const [first = 0, second = 0, third = 0] = parts.slice(1, 1 + count).map(Number);
  return [first, second, third];
}

/** They are the last two in every form. */
function salted(parts: RegExpExecArray): Salted {
  const [salt = "", hash = ""] = parts.slice(-2);
  return { salt: Buffer.from(salt, "base64"), hash: Buffer.from(hash, "base64") };
}

function written(hash: Hash): string {
  const salt = hash.salt.toString("base64");
  const bytes = hash.hash.toString("base64");
  switch (hash.kind) {
    case "scrypt":
      return unpadded(`$scrypt$ln=${hash.logCost},r=${hash.blockSize},p=${hash.parallelism}`, salt, bytes);
    case "argon2id":
      return unpadded(`$argon2id$v=19$m=${hash.memoryKib},t=${hash.passes},p=${hash.lanes}`, salt, bytes);
    case "sha512":
      return `$6$${salt}$${bytes}`;
    case "pbkdf2":
      return `$7$${hash.rounds}$${salt}$${bytes}`;
  }
}

function unpadded(head: string, salt: string, bytes: string): string {
  return `${head}$${salt.replace(/=+$/, "")}$${bytes.replace(/=+$/, "")}`;
}

function memoryBytes(hash: Hash): number {
  if (hash.kind === "argon2id") return hash.memoryKib * 1024;
  return hash.kind === "scrypt" ? scryptBytes(hash) : 0;
}

/** As OpenSSL counts it, RFC 7914 §5. */
function scryptBytes({ logCost, blockSize, parallelism }: { logCost: number; blockSize: number; parallelism: number }) {
  return 128 * blockSize * (2 ** logCost + parallelism);
}

function costMs(hash: Hash): number {
  switch (hash.kind) {
    case "scrypt":
      return (2 ** hash.logCost * hash.blockSize * hash.parallelism) / SCRYPT_BLOCKS_PER_MS;
    case "argon2id":
      return (hash.memoryKib * hash.passes) / ARGON2_KIB_PER_MS;
    case "sha512":
      return 0;
    case "pbkdf2":
      return hash.rounds / PBKDF2_ROUNDS_PER_MS;
  }
}

/** The hash of this password, with everything else as in `hash`. */
function compute(hash: Hash, password: Uint8Array): Uint8Array | Promise<Uint8Array> {
  const { salt } = hash;
  const { length } = hash.hash;
  switch (hash.kind) {
    case "sha512":
      return createHash("sha512").update(password).update(salt).digest();
    case "pbkdf2":
      return later((done) => pbkdf2(password, salt, hash.rounds, length, "sha512", done));
    case "scrypt": {
      const options: ScryptOptions = { N: 2 ** hash.logCost, r: hash.blockSize, p: hash.parallelism };
      // Room for what OpenSSL adds of its own.
      options.maxmem = scryptBytes(hash) + 1024 * 1024;
      return later((done) => scrypt(password, salt, length, options, done));
    }
    case "argon2id": {
      const { memoryKib: memory, passes, lanes: parallelism } = hash;
      const parameters = { message: password, nonce: salt, parallelism, tagLength: length, memory, passes };
      return later((done) => argon2("argon2id", parameters, done));
    }
  }
}

function equal(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}

function later(start: (done: (error: Error | null, bytes: Buffer) => void) => void): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    start((error, bytes) => (error === null ? resolve(bytes) : reject(error)));
  });
}

/** Under a key of this process, so that what is compared says nothing about either. */
const COMPARISON_KEY = randomBytes(32);

function digestOf(bytes: Uint8Array): Buffer {
  return createHmac("sha256", COMPARISON_KEY).update(bytes).digest();
}
