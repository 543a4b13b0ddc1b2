import assert from "node:assert/strict";
import { test } from "node:test";
import type { TlsSettings } from "../../src/config/settings.ts";
import { headlines, load, MAIN, settingsOf } from "./loading.ts";

const FILES = "certificates: ['a.crt'], keys: ['a.key']";

async function tlsOf(words: string[], text = "{}"): Promise<TlsSettings[]> {
  const { listeners } = await settingsOf(words, { [MAIN]: text });
  return listeners.flatMap((listener) => ("tls" in listener ? [listener.tls] : []));
}

test("PSK: a file of keys does in place of a certificate, and the hint comes with it", async () => {
  const [tls] = await tlsOf(["--tls-port=0", "--psk-file=keys.psk", "--psk-hint=greenhouse"]);
  assert.deepEqual(tls, {
    certificates: [],
    clientCa: undefined,
    clientCrl: undefined,
    clientCert: "off",
    minVersion: "TLSv1.2",
    ciphers: undefined,
    pskFile: "/base/keys.psk",
    pskHint: "greenhouse",
  });
});

test("PSK: a listener has its own file, or that of the section", async () => {
  const listeners = "[{ type: 'tls', pskFile: 'own.psk' }, { type: 'wss' }]";
  const tls = await tlsOf([], `{ tls: { ${FILES}, pskFile: '/k/all.psk' }, listeners: ${listeners} }`);
  assert.deepEqual(
    tls.map(({ pskFile, certificates }) => [pskFile, certificates.length]),
    [
      ["/base/own.psk", 1],
      ["/k/all.psk", 1],
    ],
  );
});

test("PSK: without a file there is none, and a hint changes nothing", async () => {
  const [tls] = await tlsOf(["--tls-port=0", "--server-crt=a", "--server-key=b", "--psk-hint=x"]);
  assert.deepEqual(Object.keys(tls!).includes("pskHint"), false);
});

for (const [words, mistake] of [
  [["--server-crt=a.crt"], "--tls-port: TLS needs --server-key FILE"],
  [["--server-key=a.key"], "--tls-port: TLS needs --server-crt FILE"],
  [
    ["--server-crt=a", "--server-key=b", "--tls-min-version=TLSv1.3"],
    "--tls-port: keys of --psk-file are for TLS 1.2, and the oldest version that is spoken is TLSv1.3",
  ],
  [
    ["--server-crt=a", "--server-key=b", "--client-ca=c"],
    "--tls-port: client certificates are required, and who has a key of --psk-file shows none",
  ],
  [
    ["--client-ca=c", "--client-cert=optional"],
    "--tls-port: clients can show certificates only to a server that has one: give --server-crt and --server-key",
  ],
] as const) {
  test(`PSK: --psk-file with ${words.join(" ")} is refused`, async () => {
    assert.deepEqual(headlines(await load(["--tls-port=0", "--psk-file=k", ...words])), [mistake]);
  });
}
