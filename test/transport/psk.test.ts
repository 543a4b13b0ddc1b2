import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, afterEach, before, describe, it } from "node:test";
import { connect } from "node:tls";
import type { Link } from "../../src/core/ports.ts";
import { readPskKeys } from "../../src/transport/psk.ts";
import { TlsFiles, type TlsSettings } from "../../src/transport/tls-files.ts";
import { WebSocketListener } from "../../src/transport/websocket.ts";
import { CertificateFolder } from "../support/certificates.ts";
import { Heard, until } from "./rig.ts";
import { portOf } from "./tcp-rig.ts";
import { settingsOf, TlsDoor } from "./tls-rig.ts";
import { opening, request } from "./websocket-rig.ts";

const KEY = "00112233445566778899aabbccddeeff";
const OTHER = "ffeeddccbbaa99887766554433221100";

describe("a file of keys", () => {
  it("has lines of identity and key, comments and empty lines", () => {
    const keys = readPskKeys(`\uFEFF# ours\r\nsensor-1:${KEY}\r\n\r\npump 2:AbCd\n#sensor-3:ff\nkö: 01 \n`);
    assert.deepEqual(
      [...keys].map(([identity, key]) => [identity, key.toString("hex")]),
      [
        ["sensor-1", KEY],
        ["pump 2", "abcd"],
        ["kö", "01"],
      ],
    );
    assert.equal(readPskKeys("").size, 0);
    assert.equal(readPskKeys(`${"i".repeat(128)}:${"ff".repeat(256)}`).size, 1);
  });

  for (const [line, mistake] of [
    [KEY, "has no colon: write IDENTITY:KEY, the key in hexadecimal"],
    [`:${KEY}`, "has no identity before its colon"],
    [`${"i".repeat(129)}:${KEY}`, "has an identity of more than 128 bytes"],
    [`a\0b:${KEY}`, "has an identity that no client can send"],
    [`a\uFFFDb:${KEY}`, "has an identity that no client can send"],
    [`first:${KEY}`, "has an identity that an earlier line has too"],
    ["second:", "has no key behind its colon"],
    [`second:${KEY}0`, "has a key that is not pairs of hexadecimal digits"],
    [`second:0x${KEY}`, "has a key that is not pairs of hexadecimal digits"],
    [`second:${"ff".repeat(257)}`, "has a key of more than 256 bytes"],
  ] as const) {
    it(`names the line that ${mistake}`, () => {
      assert.throws(() => readPskKeys(`first:${KEY}\n\n${line}\n`), { message: `line 3 ${mistake}` });
    });
  }
});

