import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { AnonymousFrom } from "../../../src/auth/login/attempt.ts";
import { HashQueue } from "../../../src/auth/login/hash-queue.ts";
import { LoginFailure } from "../../../src/auth/login/login-failure.ts";
import { Login } from "../../../src/auth/login.ts";
import type { ReadUser, Secret } from "../../../src/auth/reading/read-auth.ts";
import type { Peer } from "../../../src/core/ports.ts";
import {
  certificate,
  NOW_MS,
  outcome,
  plain,
  table,
  tokenUser,
  user,
  usersOf,
  type Visitor,
  visit,
} from "./users-kit.ts";

const LOCAL: Partial<Peer> = { address: "127.0.0.1:50312", local: true };
const UNIX: Partial<Peer> = { address: "/run/mqtt.sock", local: true, transport: "unix", listener: "unix" };
const HOW = "mqtt-broker passwd add NAME makes a user, --allow-anonymous opens to everybody";
/** The reference implementation's, of "password". */
const ARGON2ID = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

suite("by password", () => {
  const entries = [
    plain("kim", "right"),
    user("ann", "sha256", {
      secret: {
        method: "sha256",
        salt: "salt",
        digest: "21baed949b716c49cbf7d8fe79412f1dc104745650a32081ae0be0b967aeb7f3",
      },
    }),
    user("slow", "argon2id", { secret: { method: "argon2id", hash: ARGON2ID }, line: 9 }),
    user("anonymous", "anonymous"),
    user("box", "client_cert"),
    tokenUser("app", "secret of the app's own entry, long"),
  ];
  table(entries, [
    ["the right one", { user: "kim", password: "right" }, "kim"],
    [
      "a wrong one",
      { user: "kim", password: "wrong" },
      "try: wrong password for user kim (auth.json5:7:5): mqtt-broker passwd add kim gives a new one",
    ],
    ["sha256", { user: "ann", password: "pw" }, "ann"],
    ["argon2id", { user: "slow", password: "password" }, "slow"],
    [
      "argon2id, wrong",
      { user: "slow", password: "x" },
      "try: wrong password for user slow (auth.json5:9:5): mqtt-broker passwd add slow gives a new one",
    ],
    [
      "nobody",
      { user: "kin", password: "right" },
      "try: user kin is not in auth.json5: mqtt-broker passwd add kin makes this user",
    ],
    [
      "nobody, named oddly",
      { user: "a b\n", password: "x" },
      'try: user "a b\\n" is not in auth.json5: mqtt-broker passwd add NAME makes this user',
    ],
    [
      "a name that a shell would run",
      { user: "$(reboot)", password: "x" },
      'try: user "$(reboot)" is not in auth.json5: mqtt-broker passwd add NAME makes this user',
    ],
    [
      "a long name",
      { user: "x".repeat(65), password: "x" },
      `try: user "${"x".repeat(64)}…" is not in auth.json5: mqtt-broker passwd add NAME makes this user`,
    ],
    ["no password", { user: "kim" }, "no: user kim gave no password"],
    [
      "an empty one",
      { user: "kim", password: "" },
      "try: wrong password for user kim (auth.json5:7:5): mqtt-broker passwd add kim gives a new one",
    ],
    ["no user name", { password: "right" }, "try: a password without a user name"],
    ["an empty user name is not anonymous", { user: "" }, 'no: user "" gave no password'],
    [
      "neither is an empty password",
      { user: "", password: "" },
      'try: user "" is not in auth.json5: mqtt-broker passwd add NAME makes this user',
    ],
    [
      "the anonymous user by name",
      { user: "anonymous", password: "x" },
      "try: user anonymous logs in by the method anonymous, not with a password (auth.json5:7:5)",
    ],
    [
      "a user by certificate",
      { user: "box", password: "x" },
      "try: user box logs in by the method client_cert, not with a password (auth.json5:7:5)",
    ],
    [
      "a user by token",
      { user: "app", password: "x" },
      "try: user app logs in with a token (method jwt), not with a password (auth.json5:7:5)",
    ],
    [
      "the star is nobody's name",
      { user: "*", password: "x" },
      'try: user "*" is not in auth.json5: mqtt-broker passwd add NAME makes this user',
    ],
  ]);

  test("is known at once where no slow hash is in the file, and never before the hash where one is", () => {
    const quick = usersOf([plain("kim", "right")]);
    const hash = ARGON2ID.replace("m=256", "m=19456");
    const slow = usersOf([...entries, user("slower", "argon2id", { secret: { method: "argon2id", hash } })]);
    for (const given of [
      { user: "kim", password: "wrong" },
      { user: "nobody", password: "x" },
    ]) {
      assert.ok(visit(quick, given) instanceof LoginFailure);
      assert.ok(visit(slow, given) instanceof Promise);
    }
    assert.ok(visit(slow, { user: "kim", password: "right" }) instanceof Login);
  });

  test("a name that is not there, a quick hash and a condition cost as much as a wrong password", async () => {
    const slow = (name: string, given: Partial<ReadUser> = {}) =>
      user(name, "argon2id", {
        secret: { method: "argon2id", hash: ARGON2ID.replace("m=256", "m=19456") },
        ...given,
      });
    const all = usersOf([
      slow("slow"),
      slow("away", { from: ["local"] }),
      plain("quick", "right"),
      plain("quick and away", "x", { from: ["local"] }),
      user("box", "client_cert"),
    ]);
    const hashes: Secret["method"][] = [];
    const check = async ({ method }: Secret): Promise<boolean> => {
      hashes.push(method);
      return false;
    };
    for (const name of ["slow", "nobody", "away", "quick", "quick and away", "box"]) {
      const verifier = new HashQueue({ check });
      hashes.length = 0;
      await visit(all, { user: name, password: "x" }, { verifier });
      assert.deepEqual(
        hashes.filter((method) => method === "argon2id"),
        ["argon2id"],
        name,
      );
    }
  });

  test("is not checked when too many wait: the client may come again", async () => {
    const verifier = new HashQueue({ workersMax: 1, waitingMax: 1, check: () => new Promise(() => {}) });
    const all = usersOf([...entries, user("unauthenticated", "unauthenticated")]);
    for (const password of ["1", "2"]) void visit(all, { user: "slow", password }, { verifier });
    const refused = await visit(all, { user: "slow", password: "3" }, { verifier });
    assert.ok(refused instanceof LoginFailure);
    assert.deepEqual(
      [refused.reasonCode, refused.reasonString, refused.logReason, refused.guess],
      [0x88, "try again later", "the credentials were not checked: 1 logins are waiting already", false],
    );
  });

  test("the client hears no reason", async () => {
    const refused = await visit(usersOf(entries), { user: "kim", password: "wrong" });
    assert.ok(refused instanceof LoginFailure);
    assert.deepEqual([refused.reasonCode, refused.reasonString], [0x87, "not authorized"]);
  });
});

