import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, type TestContext, test } from "node:test";
import { BOX, folderWith, openssl } from "../certs/certs-kit.ts";
import { certs } from "./certs-kit.ts";
import { type CommandResult, emptyFolder, TypedInput } from "./passwd-kit.ts";

const DAY_MS = 86_400_000;
const date = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
const inDays = (days: number): string => date(BOX.nowMs + days * DAY_MS);
const later = (days: number) => ({ machine: { nowMs: BOX.nowMs + days * DAY_MS } });

/** Made once; tests work in a copy. */
let made: string;
let init: CommandResult;

before(async () => {
  made = folderWith({ after: (action) => process.once("exit", action) }, {});
  init = await certs(made, ["init"]);
});

function copyOf(test: TestContext): string {
  const folder = emptyFolder(test);
  cpSync(made, folder, { recursive: true });
  return folder;
}

function certificate(folder: string, name: string): X509Certificate {
  return new X509Certificate(readFileSync(join(folder, "certs", name)));
}

const addresses = (folder: string): string => certificate(folder, "server.crt").subjectAltName ?? "";

test("init makes six files, keys for their owner alone, and says what to do with them", () => {
  const modes = readdirSync(join(made, "certs")).map((name) => {
    return `${name} ${(statSync(join(made, "certs", name)).mode & 0o777).toString(8)}`;
  });
  assert.deepEqual(modes.sort(), [
    "ca.crl 644",
    "ca.crt 644",
    "ca.key 600",
    "issued.json 644",
    "server.crt 644",
    "server.key 600",
  ]);
  assert.deepEqual([init.code, init.stderr], [0, ""]);
  assert.deepEqual(init.stdout.split("\n"), [
    "Made in certs:",
    `  ca.crt      the authority, until ${inDays(3650)}: clients need a copy of this file`,
    "  ca.key      its key: who has it can make certificates; keep it secret, and a copy in a safe place",
    "  ca.crl      the list of revoked certificates, still empty",
    `  server.crt  for the broker, until ${inDays(825)}: box, box.local, localhost, 127.0.0.1, ::1, 192.0.2.7, fe80::1:2, 2001:db8::7`,
    "  server.key  its key",
    "",
    "Start the broker with TLS:",
    "  mqtt-broker --tls-port 8883 --server-crt certs/server.crt --server-key certs/server.key",
    "Try it on this machine; elsewhere, copy ca.crt there and give one of the names above as the host:",
    "  mosquitto_sub --cafile certs/ca.crt -h localhost -p 8883 -t '#' -v",
    "With --tls-reissue too the broker makes server.crt anew by itself when this machine gets another name or address.",
    "",
  ]);
});

test("init replaces nothing without --force, and with it everything", async (context) => {
  const folder = copyOf(context);
  const old = certificate(folder, "ca.crt").fingerprint256;
  const { code, stdout, stderr } = await certs(folder, ["init"]);
  assert.deepEqual([code, stdout], [1, ""]);
  assert.match(
    stderr,
    /^There is already certs\/ca\.crt, certs\/ca\.key, .*--force replaces the authority too, and then every/,
  );
  assert.equal(certificate(folder, "ca.crt").fingerprint256, old);
  assert.equal((await certs(folder, ["init", "--force"])).code, 0);
  assert.notEqual(certificate(folder, "ca.crt").fingerprint256, old);
  const [leaf, authority] = [certificate(folder, "server.crt"), certificate(folder, "ca.crt")];
  assert.equal(leaf.verify(authority.publicKey), true);
});

test("the folder is the one that is named, else certs beside the configuration", async (context) => {
  const folder = folderWith(context, {});
  const at = async (words: string[], env: Record<string, string> = {}): Promise<string> => {
    const { stderr } = await certs(folder, ["show", ...words], { env });
    return /^There are no certificates in (.*?):/.exec(stderr)?.[1] ?? stderr;
  };
  assert.equal(await at(["--dir", "keys"]), "keys");
  assert.equal(await at(["--config", "conf/a.json5"]), "conf/certs");
  assert.equal(await at([], { MQTT_BROKER_CONFIG: "/nowhere/a.json5" }), "/nowhere/certs");
  writeFileSync(join(folder, "mqtt-broker.json5"), "what is in it does not matter");
  assert.equal(await at([]), "certs");
});

