import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { formatProblem } from "../../../src/text/problem.ts";
import { lines, messages, read, withRules, withUsers } from "./reading-kit.ts";

suite("a mistake is told with its place, and what to do", () => {
  test("the line is shown with a caret, and secrets in it are covered", () => {
    const { problems } = read(withUsers('  { name: "kim", method: "plain_password", passwort: "sesame" },'));
    assert.deepEqual(problems.map(formatProblem), [
      [
        'auth.json5:2:3: user "kim" has the method plain_password and no password',
        '      { name: "kim", method: "plain_password", passwort: "******" },',
        "      ^",
        "  Remove the entry; mqtt-broker passwd add NAME then asks for a password and writes a new one",
      ].join("\n"),
      [
        'auth.json5:2:44: user "kim" has an unknown key "passwort"',
        '      { name: "kim", method: "plain_password", passwort: "******" },',
        `      ${" ".repeat(41)}^`,
        '  Did you mean "password"?',
      ].join("\n"),
    ]);
  });

  test("of an entry on several lines the whole is shown in place of its brace, without secrets", () => {
    const { problems } = read(
      withUsers('  {\n    name: "kim",\n    note: "x",\n    pasword: "sesame",\n    pin: 1234,\n  },'),
    );
    assert.deepEqual(formatProblem(problems[0]!).split("\n").slice(0, 3), [
      'auth.json5:2:3: user "kim" has no method',
      '    { name: "kim", note: "x", pasword: "…", pin: 1234 }',
      "    ^",
    ]);
  });

  test("what stands in a wrong place of a ledger is not shown", () => {
    const told = read(
      '{ ledger: { auth: [{ username: { password: "sesame" }, allow: "sesame" }], acl: "sesame" } }',
    ).problems;
    const [name, allow, acl] = told.map(({ message }) => message);
    assert.equal(name, "ledger.auth[0].username must be a text, not an object");
    assert.equal(allow, "ledger.auth[0].allow must be true or false, not a text");
    assert.equal(acl, "ledger.acl must be a list of rules, not a text");
  });

  const WHOLE: [text: string, ...expected: string[]][] = [
    ["[]", "1:1 The file must be an object in braces, not a list"],
    [
      "{}",
      "1:1 The file has no authentication, the list that says who may connect (Add authentication: [ … ], or authentication: [] for nobody)",
      "1:1 The file has no authorization, the list that says who may publish and subscribe to what (Add authorization: [ … ], or authorization: [] for nobody)",
    ],
    [
      "{ authentication: [], autorization: [] }",
      '1:23 The file has an unknown key "autorization" (Did you mean "authorization"?)',
    ],
    [
      "{ authentication: null, authorization: {} }",
      "1:19 authentication must be a list in square brackets, not null (Write [] for none)",
      "1:40 authorization must be a list in square brackets, not an object",
    ],
    [
      "{ authentication: [], authorization: [], group: [], groups: [] }",
      "1:53 The file has group and groups, which mean the same (Put all into one of them)",
    ],
    [
      "{ authentication: [], authorization: [], explainToClients: 1, whenRevoked: 'kick' }",
      "1:60 explainToClients must be true or false, not 1",
      '1:76 whenRevoked must be one of disconnect, filter, not "kick"',
    ],
    [
      "{ ledger: {}, authorization: [] }",
      "1:15 authorization stands beside a ledger, and a file has one or the other (Remove one; mqtt-broker auth import --ledger makes rules of a ledger)",
    ],
    [
      "{ ledger: { users: { kim: { passwort: 'x' } } } }",
      '1:29 ledger.users.kim has an unknown key "passwort" (Did you mean "password"?)',
    ],
    ["{ ledger: [] }", "1:11 ledger must be an object, not a list"],
    [
      "{\n authentication: [\n authorization: []\n}",
      '3:2 Found a word where a value should be (Has the "[" of line 2 not been closed before it?)',
    ],
    ["", "1:1 There is nothing in this text but blanks and comments (Write at least {})"],
  ];
  for (const [text, ...expected] of WHOLE) {
    test(`file: ${JSON.stringify(text)}`, () => {
      const answer = read(text);
      assert.equal(answer.auth, undefined);
      assert.deepEqual(lines(answer), expected);
    });
  }

  const USERS: [user: string, ...expected: string[]][] = [
    ['"kim"', "2:1 user 1 must be an object in braces, not a text"],
    ['{ method: "anonymous" }', '2:1 user 1 has no name (Add name: "…", as clients give it when they connect)'],
    ['{ name: "", method: "anonymous" }', "2:9 user 1 has an empty name (Put something between the quotes)"],
    ['{ name: 7, method: "anonymous" }', "2:9 user 1: name must be a text in quotes, not 7 (Put it in quotes)"],
    [
      '{ name: "@kim", method: "anonymous" }',
      '2:9 user "@kim": a name that begins with "@" is a group\'s (Write it in group, or without the @)',
    ],
    [
      '{ name: "*", method: "anonymous" }',
      '2:9 user "*": only the methods client_cert, psk and jwt can have the name "*" (For clients without a user name there is the method anonymous)',
    ],
    [
      '{ name: "k\\0", method: "anonymous" }',
      '2:9 user "k\\u0000": no client can send this name (It is too long, or has characters that MQTT forbids)',
    ],
    [
      '{ name: "kim", method: "scrypd", hash: "x" }',
      '2:24 user "kim": method must be one of sha256, plain_password, scrypt, argon2id, mosquitto, client_cert, psk, jwt, unix_socket, serial, mqtt_sn, anonymous, unauthenticated, not "scrypd" (Did you mean "scrypt"?)',
    ],
    [
      '{ name: "kim" }',
      '2:1 user "kim" has no method (Add method: "…", one of sha256, plain_password, scrypt, argon2id, mosquitto, client_cert, psk, jwt, unix_socket, serial, mqtt_sn, anonymous, unauthenticated)',
    ],
    [
      '{ name: "kim", method: "sha256", hash: "x" }',
      '2:1 user "kim" has the method sha256 and no digest (Remove the entry; mqtt-broker passwd add NAME then asks for a password and writes a new one)',
      '2:34 user "kim" has the method sha256, which takes no hash (Remove it; hash belongs to scrypt, argon2id, mosquitto)',
    ],
    [
      '{ name: "kim", method: "sha256", digest: "xyz" }',
      '2:42 user "kim": digest must be 64 hexadecimal digits, and has 3 characters (It is the SHA-256 of the salt and the password. Remove the entry; mqtt-broker passwd add NAME then asks for a password and writes a new one)',
    ],
    [
      `{ name: "kim", method: "sha256", digest: "${"g".repeat(64)}" }`,
      '2:42 user "kim": digest must be 64 hexadecimal digits, and has 64 characters, not all of them such digits (It is the SHA-256 of the salt and the password. Remove the entry; mqtt-broker passwd add NAME then asks for a password and writes a new one)',
    ],
    [
      '{ name: "kim", method: "plain_password", password: 1234 }',
      '2:52 user "kim": password must be a text in quotes, not a number (Put it in quotes)',
    ],
    [
      '{ name: "kim", method: "plain_password", password: "" }',
      '2:52 user "kim" has an empty password (Put something between the quotes)',
    ],
    [
      '{ name: "kim", method: "plain_password", password: "x", digest: "x" }',
      '2:65 user "kim" has a password and a digest (Keep password: for plain_password they mean the same)',
    ],
    [
      '{ name: "kim", method: "scrypt", hash: "$6$abc$def" }',
      '2:40 user "kim": hash is not of the form $scrypt$ln=15,r=8,p=1$SALT$HASH, but of the method "mosquitto": write method: "mosquitto"',
    ],
    [
      '{ name: "kim", method: "anonymous", password: "x" }',
      '2:37 user "kim" has the method anonymous, which takes no password (Remove it; password belongs to plain_password)',
    ],
    [
      '{ name: "a", method: "anonymous" }, { name: "b", method: "anonymous" }',
      '2:37 user "b" is the second with the method anonymous, after "a" (There can be one: who connects so has no name of his own to tell them apart. Remove the others)',
    ],
    [
      '{ name: "*", method: "psk", identity: "x" }',
      '2:39 user "*" lets in every identity under its own name, so it has none (Give the entry the user\'s name, or take identity away)',
    ],
    [
      '{ name: "c", method: "client_cert", identity: "x" }',
      '2:37 user "c" has the method client_cert, which takes no identity (Remove it; identity belongs to psk)',
    ],
    [
      '{ name: "c", method: "client_cert", verify_field: "cn" }',
      '2:51 user "c": verify_field must be one of CN, subjectAltName, DNS, IP, email, URI, not "cn" (Did you mean "CN"?)',
    ],
    [
      '{ name: "n", method: "mqtt_sn", nodeId: "0x12" }',
      '2:41 user "n": nodeId must be hexadecimal digits, not "0x12" (Such as "0013A20040A1B2C3", where * stands for any of them)',
    ],
    [
      '{ name: "j", method: "jwt" }',
      '2:1 user "j" has the method jwt and no key, and needs exactly one of key, keyFile and jwksFile (Such as keyFile: "issuer.pem", the public key of who makes the tokens)',
    ],
    [
      '{ name: "j", method: "jwt", key: "x", keyFile: "y" }',
      '2:48 user "j" has the method jwt and key and keyFile, and needs exactly one of key, keyFile and jwksFile (Keep one of them)',
    ],
    [
      '{ name: "j", method: "jwt", keyFile: "none.pem" }',
      '2:38 user "j": keyFile "none.pem" cannot be read: there is no such file (A relative path begins at the folder of this file)',
    ],
    [
      '{ name: "j", method: "jwt", keyFile: "locked.pem" }',
      '2:38 user "j": keyFile "locked.pem" cannot be read: permission denied (A relative path begins at the folder of this file)',
    ],
    [
      '{ name: "j", method: "jwt", keyFile: "secret.txt", algorithms: ["HS256", "none"], claims: { user: "", group: "x" } }',
      '2:74 user "j": algorithms has "none", which is not supported (Supported are HS256, RS256, ES256, EdDSA)',
      '2:99 user "j": claims has an empty user (Put something between the quotes)',
      '2:103 user "j": claims has an unknown key "group" (Did you mean "groups"?)',
    ],
    [
      '{ name: "j", method: "jwt", keyFile: "secret.txt", algorithms: ["RS256"] }',
      '2:38 user "j": the key is for HS256, which algorithms does not list (A text is a secret for HS256; a public key is a PEM text or file, for RS256, ES256 or EdDSA)',
    ],
    [
      '{ name: "k", method: "anonymous", admin: "write", maxConnections: 1.5, messagesPerSecond: "9", bytesPerSecond: 0, queueBytes: "x" }',
      '2:42 user "k": admin must be one of read, all, not "write"',
      '2:67 user "k": maxConnections must be a whole number from 1, not 1.5 (Leave maxConnections out for no limit of its own)',
      '2:91 user "k": messagesPerSecond must be a number above 0, not "9" (Write it without quotes)',
      '2:112 user "k": bytesPerSecond must be a number of bytes above 0, or a size such as "64KiB", not 0 (Leave bytesPerSecond out for no limit of its own)',
      '2:127 user "k": queueBytes must be a number of bytes above 0, or a size such as "64KiB", not "x" (Leave queueBytes out for no limit of its own)',
    ],
    [
      '{ name: "k", method: "anonymous", from: [], clientId: ["a", 5], note: 1 }',
      '2:41 user "k": from is an empty list, which no client meets (Leave from out for all clients)',
      '2:61 user "k": clientId must have only texts in it, not a number (Put it in quotes)',
      '2:71 user "k": note must be a text in quotes, not 1 (Put it in quotes)',
    ],
    [
      '{ name: "k", method: "anonymous", from: ["local", "localhost"], expires: "tomorrow" }',
      '2:51 user "k": from "localhost" is no address: write "local" (It may be "local" (this machine), "192.168.1.7", "192.168.1.0/24", "fe80::1", "fd00::/8", "listener:NAME" or "transport:tls", or a list of them)',
      '2:74 user "k": expires "tomorrow" is no date (Write "2027-03-31", which ends with that day in UTC, or "2027-03-31T18:00:00Z", with Z or +02:00 at the end)',
    ],
  ];
  for (const [user, ...expected] of USERS) {
    test(`user: ${user}`, () => {
      const answer = read(withUsers(user));
      assert.equal(answer.auth, undefined);
      assert.deepEqual(lines(answer), expected);
    });
  }

  const RULES: [rule: string, ...expected: string[]][] = [
    [
      '{ topic: "a", allow: { sub: ["kim"] } }',
      '3:30 rule 1 names user "kim", who is not in authentication (did you mean "kima"?)',
    ],
    [
      '{ topic: "a", deny: { pub: ["xyz"] } }',
      '3:29 rule 1 names user "xyz", who is not in authentication (Correct the name, take it away here, or add an entry for it to authentication)',
    ],
    [
      '{ topic: "a", deny: { pub: ["@gests", "guests"] } }',
      '3:29 rule 1 names group "@gests", which is not in group (did you mean "@guests"?)',
      '3:39 rule 1 names user "guests", who is not in authentication (did you mean "@guests"?)',
    ],
    ['{ topic: "a", allow: { sub: ["*"] } }', '3:30 rule 1 names "*", which is nobody (Write "@any" for everybody)'],
    [
      '{ topic: "a", allow: { sub: "kima", pub: null } }',
      '3:29 rule 1: allow: sub must be a list of texts in square brackets, not "kima" (Write ["kima"])',
      "3:42 rule 1: allow: pub must be a list of texts in square brackets, not null",
    ],
    [
      '{ topic: "a", allow: { sub: ["kima"], pub: ["kima"] }, deny: { sub: ["@any"] } }',
      "3:62 rule 1 allows and denies sub at once, and it would be a guess which of them counts (Make two rules of it: of those that match, the last one counts. Older brokers denied it to all it names)",
    ],
    [
      '{ topic: "a", alow: { sub: ["kima"] }, deny: { pubs: ["@any"] } }',
      '3:15 rule 1 has an unknown key "alow" (Did you mean "allow"?)',
      '3:48 rule 1: deny has an unknown key "pubs" (Did you mean "pub"?)',
    ],
    ['{ deny: { sub: ["@any"] } }', '3:1 rule 1 has no topic (Add topic: "…", a Topic Filter such as "home/#")'],
    ['{ topic: "", deny: { sub: ["@any"] } }', "3:10 rule 1 has an empty topic (Put something between the quotes)"],
    [
      '{ topic: "a/#/b", deny: { sub: ["@any"] } }',
      '3:10 rule 1: topic "a/#/b" goes on behind its # (# stands for all that follows and comes last; + stands for one level)',
    ],
    [
      '{ topic: "a/b#", deny: { sub: ["@any"] } }',
      '3:10 rule 1: topic "a/b#" has a wildcard beside other characters (# and + stand alone between slashes: home/+/door, home/#)',
    ],
    [
      '{ topic: "$share/g/a/#", deny: { sub: ["@any"] } }',
      '3:10 rule 1: topic "$share/g/a/#" is a shared subscription (Write "a/#": rules are asked for what stands behind $share/NAME/)',
    ],
    [
      '{ topic: "a\\0", deny: { sub: ["@any"] } }',
      '3:10 rule 1: topic "a\\u0000" has a zero character (MQTT forbids it in topics)',
    ],
    [
      '{ topic: "a", allow: { sub: ["@any"] }, maxQos: 3, retain: "no", from: "1.2.3" }',
      "3:49 rule 1: maxQos must be 0, 1 or 2, not 3",
      '3:60 rule 1: retain must be true or false, not "no"',
      '3:72 rule 1: from "1.2.3" is no whole address: write a network as 192.168.1.0/24 (It may be "local" (this machine), "192.168.1.7", "192.168.1.0/24", "fe80::1", "fd00::/8", "listener:NAME" or "transport:tls", or a list of them)',
    ],
    ["7", "3:1 rule 1 must be an object in braces, not a number"],
  ];
  for (const [rule, ...expected] of RULES) {
    test(`rule: ${rule}`, () => {
      const answer = read(withRules(rule, ' group: [{ name: "@guests" }],'));
      assert.equal(answer.auth, undefined);
      assert.deepEqual(lines(answer), expected);
    });
  }

  const GROUPS: [group: string, ...expected: string[]][] = [
    ["{}", '2:10 group 1 has no name (Add name: "@…", as rules name it)'],
    ['{ name: "g" }', '2:18 group "g": the name of a group begins with "@" (Write "@g")'],
    ['{ name: "@" }', '2:18 group "@" has no name behind the "@" (Write one: "@family")'],
    [
      '{ name: "@any" }',
      '2:18 group "@any" is there without being written: it has everybody in it (Give yours another name)',
    ],
    [
      '{ name: "@g", members: ["kim", "@h", "*"] }',
      '2:34 group "@g" names user "kim", who is not in authentication (did you mean "kima"?)',
      '2:41 group "@g" has the member "@h": groups have users as members, and no groups (Name its members one by one; rules may name several groups)',
      '2:47 group "@g" has the member "*", which is nobody (The group of everybody is there already: @any)',
    ],
    ['{ name: "@g", member: [] }', '2:24 group "@g" has an unknown key "member" (Did you mean "members"?)'],
  ];
  for (const [group, ...expected] of GROUPS) {
    test(`group: ${group}`, () => {
      const answer = read(withRules('{ topic: "a", allow: { sub: ["@any"] } }', `\n group: [${group}],`));
      assert.equal(answer.auth, undefined);
      assert.deepEqual(lines(answer), expected);
    });
  }

  test("all mistakes are told, and an entry with one can still be named", () => {
    const answer = read(
      '{ authentication: [{ name: "kim", method: "x" }],\n group: [{ name: "@g", members: ["bob"] }],\n authorization: [{ topic: "a", allow: { sub: ["kim", "@g"] } }, { topic: "b#", allow: { pub: ["eve"] } }] }',
    );
    assert.deepEqual(
      messages(answer).map((line) => line.slice(0, 40)),
      [
        '1:43 user "kim": method must be one of s',
        '2:34 group "@g" names user "bob", who is',
        '3:74 rule 2: topic "b#" has a wildcard b',
        '3:95 rule 2 names user "eve", who is not',
      ],
    );
  });
});
