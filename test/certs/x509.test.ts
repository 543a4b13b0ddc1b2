import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { type TestContext, test } from "node:test";
import { factsOf, readCertificates } from "../../src/certs/facts.ts";
import { namesOfMachine } from "../../src/certs/names.ts";
import { DAY_MS, daysUntil, isClockSet, validityOf } from "../../src/certs/validity.ts";
import { issue, newAuthority, newKey, newRevocationList, readRevocationList } from "../../src/certs/x509.ts";
import { BOX, folderWith, openssl } from "./certs-kit.ts";

const LASTING = validityOf(BOX.nowMs, 3650);
const authority = await newAuthority("Authority of tests", LASTING);
const order = { names: namesOfMachine(BOX), validity: validityOf(BOX.nowMs, 30) };
const server = await issue(authority, { ...order, commonName: "box", purpose: "server", key: newKey() });
const client = await issue(authority, { ...order, commonName: "pump-1", purpose: "client", names: [], key: newKey() });

/** What openssl makes of a certificate. */
function textOf(context: TestContext, pem: string): string {
  const folder = folderWith(context, { "a.crt": pem });
  const { ok, text } = openssl(folder, "x509", "-in", "a.crt", "-noout", "-text", "-nameopt", "utf8,sep_comma_plus");
  assert.equal(ok, true, text);
  return text;
}

test("openssl takes each certificate for its purpose, and for no other", (context) => {
  const folder = folderWith(context, { "ca.crt": authority.certificate, "server.crt": server, "client.crt": client });
  const verify = (...words: string[]): boolean =>
    openssl(folder, "verify", "-x509_strict", "-CAfile", "ca.crt", ...words).ok;
  assert.equal(verify("-purpose", "sslserver", "server.crt"), true);
  assert.equal(verify("-purpose", "sslclient", "client.crt"), true);
  assert.equal(verify("-purpose", "sslclient", "server.crt"), false);
  assert.equal(verify("-purpose", "sslserver", "client.crt"), false);
  for (const name of ["box", "box.local", "localhost"]) {
    assert.equal(verify("-verify_hostname", name, "server.crt"), true, name);
  }
  for (const address of ["127.0.0.1", "192.0.2.7", "2001:db8::7", "fe80::1:2"]) {
    assert.equal(verify("-verify_ip", address, "server.crt"), true, address);
  }
  assert.equal(verify("-verify_hostname", "other", "server.crt"), false);
});

test("the authority signs certificates and lists, but no other authority", (context) => {
  const text = textOf(context, authority.certificate);
  assert.match(text, /X509v3 Basic Constraints: critical\n\s+CA:TRUE, pathlen:0\n/);
  assert.match(text, /X509v3 Key Usage: critical\n\s+Certificate Sign, CRL Sign\n/);
  assert.match(text, /Version: 3 .*\n/);
  assert.match(text, /NIST CURVE: P-256\n/);
  const serverText = textOf(context, server);
  assert.match(serverText, /X509v3 Basic Constraints: critical\n\s+CA:FALSE\n/);
  assert.match(serverText, /X509v3 Key Usage: critical\n\s+Digital Signature\n/);
});

test("characters that mean something in the text of a name are part of it", async (context) => {
  for (const commonName of ["#0a, CN=other + x", "Müller\\s pümp", "a=b; c", '"q"']) {
    const made = await issue(authority, { ...order, commonName, purpose: "client", names: [], key: newKey() });
    const legacy = new X509Certificate(made).toLegacyObject() as { subject: { CN: string } };
    assert.deepEqual({ ...legacy.subject }, { CN: commonName });
    assert.match(textOf(context, made), /Subject: CN=/);
  }
});

test("serial numbers are positive, have 128 bits, and no two are the same", async () => {
  const orders = Array.from({ length: 24 }, () =>
    issue(authority, { ...order, commonName: "x", purpose: "client", names: [], key: authority.key }),
  );
  const serials = (await Promise.all(orders)).map((pem) => BigInt(`0x${new X509Certificate(pem).serialNumber}`));
  assert.equal(new Set(serials).size, 24);
  assert.ok(serials.every((serial) => serial > 0n && serial < 1n << 128n));
  // One in 2^24 runs has none so high by chance.
  assert.ok(serials.some((serial) => serial >= 1n << 127n));
});