suite("the conditions of an entry", () => {
  const past = NOW_MS - 1;
  table(
    [
      plain("kim", "right", { from: ["10.0.0.0/8", "local"] }),
      plain("dev", "right", { clientIds: ["dev-*"] }),
      plain("old", "right", { expiresMs: NOW_MS }),
      plain("new", "right", { expiresMs: NOW_MS + 1 }),
      plain("both", "right", { from: ["local"], expiresMs: past }),
    ],
    [
      ["from here", { user: "kim", password: "right", peer: { address: "10.2.3.4:1" } }, "kim"],
      ["from this machine", { user: "kim", password: "right", peer: LOCAL }, "kim"],
      [
        "from elsewhere",
        { user: "kim", password: "right" },
        "no: user kim may not connect from 192.168.1.9, only from 10.0.0.0/8 or local (auth.json5:7:5)",
      ],
      [
        "from elsewhere in IPv6",
        { user: "kim", password: "right", peer: { address: "[2001:db8::7]:1" } },
        "no: user kim may not connect from 2001:db8::7, only from 10.0.0.0/8 or local (auth.json5:7:5)",
      ],
      [
        "from elsewhere with a wrong password: the same, it was not looked at",
        { user: "kim", password: "wrong" },
        "no: user kim may not connect from 192.168.1.9, only from 10.0.0.0/8 or local (auth.json5:7:5)",
      ],
      ["as this client", { user: "dev", password: "right", id: "dev-7" }, "dev"],
      [
        "as another",
        { user: "dev", password: "right", id: "x dev-7" },
        'no: user dev may not connect as client "x dev-7", only as dev-* (auth.json5:7:5)',
      ],
      [
        "expired",
        { user: "old", password: "right" },
        "no: the entry of user old expired at 2026-11-21T12:00:00.000Z (auth.json5:7:5): a later expires lets it in again",
      ],
      ["not yet expired", { user: "new", password: "right" }, "new"],
      [
        "all must hold",
        { user: "both", password: "right", peer: LOCAL },
        "no: the entry of user both expired at 2026-11-21T11:59:59.999Z (auth.json5:7:5): a later expires lets it in again",
      ],
    ],
  );

  test("are asked when the password has been checked, however long that took", async () => {
    let wallMs = NOW_MS;
    const check = async (): Promise<boolean> => {
      wallMs += 10;
      return true;
    };
    const entry = user("kim", "argon2id", { secret: { method: "argon2id", hash: ARGON2ID }, expiresMs: NOW_MS + 5 });
    const tools = { verifier: new HashQueue({ check }), wallMs: () => wallMs };
    const told = await outcome(usersOf([entry]), { user: "kim", password: "x" }, tools);
    assert.equal(
      told,
      "no: the entry of user kim expired at 2026-11-21T12:00:00.005Z (auth.json5:7:5): a later expires lets it in again",
    );
  });
});