test("a clock that was never set makes nothing, unless that is wanted", async (context) => {
  const folder = emptyFolder(context);
  const early = { machine: { nowMs: 90_000_000 } };
  const refused = await certs(folder, ["init"], early);
  assert.deepEqual([refused.code, refused.stdout, readdirSync(folder)], [1, "", []]);
  assert.match(refused.stderr, /^The clock of this machine says 1970-01-02: .*Set the clock first .*--force\n$/);
  const forced = await certs(folder, ["init", "--force"], early);
  assert.equal(forced.code, 0);
  assert.match(forced.stderr, /^Warning: The clock of this machine says 1970-01-02: make the certificates anew/);
  assert.equal(certificate(folder, "server.crt").validFrom, "Jan  2 00:00:00 1970 GMT");
});

test("what is made ends with the authority, and that is said", async (context) => {
  const folder = emptyFolder(context);
  const { stderr } = await certs(folder, ["init", "--ca-days", "100", "--days", "400"]);
  assert.equal(stderr, "Warning: it is good for 99 days, not 400, since the authority (ca.crt) ends then\n");
  assert.equal(certificate(folder, "server.crt").validTo, certificate(folder, "ca.crt").validTo);
  const { code, stderr: over } = await certs(folder, ["client", "a"], later(101));
  assert.equal(code, 1);
  assert.match(over, /^The authority certs\/ca\.crt has expired on .*: mqtt-broker certs init --force makes a new one/);
});

test("client makes certificate, key and PKCS#12, and says what else is to be done", async (context) => {
  const folder = copyOf(context);
  const words = ["client", "pump 1", "--password-stdin", "--days", "10"];
  const { code, stdout, stderr } = await certs(folder, words, { input: "secret word\n" });
  assert.deepEqual([code, stderr], [0, ""]);
  assert.deepEqual(stdout.split("\n"), [
    `Made pump 1.crt, pump 1.key and pump 1.p12 (all in one) in certs, good until ${inDays(10)}`,
    "",
    "Start the broker so that it asks for certificates; besides its other options:",
    "  --client-cert optional --client-ca certs/ca.crt --client-crl certs/ca.crl",
    'Add this to the "authentication" of auth.json5:',
    '  { name: "pump 1", method: "client_cert" },',
    "Try it:",
    "  mosquitto_sub --cafile certs/ca.crt --cert 'certs/pump 1.crt' --key 'certs/pump 1.key' -h localhost -p 8883 -t '#' -v",
    "",
  ]);
  for (const file of ["pump 1.key", "pump 1.p12"]) {
    assert.equal((statSync(join(folder, "certs", file)).mode & 0o777).toString(8), "600");
  }
  const read = openssl(join(folder, "certs"), "pkcs12", "-in", "pump 1.p12", "-passin", "pass:secret word", "-noout");
  assert.deepEqual(read, { ok: true, text: "" });
});

test("at a terminal the password of the PKCS#12 file is asked for, and not shown", async (context) => {
  const folder = copyOf(context);
  const { stdout, stderr } = await certs(folder, ["client", "a"], { input: new TypedInput("word\r", "word\r") });
  assert.equal(stderr, "New password of a.p12: \nAgain: \n");
  assert.match(stdout, /^Made a\.crt, a\.key and a\.p12 \(all in one\) in certs/);
  const interrupted = await certs(folder, ["client", "b"], { input: new TypedInput("\u0003") });
  assert.equal(interrupted.code, 130);
  assert.equal(
    readdirSync(join(folder, "certs")).some((name) => name.startsWith("b.")),
    false,
  );
});

test("without a terminal and a password there are the PEM files alone; they are not replaced unasked", async (context) => {
  const folder = copyOf(context);
  const { stdout } = await certs(folder, ["client", "a"]);
  assert.match(stdout, /^Made a\.crt and a\.key in certs, .*\nWith --password-stdin, a\.p12 is made too/);
  const { code, stderr } = await certs(folder, ["client", "a"]);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^There is already certs\/a\.crt, certs\/a\.key: --force makes new ones, and the old certificate stays/,
  );
});

