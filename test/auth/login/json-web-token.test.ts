import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { suite, test } from "node:test";
import {
  checkJwt,
  claimedName,
  looksLikeToken,
  type TokenHolder,
  verifyToken,
  weakJwtKey,
} from "../../../src/auth/login/json-web-token.ts";
import type { ReadJwt } from "../../../src/auth/reading/read-auth.ts";
import { jwt, NOW_MS } from "./users-kit.ts";

const SECRET = "a secret of at least thirty-two bytes";
const NOW = NOW_MS / 1000;
const BY_SECRET = jwt({ kind: "secret", text: SECRET });

const RSA = generateKeyPairSync("rsa", { modulusLength: 2048 });
const EC = generateKeyPairSync("ec", { namedCurve: "P-256" });
const ED = generateKeyPairSync("ed25519");
const OTHER_ED = generateKeyPairSync("ed25519");

type Sign = (text: string) => Buffer;

/** Signatures made by RFC 7518 with Node's own functions, not with what verifies them. */
const SIGN = {
  HS256:
    (secret: string | Buffer): Sign =>
    (text) =>
      createHmac("sha256", secret).update(text).digest(),
  RS256:
    (key: KeyObject): Sign =>
    (text) =>
      sign("sha256", Buffer.from(text), key),
  ES256:
    (key: KeyObject): Sign =>
    (text) =>
      sign("sha256", Buffer.from(text), { key, dsaEncoding: "ieee-p1363" }),
  EdDSA:
    (key: KeyObject): Sign =>
    (text) =>
      sign(null, Buffer.from(text), key),
};

function token(header: object, claims: unknown, signed: Sign): Buffer {
  const text = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  return Buffer.from(`${text}.${signed(text).toString("base64url")}`);
}

/** Signed with the secret, as `BY_SECRET` wants it. */
function ours(claims: object): Buffer {
  return token({ alg: "HS256" }, claims, SIGN.HS256(SECRET));
}

function pem({ publicKey }: { publicKey: KeyObject }): ReadJwt["key"] {
  return { kind: "pem", text: publicKey.export({ type: "spki", format: "pem" }).toString() };
}

function keySet(...keys: object[]): ReadJwt["key"] {
  return { kind: "jwks", text: JSON.stringify({ keys }) };
}

/** "kim", or the reason; "try: " before it when it counts as a guess. */
async function verdict(by: ReadJwt, given: Uint8Array, wallMs = NOW_MS): Promise<string> {
  const answer = await verifyToken(by, given, wallMs);
  return "name" in answer ? answer.name : `${answer.guess ? "try: " : ""}${answer.reason}`;
}

async function holder(by: ReadJwt, given: Uint8Array): Promise<TokenHolder> {
  const answer = await verifyToken(by, given, NOW_MS);
  assert.ok("name" in answer, JSON.stringify(answer));
  return answer;
}

const WRONG_SIGNATURE = "try: the token's signature is wrong: it was not made with the key of the entry";

test("a token made by another program (Python's hmac) is right until it ends", async () => {
  const made =
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJraW0iLCJleHAiOjE4MDAwMDAwMDB9.k3NLvUi8894oamjdmSZhbynNSZKhpUB-HrXm8Nxin9E";
  assert.deepEqual(await holder(BY_SECRET, Buffer.from(made)), {
    name: "kim",
    groups: [],
    expiresMs: 1_800_000_005_000,
  });
  assert.equal(await verdict(BY_SECRET, Buffer.from(made), 1_800_000_006_000), "the token has expired");
});