suite("without credentials", () => {
  const anonymous = user("guest", "anonymous");
  const nobody = "guest (nobody's)";
  const settings: readonly (readonly [ReadUser | undefined, AnonymousFrom, string, string])[] = [
    // Entry, setting; from this machine, from elsewhere.
    [anonymous, undefined, nobody, nobody],
    [anonymous, "all", nobody, nobody],
    [anonymous, "local", nobody, `no: no credentials, and anonymous clients are let in from this machine only: ${HOW}`],
    [
      anonymous,
      "none",
      `no: no credentials, and anonymous clients are not let in (--allow-anonymous=none): ${HOW}`,
      `no: no credentials, and anonymous clients are not let in (--allow-anonymous=none): ${HOW}`,
    ],
    [
      user("guest", "anonymous", { from: ["local"] }),
      undefined,
      nobody,
      `no: no credentials, and anonymous clients are let in from this machine only: ${HOW}`,
    ],
    [user("guest", "anonymous", { from: ["local"] }), "all", nobody, nobody],
    [
      user("guest", "anonymous", { from: ["10.0.0.0/8"] }),
      undefined,
      `no: no credentials, and anonymous clients may not connect from 127.0.0.1, only from 10.0.0.0/8 (auth.json5:7:5): ${HOW}`,
      `no: no credentials, and anonymous clients may not connect from 192.168.1.9, only from 10.0.0.0/8 (auth.json5:7:5): ${HOW}`,
    ],
    [
      undefined,
      undefined,
      `no: no credentials, and no entry of auth.json5 has the method anonymous: ${HOW}`,
      `no: no credentials, and no entry of auth.json5 has the method anonymous: ${HOW}`,
    ],
    [undefined, "all", "anonymous (nobody's)", "anonymous (nobody's)"],
    [
      undefined,
      "local",
      "anonymous (nobody's)",
      `no: no credentials, and anonymous clients are let in from this machine only: ${HOW}`,
    ],
  ];
  for (const [entry, setting, here, elsewhere] of settings) {
    const name = `${entry === undefined ? "no entry" : `an entry from ${entry.from.join() || "anywhere"}`}, --allow-anonymous=${setting}`;
    test(name, async () => {
      const users = usersOf(entry === undefined ? [plain("kim", "x")] : [entry]);
      assert.equal(await outcome(users, { peer: LOCAL }, { anonymous: setting }), here);
      assert.equal(await outcome(users, {}, { anonymous: setting }), elsewhere);
    });
  }

  test("a made-up anonymous user has no listed user's name", async () => {
    const users = usersOf([plain("anonymous", "x")], { "@staff": ["anonymous"] });
    const login = await visit(users, {}, { anonymous: "all" });
    assert.ok(login instanceof Login);
    assert.deepEqual([login.name, login.userName, login.groups, login.admin], ["_anonymous", undefined, [], "none"]);
  });

  test("the groups of the entry are there", async () => {
    const login = await visit(usersOf([anonymous], { "@a": ["guest"], "@b": ["kim"], "@c": ["kim", "guest"] }), {});
    assert.ok(login instanceof Login);
    assert.deepEqual(login.groups, ["@a", "@c"]);
  });

  suite("on lines and Unix sockets", () => {
    const entries = [
      user("any line", "serial"),
      user("meter", "serial", { port: "/dev/ttyUSB0" }),
      user("adapters", "serial", { port: "/dev/ttyACM*", clientIds: ["a*"] }),
      user("node", "mqtt_sn", { nodeId: "0A*" }),
      user("radio", "mqtt_sn", { from: ["listener:radio"] }),
      user("socket", "unix_socket", { from: ["listener:unix"] }),
      plain("kim", "right"),
      anonymous,
    ];
    const on = (peer: Partial<Peer>, id = "c1"): Visitor => ({ id, peer });
    table(entries, [
      ["a line by its name", on({ line: "/dev/ttyUSB0", transport: "mqtt-sn" }), "meter"],
      ["another line", on({ line: "/dev/ttyUSB1", transport: "mqtt-sn" }), "any line"],
      [
        "the first of the patterns whose conditions hold",
        on({ line: "/dev/ttyACM3", transport: "mqtt-sn" }, "a7"),
        "any line",
      ],
      ["a node", on({ nodeId: "0a17", transport: "mqtt-sn" }), "node"],
      ["another node", on({ nodeId: "0b17", transport: "mqtt-sn", listener: "radio" }), "radio"],
      ["another node elsewhere", on({ nodeId: "0b17", transport: "mqtt-sn" }), nobody],
      ["a Unix socket", on(UNIX), "socket"],
      ["another Unix socket", on({ ...UNIX, listener: "unix-2" }), nobody],
      ["a Unix socket with credentials", { ...on(UNIX), user: "kim", password: "right" }, "kim"],
      [
        "a Unix socket with wrong ones",
        { ...on(UNIX), user: "kim", password: "x" },
        "try: wrong password for user kim (auth.json5:7:5): mqtt-broker passwd add kim gives a new one",
      ],
      ["TCP", on({}), nobody],
    ]);
  });
});

