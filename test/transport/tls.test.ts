import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { after, afterEach, before, describe, it } from "node:test";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import type { TlsListenerOptions } from "../../src/transport/tls.ts";
import type { TlsSettings } from "../../src/transport/tls-files.ts";
import { CertificateFolder } from "../support/certificates.ts";
import { readBytes, send, until } from "./rig.ts";
import { listenerSuite } from "./suite.ts";
import { connectTo } from "./tcp-rig.ts";
import { settingsOf, TlsDoor } from "./tls-rig.ts";

const folder = new CertificateFolder();
before(() => {
  folder.authority("ours");
  folder.authority("another");
  folder.issue("server", "ours", "localhost", "DNS:localhost,IP:127.0.0.1");
  folder.issue("other", "ours", "*.example.org");
  folder.issue("kim", "ours", "kim");
  folder.issue("revoked", "ours", "kim");
  folder.issue("expired", "ours", "kim", "DNS:kim", 0);
  folder.issue("foreign", "another", "kim");
  folder.revoke("ours", "revoked");
});
after(() => folder.remove());

const doors: TlsDoor[] = [];
afterEach(async () => {
  for (const door of doors.splice(0)) await door.close();
});

function make(settings: Partial<TlsSettings> = {}, options: Partial<TlsListenerOptions> = {}): TlsDoor {
  const door = new TlsDoor(settingsOf(folder, settings), options);
  doors.push(door);
  return door;
}

function ours(name?: string): ConnectionOptions {
  const ca = folder.text("ours.crt");
  return name === undefined ? { ca } : { ca, cert: folder.text(`${name}.crt`), key: folder.text(`${name}.key`) };
}

listenerSuite("TLS", async () => {
  const door = new TlsDoor(settingsOf(folder));
  const rival = new TlsDoor(settingsOf(folder));
  const { listener } = door;
  return {
    listener,
    turn: door.turn,
    async dial() {
      const socket = connect({
        ...ours(),
        maxVersion: "TLSv1.2",
        socket: await connectTo({ host: "127.0.0.1", port: door.port }),
      });
      socket.on("error", () => {});
      // A link refused at once closes before the handshake is complete at this end.
      await new Promise<void>((resolve) => socket.once("secureConnect", resolve).once("close", resolve));
      return socket;
    },
    url: /^tls:\/\/127\.0\.0\.1:[1-9]\d*$/,
    peer: (client) => {
      const address = `127.0.0.1:${(client as Socket).localPort}`;
      return { address, local: true, listener: "main", transport: "tls" };
    },
    rival: () => ({
      listener: rival.at(door.port),
      message: `Cannot listen on ${listener.url}: the port is in use by another program`,
    }),
  };
});