suite("algorithms", () => {
  const pairs = { RS256: RSA, ES256: EC, EdDSA: ED } as const;
  for (const algorithm of ["RS256", "ES256", "EdDSA"] as const) {
    const pair = pairs[algorithm];
    const made = token({ alg: algorithm }, { sub: "kim" }, SIGN[algorithm](pair.privateKey));

    test(`${algorithm} by a public key in PEM, and by a key set`, async () => {
      assert.equal(await verdict(jwt(pem(pair)), made), "kim");
      assert.equal(await verdict(jwt(keySet(pair.publicKey.export({ format: "jwk" }))), made), "kim");
    });

    test(`${algorithm}: a changed claim, another signature and none are refused`, async () => {
      const by = jwt(pem(pair));
      const [header = "", , signature = ""] = made.toString().split(".");
      const claims = Buffer.from('{"sub":"admin"}').toString("base64url");
      assert.equal(await verdict(by, Buffer.from(`${header}.${claims}.${signature}`)), WRONG_SIGNATURE);
      assert.equal(await verdict(by, Buffer.from(made.toString().slice(0, -8))), WRONG_SIGNATURE);
      assert.equal(await verdict(by, Buffer.from(`${header}.${claims}.`)), WRONG_SIGNATURE);
    });
  }

  test("none is refused, signed or not, whatever the key is", async () => {
    for (const alg of ["none", "None", "NONE", "", undefined]) {
      const made = token({ alg }, { sub: "kim" }, () => Buffer.alloc(0));
      const named = alg === undefined ? "nothing" : alg === "" ? '""' : alg;
      assert.equal(
        await verdict(BY_SECRET, made),
        `try: the token is signed with ${named}, and the key is for HS256`,
        String(alg),
      );
      assert.equal(
        await verdict(jwt(pem(RSA)), made),
        `try: the token is signed with ${named}, and the key is for RS256`,
        String(alg),
      );
    }
  });

  test("a public key is never taken for a secret", async () => {
    for (const [pair, algorithm] of [
      [RSA, "RS256"],
      [EC, "ES256"],
      [ED, "EdDSA"],
    ] as const) {
      const key = pem(pair);
      const forged = token({ alg: "HS256" }, { sub: "admin" }, SIGN.HS256(key.text));
      const refused = `try: the token is signed with HS256, and the key is for ${algorithm}`;
      assert.equal(await verdict(jwt(key), forged), refused);
      assert.equal(await verdict(jwt(keySet(pair.publicKey.export({ format: "jwk" }))), forged), refused);
      // Not even when the entry lists the algorithm, or calls the key a secret.
      const none = "try: the token is signed with HS256, and the key is for none of the algorithms";
      assert.equal(await verdict(jwt(key, { algorithms: ["HS256"] }), forged), none);
      assert.equal(
        await verdict(jwt({ kind: "secret", text: key.text }), forged),
        "tokens cannot be judged: the key is in PEM and cannot be a secret",
      );
    }
  });

  test("another one of the same family is refused", async () => {
    const refused = /^try: the token is signed with HS512, and the key is for HS256$/;
    assert.match(await verdict(BY_SECRET, token({ alg: "HS512" }, { sub: "kim" }, SIGN.HS256(SECRET))), refused);
  });

  test("an extension that must be understood is not", async () => {
    const made = token({ alg: "HS256", crit: ["x"], x: 1 }, { sub: "kim" }, SIGN.HS256(SECRET));
    assert.equal(await verdict(BY_SECRET, made), "try: the token cannot be read");
  });

  test("the entry may allow fewer than the key set has keys for", async () => {
    const set = keySet(RSA.publicKey.export({ format: "jwk" }), ED.publicKey.export({ format: "jwk" }));
    const by = jwt(set, { algorithms: ["EdDSA"] });
    assert.equal(await verdict(by, token({ alg: "EdDSA" }, { sub: "kim" }, SIGN.EdDSA(ED.privateKey))), "kim");
    assert.equal(
      await verdict(by, token({ alg: "RS256" }, { sub: "kim" }, SIGN.RS256(RSA.privateKey))),
      "try: the token is signed with RS256, and the key is for EdDSA",
    );
  });
});

suite("key sets", () => {
  const one = { ...ED.publicKey.export({ format: "jwk" }), kid: "one" };
  const two = { ...OTHER_ED.publicKey.export({ format: "jwk" }), kid: "two", use: "sig", alg: "EdDSA" };

  test("the key is found by its identifier, or by trying where the token gives none", async () => {
    const by = jwt(keySet(one, two));
    const signed = SIGN.EdDSA(OTHER_ED.privateKey);
    assert.equal(await verdict(by, token({ alg: "EdDSA", kid: "two" }, { sub: "kim" }, signed)), "kim");
    assert.equal(await verdict(by, token({ alg: "EdDSA" }, { sub: "kim" }, signed)), "kim");
    assert.equal(await verdict(by, token({ alg: "EdDSA", kid: "one" }, { sub: "kim" }, signed)), WRONG_SIGNATURE);
    assert.equal(
      await verdict(by, token({ alg: "EdDSA", kid: "three" }, { sub: "kim" }, signed)),
      "try: the token is signed with a key that the key set does not have",
    );
  });

  test("the reason is that of the key which signed", async () => {
    const made = token({ alg: "EdDSA" }, { sub: "kim", exp: 1 }, SIGN.EdDSA(ED.privateKey));
    assert.equal(await verdict(jwt(keySet(one, two)), made), "the token has expired");
    assert.equal(await verdict(jwt(keySet(two, one)), made), "the token has expired");
  });

  test("may hold secrets, and keys that are for something else", async () => {
    const secret = { kty: "oct", k: Buffer.from(SECRET).toString("base64url") };
    const by = jwt(keySet({ kty: "new", x: 1 }, { ...one, use: "enc" }, secret));
    assert.equal(await verdict(by, ours({ sub: "kim" })), "kim");
    assert.equal(
      await verdict(by, token({ alg: "EdDSA" }, { sub: "kim" }, SIGN.EdDSA(ED.privateKey))),
      "try: the token is signed with EdDSA, and the key is for HS256",
    );
  });
});