test("openssl reads the list, and refuses what is on it alone", async (context) => {
  const { serial } = factsOf(new X509Certificate(client));
  const atMs = Math.floor(BOX.nowMs / 1000) * 1000;
  const list = await newRevocationList(
    authority,
    [
      { serial, atMs },
      { serial: "ff01", atMs },
    ],
    LASTING,
    300,
  );
  const empty = await newRevocationList(authority, [], LASTING, 1);
  const files = { "ca.crt": authority.certificate, "server.crt": server, "client.crt": client, list, empty };
  const folder = folderWith(context, files);
  const { text } = openssl(folder, "crl", "-in", "list", "-noout", "-text", "-CAfile", "ca.crt");
  assert.match(text, /^verify OK$/m);
  assert.match(text, /X509v3 CRL Number: \n\s+300\n/);
  assert.match(text, new RegExp(`Serial Number: ${serial.length % 2 ? "0" : ""}${serial}\n`, "i"));
  assert.match(openssl(folder, "crl", "-in", "empty", "-noout", "-text").text, /^No Revoked Certificates\.$/m);
  // A list without entries, and an entry without further facts, have no empty sequence in their place.
  for (const file of ["list", "empty"]) {
    assert.doesNotMatch(openssl(folder, "asn1parse", "-in", file).text, /l= *0 cons/);
  }
  const check = (crl: string, file: string): boolean =>
    openssl(folder, "verify", "-CAfile", "ca.crt", "-crl_check_all", "-CRLfile", crl, file).ok;
  assert.equal(check("list", "server.crt"), true);
  assert.equal(check("list", "client.crt"), false);
  assert.equal(check("empty", "client.crt"), true);
  assert.deepEqual(await readRevocationList(list, authority.certificate), [
    { serial, atMs },
    { serial: "ff01", atMs },
  ]);
  assert.deepEqual(await readRevocationList(empty, authority.certificate), []);
});

test("a list of another authority is told from ours", async () => {
  const other = await newAuthority("Authority of tests", LASTING);
  const list = await newRevocationList(other, [], LASTING, 1);
  assert.equal(await readRevocationList(list, authority.certificate), undefined);
  await assert.rejects(readRevocationList("no list", authority.certificate));
});

test("dates beyond 2049 are written so that openssl reads them", async (context) => {
  const made = await newAuthority("far", validityOf(Date.UTC(2026, 0, 1), 36_500));
  assert.match(
    textOf(context, made.certificate),
    /Not Before: Dec 31 23:00:00 2025 GMT\n\s+Not After : Dec {2}8 00:00:00 2125 GMT\n/,
  );
});

test("a certificate is good from an hour ago, and not longer than who signed it", () => {
  const nowMs = Date.UTC(2026, 5, 1) + 789;
  assert.deepEqual(validityOf(nowMs, 2), { fromMs: Date.UTC(2026, 4, 31, 23), untilMs: Date.UTC(2026, 5, 3) });
  assert.equal(validityOf(nowMs, 2, Date.UTC(2026, 5, 2)).untilMs, Date.UTC(2026, 5, 2));
  assert.equal(validityOf(60_000, 1).fromMs, 0);
  assert.deepEqual(
    [DAY_MS, DAY_MS - 1, -1].map((ms) => daysUntil(ms, 0)),
    [1, 0, -1],
  );
  assert.deepEqual([isClockSet(Date.UTC(2024, 0, 1)), isClockSet(Date.UTC(2024, 0, 1) - 1)], [true, false]);
});

test("facts are those that openssl tells", (context) => {
  const [certificate, ...others] = readCertificates(`# comment\r\n${server}text\n${authority.certificate}`);
  assert.equal(others.length, 1);
  const facts = factsOf(certificate!);
  const folder = folderWith(context, { "server.crt": server });
  const words = ["x509", "-in", "server.crt", "-noout", "-fingerprint", "-sha256", "-serial", "-enddate"];
  const { text } = openssl(folder, ...words);
  assert.equal(facts.fingerprint, /Fingerprint=(.*)/.exec(text)?.[1]);
  assert.equal(BigInt(`0x${facts.serial}`), BigInt(`0x${/serial=(.*)/.exec(text)?.[1]}`));
  assert.equal(facts.validity.untilMs, Date.parse(/notAfter=(.*)/.exec(text)![1]!));
  assert.deepEqual(facts.names, namesOfMachine(BOX));
  assert.deepEqual([facts.commonName, facts.issuer, facts.purposes], ["box", "Authority of tests", ["server"]]);
  assert.deepEqual(factsOf(others[0]!).purposes, ["authority"]);
  assert.deepEqual(factsOf(new X509Certificate(client)).purposes, ["client"]);
});

test("a text without certificates, or with a damaged one, says so", () => {
  assert.throws(() => readCertificates(authority.key), { message: /^there is no certificate in it/ });
  const damaged = server.replace(/\n[\w+/=]{64}\n/, "\n");
  assert.throws(() => readCertificates(`${server}${damaged}`), { message: "certificate 2 in it is damaged" });
});