describe("TlsListener", () => {
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    it(`speaks ${version}, both ways`, async () => {
      const door = await make().open();
      const client = await door.dial({ ...ours(), minVersion: version, maxVersion: version });
      assert.equal(client.getProtocol(), version);
      client.write("question");
      await until("it came", () => door.heards[0]?.bytes.length === 8);
      send(door.links[0]!, Buffer.from("answer"));
      assert.equal(String(await readBytes(client, 6)), "answer");
    });
  }

  it("refuses TLS 1.1, and TLS 1.2 where 1.3 is the oldest, and logs why", async () => {
    const old = { ...ours(), ciphers: "DEFAULT@SECLEVEL=0", minVersion: "TLSv1.1", maxVersion: "TLSv1.1" } as const;
    const door = await make().open();
    await assert.rejects(door.dial(old), { code: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION" });
    const strict = await make({ minVersion: "TLSv1.3" }).open();
    await assert.rejects(strict.dial({ ...ours(), maxVersion: "TLSv1.2" }), {
      code: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION",
    });
    for (const { log } of [door, strict]) {
      await until("it was logged", () => log.lines.length > 0);
      assert.equal(reasonIn(log.lines), "the client's version of TLS is too old");
    }
  });

  for (const cipher of ["AES128-SHA", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA", "NULL-SHA256", "ADH-AES128-SHA"]) {
    it(`refuses the weak cipher ${cipher}`, async () => {
      const door = await make().open();
      const options = { ...ours(), maxVersion: "TLSv1.2", ciphers: `${cipher}:@SECLEVEL=0` } as const;
      await assert.rejects(door.dial(options), /handshake failure/i);
    });
  }

  it("takes the ciphers that it is told to, without losing TLS 1.3", async () => {
    const door = await make({ ciphers: "ECDHE-ECDSA-AES128-SHA" }).open();
    const client = await door.dial({ ...ours(), maxVersion: "TLSv1.2" });
    assert.equal(client.getCipher().name, "ECDHE-ECDSA-AES128-SHA");
    assert.equal((await door.dial(ours())).getProtocol(), "TLSv1.3");
  });

  it("speaks mqtt by ALPN, takes clients without it, and refuses other protocols", async () => {
    const door = await make().open();
    assert.equal((await door.dial({ ...ours(), ALPNProtocols: ["h2", "mqtt"] })).alpnProtocol, "mqtt");
    assert.equal((await door.dial(ours())).alpnProtocol, false);
    await assert.rejects(door.dial({ ...ours(), ALPNProtocols: ["h2"] }), {
      code: "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL",
    });
  });

  it("shows the certificate of the name that was asked for, else the first", async () => {
    const certificates = ["server", "other"].map((name) => ({
      cert: folder.file(`${name}.crt`),
      key: folder.file(`${name}.key`),
    }));
    const door = await make({ certificates }).open();
    const shown = async (options: ConnectionOptions): Promise<unknown> =>
      (await door.dial({ ...ours(), checkServerIdentity: () => undefined, ...options })).getPeerCertificate().subject
        .CN;
    assert.equal(await shown({ servername: "a.example.org" }), "*.example.org");
    assert.equal(await shown({ servername: "A.EXAMPLE.ORG" }), "*.example.org");
    assert.equal(await shown({ servername: "localhost" }), "localhost");
    assert.equal(await shown({ servername: "a.b.example.org" }), "localhost");
    assert.equal(await shown({ servername: "example.com" }), "localhost");
    assert.equal(await shown({ servername: "" }), "localhost");
  });

  it("checks clients' certificates behind each of several certificates of its own", async () => {
    const certificates = ["server", "other"].map((name) => ({
      cert: folder.file(`${name}.crt`),
      key: folder.file(`${name}.key`),
    }));
    const door = await make({ certificates, clientCa: folder.file("ours.crt"), clientCert: "required" }).open();
    await door.dial({ ...ours("kim"), servername: "a.example.org" });
    await until("it was accepted", () => door.peers.length === 1);
    assert.equal(door.peers[0]!.certificate?.commonName, "kim");
    await refuses(door, { ...ours("foreign"), servername: "a.example.org" });
  });

  it("ends a handshake that takes too long, and logs it", async () => {
    const door = await make({}, { handshakeMs: 50 }).open();
    const silent = await connectTo({ host: "127.0.0.1", port: door.port });
    await once(silent.resume(), "end");
    assert.equal(reasonIn(door.log.lines), "the client was silent");
  });

  it("bounds the handshakes at a time; those that are done count no more", async () => {
    const door = await make({}, { handshakesMax: 2 }).open();
    for (let round = 0; round < 3; round++) await door.dial(ours());
    await until("all were accepted", () => door.peers.length === 3);
    const silent: Socket[] = [];
    for (let round = 0; round < 2; round++) silent.push(await connectTo({ host: "127.0.0.1", port: door.port }));
    const turnedAway = await connectTo({ host: "127.0.0.1", port: door.port });
    await once(turnedAway.resume(), "end");
    assert.deepEqual(door.log.messages("warn"), [
      "Connection turned away: too many clients are at their TLS handshake",
    ]);
    for (const socket of silent) socket.destroy();
    await until("they are gone", () => door.handshakes === 0);
    await door.dial(ours());
  });

  it("survives bytes that are no TLS, and says so", async () => {
    const door = await make().open();
    for (const [bytes, reason] of [
      ["\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", "the client does not speak TLS"],
      ["GET / HTTP/1.1\r\n\r\n", "the client does not speak TLS but HTTP"],
    ] as const) {
      door.log.lines.length = 0;
      const socket = await connectTo({ host: "127.0.0.1", port: door.port });
      socket.end(bytes);
      await once(socket.resume(), "close");
      assert.equal(reasonIn(door.log.lines), reason);
    }
    assert.equal(door.peers.length, 0);
  });

  it("close() ends handshakes, and leaves links alive", async () => {
    const door = await make().open();
    const client = await door.dial(ours());
    await until("it was accepted", () => door.links.length === 1);
    const silent = await connectTo({ host: "127.0.0.1", port: door.port });
    await door.listener.close();
    await door.listener.close();
    await once(silent.resume(), "end");
    send(door.links[0]!, Buffer.from("still here"));
    assert.equal(String(await readBytes(client, 10)), "still here");
    assert.equal(door.hand.closes, 1);
  });

  it("lets go of the files when it cannot listen", async () => {
    const first = await make().open();
    const second = make({}, { port: first.port });
    await assert.rejects(second.open(), /the port is in use/);
    assert.equal(second.hand.closes, 1);
  });
});

describe("client certificates", () => {
  const clientCa = folder.file("ours.crt");
  const required = { clientCa, clientCert: "required", clientCrl: folder.file("ours.crl") } as const;

  it("required: lets in whom the authority has certified, and tells the broker the name", async () => {
    const door = await make(required).open();
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      await door.dial({ ...ours("kim"), maxVersion: version });
      await until("it was accepted", () => door.peers.length > 0);
      assert.deepEqual(door.peers.shift()!.certificate, { commonName: "kim", subjectAltNames: ["DNS:kim"] });
    }
  });

  for (const [name, reason] of [
    ["foreign", "the client's certificate is of an authority that is not trusted here"],
    ["expired", "the client's certificate has expired"],
    ["revoked", "the client's certificate is revoked"],
    [undefined, "the client has no certificate"],
  ] as const) {
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      it(`required: refuses ${name ?? "no"} certificate in the handshake of ${version}, and logs why`, async () => {
        const door = await make(required).open();
        await refuses(door, { ...ours(name), maxVersion: version });
        assert.equal(reasonIn(door.log.lines), reason);
      });

      it(`optional: lets in ${name ?? "no"} certificate by ${version}, as a client without`, async () => {
        const door = await make({ ...required, clientCert: "optional" }).open();
        await door.dial({ ...ours(name), maxVersion: version });
        await until("it was accepted", () => door.peers.length === 1);
        assert.equal("certificate" in door.peers[0]!, false);
      });
    }
  }

  it("optional: knows the name of a good one", async () => {
    const door = await make({ ...required, clientCert: "optional" }).open();
    await door.dial(ours("kim"));
    await until("it was accepted", () => door.peers.length === 1);
    assert.equal(door.peers[0]!.certificate?.commonName, "kim");
  });

  it("off: asks for none, though there is an authority", async () => {
    const door = await make({ ...required, clientCert: "off" }).open();
    await door.dial(ours("kim"));
    await until("it was accepted", () => door.peers.length === 1);
    assert.equal("certificate" in door.peers[0]!, false);
  });
});

/** The handshake fails, at the latest when TLS 1.3 hears of it, and no link is made. */
async function refuses(door: TlsDoor, options: ConnectionOptions): Promise<void> {
  const client: TLSSocket = connect({ host: "127.0.0.1", port: door.port, servername: "localhost", ...options });
  const before = door.peers.length;
  client.on("error", () => {}).resume();
  await new Promise((resolve) => client.once("close", resolve));
  await until("it was logged", () => door.log.messages("info").length > 0);
  assert.equal(door.peers.length, before);
}

function reasonIn(lines: TlsDoor["log"]["lines"]): unknown {
  assert.deepEqual(
    lines.map(({ level, message }) => [level, message]),
    [["info", "TLS handshake failed"]],
  );
  const { listener, address, reason } = lines[0]!.fields as Record<string, string>;
  assert.equal(listener, "main");
  assert.match(address ?? "", /^127\.0\.0\.1:\d+$/);
  return reason;
}
