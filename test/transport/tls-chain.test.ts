import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { chainProblem, trustOf } from "../../src/transport/tls-chain.ts";
import { AUTHORITY, ChainKit } from "./chain-kit.ts";

const kit = new ChainKit();
const NOW_MS = Date.UTC(2026, 5, 1);
const CA = "basicConstraints=critical,CA:TRUE";

before(() => {
  kit.certificate("root", { extensions: AUTHORITY });
  kit.certificate("kim", {
    by: "root",
    extensions: ["extendedKeyUsage=serverAuth,clientAuth", "subjectAltName=DNS:kim"],
  });
  kit.certificate("plain", { by: "root" });
  kit.certificate("rsa", { by: "root", key: "rsa" });
  kit.certificate("edwards", { by: "root", key: "ed25519" });
  kit.certificate("lost", { by: "root" });
  kit.certificate("expired", { by: "root", until: 2025 });
  kit.certificate("later", { by: "root", from: 2030 });
  kit.certificate("server", { by: "root", extensions: ["extendedKeyUsage=serverAuth"] });
  kit.certificate("signer", { by: "root", extensions: ["keyUsage=keyEncipherment"] });
  kit.certificate("netscape", { by: "root", extensions: ["nsCertType=server"] });
  kit.certificate("weak", { by: "root", key: "small" });
  kit.certificate("sha1", { by: "root", hash: "sha1" });
  kit.certificate("strange", { by: "root", extensions: ["1.2.3.4=critical,ASN1:UTF8:rule"] });
  kit.certificate("noted", { by: "root", extensions: ["1.2.3.4=ASN1:UTF8:note"] });
  kit.certificate("below-client", { by: "kim" });
  kit.certificate("self", {});

  kit.certificate("between", { by: "root", extensions: AUTHORITY });
  kit.certificate("far", { by: "between" });
  kit.certificate("between-2", { by: "between", extensions: AUTHORITY });
  kit.certificate("farther", { by: "between-2" });
  kit.certificate("short", { extensions: [`${CA},pathlen:0`, "keyUsage=keyCertSign,cRLSign"] });
  kit.certificate("short-client", { by: "short" });
  kit.certificate("short-between", { by: "short", extensions: AUTHORITY });
  kit.certificate("short-far", { by: "short-between" });
  kit.certificate("old-between", { by: "root", extensions: AUTHORITY, until: 2025 });
  kit.certificate("old-far", { by: "old-between" });
  kit.certificate("server-between", { by: "root", extensions: [...AUTHORITY, "extendedKeyUsage=serverAuth"] });
  kit.certificate("server-far", { by: "server-between" });
  kit.certificate("no-sign", { by: "root", extensions: [CA, "keyUsage=cRLSign"] });
  kit.certificate("no-sign-far", { by: "no-sign" });
  kit.certificate("named", { by: "root", extensions: [...AUTHORITY, "nameConstraints=critical,permitted;DNS:kim"] });
  kit.certificate("named-far", { by: "named" });

  kit.certificate("foreign", { extensions: AUTHORITY });
  kit.certificate("stranger", { by: "foreign" });
  kit.certificate("impostor", { subject: "root", extensions: AUTHORITY });
  kit.certificate("forged", { by: "impostor" });
  kit.certificate("first-version", {});
  kit.certificate("of-first-version", { by: "first-version" });
  kit.certificate("old-root", { subject: "root", keyOf: "root", extensions: AUTHORITY, until: 2025 });
  kit.certificate("no-list", { extensions: [CA, "keyUsage=keyCertSign"] });
  kit.certificate("no-list-client", { by: "no-list" });

  kit.list("root.crl", "root", ["lost"]);
  kit.list("between.crl", "between");
  kit.list("between-lost.crl", "root", ["between"]);
  kit.list("old.crl", "root", [], [2020, 2025]);
  kit.list("later.crl", "root", ["lost"], [2028, 2040]);
  kit.list("forged.crl", "impostor");
  kit.list("changes.crl", "root", [], [2020, 2040], "crl_changes");
  kit.list("foreign.crl", "foreign");
  kit.list("no-list.crl", "no-list");
});
after(() => kit.remove());

interface Row {
  ca: string[];
  sent?: string[];
  crl?: string[];
  /** When openssl is asked, where the certificates show that it is later than what is known. */
  atMs?: number;
  /** Openssl would take it; we do not, since we do not apply the rule. */
  isStricter?: true;
}

const ROOT = { ca: ["root.crt"] };
const LISTED = { ...ROOT, crl: ["root.crl"] };

