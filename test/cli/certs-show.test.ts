import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, type TestContext, test } from "node:test";
import { validityOf } from "../../src/certs/validity.ts";
import { newAuthority } from "../../src/certs/x509.ts";
import { BOX, folderWith } from "../certs/certs-kit.ts";
import { certs } from "./certs-kit.ts";
import { emptyFolder } from "./passwd-kit.ts";

const DAY_MS = 86_400_000;
const date = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
const inDays = (days: number): string => date(BOX.nowMs + days * DAY_MS);
const later = (days: number) => ({ machine: { nowMs: BOX.nowMs + days * DAY_MS } });

/** Made once; tests work in a copy. */
let made: string;

before(async () => {
  made = folderWith({ after: (action) => process.once("exit", action) }, {});
  assert.equal((await certs(made, ["init"])).code, 0);
});

function copyOf(test: TestContext): string {
  const folder = emptyFolder(test);
  cpSync(made, folder, { recursive: true });
  return folder;
}

function certificate(folder: string, name: string): X509Certificate {
  return new X509Certificate(readFileSync(join(folder, "certs", name)));
}

test("show says what each certificate is, and fails when one has expired", async (context) => {
  const folder = copyOf(context);
  await certs(folder, ["client", "a", "--days", "10"]);
  await certs(folder, ["revoke", "a"]);
  const good = await certs(folder, ["show"]);
  const [authority, server, client] = ["ca.crt", "server.crt", "a.crt"].map((name) => certificate(folder, name));
  const from = date(BOX.nowMs - 3_600_000);
  assert.deepEqual(good.stdout.split("\n"), [
    "certs/ca.crt",
    "  Name        mqtt-broker CA of box",
    "  For         an authority",
    "  Signed by   mqtt-broker CA of box",
    `  Valid       ${from} to ${inDays(3650)}: 3649 days left`,
    `  SHA-256     ${authority!.fingerprint256}`,
    "certs/server.crt",
    "  Name        box",
    "  For         servers",
    "  Signed by   mqtt-broker CA of box",
    "  Host names  box, box.local, localhost",
    "  Addresses   127.0.0.1, ::1, 192.0.2.7, fe80::1:2, 2001:db8::7",
    `  Valid       ${from} to ${inDays(825)}: 824 days left`,
    `  SHA-256     ${server!.fingerprint256}`,
    "certs/a.crt",
    "  Name        a",
    "  For         clients",
    "  Signed by   mqtt-broker CA of box",
    `  Valid       ${from} to ${inDays(10)}: 9 days left`,
    `  Revoked     ${date(BOX.nowMs)}`,
    `  SHA-256     ${client!.fingerprint256}`,
    "",
  ]);
  assert.equal(good.code, 0);
  assert.match((await certs(folder, ["show"], later(9))).stdout, /: 0 days left\n/);
  const expired = await certs(folder, ["show", "certs/a.crt"], later(11));
  assert.equal(expired.code, 1);
  assert.match(expired.stdout, new RegExp(`^certs/a\\.crt\n.*${from} to ${inDays(10)}: EXPIRED\n`, "s"));
  const early = await certs(folder, ["show", "certs/server.crt"], later(-1));
  assert.equal(early.code, 1);
  assert.match(early.stdout, /: NOT YET valid; is the clock of this machine right\?\n/);
});

test("show of a file tells its whole chain; what is no certificate is named", async (context) => {
  const folder = copyOf(context);
  const { stdout } = await certs(folder, ["show", "certs/server.crt"]);
  assert.deepEqual(stdout.match(/ {2}Name .*/g), ["  Name        box", "  Name        mqtt-broker CA of box"]);
  const missing = await certs(folder, ["show", "gone.crt"]);
  assert.deepEqual([missing.code, missing.stderr], [1, "There is no file gone.crt\n"]);
  const key = await certs(folder, ["show", "certs/ca.key"]);
  assert.equal(key.stderr, "certs/ca.key: there is no certificate in it (no line BEGIN CERTIFICATE)\n");
});

test("what would drive the terminal is not shown as it is", async (context) => {
  const { certificate: pem } = await newAuthority("a\u001b[31mb", validityOf(BOX.nowMs, 1));
  const folder = emptyFolder(context);
  writeFileSync(join(folder, "a.crt"), pem);
  const { code, stdout } = await certs(folder, ["show", "a.crt"]);
  assert.equal(code, 0);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  assert.doesNotMatch(stdout, /[\u0000-\u0009\u000b-\u001f]/);
  assert.match(stdout, /^ {2}Name {8}a.*\[31mb$/m);
});