test("renew keeps the names, adds those that came since, and with --if-needed does nothing for nothing", async (context) => {
  const folder = copyOf(context);
  const before = addresses(folder);
  const idle = await certs(folder, ["renew", "--if-needed", "30"]);
  assert.equal(idle.stdout, "certs/server.crt is good for 824 more days and has all names: nothing to do\n");
  const moved = { machine: { addresses: ["198.51.100.9"] } };
  const renewed = await certs(folder, ["renew", "--if-needed", "30", "--name", "b.example"], moved);
  const news = "now also for 198.51.100.9, b.example";
  assert.equal(renewed.stdout, `Made certs/server.crt anew with the same key, until ${inDays(825)}, ${news}\n`);
  assert.equal(addresses(folder), `${before}, IP Address:198.51.100.9, DNS:b.example`);
  assert.match(
    (await certs(folder, ["renew", "--if-needed", "30"], later(794.5))).stdout,
    /^certs\/server\.crt is good for 30 /,
  );
  assert.match(
    (await certs(folder, ["renew", "--if-needed", "30"], later(795.5))).stdout,
    /^Made certs\/server\.crt anew/,
  );
});

test("renew makes a new key when that is asked for, keeps the chain, and needs a clock that is set", async (context) => {
  const folder = copyOf(context);
  const keyOf = (): Buffer => readFileSync(join(folder, "certs", "server.key"));
  const before = keyOf();
  assert.equal((await certs(folder, ["renew", "--if-needed", "30", "--new-key"])).code, 0);
  assert.notDeepEqual(keyOf(), before);
  assert.equal(readFileSync(join(folder, "certs", "server.crt"), "utf8").match(/BEGIN CERTIFICATE/g)?.length, 2);
  const { code, stderr } = await certs(folder, ["renew"], { machine: { nowMs: 90_000_000 } });
  assert.equal(code, 1);
  assert.match(stderr, /^The clock of this machine says 1970-01-02: /);
});

test("files that are missing, damaged or of others are named, with what to do", async (context) => {
  const folder = copyOf(context);
  const file = (name: string): string => join(folder, "certs", name);
  const complaint = async (...words: string[]): Promise<string> => {
    const { code, stderr } = await certs(folder, words);
    assert.equal(code, 1);
    return stderr;
  };
  assert.match(await complaint("renew", "--dir", "x"), /^There is no x\/ca\.crt: mqtt-broker certs init makes it/);
  assert.match(await complaint("revoke", "nobody"), /^No certificate of nobody that is still good was made in certs/);
  const key = readFileSync(file("ca.key"));
  writeFileSync(file("ca.key"), readFileSync(file("server.key")));
  assert.match(await complaint("client", "a"), /^certs\/ca\.key does not belong to certs\/ca\.crt: put back/);
  writeFileSync(file("ca.key"), "no key");
  assert.match(await complaint("client", "a"), /^certs\/ca\.key is no private key that can be read without a password/);
  rmSync(file("ca.key"));
  assert.match(await complaint("client", "a"), /^There is no certs\/ca\.key: put back the copy that you have of it/);
  writeFileSync(file("ca.key"), key);
  writeFileSync(file("issued.json"), "[{}]");
  assert.match(await complaint("client", "a"), /^certs\/issued\.json is damaged: put back/);
  writeFileSync(file("issued.json"), "[]");
  assert.equal((await certs(folder, ["client", "a"])).code, 0);
  writeFileSync(file("ca.crl"), "no list");
  assert.match(await complaint("revoke", "a"), /^certs\/ca\.crl is no list of revoked certificates/);
  const other = emptyFolder(context);
  await certs(other, ["init"]);
  cpSync(join(other, "certs", "ca.crl"), file("ca.crl"));
  assert.match(await complaint("revoke", "a"), /^certs\/ca\.crl is not signed by certs\/ca\.crt/);
  for (const ending of ["crt", "key"]) cpSync(file(`server.${ending}`), file(`ca.${ending}`));
  assert.match(await complaint("renew"), /^certs\/ca\.crt is no authority made by mqtt-broker certs init/);
});

test("a client whose record is lost is revoked by its file, if our authority has signed that", async (context) => {
  const [folder, other] = [copyOf(context), emptyFolder(context)];
  const file = (name: string): string => join(folder, "certs", name);
  await certs(folder, ["client", "a"]);
  cpSync(file("a.crt"), file("old.pem"));
  rmSync(file("issued.json"));
  await certs(folder, ["client", "a", "--force"]);
  cpSync(file("old.pem"), file("a.crt"));
  assert.match((await certs(folder, ["revoke", "a"])).stdout, /^Revoked 2 certificates of a in/);
  await certs(other, ["init"]);
  await certs(other, ["client", "b"]);
  cpSync(join(other, "certs", "b.crt"), file("b.crt"));
  assert.match(
    (await certs(folder, ["revoke", "b"])).stderr,
    /^No certificate of b that is still good was made in certs/,
  );
});
