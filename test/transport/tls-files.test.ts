import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { after, afterEach, before, describe, it } from "node:test";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import { TlsFiles, type TlsSettings } from "../../src/transport/tls-files.ts";
import { CertificateFolder } from "../support/certificates.ts";
import { readBytes, send, until } from "./rig.ts";
import { HandWatch, NotedLog, settingsOf, TlsDoor } from "./tls-rig.ts";

const DAY_MS = 86_400_000;
const SINGLE = "What was in force stays in force";

const folder = new CertificateFolder();
before(() => {
  folder.authority("ours");
  folder.authority("theirs");
  folder.issue("pat", "theirs", "pat");
  for (const name of ["first", "second", "kim"]) folder.issue(name, "ours", name);
  folder.issue("expired", "ours", "expired", "DNS:expired", 0);
  folder.revoke("ours");
  folder.write("cut.crl", folder.text("ours.crl") + folder.text("ours.crl").slice(0, 200));
  folder.openssl("x509", "-in", "first.crt", "-outform", "DER", "-out", "der.crt");
  folder.openssl("pkey", "-in", "first.key", "-aes128", "-passout", "pass:secret", "-out", "encrypted.key");
  folder.write("chain.crt", folder.text("ours.crt") + folder.text("first.crt"));
  folder.write("torn.key", folder.text("first.key").slice(0, 100));
  folder.write("cut.key", folder.text("first.key").replace(/\n.{20}/, "\n"));
  folder.write("empty", "");
});
after(() => folder.remove());

const doors: TlsDoor[] = [];
afterEach(async () => {
  for (const door of doors.splice(0)) await door.close();
});

/** A door with "server" as a copy of "first", and a client's authority. */
async function open(settings: Partial<TlsSettings> = {}, nowMs?: () => number): Promise<TlsDoor> {
  folder.replace("server.crt", "first.crt");
  folder.replace("server.key", "first.key");
  const door = new TlsDoor(settingsOf(folder, settings), {}, { ...(nowMs && { nowMs }) });
  doors.push(door);
  return await door.open();
}

function visit(door: TlsDoor, options: ConnectionOptions = {}): Promise<TLSSocket> {
  return door.dial({ ca: folder.text("ours.crt"), checkServerIdentity: () => undefined, ...options });
}

async function shown(door: TlsDoor): Promise<unknown> {
  return (await visit(door)).getPeerCertificate().subject.CN;
}

function load(settings: Partial<TlsSettings>): Promise<void> {
  return new TlsFiles(settingsOf(folder, settings), { log: new NotedLog(), watch: new HandWatch().watch }).open();
}

function identity(cert: string, key: string): Partial<TlsSettings> {
  return { certificates: [{ cert: folder.file(cert), key: folder.file(key) }] };
}