describe("a client's certificate", { concurrency: true }, () => {
  for (const [name, client, expected, row] of [
    ["one of the authority", "kim", undefined, LISTED],
    ["one without extensions", "plain", undefined, LISTED],
    ["one with an RSA key", "rsa", undefined, LISTED],
    ["one with an Edwards key", "edwards", undefined, LISTED],
    ["one with an unknown note", "noted", undefined, ROOT],
    [
      "one below an authority of our file",
      "far",
      undefined,
      { ca: ["root.crt", "between.crt"], crl: ["root.crl", "between.crl"] },
    ],
    [
      "one below two authorities that it shows, in any order",
      "farther",
      undefined,
      { ...ROOT, sent: ["between-2.crt", "between.crt"] },
    ],
    ["one that shows strangers too", "kim", undefined, { ...ROOT, sent: ["foreign.crt", "impostor.crt"] }],
    ["one of an authority that was renewed", "kim", undefined, { ca: ["old-root.crt", "root.crt"] }],
    ["one right below an authority that allows none between", "short-client", undefined, { ca: ["short.crt"] }],
    ["one of an authority of the first version", "of-first-version", undefined, { ca: ["first-version.crt"] }],
    ["one signed by itself that is in our file", "self", undefined, { ca: ["root.crt", "self.crt"] }],
    ["one that begins later than is known", "later", undefined, { ...LISTED, atMs: Date.UTC(2030, 5, 1) }],
    [
      "one of an authority with lists, among them a stranger's",
      "kim",
      undefined,
      { ...ROOT, crl: ["foreign.crl", "root.crl"] },
    ],
    ["a revoked one", "lost", "CERT_REVOKED", LISTED],
    [
      "one revoked by the newer of two lists",
      "lost",
      "CERT_REVOKED",
      { ...ROOT, crl: ["changes.crl", "later.crl"], atMs: Date.UTC(2028, 5, 1) },
    ],
    [
      "one below a revoked authority",
      "far",
      "CERT_REVOKED",
      { ...ROOT, sent: ["between.crt"], crl: ["between-lost.crl", "between.crl"] },
    ],
    ["one that has expired", "expired", "CERT_HAS_EXPIRED", LISTED],
    ["one below an authority that has expired", "old-far", "CERT_HAS_EXPIRED", { ...ROOT, sent: ["old-between.crt"] }],
    ["one of a first authority that has expired", "kim", "CERT_HAS_EXPIRED", { ca: ["old-root.crt"] }],
    ["one of an authority that is not trusted", "stranger", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY", ROOT],
    [
      "one that brings its authority along",
      "stranger",
      "SELF_SIGNED_CERT_IN_CHAIN",
      { ...ROOT, sent: ["foreign.crt"] },
    ],
    ["one of an authority that took our name", "forged", "CERT_SIGNATURE_FAILURE", ROOT],
    [
      "one that brings such an authority along",
      "forged",
      "CERT_SIGNATURE_FAILURE",
      { ...ROOT, sent: ["impostor.crt"] },
    ],
    ["one signed by itself", "self", "DEPTH_ZERO_SELF_SIGNED_CERT", ROOT],
    ["one whose authority is not shown", "far", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY", ROOT],
    [
      "one whose chain does not reach a first authority",
      "far",
      "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
      { ca: ["between.crt"] },
    ],
    ["a server's", "server", "INVALID_PURPOSE", ROOT],
    ["one that may not sign", "signer", "INVALID_PURPOSE", ROOT],
    ["a server's by Netscape's rule", "netscape", "INVALID_PURPOSE", ROOT],
    ["one below an authority for servers", "server-far", "INVALID_PURPOSE", { ...ROOT, sent: ["server-between.crt"] }],
    ["one below a client", "below-client", "INVALID_CA", { ...ROOT, sent: ["kim.crt"] }],
    [
      "one below an authority that may not sign",
      "no-sign-far",
      "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
      { ...ROOT, sent: ["no-sign.crt"] },
    ],
    [
      "one with more authorities between than allowed",
      "short-far",
      "PATH_LENGTH_EXCEEDED",
      { ca: ["short.crt"], sent: ["short-between.crt"] },
    ],
    ["one with a weak key", "weak", "EE_KEY_TOO_SMALL", ROOT],
    ["one that is signed weakly", "sha1", "CA_MD_TOO_WEAK", ROOT],
    ["one with a rule that nobody knows", "strange", "UNHANDLED_CRITICAL_EXTENSION", ROOT],
    [
      "one below an authority for some names only",
      "named-far",
      "UNHANDLED_CRITICAL_EXTENSION",
      { ...ROOT, sent: ["named.crt"], isStricter: true },
    ],
    ["one without a list of its authority", "kim", "UNABLE_TO_GET_CRL", { ...ROOT, crl: ["foreign.crl"] }],
    [
      "one below an authority without a list",
      "far",
      "UNABLE_TO_GET_CRL",
      { ...ROOT, sent: ["between.crt"], crl: ["root.crl"] },
    ],
    ["one whose list has run out", "kim", "CRL_HAS_EXPIRED", { ...ROOT, crl: ["old.crl"] }],
    ["one whose list was forged", "kim", "CRL_SIGNATURE_FAILURE", { ...ROOT, crl: ["forged.crl"] }],
    [
      "one whose list is one of changes",
      "kim",
      "UNHANDLED_CRITICAL_CRL_EXTENSION",
      { ...ROOT, crl: ["changes.crl"], isStricter: true },
    ],
    [
      "one whose authority may not sign lists",
      "no-list-client",
      "KEYUSAGE_NO_CRL_SIGN",
      { ca: ["no-list.crt"], crl: ["no-list.crl"] },
    ],
  ] as readonly (readonly [string, string, string | undefined, Row])[]) {
    it(`${expected === undefined ? "takes" : "refuses"} ${name}, as openssl does`, async () => {
      const { sent = [], atMs = NOW_MS, isStricter = false } = row;
      const ca = kit.text(...row.ca);
      const crl = row.crl === undefined ? undefined : kit.text(...row.crl);
      const certificates = sent.map((file) => new X509Certificate(kit.text(file)));
      const shown = new X509Certificate(kit.text(`${client}.crt`));
      assert.equal(chainProblem(shown, certificates, trustOf(ca, crl), NOW_MS), expected);
      const files = { ca: `${name}.ca`, sent: `${name}.sent`, ...(crl !== undefined && { crl: `${name}.crl` }) };
      kit.write(files.ca, ca);
      kit.write(files.sent, kit.text(...sent));
      if (crl !== undefined) kit.write(`${name}.crl`, crl);
      const { sent: untrusted, ...others } = files;
      const oracle = await kit.verdict(`${client}.crt`, {
        ...others,
        ...(sent.length > 0 && { sent: untrusted }),
        atMs,
      });
      assert.equal(oracle, expected === undefined || isStricter);
    });
  }
});

/** Undefined: Node.js does not take it for a certificate. */
function readable(der: Buffer): X509Certificate | undefined {
  try {
    return new X509Certificate(der);
  } catch {
    return undefined;
  }
}

describe("the moment at which all must be good", () => {
  const problem = (client: string, crl: string | undefined, knownMs: number): string | undefined =>
    chainProblem(new X509Certificate(kit.text(`${client}.crt`)), [], trustOf(kit.text("root.crt"), crl), knownMs);

  it("is not before any of them begins, however little is known", () => {
    assert.equal(problem("expired", undefined, 0), undefined);
    assert.equal(problem("expired", kit.text("later.crl"), 0), "CERT_HAS_EXPIRED");
    assert.equal(problem("later", kit.text("old.crl"), 0), "CRL_HAS_EXPIRED");
  });

  it("is a millisecond before the end at the latest", () => {
    assert.equal(problem("expired", undefined, Date.UTC(2025, 0, 1) - 1), undefined);
    assert.equal(problem("expired", undefined, Date.UTC(2025, 0, 1)), "CERT_HAS_EXPIRED");
  });
});

describe("what cannot be understood", () => {
  const kim = (): X509Certificate => new X509Certificate(kit.text("kim.crt"));

  it("is no authority", () => {
    const trusted = kit.text("root.crt").replaceAll("CERTIFICATE", "TRUSTED CERTIFICATE");
    for (const ca of ["", trusted, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]) {
      assert.equal(chainProblem(kim(), [], trustOf(ca, undefined), NOW_MS), "UNABLE_TO_GET_ISSUER_CERT_LOCALLY");
    }
  });

  it("is no list, also where it is a list that was cut off anywhere", () => {
    const whole = Buffer.from(kit.text("root.crl").replace(/-----.*-----/g, ""), "base64");
    for (let length = 0; length < whole.length; length++) {
      const crl = `-----BEGIN X509 CRL-----\n${whole.toString("base64", 0, length)}\n-----END X509 CRL-----\n`;
      assert.equal(chainProblem(kim(), [], trustOf(kit.text("root.crt"), crl), NOW_MS), "UNABLE_TO_GET_CRL");
    }
  });

  it("is no certificate, whichever bit of it was changed", () => {
    const { raw } = kim();
    for (let bit = 0; bit < raw.length * 8; bit += 5) {
      const changed = Buffer.from(raw);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      const shown = readable(changed);
      if (shown === undefined) continue;
      assert.notEqual(
        chainProblem(shown, [], trustOf(kit.text("root.crt"), undefined), NOW_MS),
        undefined,
        `bit ${bit}`,
      );
    }
  });

  it("is a list for which nobody gets in, also where another one could be used", () => {
    const crl = `${kit.text("root.crl")}-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n`;
    assert.equal(chainProblem(kim(), [], trustOf(kit.text("root.crt"), crl), NOW_MS), "UNABLE_TO_GET_CRL");
  });

  it("is not signed any more where a bit of a list was changed", () => {
    const whole = Buffer.from(kit.text("root.crl").replace(/-----.*-----/g, ""), "base64");
    for (let at = 0; at < whole.length; at += 3) {
      const changed = Buffer.from(whole);
      changed[at]! ^= 0x10;
      const crl = `-----BEGIN X509 CRL-----\n${changed.toString("base64")}\n-----END X509 CRL-----\n`;
      assert.notEqual(chainProblem(kim(), [], trustOf(kit.text("root.crt"), crl), NOW_MS), undefined, `byte ${at}`);
    }
  });
});