describe("TLS with keys that both ends know", () => {
  const folder = new CertificateFolder();
  const doors: TlsDoor[] = [];
  before(() => {
    folder.authority("ours");
    folder.issue("server", "ours", "localhost");
    folder.issue("client", "ours", "client");
  });
  after(() => folder.remove());
  afterEach(async () => {
    for (const door of doors.splice(0)) await door.close();
  });

  async function open(more: Partial<TlsSettings> = {}, keys = `sensor:${KEY}\n`): Promise<TlsDoor> {
    const pskFile = folder.write("keys.psk", keys);
    const door = new TlsDoor(settingsOf(folder, { pskFile, ...more }));
    doors.push(door);
    return await door.open();
  }

  const withoutCertificate = { certificates: [] };

  /** What openssl's client says; it is an implementation of its own of the other end. */
  async function openssl(door: TlsDoor, identity: string, key: string, more: string[] = []): Promise<string> {
    const words = ["s_client", "-connect", `127.0.0.1:${door.port}`, "-psk_identity", identity, "-psk", key, ...more];
    const client = spawn("openssl", words, { stdio: "pipe" });
    let said = "";
    for (const stream of [client.stdout, client.stderr]) stream.on("data", (text) => (said += text));
    client.stdin.on("error", () => {});
    client.stdin.end("Q\n");
    await new Promise((resolve) => client.once("close", resolve));
    return said;
  }

  /** The cipher that was agreed on. */
  function cipherOf(said: string): string | undefined {
    return /New, \S+, Cipher is (\S+)/.exec(said)?.[1];
  }

  it("needs no certificate, and tells who it is", async () => {
    const door = await open({ ...withoutCertificate, pskHint: "greenhouse" });
    const said = await openssl(door, "sensor", KEY);
    assert.equal(cipherOf(said), "ECDHE-PSK-CHACHA20-POLY1305");
    assert.match(said, /PSK identity hint: greenhouse/);
    assert.equal(door.peers.length, 1);
    const { pskIdentity, transport, certificate } = door.peers[0]!;
    assert.deepEqual([pskIdentity, transport, certificate], ["sensor", "tls", undefined]);
  });

  for (const cipher of [
    "DHE-PSK-AES128-GCM-SHA256",
    "PSK-AES128-GCM-SHA256",
    "PSK-AES256-GCM-SHA384",
    "PSK-AES128-CCM",
  ]) {
    it(`speaks ${cipher} with who can do nothing else`, async () => {
      const door = await open();
      const said = await openssl(door, "sensor", KEY, ["-tls1_2", "-cipher", cipher]);
      assert.equal(cipherOf(said), cipher);
      assert.equal(door.peers[0]?.pskIdentity, "sensor");
    });
  }

  it("speaks no cipher without authenticated encryption", async () => {
    const door = await open();
    const said = await openssl(door, "sensor", KEY, [
      "-tls1_2",
      "-cipher",
      "PSK-AES128-CBC-SHA:ECDHE-PSK-AES128-CBC-SHA",
    ]);
    assert.equal(cipherOf(said), "(NONE)");
    assert.equal(door.peers.length, 0);
  });

  it("a wrong key and an identity that nobody has fail alike, and the log tells them apart", async () => {
    const door = await open(withoutCertificate);
    const wrong = await openssl(door, "sensor", OTHER);
    const unknown = await openssl(door, "nobody", KEY);
    const alert = (said: string) => /alert ([a-z ]+):/.exec(said)?.[1];
    assert.equal(alert(wrong), "bad record mac");
    assert.equal(alert(unknown), "bad record mac");
    assert.equal(door.peers.length, 0);
    await until("both were told", () => door.log.lines.length === 2);
    assert.deepEqual(
      door.log.lines.map(({ message, fields }) => [message, (fields as { reason: string }).reason]),
      [
        ["TLS handshake failed", `the client's key is not the one of its identity "sensor"`],
        ["TLS handshake failed", 'the identity "nobody" is not in the file of keys'],
      ],
    );
    assert.doesNotMatch(JSON.stringify(door.log.lines), new RegExp(`${KEY}|${OTHER}`, "i"));
  });

  it("an identity that was named in TLS 1.3, and not proved, is none", async () => {
    const door = await open();
    for (const suite of ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]) {
      const said = await openssl(door, "sensor", OTHER, ["-tls1_3", "-ciphersuites", suite]);
      assert.equal(cipherOf(said), suite);
    }
    await until("both are in, by the certificate", () => door.peers.length === 2);
    assert.deepEqual(
      door.peers.map(({ pskIdentity }) => pskIdentity),
      [undefined, undefined],
    );
  });

  it("stands beside certificates, of the server and of clients", async () => {
    const door = await open({ clientCa: folder.file("ours.crt"), clientCert: "optional" });
    await openssl(door, "sensor", KEY, ["-tls1_2"]);
    const own = { cert: folder.text("client.crt"), key: folder.text("client.key") };
    await door.dial({ ca: folder.text("ours.crt"), ...own });
    await until("both are in", () => door.peers.length === 2);
    assert.deepEqual(
      door.peers.map(({ pskIdentity, certificate }) => [pskIdentity, certificate?.commonName]),
      [
        ["sensor", undefined],
        [undefined, "client"],
      ],
    );
  });

  it("tells who a WebSocket is, too", async () => {
    const { log, hand, turn } = await open(withoutCertificate);
    const files = new TlsFiles(settingsOf(folder, { ...withoutCertificate, pskFile: folder.file("keys.psk") }), {
      log,
      watch: hand.watch,
    });
    const tls = { files, log };
    const listener = new WebSocketListener({ name: "web", host: "127.0.0.1", port: 0, turn, maxPayload: 100, tls });
    const links: Link[] = [];
    await listener.listen((link) => {
      links.push(link);
      return new Heard();
    });
    const client = connect({
      host: "127.0.0.1",
      port: portOf(listener),
      ciphers: "PSK",
      maxVersion: "TLSv1.2",
      pskCallback: () => ({ psk: Buffer.from(KEY, "hex"), identity: "sensor" }),
      checkServerIdentity: () => undefined,
    });
    assert.equal((await request(client, "GET /mqtt HTTP/1.1", opening())).status, 101);
    await until("it was accepted", () => links.length === 1);
    const { pskIdentity, transport } = links[0]!.peer;
    assert.deepEqual([pskIdentity, transport], ["sensor", "websocket-tls"]);
    links[0]!.destroy();
    client.destroy();
    await listener.close();
  });

  it("resumes no session, since nobody would know then whose key it was", async () => {
    const door = await open(withoutCertificate);
    const saved = folder.file("session.pem");
    await openssl(door, "sensor", KEY, ["-sess_out", saved]);
    const said = await openssl(door, "sensor", KEY, ["-sess_in", saved]);
    assert.match(said, /^New, TLSv1\.2/m);
    assert.deepEqual(
      door.peers.map(({ pskIdentity }) => pskIdentity),
      ["sensor", "sensor"],
    );
  });

  it("follows the file, and keeps what it had when a line is wrong", async () => {
    const door = await open(withoutCertificate);
    assert.ok(door.hand.watched[0]?.includes(folder.file("keys.psk")));
    folder.write("keys.psk", `sensor:${OTHER}\n`);
    await door.files.reload();
    assert.deepEqual(door.log.messages("info"), ["Certificates and keys were read again: new connections use them"]);
    await openssl(door, "sensor", KEY);
    assert.equal(door.peers.length, 0);
    folder.write("keys.psk", `sensor:${KEY}\npump:${KEY}x\n`);
    await door.files.reload();
    const complaint = `The file of keys ${folder.file("keys.psk")} cannot be used: line 2 has a key that is not pairs of hexadecimal digits`;
    assert.deepEqual(door.log.messages("error"), [`${complaint}. What was in force stays in force`]);
    await openssl(door, "sensor", OTHER);
    assert.equal(door.peers.length, 1);
  });
});