describe("files of TLS that cannot be used", () => {
  const at = (name: string): string => folder.file(name);
  for (const [what, settings, message] of [
    [
      "no certificate",
      identity("none", "first.key"),
      `Cannot read the certificate ${at("none")}: there is no such file`,
    ],
    ["a folder", identity(".", "first.key"), `Cannot read the certificate ${at(".")}: it is a folder`],
    [
      "DER",
      identity("der.crt", "first.key"),
      `The certificate ${at("der.crt")} is not PEM: it must have lines "-----BEGIN CERTIFICATE-----"; openssl x509 -inform DER makes it of a DER file`,
    ],
    [
      "a key without a certificate",
      identity("first.key", "first.key"),
      `The certificate ${at("first.key")} is not PEM: it must have lines "-----BEGIN CERTIFICATE-----"; openssl x509 -inform DER makes it of a DER file`,
    ],
    ["no key", identity("first.crt", "none"), `Cannot read the private key ${at("none")}: there is no such file`],
    [
      "an empty key",
      identity("first.crt", "empty"),
      `The private key ${at("empty")} is not PEM: it must have a line "-----BEGIN PRIVATE KEY-----"`,
    ],
    [
      "half a key",
      identity("first.crt", "torn.key"),
      `The private key ${at("torn.key")} is damaged: it cannot be read`,
    ],
    [
      "a damaged key",
      identity("first.crt", "cut.key"),
      `The private key ${at("cut.key")} is damaged: it cannot be read`,
    ],
    [
      "an encrypted key",
      identity("first.crt", "encrypted.key"),
      `The private key ${at("encrypted.key")} is encrypted: nobody could type its password at a start; openssl pkey -in FILE -out PLAIN removes it`,
    ],
    [
      "the key of another certificate",
      identity("first.crt", "second.key"),
      `The private key ${at("second.key")} does not belong to the certificate ${at("first.crt")}: give the key that the certificate was requested with`,
    ],
    [
      "a chain that begins with the authority",
      identity("chain.crt", "first.key"),
      `The certificate ${at("chain.crt")} is not in order: the one that belongs to the key ${at("first.key")} must stand first, its authorities after it`,
    ],
    [
      "an authority that is none",
      { ...identity("first.crt", "first.key"), clientCa: at("first.key"), clientCert: "required" },
      `The file of authorities ${at("first.key")} is not PEM: it must have lines "-----BEGIN CERTIFICATE-----"; openssl x509 -inform DER makes it of a DER file`,
    ],
    [
      "a list of revoked certificates that is none",
      {
        ...identity("first.crt", "first.key"),
        clientCa: at("ours.crt"),
        clientCrl: at("ours.crt"),
        clientCert: "optional",
      },
      `${at("ours.crt")} has no list of revoked certificates: it must have lines "-----BEGIN X509 CRL-----"`,
    ],
    [
      "a list of revoked certificates that is cut off behind a whole one",
      {
        ...identity("first.crt", "first.key"),
        clientCa: at("ours.crt"),
        clientCrl: at("cut.crl"),
        clientCert: "optional",
      },
      new RegExp(`^The list of revoked certificates ${at("cut.crl")} cannot be used: `),
    ],
  ] as [string, Partial<TlsSettings>, string | RegExp][]) {
    it(`${what}: the message names file and reason`, async () => {
      await assert.rejects(load(settings), { message });
    });
  }

  it("an expired certificate is used at the start, and complained of: the clock may be wrong", async () => {
    await load(identity("expired.crt", "expired.key"));
  });

  it("ciphers that do not exist: the message has them", async () => {
    const settings = { ...identity("first.crt", "first.key"), ciphers: "ROT13" };
    await assert.rejects(load(settings), /^Error: The ciphers "ROT13" cannot be used: .*no cipher match/);
  });

  it("no message has anything of a key", async () => {
    const secret = folder.text("torn.key").split("\n")[1]!.slice(0, 20);
    await assert.rejects(load(identity("first.crt", "torn.key")), (error: Error) => !error.message.includes(secret));
  });
});

