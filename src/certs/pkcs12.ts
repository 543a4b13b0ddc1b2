import {
  createCipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  pbkdf2Sync,
  randomBytes,
  X509Certificate,
} from "node:crypto";
import {
  type Der,
  explicit,
  implicitOctets,
  integer,
  nothing,
  octets,
  oid,
  sequence,
  set,
  utf16,
  utf16Bytes,
} from "./der.ts";

const OID = {
  data: "1.2.840.113549.1.7.1",
  encryptedData: "1.2.840.113549.1.7.6",
  keyBag: "1.2.840.113549.1.12.10.1.2",
  certificateBag: "1.2.840.113549.1.12.10.1.3",
  x509Certificate: "1.2.840.113549.1.9.22.1",
  friendlyName: "1.2.840.113549.1.9.20",
  localKeyId: "1.2.840.113549.1.9.21",
  pbes2: "1.2.840.113549.1.5.13",
  pbkdf2: "1.2.840.113549.1.5.12",
  hmacSha256: "1.2.840.113549.2.9",
  aes256Cbc: "2.16.840.1.101.3.4.1.42",
  sha256: "2.16.840.1.101.3.4.2.1",
} as const;

/** Of both the encryption and the check value: some 0.1 s for whoever opens the file. */
const ROUNDS = 100_000;
const SALT_BYTES = 16;
/** What SHA-256 takes at a time, which PKCS#12's derivation of keys pads to. */
const HASH_BLOCK_BYTES = 64;
/** "What this key is for" in that derivation: a check value. */
const FOR_MAC = 3;

/** What goes into the file, in PEM. */
export interface Bundle {
  readonly certificate: string;
  readonly key: string;
  /** The certificate of the authority. */
  readonly authority: string;
  /** As programs list it. */
  readonly name: string;
}

/**
 * A PKCS#12 file: key, certificate and authority, for programs that import a client's identity from one file. Encrypted
 * with AES-256. Programs that know only the weak encryption of old read the PEM files instead.
 */
export function pkcs12({ certificate, key, authority, name }: Bundle, password: string): Buffer {
  const own = new X509Certificate(certificate).raw;
  const keyId = createHash("sha1").update(own).digest();
  const attributes = set(attribute(OID.friendlyName, utf16(name)), attribute(OID.localKeyId, octets(keyId)));
  const certificates = sequence(
    bag(OID.certificateBag, certificateOf(own), attributes),
    bag(OID.certificateBag, certificateOf(new X509Certificate(authority).raw)),
  );
  const plainKey = createPrivateKey(key).export({ type: "pkcs8", format: "der" });
  const sealedKey = sealed(plainKey, password);
  const keys = sequence(bag(OID.keyBag, sequence(sealedKey.algorithm, octets(sealedKey.bytes)), attributes));
  const content = sequence(encryptedData(certificates, password), data(keys));
  return sequence(integer(3), data(content), checkValue(content, password));
}

function data(content: Der): Der {
  return sequence(oid(OID.data), explicit(0, octets(content)));
}

function encryptedData(content: Der, password: string): Der {
  const { algorithm, bytes } = sealed(content, password);
  const encrypted = sequence(oid(OID.data), algorithm, implicitOctets(0, bytes));
  return sequence(oid(OID.encryptedData), explicit(0, sequence(integer(0), encrypted)));
}

function bag(type: string, value: Der, ...attributes: readonly Der[]): Der {
  return sequence(oid(type), explicit(0, value), ...attributes);
}

function certificateOf(raw: Uint8Array): Der {
  return sequence(oid(OID.x509Certificate), explicit(0, octets(raw)));
}

function attribute(type: string, value: Der): Der {
  return sequence(oid(type), set(value));
}

/** Encrypted by PBES2: PBKDF2 with HMAC-SHA-256, then AES-256-CBC. */
function sealed(plain: Uint8Array, password: string): { algorithm: Der; bytes: Buffer } {
  const [salt, start] = [randomBytes(SALT_BYTES), randomBytes(16)];
  const cipher = createCipheriv("aes-256-cbc", pbkdf2Sync(password, salt, ROUNDS, 32, "sha256"), start);
  const derivation = sequence(octets(salt), integer(ROUNDS), sequence(oid(OID.hmacSha256), nothing()));
  const parameters = sequence(sequence(oid(OID.pbkdf2), derivation), sequence(oid(OID.aes256Cbc), octets(start)));
  return {
    algorithm: sequence(oid(OID.pbes2), parameters),
    bytes: Buffer.concat([cipher.update(plain), cipher.final()]),
  };
}

/** By which programs see that the password is right and the file whole. */
function checkValue(content: Der, password: string): Der {
  const salt = randomBytes(SALT_BYTES);
  const digest = createHmac("sha256", macKey(password, salt)).update(content).digest();
  return sequence(sequence(sequence(oid(OID.sha256), nothing()), octets(digest)), octets(salt), integer(ROUNDS));
}

/** RFC 7292, appendix B, for a key that is as long as one hash: the part for longer ones is not needed. */
function macKey(password: string, salt: Uint8Array): Buffer {
  const parts = [Buffer.alloc(HASH_BLOCK_BYTES, FOR_MAC), padded(salt), padded(utf16Bytes(`${password}\0`))];
  let key = Buffer.concat(parts);
  for (let round = 0; round < ROUNDS; round++) key = createHash("sha256").update(key).digest();
  return key;
}

/** Repeated up to a multiple of the hash's block. */
function padded(bytes: Uint8Array): Buffer {
  return Buffer.alloc(Math.ceil(bytes.length / HASH_BLOCK_BYTES) * HASH_BLOCK_BYTES, bytes);
}
