import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { before, test } from "node:test";
import { createSecureContext } from "node:tls";
import { integer, oid } from "../../src/certs/der.ts";
import { type Bundle, pkcs12 } from "../../src/certs/pkcs12.ts";
import { validityOf } from "../../src/certs/validity.ts";
import { issue, newAuthority, newKey } from "../../src/certs/x509.ts";
import { BOX, folderWith, openssl } from "./certs-kit.ts";

const PASSWORD = "Käse & €uro";
let bundle: Bundle;

before(async () => {
  const validity = validityOf(BOX.nowMs, 30);
  const authority = await newAuthority("Authority", validity);
  const key = newKey();
  const certificate = await issue(authority, { commonName: "pump", purpose: "client", names: [], key, validity });
  bundle = { certificate, key, authority: authority.certificate, name: "Pümpe 1" };
});

test("openssl reads key, certificate and authority out of the file", (context) => {
  const folder = folderWith(context, { "a.p12": pkcs12(bundle, PASSWORD) });
  const out = (...words: string[]): string => {
    const { ok, text } = openssl(folder, "pkcs12", "-in", "a.p12", "-passin", `pass:${PASSWORD}`, ...words);
    assert.equal(ok, true, text);
    return text;
  };
  const key = /-----BEGIN[\s\S]*-----\n/.exec(out("-nocerts", "-nodes"))![0];
  assert.equal(createPrivateKey(key).equals(createPrivateKey(bundle.key)), true);
  // By its number programs see that certificate and key belong together.
  const numbers = out("-nodes").match(/localKeyID: .*/g) ?? [];
  assert.deepEqual([numbers.length, new Set(numbers).size], [2, 1]);
  const own = new X509Certificate(out("-clcerts", "-nokeys"));
  assert.equal(own.fingerprint256, new X509Certificate(bundle.certificate).fingerprint256);
  const other = new X509Certificate(out("-cacerts", "-nokeys"));
  assert.equal(other.fingerprint256, new X509Certificate(bundle.authority).fingerprint256);
});

test("the key is encrypted by AES-256 and the file checked by SHA-256, both 100,000 times", (context) => {
  const folder = folderWith(context, { "a.p12": pkcs12(bundle, PASSWORD) });
  const { text } = openssl(folder, "pkcs12", "-in", "a.p12", "-passin", `pass:${PASSWORD}`, "-info", "-noout");
  assert.match(text, /^MAC: sha256, Iteration 100000$/m);
  const encrypted =
    /^(?:PKCS7 Encrypted data|Shrouded Keybag): PBES2, PBKDF2, AES-256-CBC, Iteration 100000, PRF hmacWithSHA256$/gm;
  assert.equal(text.match(encrypted)?.length, 2);
});

test("Node.js takes the file too, but not with another password", () => {
  const pfx = pkcs12(bundle, PASSWORD);
  createSecureContext({ pfx, passphrase: PASSWORD });
  assert.throws(() => createSecureContext({ pfx, passphrase: "Käse" }), { message: /mac verify failure/ });
});

test("a file that was changed is noticed", () => {
  const pfx = pkcs12(bundle, PASSWORD);
  // In the middle: the encrypted certificates.
  pfx[Math.floor(pfx.length / 2)]! ^= 1;
  assert.throws(() => createSecureContext({ pfx, passphrase: PASSWORD }), { message: /mac verify failure/ });
});

test("passwords of 1 and of 1,000 characters do", () => {
  for (const passphrase of ["x", "ü".repeat(1000)])
    createSecureContext({ pfx: pkcs12(bundle, passphrase), passphrase });
});

test("numbers and identifiers have their bytes", () => {
  const bytes: [value: Buffer, hex: string][] = [
    [integer(0), "020100"],
    [integer(127), "02017f"],
    [integer(128), "02020080"],
    [integer(100_000), "02030186a0"],
    [oid("1.2.840.113549.1.7.1"), "06092a864886f70d010701"],
    [oid("2.16.840.1.101.3.4.2.1"), "0609608648016503040201"],
  ];
  assert.deepEqual(
    bytes.map(([value]) => value.toString("hex")),
    bytes.map(([, hex]) => hex),
  );
});
