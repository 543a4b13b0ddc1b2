import assert from "node:assert/strict";
import { test } from "node:test";
import type { Settings, TlsSettings } from "../../src/config/settings.ts";
import { headlines, load, MAIN, settingsOf } from "./loading.ts";

const FILES = ["--server-crt=a.crt", "--server-key=a.key"];

function tlsOf({ listeners }: Settings): TlsSettings[] {
  return listeners.map((listener) => {
    assert.equal(listener.type, "tls");
    return (listener as { tls: TlsSettings }).tls;
  });
}

test("TLS: --tls-port opens a listener with the files of the options", async () => {
  const { listeners, sources } = await settingsOf(["--tls-port=8884", ...FILES, "--bind=127.0.0.1"]);
  const tls = {
    certificates: [{ cert: "/base/a.crt", key: "/base/a.key" }],
    clientCa: undefined,
    clientCrl: undefined,
    clientCert: "off",
    minVersion: "TLSv1.2",
    ciphers: undefined,
  };
  const socket = { host: "127.0.0.1", port: 8884, noDelay: true, keepAliveSeconds: 0, reusePort: false };
  assert.deepEqual(listeners, [{ name: "tls", type: "tls", ...socket, tls }]);
  assert.equal(sources.get("listeners"), "--tls-port");
});

test("TLS: a listener without a port takes 8883, and its own files are beside the configuration", async () => {
  const own = "cert: 'x.crt', key: '/k/x.key', clientCa: 'ca.crt', clientCrl: 'ca.crl', clientCert: 'optional'";
  const text = `{ listeners: [{ type: "tls", ${own} }, { type: "tls", port: 1, clientCert: "off" }] }`;
  const settings = await settingsOf(["--config=/etc/m.json5", ...FILES], { "/etc/m.json5": text });
  const [first, second] = tlsOf(settings);
  const port = settings.listeners.map((listener) => "port" in listener && listener.port);
  assert.deepEqual(port, [8883, 1]);
  assert.deepEqual(first, {
    certificates: [{ cert: "/etc/x.crt", key: "/k/x.key" }],
    clientCa: "/etc/ca.crt",
    clientCrl: "/etc/ca.crl",
    clientCert: "optional",
    minVersion: "TLSv1.2",
    ciphers: undefined,
  });
  assert.deepEqual(second!.certificates, [{ cert: "/base/a.crt", key: "/base/a.key" }]);
});

test("TLS: the section tls of the configuration says what the options do", async () => {
  const files = "certificates: ['a.crt', 'b.crt'], keys: ['a.key', 'b.key'], clientCa: 'ca.crt', clientCrl: 'ca.crl'";
  const text = `{ tls: { ${files}, clientCert: "optional", minimumVersion: "TLSv1.3", ciphers: "X" } }`;
  const [tls] = tlsOf(await settingsOf(["--tls-port=0"], { [MAIN]: text }));
  assert.deepEqual(tls, {
    certificates: ["a", "b"].map((name) => ({ cert: `/base/${name}.crt`, key: `/base/${name}.key` })),
    clientCa: "/base/ca.crt",
    clientCrl: "/base/ca.crl",
    clientCert: "optional",
    minVersion: "TLSv1.3",
    ciphers: "X",
  });
});

test("TLS: with an authority clients must show a certificate, unless it is said otherwise", async () => {
  const asked = async (...more: string[]) =>
    tlsOf(await settingsOf(["--tls-port=0", ...FILES, "--client-ca=ca.crt", ...more]))[0]!.clientCert;
  assert.equal(await asked(), "required");
  assert.equal(await asked("--client-cert=optional"), "optional");
  assert.equal(await asked("--client-cert=off"), "off");
});

const HERE = ["--tls-port=0"];
for (const [argv, message] of [
  [HERE, "--tls-port: TLS needs a certificate: --server-crt FILE and --server-key FILE"],
  [[...HERE, "--server-crt=a"], "--tls-port: TLS needs --server-key FILE"],
  [[...HERE, "--server-key=a"], "--tls-port: TLS needs --server-crt FILE"],
  [
    [...HERE, ...FILES, "--server-crt=b"],
    "--tls-port: each certificate needs its key, in the same order; there are 2 of --server-crt and 1 of --server-key",
  ],
  [
    [...HERE, ...FILES, "--client-cert=required"],
    "--tls-port: client certificates are required, but there is no authority to check them: give --client-ca FILE",
  ],
  [
    [...HERE, ...FILES, "--client-crl=x"],
    "--tls-port: revoked certificates need an authority that issued them: give --client-ca FILE",
  ],
] as const) {
  test(`TLS: ${argv.join(" ")} is refused`, async () => assert.deepEqual(headlines(await load(argv)), [message]));
}

test("TLS: a listener's own certificate comes with its own key", async () => {
  const loaded = await load(FILES, { [MAIN]: "{ listeners: [{ type: 'tls', cert: 'x' }] }" });
  assert.deepEqual(headlines(loaded), [
    "mqtt-broker.json5:1:15: a listener with a certificate of its own needs both cert and key",
  ]);
});

test("TLS: keys of TLS are refused for listeners without it", async () => {
  const loaded = await load([], { [MAIN]: "{ listeners: [{ cert: 'x' }] }" });
  assert.match(headlines(loaded)[0]!, /^mqtt-broker.json5:1:23: listeners\[0\].cert is for listeners of type tls/);
});

test("TLS: certificates are made anew by themselves when that is asked for, which is in vain without TLS", async () => {
  assert.equal((await settingsOf([...HERE, ...FILES])).tlsReissue, false);
  const asked = await settingsOf([...HERE, ...FILES, "--tls-reissue"]);
  assert.deepEqual([asked.tlsReissue, asked.warnings], [true, []]);
  const { settings } = await load(["--tcp-port=0"], { [MAIN]: "{ tls: { reissue: true } }" });
  assert.deepEqual(settings!.warnings, ["mqtt-broker.json5:1:19: not used, since no listener has a certificate"]);
});
