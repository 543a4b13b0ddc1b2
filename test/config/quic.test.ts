import assert from "node:assert/strict";
import { test } from "node:test";
import { headlines, load, MAIN, settingsOf } from "./loading.ts";

const FILES = ["--server-crt=a.crt", "--server-key=a.key"];
const TLS = {
  certificates: [{ cert: "/base/a.crt", key: "/base/a.key" }],
  clientCa: undefined,
  clientCrl: undefined,
  clientCert: "off",
  minVersion: "TLSv1.2",
  ciphers: undefined,
};

test("QUIC: --quic-port opens a listener with the files of the options", async () => {
  const { listeners } = await settingsOf(["--quic-port=5", ...FILES, "--bind=::1"]);
  const place = { host: "::1", port: 5, noDelay: true, keepAliveSeconds: 0, reusePort: false };
  assert.deepEqual(listeners, [{ name: "quic", type: "quic", ...place, tls: TLS }]);
});

test("QUIC: a listener without a port takes 14567, and may have files and an interface of its own", async () => {
  const text = `{ listeners: [{ type: "quic", interface: "wlan0", cert: "x.crt", key: "x.key" }] }`;
  const [listener] = (await settingsOf([...FILES], { [MAIN]: text })).listeners;
  assert.ok(listener?.type === "quic");
  assert.deepEqual([listener.port, listener.interface], [14_567, "wlan0"]);
  assert.deepEqual(listener.tls.certificates, [{ cert: "/base/x.crt", key: "/base/x.key" }]);
});

test("QUIC: its port is of UDP, so TCP may have the same, and another one of QUIC may not", async () => {
  const { listeners } = await settingsOf(["--tcp-port=5", "--quic-port=5", ...FILES]);
  assert.equal(listeners.length, 2);
  assert.deepEqual(headlines(await load(["--quic-port=5", "--quic-port=5", "--socket-reuseport", ...FILES])), [
    "--quic-port: Two listeners have the host :: and the port 5",
  ]);
});

test("QUIC: without a certificate it is refused, also where TLS would do with keys", async () => {
  const needs = "TLS needs a certificate: --server-crt FILE and --server-key FILE";
  assert.deepEqual(headlines(await load(["--quic-port=5", "--psk-file=keys"])), [`--quic-port: ${needs}`]);
  const { listeners } = await settingsOf(["--quic-port=5", "--psk-file=keys", ...FILES]);
  assert.ok(listeners[0]?.type === "quic");
  assert.deepEqual(listeners[0].tls, TLS);
});

test("QUIC: client certificates with a list of revoked ones are refused, and not where nobody is asked", async () => {
  const lists = ["--quic-port=5", ...FILES, "--client-ca=ca.crt", "--client-crl=ca.crl"];
  assert.deepEqual(headlines(await load(lists)), [
    "--quic-port: QUIC cannot check whether a client's certificate is revoked, and --client-crl asks for that",
  ]);
  assert.equal((await settingsOf([...lists, "--client-cert=off"])).listeners.length, 1);
  const own = `{ listeners: [{ type: "quic", clientCrl: "x" }, { type: "quic", port: 1, noDelay: true }] }`;
  const list = headlines(await load([...FILES], { [MAIN]: own })).map((line) => line.replace(/^.*listeners\[/, "["));
  assert.deepEqual(list, [
    "[0].clientCrl is for listeners of type tls or wss; this one is of type quic",
    "[1].noDelay is for listeners of type tcp or tls or ws or wss; this one is of type quic",
  ]);
});