suite("claims", () => {
  const strict = jwt({ kind: "secret", text: SECRET }, { audience: ["mqtt", "home"], issuer: "https://id.example" });
  const right = { sub: "kim", aud: "mqtt", iss: "https://id.example", exp: NOW + 60, nbf: NOW - 60 };
  const cases: readonly (readonly [string, object, string])[] = [
    ["all as asked", right, "kim"],
    ["one audience of several", { ...right, aud: ["web", "home"] }, "kim"],
    ["another audience", { ...right, aud: "web" }, "the token is for another audience"],
    ["no audience", { ...right, aud: undefined }, "the token is for another audience"],
    ["another issuer", { ...right, iss: "https://id.example.org" }, "the token is of another issuer"],
    ["no issuer", { ...right, iss: undefined }, "the token is of another issuer"],
    ["ended 4 s ago: clocks differ", { ...right, exp: NOW - 4 }, "kim"],
    ["ended 6 s ago", { ...right, exp: NOW - 6 }, "the token has expired"],
    ["begins in 4 s", { ...right, nbf: NOW + 4 }, "kim"],
    ["begins in 6 s", { ...right, nbf: NOW + 6 }, "the token is not valid yet"],
    ["an end that is no number", { ...right, exp: "2030" }, "the token's claim exp is not as it should be"],
    ["no end", { ...right, exp: undefined }, "kim"],
  ];
  for (const [name, claims, wanted] of cases) {
    test(`${name}: ${wanted}`, async () => assert.equal(await verdict(strict, ours(claims)), wanted));
  }

  test("are not looked at before the signature", async () => {
    const made = token({ alg: "HS256" }, { ...right, exp: 1 }, SIGN.HS256("another secret"));
    assert.equal(await verdict(strict, made), WRONG_SIGNATURE);
  });

  test("the name must be one that a user can have", async () => {
    const is = (what: string) => `the token's claim sub, which should name the user, ${what}`;
    for (const sub of ["", "@admins", "*", "a\0b", "\ud800", 7, null, ["kim"], "x".repeat(65_536)]) {
      const size = JSON.stringify(sub).length;
      const wanted = size > 8192 ? "try: the token is longer than 8192 bytes" : is("is no user name");
      assert.equal(await verdict(BY_SECRET, ours({ sub })), wanted, JSON.stringify(sub).slice(0, 20));
    }
    assert.equal(await verdict(BY_SECRET, ours({})), is("is not there"));
    assert.equal(await verdict(BY_SECRET, ours({ sub: "kim@example.org" })), "kim@example.org");
  });

  test("name and groups come from the claims that the entry names", async () => {
    const by = jwt({ kind: "secret", text: SECRET }, { userClaim: "email", groupsClaim: "https://x.example/roles" });
    const claims = (roles: unknown) => ({ sub: "1", email: "kim@x.example", "https://x.example/roles": roles });
    const groups = async (roles: unknown) => (await holder(by, ours(claims(roles)))).groups;
    assert.equal((await holder(by, ours(claims([])))).name, "kim@x.example");
    assert.deepEqual(await groups(["staff", "@admins", "staff", "", 7, null]), ["@staff", "@admins"]);
    assert.deepEqual(await groups("staff  admins"), ["@staff", "@admins"]);
    assert.deepEqual(await groups(undefined), []);
    assert.deepEqual(await groups({ staff: true }), []);
    assert.deepEqual((await holder(BY_SECRET, ours({ sub: "kim", groups: ["staff"] }))).groups, []);
  });
});

test("without a clock nothing is known of a token", async () => {
  const wanted = "tokens cannot be judged: the clock of this machine is not set, it says 1970-01-01";
  assert.equal(await verdict(BY_SECRET, ours({ sub: "kim", exp: NOW + 60 }), 5000), wanted);
  assert.equal(await verdict(BY_SECRET, ours({ sub: "kim" }), 5000), wanted);
});