describe("files of TLS that are replaced", () => {
  it("serve the next connection, and leave standing ones alone", async () => {
    const door = await open();
    const client = await visit(door);
    assert.equal(client.getPeerCertificate().subject.CN, "first");
    await until("it was accepted", () => door.links.length === 1);
    folder.replace("server.crt", "second.crt");
    folder.replace("server.key", "second.key");
    door.hand.changed();
    await until("they were read", () => door.log.messages("info").length > 0);
    assert.deepEqual(door.log.messages("info"), ["Certificates were read again: new connections use them"]);
    assert.equal(await shown(door), "second");
    send(door.links[0]!, Buffer.from("alive"));
    assert.equal(String(await readBytes(client, 5)), "alive");
  });

  it("are taken up by the name that a client asks for too", async () => {
    const others = [{ cert: folder.file("second.crt"), key: folder.file("second.key") }];
    const certificates = [...others, ...settingsOf(folder).certificates];
    const door = await open({ certificates });
    const ask = async (servername: string): Promise<unknown> =>
      (await visit(door, { servername })).getPeerCertificate().subject.CN;
    assert.deepEqual([await ask("first"), await ask("second"), await ask("kim")], ["first", "second", "second"]);
    folder.replace("server.crt", "kim.crt");
    folder.replace("server.key", "kim.key");
    await door.files.reload();
    assert.deepEqual([await ask("first"), await ask("second"), await ask("kim")], ["second", "second", "kim"]);
  });

  it("may be replaced one after the other: nothing is said of the moment between", async () => {
    const door = await open();
    folder.replace("server.crt", "second.crt");
    door.hand.changed();
    await until("it was tried", () => true);
    assert.equal(await shown(door), "first");
    folder.replace("server.key", "second.key");
    await until("they were read", () => door.log.messages("info").length > 0);
    assert.deepEqual(door.log.messages("error"), []);
    assert.equal(await shown(door), "second");
  });

  it("that cannot be used are named, once, and the old ones stay", async (context) => {
    const door = await open();
    writeFileSync(folder.file("server.crt"), "rubbish");
    context.mock.timers.enable({ apis: ["setTimeout"] });
    for (let round = 0; round < 2; round++) {
      let done = false;
      door.hand.changed();
      const reading = (door.files as unknown as { reading: Promise<void> }).reading.then(() => (done = true));
      while (!done) {
        await new Promise((resolve) => setImmediate(resolve));
        context.mock.timers.tick(250);
      }
      await reading;
    }
    context.mock.timers.reset();
    const [message, ...more] = door.log.messages("error");
    assert.ok(
      message?.startsWith(`The certificate ${folder.file("server.crt")} is not PEM`) && message.endsWith(SINGLE),
    );
    assert.deepEqual(more, []);
    assert.equal(await shown(door), "first");
  });

  it("by one that has expired: the good one stays", async (context) => {
    const door = await open();
    folder.replace("server.crt", "expired.crt");
    folder.replace("server.key", "expired.key");
    context.mock.timers.enable({ apis: ["setTimeout"] });
    let done = false;
    const reading = door.files.reload().then(() => (done = true));
    while (!done) {
      await new Promise((resolve) => setImmediate(resolve));
      context.mock.timers.tick(250);
    }
    await reading;
    context.mock.timers.reset();
    assert.match(
      String(door.log.messages("error")),
      /server\.crt has expired: "expired" was valid until \d{4}-\d\d-\d\dT[\d:.]+Z; renew it,/,
    );
    assert.equal(await shown(door), "first");
  });

  it("are not announced when nothing in them is new", async () => {
    const door = await open();
    await door.files.reload();
    assert.deepEqual(door.log.lines, []);
  });

  it("a list of revoked certificates holds from the next connection on, for resumed sessions too", async () => {
    folder.revoke("ours");
    const clientCrl = folder.file("ours.crl");
    const door = await open({ clientCa: folder.file("ours.crt"), clientCrl, clientCert: "optional" });
    const own = { cert: folder.text("kim.crt"), key: folder.text("kim.key"), maxVersion: "TLSv1.2" } as const;
    const session = (await visit(door, own)).getSession();
    const resumed = await visit(door, { ...own, session });
    await until("both were accepted", () => door.peers.length === 2);
    assert.equal(resumed.isSessionReused(), true);
    assert.deepEqual(
      door.peers.map(({ certificate }) => certificate?.commonName),
      ["kim", "kim"],
    );
    folder.revoke("ours", "kim");
    await door.files.reload();
    const again = await visit(door, { ...own, session });
    await until("it was accepted", () => door.peers.length === 3);
    assert.deepEqual([again.isSessionReused(), door.peers[2]!.certificate], [false, undefined]);
  });

  it("of several lists in a file each holds, wherever it stands", async () => {
    const both = (kind: "crt" | "crl"): string =>
      folder.write(`both.${kind}`, folder.text(`ours.${kind}`) + folder.text(`theirs.${kind}`));
    const namesOf = async (): Promise<unknown[]> => {
      for (const name of ["kim", "pat"]) {
        await visit(door, { cert: folder.text(`${name}.crt`), key: folder.text(`${name}.key`) });
      }
      await until("they were accepted", () => door.peers.length === 2);
      return door.peers.splice(0).map(({ certificate }) => certificate?.commonName);
    };
    folder.revoke("ours");
    folder.revoke("theirs");
    const door = await open({ clientCa: both("crt"), clientCrl: both("crl"), clientCert: "optional" });
    assert.deepEqual(await namesOf(), ["kim", "pat"]);
    folder.revoke("theirs", "pat");
    both("crl");
    await door.files.reload();
    assert.deepEqual(await namesOf(), ["kim", undefined]);
  });

  it("sessions are resumed after the server's own certificate is replaced", async () => {
    const door = await open();
    const session = (await visit(door, { maxVersion: "TLSv1.2" })).getSession();
    folder.replace("server.crt", "second.crt");
    folder.replace("server.key", "second.key");
    await door.files.reload();
    assert.equal((await visit(door, { maxVersion: "TLSv1.2", session })).isSessionReused(), true);
  });

  it("watches every file that is used, once, and no more when the last has closed", async () => {
    const door = await open({ clientCa: folder.file("ours.crt"), clientCert: "required" });
    const names = ["server.crt", "server.key", "ours.crt"];
    assert.deepEqual(door.hand.watched, [names.map((name) => folder.file(name))]);
    const second = door.at(0);
    await second.listen(() => assert.fail());
    await second.close();
    assert.equal(door.hand.closes, 0);
    await door.listener.close();
    assert.deepEqual([door.hand.watched.length, door.hand.closes], [1, 1]);
  });
});

