import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { checkHash, decoyFor, HASH_FORMS, makeHash, secretCostMs, verify } from "../../../src/auth/login/password.ts";
import type { Secret } from "../../../src/auth/reading/read-auth.ts";

type HashMethod = "scrypt" | "argon2id" | "mosquitto";

/** Of the reference implementation of Argon2, which lists it for "password" and "somesalt". */
const ARGON2ID = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
/** Of Python's hashlib.scrypt. */
const SCRYPT = "$scrypt$ln=10,r=8,p=16$AAECAwQFBgcICQoLDA0ODw$M/xAhjcLqe6LBZPQFhaONKAnwEn00gJGSUQ4QplJTXM";
/** Of mosquitto_passwd 2.0.11. */
const MOSQUITTO_6 =
  "$6$EVKac5sYexcInBjs$dnHZq9XPMVDF1kugZdf2cZy2v3vpWmZ75vgha4LyBpwhevoq2RXPm3rTrD65vVyfTgb1mg4TUxot3aiLhmwJ6w==";

/** Made by other programs: Python's hashlib, mosquitto_passwd 2.0.11, the reference implementation of Argon2. */
const MADE_ELSEWHERE: readonly (readonly [string, Secret, string])[] = [
  [
    "sha256 with a salt",
    {
      method: "sha256",
      salt: "sält",
      digest: "e40e84b420d948e93bcebc8abb8378ea80897a8008c221abee821a4d1d6ab989",
    },
    "sécret pw",
  ],
  [
    "sha256 in capitals",
    {
      method: "sha256",
      salt: "salt",
      digest: "21BAED949B716C49CBF7D8FE79412F1DC104745650A32081AE0BE0B967AEB7F3",
    },
    "pw",
  ],
  ["plain_password", { method: "plain_password", password: "sécret pw" }, "sécret pw"],
  [
    "scrypt as entries have it",
    {
      method: "scrypt",
      hash: "$scrypt$ln=15,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$genm4ufOo6lP3AjZ+f9qXUA22W5yTv+XzItfWQmrbmU",
    },
    "sécret pw",
  ],
  ["scrypt of nothing, with other parameters", { method: "scrypt", hash: SCRYPT }, ""],
  ["argon2id", { method: "argon2id", hash: ARGON2ID }, "password"],
  [
    "argon2id in two lanes",
    {
      method: "argon2id",
      hash: "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    },
    "password",
  ],
  ["mosquitto $6$", { method: "mosquitto", hash: MOSQUITTO_6 }, "hunter2"],
  [
    "mosquitto $7$",
    {
      method: "mosquitto",
      hash: "$7$101$8CnuCWqF8X6ED/UW$cqBy4C0rOu0OeHa8eCYS7bqd4s6OFAGyNO9doRKke97d5JAOax3IoMSLMEgH3zC01tmxWsmQ9j7rqFXNWmEufA==",
    },
    "sécret pw",
  ],
  [
    "mosquitto $7$ with other rounds",
    {
      method: "mosquitto",
      hash: "$7$25000$ObdlrdEFtQOs7/nJ$i/kObe7jHufrcDB/glek4p7X1pHl6JgoxB+wrY6FjuYKXvbSfsu+klLs0Vg4ncja81sXSIDw0c+DbAZhxQPcjg==",
    },
    "a",
  ],
];

suite("hashes of other programs", () => {
  for (const [name, secret, password] of MADE_ELSEWHERE) {
    test(`${name}: the password is right, any other is wrong`, async () => {
      assert.equal(await verify(secret, Buffer.from(password)), true);
      for (const other of [`${password}x`, password.slice(0, -1) || "y", password.toUpperCase() || "Y"]) {
        assert.equal(await verify(secret, Buffer.from(other)), false, JSON.stringify(other));
      }
    });
  }
});

test("what is slow is a promise, what is quick is not", () => {
  const kinds = MADE_ELSEWHERE.map(([name, secret]) => [name, verify(secret, Buffer.from("x")) instanceof Promise]);
  assert.deepEqual(
    kinds.filter(([, slow]) => slow).map(([name]) => String(name).split(" ")[0]),
    ["scrypt", "scrypt", "argon2id", "argon2id", "mosquitto", "mosquitto"],
  );
});

test("a digest that differs in its last digit only is another one", () => {
  const digest = "21baed949b716c49cbf7d8fe79412f1dc104745650a32081ae0be0b967aeb7f";
  assert.equal(verify({ method: "sha256", salt: "salt", digest: `${digest}3` }, Buffer.from("pw")), true);
  assert.equal(verify({ method: "sha256", salt: "salt", digest: `${digest}2` }, Buffer.from("pw")), false);
});

test("a password need not be text", () => {
  const digest = "a8100ae6aa1940d0b663bb31cd466142ebbdbd5187131b92d93818987832eb89"; // printf '\377' | sha256sum
  assert.equal(verify({ method: "sha256", salt: "", digest }, new Uint8Array([0xff])), true);
  assert.equal(verify({ method: "sha256", salt: "", digest }, Buffer.from("\ufffd")), false);
});

test("a secret that is not one of its method's is nobody's password", () => {
  const broken: Secret[] = [
    { method: "sha256", salt: "", digest: "" },
    { method: "sha256", salt: "", digest: "zz" },
    { method: "scrypt", hash: ARGON2ID },
    { method: "argon2id", hash: "" },
    { method: "mosquitto", hash: `${MOSQUITTO_6.slice(0, 24)}$AAAA` },
  ];
  assert.deepEqual(
    broken.map((secret) => verify(secret, Buffer.from(""))),
    [false, false, false, false, false],
  );
});

suite("a hash for an entry", () => {
  const forms = {
    argon2id: /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{22}\$[\w+/]{43}$/,
    scrypt: /^\$scrypt\$ln=15,r=8,p=1\$[\w+/]{22}\$[\w+/]{43}$/,
  };
  for (const method of ["argon2id", "scrypt"] as const) {
    test(`by ${method}: has the form of the manual, a salt of its own, and is the password's`, async () => {
      const [hash, again] = await Promise.all([makeHash(method, "sécret"), makeHash(method, Buffer.from("sécret"))]);
      assert.match(hash, forms[method]);
      assert.notEqual(hash.split("$").at(-2), again.split("$").at(-2));
      assert.equal(checkHash(method, hash), undefined);
      assert.equal(await verify({ method, hash }, Buffer.from("sécret")), true);
      assert.equal(await verify({ method, hash: again }, Buffer.from("sécret")), true);
      assert.equal(await verify({ method, hash }, Buffer.from("secret")), false);
    });
  }
});

suite("what is wrong with a hash", () => {
  const form = (method: HashMethod) => `hash is not of the form ${HASH_FORMS[method]}`;
  const cases: readonly (readonly [HashMethod, string, string | undefined])[] = [
    ["argon2id", ARGON2ID, undefined],
    ["scrypt", SCRYPT, undefined],
    ["mosquitto", MOSQUITTO_6, undefined],
    ["argon2id", `${ARGON2ID}=`, undefined],
    ["argon2id", "", form("argon2id")],
    ["argon2id", "password", form("argon2id")],
    ["argon2id", ` ${ARGON2ID}`, form("argon2id")],
    ["argon2id", ARGON2ID.replace("v=19", "v=16"), form("argon2id")],
    ["argon2id", ARGON2ID.replace("argon2id", "argon2i"), form("argon2id")],
    ["argon2id", ARGON2ID.replace("t=2", "t=0"), form("argon2id")],
    ["scrypt", ARGON2ID, `${form("scrypt")}, but of the method "argon2id": write method: "argon2id"`],
    ["mosquitto", SCRYPT, `${form("mosquitto")}, but of the method "scrypt": write method: "scrypt"`],
    ["argon2id", MOSQUITTO_6, `${form("argon2id")}, but of the method "mosquitto": write method: "mosquitto"`],
    ["mosquitto", "$5$AAAA$AAAA", form("mosquitto")],
    ["argon2id", ARGON2ID.replace("p=1", "p=64"), "m of the hash is below 8 times p"],
    ["argon2id", ARGON2ID.replace("c29tZXNhbHQ", "c29tZXNhbA"), "the salt of the hash is shorter than 8 bytes"],
    ["argon2id", ARGON2ID.slice(0, -30), "the last part of the hash is shorter than 16 bytes: it was cut"],
    ["mosquitto", `${MOSQUITTO_6.slice(0, -12)}`, "the last part of the hash is shorter than 64 bytes: it was cut"],
    [
      "scrypt",
      `${SCRYPT}${SCRYPT.slice(-43).repeat(2)}`,
      "the last part of the hash is longer than 64 bytes: something was added to it",
    ],
    ["argon2id", ARGON2ID.replace("m=256", "m=262144"), undefined],
    [
      "argon2id",
      ARGON2ID.replace("m=256", "m=262145"),
      "the hash takes more than 256 MiB of memory: make one that takes less",
    ],
    ["scrypt", SCRYPT.replace("ln=10,r=8,p=16", "ln=17,r=8,p=1"), undefined],
    [
      "scrypt",
      SCRYPT.replace("ln=10,r=8,p=16", "ln=18,r=8,p=1"),
      "the hash takes more than 256 MiB of memory: make one that takes less",
    ],
    [
      "scrypt",
      SCRYPT.replace("ln=10,r=8,p=16", "ln=999999999,r=8,p=1"),
      "the hash takes more than 256 MiB of memory: make one that takes less",
    ],
    [
      "argon2id",
      ARGON2ID.replace("t=2", "t=999999999"),
      "the hash takes more than 10 s to compute: make one that takes less",
    ],
    [
      "mosquitto",
      `$7$99999999$${MOSQUITTO_6.slice(3)}`,
      "the hash takes more than 10 s to compute: make one that takes less",
    ],
  ];
  for (const [at, [method, hash, wrong]] of cases.entries()) {
    test(`case ${at + 1}, ${method}: ${wrong ?? "nothing"}`, () => assert.equal(checkHash(method, hash), wrong));
  }

  test("no part of the hash is told", () => {
    const secret = "c2VjcmV0c2VjcmV0";
    for (const hash of [secret, `$6$${secret}$${secret}`, `$scrypt$ln=1,r=1,p=1$${secret}$${secret}`]) {
      for (const method of ["scrypt", "argon2id", "mosquitto"] as const) {
        assert.equal(checkHash(method, hash)?.includes(secret), false);
      }
    }
  });
});

suite("what passwords of nobody are compared with", () => {
  const argon2id: Secret = { method: "argon2id", hash: ARGON2ID.replace("m=256", "m=19456") };
  const scrypt: Secret = { method: "scrypt", hash: SCRYPT };
  const plain: Secret = { method: "plain_password", password: "x" };

  test("is a hash of the commonest slow kind, whatever quick ones there are beside it", () => {
    const other: Secret = { method: "argon2id", hash: argon2id.hash.replace("t=2", "t=3") };
    const decoy = decoyFor([plain, plain, plain, plain, scrypt, argon2id, other, argon2id]);
    assert.ok(decoy.method === "argon2id");
    assert.match(decoy.hash, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[\w+/]{11}\$[\w+/]{43}$/);
    assert.equal(checkHash("argon2id", decoy.hash), undefined);
    assert.equal(secretCostMs(decoy), secretCostMs(argon2id));
  });

  test("is nobody's: its salt and hash are random", () => {
    const decoy = decoyFor([scrypt]);
    assert.ok(decoy.method === "scrypt");
    assert.ok(scrypt.method === "scrypt");
    assert.deepEqual(decoy.hash.split("$").slice(0, 3), scrypt.hash.split("$").slice(0, 3));
    assert.notEqual(decoy.hash.split("$")[3], scrypt.hash.split("$")[3]);
    assert.notEqual(decoy.hash.split("$")[4], scrypt.hash.split("$")[4]);
  });

  test("is a quick one where there are no slow ones", () => {
    const decoys = [decoyFor([]), decoyFor([plain, { method: "mosquitto", hash: MOSQUITTO_6 }])];
    assert.deepEqual(
      decoys.map(({ method }) => method),
      ["sha256", "sha256"],
    );
    assert.deepEqual(
      decoys.map((decoy) => secretCostMs(decoy)),
      [0, 0],
    );
  });
});