suite("unauthenticated", () => {
  const entries = [
    plain("kim", "right"),
    user("box", "client_cert", { expiresMs: 0 }),
    user("outsider", "unauthenticated", { clientIds: ["c*"] }),
  ];
  table(entries, [
    ["who has the right password is not", { user: "kim", password: "right" }, "kim"],
    ["a wrong password", { user: "kim", password: "wrong" }, "outsider"],
    ["nobody", { user: "ann", password: "x" }, "outsider"],
    ["no password", { user: "kim" }, "outsider"],
    ["no credentials where nobody is anonymous", {}, "outsider"],
    ["a certificate whose entry has expired", { peer: certificate("box") }, "outsider"],
    [
      "when its own condition does not hold",
      { user: "ann", password: "x", id: "d1" },
      "try: user ann is not in auth.json5: mqtt-broker passwd add ann makes this user",
    ],
  ]);

  test("keeps the reason, for the log", async () => {
    const login = await visit(usersOf(entries), { user: "kim", password: "wrong" });
    assert.ok(login instanceof Login);
    assert.deepEqual(
      [login.name, login.failure?.logReason, login.failure?.guess],
      ["outsider", "wrong password for user kim (auth.json5:7:5): mqtt-broker passwd add kim gives a new one", true],
    );
  });
});
