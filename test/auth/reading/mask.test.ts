import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { maskSecrets, maskText } from "../../../src/auth/reading/mask.ts";
import { parseJson5 } from "../../../src/text/json5-document.ts";
import { parseYaml } from "../../../src/text/yaml-document.ts";

suite("secrets in lines that are shown are covered", () => {
  for (const [text, expected] of [
    [`{ name: "kim", password: "sesame" }`, `{ name: "kim", password: "******" }`],
    [`{ "digest": 'abc', salt: "s\\n", hash: "$6$" }`, `{ "digest": '***', salt: "***", hash: "***" }`],
    [`{ key: ["ab", { x: 1 }] }`, `{ key: ["**", { x: * }] }`],
    [`{ passwort: 1234, pasword: "x", Secret: null }`, `{ passwort: ****, pasword: "*", Secret: **** }`],
    [`{ what: "is it", topik: "home/#", from: "local" }`, `{ what: "*****", topik: "******", from: "local" }`],
    [`{ explain: true, qos: 3, acl: { "a/#": 4 } }`, `{ explain: true, qos: 3, acl: { "a/#": 4 } }`],
    [`{ authentication: ["sesame", 5], clientId: ["c*"] }`, `{ authentication: ["******", 5], clientId: ["c*"] }`],
    [`{ keyFile: "jwt.pem", verify_field: "CN" }`, `{ keyFile: "jwt.pem", verify_field: "CN" }`],
    [`{ password: "a\\\nb" }`, `{ password: "**\n*" }`],
  ] as const) {
    test(`JSON5: ${text}`, () => assert.equal(maskSecrets(parseJson5(text, "f")), expected));
  }

  test("YAML: with quotes, without, and in blocks", () => {
    const text =
      "users:\n  kim:\n    password: sesame\n  bob: { password: 'x' }\n  eve:\n    password: |\n      open\n";
    const expected =
      "users:\n  kim:\n    password: ******\n  bob: { password: '*' }\n  eve:\n    password: *\n******open\n";
    const masked = maskSecrets(parseYaml(text, "f"));
    assert.equal(masked.length, text.length);
    assert.doesNotMatch(masked, /sesame|'x'|open/);
    assert.equal(masked.slice(0, 70), expected.slice(0, 70));
  });
});

suite("secrets in texts that cannot be parsed are covered, with all that may be one", () => {
  for (const [text, expected] of [
    [`{ name: "kim", password: "sesame" ]`, `{ name: "kim", password: "******" ]`],
    [`{ name: kim, "password": 'sesame' }`, `{ name: kim, "password": '******' }`],
    [`{ name: "kim, password: "sesame" }`, `{ name: "***************"******" }`],
    [`{ password: sesame street }`, `{ password: ****** ****** }`],
    [`{ password "sesame" }`, `{ password "******" }`],
    [`{ password = "sesame" }`, `{ password = "******" }`],
    [`{ "password": "ses"ame`, `{ "password": "***"***`],
    [`{ name: "kim" phrase: "sesame" x }`, `{ name: "kim" ******: "******" * }`],
    [`{ method: "sha256", pass "sesame" }`, `{ method: "sha256", **** "******" }`],
    [`{ method: "sha256" sesame" }`, `{ method: "sha256" ******" }`],
    [`{ password: "name", "sesame" }`, `{ password: "****", "******" }`],
    [`{ name: 'kim", password: "sesame" }`, `{ name: 'kim"************"******" }`],
    [`{ name: [kim", note: "x", password: "sesame" }`, `{ name: [kim"********"*"************"******" }`],
    [`{ topic: "home/#", allow: { sub: ["@g", kim], pub: [`, `{ topic: "home/#", allow: { sub: ["@g", kim], pub: [`],
    [`group: [{ sesame`, `group: [{ ******`],
    [`sub: [a,\n b`, `sub: [a,\n b`],
    [`- password: |\n    open\n- name: x y`, `- password: |\n    ****\n- name: x *`],
    [`name: kim\n  sesame`, `name: kim\n  ******`],
  ] as const) {
    test(text, () => assert.equal(maskText(text), expected));
  }

  test("a long text of one line takes no long time", () => {
    const text = `{ password: "x", ${"a: 'b', ".repeat(100_000)}`;
    assert.equal(maskText(text).length, text.length);
    assert.equal(maskText("a".repeat(1_000_000)).length, 1_000_000);
    assert.equal(maskText(" ".repeat(300_000)).length, 300_000);
    assert.equal(maskText('"'.repeat(300_000)).length, 300_000);
  });
});