suite("what is no token", () => {
  test("is told from one by its form", () => {
    const looks = (text: string) => looksLikeToken(Buffer.from(text));
    assert.equal(looks(ours({ sub: "kim" }).toString()), true);
    assert.deepEqual(
      ["", "secret", "eyJ", "eyJ.a", "eyJ.a.b.c", "xeyJ.a.b", "eyJ.ä.b", "eyJ.a.b\n", "eyJ a.b.c"].map(looks),
      [false, false, false, false, false, false, false, false, false],
    );
  });

  test("is refused and never thrown, whatever it is", async () => {
    const texts = [
      "",
      "...",
      "eyJ.e30.x",
      "eyJhbGciOiJIUzI1NiJ9",
      "eyJhbGciOiJIUzI1NiJ9.%.%",
      `eyJ${"a".repeat(9000)}.a.b`,
    ];
    for (const text of texts)
      assert.match(await verdict(BY_SECRET, Buffer.from(text)), /^try: the /, text.slice(0, 30));
    const noObject = token({ alg: "HS256" }, ["kim"], SIGN.HS256(SECRET));
    assert.equal(await verdict(BY_SECRET, noObject), "try: the token cannot be read");
  });
});

test("the name that a token claims can be read without believing it", () => {
  assert.equal(
    claimedName(
      token({ alg: "none" }, { sub: "kim" }, () => Buffer.alloc(1)),
      "sub",
    ),
    "kim",
  );
  assert.equal(claimedName(ours({ sub: "@any" }), "sub"), undefined);
  assert.equal(claimedName(ours({ sub: "kim" }), "__proto__"), undefined);
  assert.deepEqual(
    ["", "a.b.c", "a.bnVsbA.c", "a"].map((text) => claimedName(Buffer.from(text), "sub")),
    [undefined, undefined, undefined, undefined],
  );
});

suite("what is wrong with a key", () => {
  const small = generateKeyPairSync("rsa", { modulusLength: 1024 });
  const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" });
  const cases: readonly (readonly [string, ReadJwt["key"], readonly string[], string | undefined])[] = [
    ["a secret", { kind: "secret", text: "x" }, [], undefined],
    ["no secret", { kind: "secret", text: "" }, [], "the key is empty"],
    ["PEM as a secret", { ...pem(RSA), kind: "secret" }, ["HS256"], "the key is in PEM and cannot be a secret"],
    ["an RSA key", pem(RSA), [], undefined],
    ["one for its algorithm", pem(RSA), ["ES256", "RS256"], undefined],
    ["one for another", pem(RSA), ["ES256", "HS256"], "the key is for RS256, which algorithms does not list"],
    ["a short RSA key", pem(small), [], "the RSA key has fewer than 2048 bits"],
    ["another curve", pem(p384), [], "the key's curve is not P-256, which ES256 needs"],
    [
      "no PEM",
      { kind: "pem", text: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----" },
      [],
      "the key is no public key in PEM, which begins with -----BEGIN PUBLIC KEY-----",
    ],
    ["a key set", keySet(ED.publicKey.export({ format: "jwk" })), ["EdDSA"], undefined],
    ["no JSON", { kind: "jwks", text: "{" }, [], "the key set is not JSON"],
    ["no list", { kind: "jwks", text: "[]" }, [], 'the key set has no list "keys"'],
    ["an empty one", keySet(), [], "the key set has no key that can be used: it is empty"],
    ["an odd one", keySet({ kty: "x" }), [], "the key set has no key that can be used: it cannot be read"],
    [
      "a curve for something else",
      keySet(p384.publicKey.export({ format: "jwk" })),
      [],
      "the key set has no key that can be used: the key's curve is not P-256, which ES256 needs",
    ],
  ];
  for (const [name, key, algorithms, wrong] of cases) {
    test(`${name}: ${wrong ?? "nothing"}`, () => assert.equal(checkJwt({ key, algorithms }), wrong));
  }

  test("a secret that is too short is warned of", () => {
    const text = "0123456789abcdef0123456789abcde";
    const warning = "the secret is shorter than 32 bytes: whoever has one token can find it by trying";
    assert.equal(weakJwtKey({ kind: "secret", text }), warning);
    assert.equal(weakJwtKey({ kind: "secret", text: `${text}f` }), undefined);
    assert.equal(weakJwtKey(pem(ED)), undefined);
  });
});