describe("certificates that end soon", () => {
  it("are warned of at 30, 7 and 1 days, and named when they have ended", async (context) => {
    context.mock.timers.enable({ apis: ["setInterval"] });
    let daysLeft = 40;
    const { validToDate } = new (await import("node:crypto")).X509Certificate(folder.text("first.crt"));
    const door = await open({}, () => validToDate.getTime() - daysLeft * DAY_MS);
    for (const days of [31, 30, 20, 7, 6.5, 1, 0.5, 0, -1]) {
      daysLeft = days;
      context.mock.timers.tick(3_600_000);
    }
    const rest = ": replace its file, which is noticed at once";
    const fields = { file: folder.file("server.crt"), certificate: "first", validTo: validToDate.toISOString() };
    assert.deepEqual(door.log.lines, [
      { level: "warn", message: `A certificate expires in 30 days${rest}`, fields },
      { level: "warn", message: `A certificate expires in 7 days${rest}`, fields },
      { level: "warn", message: `A certificate expires within a day${rest}`, fields },
      { level: "error", message: `A certificate has expired${rest}`, fields },
    ]);
  });

  it("lists of revoked ones too, but for warnings that would be due on their first day", async (context) => {
    context.mock.timers.enable({ apis: ["setInterval"] });
    folder.issue("lost", "ours", "lost");
    folder.revoke("ours", "lost");
    const end = /nextUpdate=(.*)/.exec(folder.openssl("crl", "-in", folder.file("ours.crl"), "-noout", "-nextupdate"))!;
    const endMs = Date.parse(end[1]!);
    let daysLeft = 1.9;
    const clientCa = folder.file("ours.crt");
    const settings = { clientCa, clientCrl: folder.file("ours.crl"), clientCert: "optional" } as const;
    const door = await open(settings, () => endMs - daysLeft * DAY_MS);
    const ends = () => door.files.ends.filter(({ kind }) => kind === "revoked").map(({ days, stage }) => [days, stage]);
    assert.deepEqual(ends(), [[2, undefined]]);
    for (const days of [1, 0.5, 0]) {
      daysLeft = days;
      context.mock.timers.tick(3_600_000);
    }
    assert.deepEqual(ends(), [[0, 0]]);
    const then = "no client of its authority gets in with a certificate: replace its file, which is noticed at once";
    const fields = { file: folder.file("ours.crl"), certificate: "ours", validTo: new Date(endMs).toISOString() };
    assert.deepEqual(door.log.lines, [
      {
        level: "warn",
        message: `A list of revoked certificates runs out within a day, and then ${then}`,
        fields,
      },
      { level: "error", message: `A list of revoked certificates has run out, so ${then}`, fields },
    ]);
  });

  it("are told with their stage while somebody listens, and no more afterwards", async () => {
    const { validToDate } = new (await import("node:crypto")).X509Certificate(folder.text("first.crt"));
    let daysLeft = 40;
    const door = await open({}, () => validToDate.getTime() - daysLeft * DAY_MS);
    const told = [];
    for (daysLeft of [40, 30, 8, 7, 1.5, 1, 0.1, 0, -2])
      told.push([door.files.ends[0]!.days, door.files.ends[0]!.stage]);
    assert.deepEqual(told, [
      [40, undefined],
      [30, 30],
      [8, 30],
      [7, 7],
      [2, 7],
      [1, 1],
      [1, 1],
      [0, 0],
      [-2, 0],
    ]);
    const { file, kind, name, validToMs } = door.files.ends[0]!;
    assert.deepEqual(
      [file, kind, name, validToMs],
      [folder.file("server.crt"), "server", "first", validToDate.getTime()],
    );
    await door.close();
    assert.deepEqual(door.files.ends, []);
  });

  it("by a clock that nobody vouches for, the alarm says that it may be that clock", async () => {
    const time = { nowMs: () => Date.UTC(2099, 0, 1), isTrusted: () => false };
    for (const kind of ["crt", "key"]) folder.replace(`server.${kind}`, `first.${kind}`);
    const door = new TlsDoor(settingsOf(folder), {}, time);
    await door.open();
    await door.close();
    assert.deepEqual(door.log.messages("error"), [
      "A certificate has expired: replace its file, which is noticed at once; or set this machine's clock if it is wrong",
    ]);
  });
});
