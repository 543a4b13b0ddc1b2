import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { AuthFile } from "../../src/auth/auth-file.ts";
import { BookMaker } from "../../src/auth/book-maker.ts";
import type { AnonymousFrom } from "../../src/auth/login/attempt.ts";
import { Login } from "../../src/auth/login.ts";
import type { Connect } from "../../src/codec/packet.ts";
import { Client } from "../../src/core/client.ts";
import { logTo } from "../support/log-to.ts";

function rules(topic: string, more = ""): string {
  return `{
  authentication: [{ name: "anonymous", method: "anonymous", from: "local" }${more}],
  authorization: [{ topic: "${topic}", allow: { sub: ["@any"], pub: ["@any"] } }],
}
`;
}

const KIM = '{ name: "kim", method: "plain_password", password: "p" }';

/** A folder with a file of rules that is followed, when the test says that something has changed. */
class Scene {
  readonly folder: string;
  readonly lines: string[] = [];
  readonly file: AuthFile;
  watched: readonly string[] = [];
  watching = 0;
  private changed: () => void = () => {};
  private changes = 0;

  constructor(
    context: TestContext,
    candidates: readonly string[] = ["auth.json5"],
    anonymous: AnonymousFrom = undefined,
  ) {
    this.folder = mkdtempSync(join(tmpdir(), "mqtt-broker-auth-"));
    const books = new BookMaker(() => Date.now());
    const log = logTo((level, message, fields, below) => {
      const isPlain = below !== undefined || fields === undefined;
      this.lines.push(`${level} ${message}${isPlain ? "" : ` ${JSON.stringify(fields)}`}`);
      for (const line of below ?? []) this.lines.push(`${level} ${line}`);
    });
    this.file = new AuthFile(this.source(candidates, anonymous), {
      log,
      watch: (paths, changed) => {
        this.watched = paths;
        this.watching++;
        this.changed = changed;
        return { close: () => this.watching-- };
      },
      wallMs: () => Date.now(),
      workingDirectory: this.folder,
      bookOf: (auth, setting) => books.make(auth, setting),
    });
    this.file.onChange(() => this.changes++);
    context.after(() => {
      this.file.stop();
      rmSync(this.folder, { recursive: true, force: true });
    });
  }

  source(candidates: readonly string[], anonymous: AnonymousFrom = undefined) {
    return { candidates: candidates.map((name) => this.at(name)), anonymous };
  }

  at(name: string): string {
    return join(this.folder, name);
  }

  write(text: string, name = "auth.json5"): void {
    writeFileSync(this.at(name), text);
  }

  /** What was logged since the last call. */
  said(): string[] {
    return this.lines.splice(0);
  }

  /** Something has changed, and has been looked at: `reload` waits for that look too, and says what came of its own. */
  async saw(): Promise<string[]> {
    this.changed();
    // A look is over when the next one is.
    await this.file.configure(this.source(["auth.json5"]));
    return this.said().filter((line) => !line.startsWith("debug"));
  }

  /** How often the rules were swapped since the last call. */
  swaps(): number {
    const { changes } = this;
    this.changes = 0;
    return changes;
  }

  /** May a client without credentials that comes now publish to the topic? undefined: it does not even get in. */
  async may(
    topic: string,
    where: "here" | "there" | "socket" = "here",
    userName?: string,
  ): Promise<boolean | undefined> {
    const peer = {
      here: { address: "127.0.0.1:1", local: true, listener: "tcp", transport: "tcp" },
      there: { address: "192.0.2.7:1", local: false, listener: "tcp", transport: "tcp" },
      socket: { address: "/run/s", local: true, listener: "unix", transport: "unix" },
    }[where];
    const client = new Client("c", userName, 5, true, 60, peer);
    const password = userName === undefined ? undefined : Buffer.from("p");
    const connect = { type: 1, protocolVersion: 5, clientId: "c", userName, password, properties: {} } as Connect;
    const answer = await this.file.authenticate(client, connect);
    if (!(answer instanceof Login)) return undefined;
    client.identity = answer;
    return this.file.check(client, topic, true) === true;
  }
}

test("a file that is right holds when the broker starts", async (context) => {
  const scene = new Scene(context);
  scene.write(rules("a", `,\n  ${KIM}`));
  await scene.file.start();
  assert.deepEqual(scene.said(), [
    'warn auth.json5:3:3: the password of "kim" can be read by everybody who can read this file',
    'warn       { name: "kim", method: "plain_password", password: "*" }],',
    "warn       ^",
    "warn   mqtt-broker passwd add NAME asks for a new one and keeps a hash of it",
    'info Users and rules read from auth.json5 {"users":2,"groups":0,"rules":1}',
  ]);
  assert.deepEqual(
    [await scene.may("a"), await scene.may("b"), await scene.may("a", "there")],
    [true, false, undefined],
  );
  assert.equal(await scene.may("a", "there", "kim"), true);
  assert.equal(scene.file.used?.path, scene.at("auth.json5"));
});

test("a warning is told once, and again when somebody asks or there is another one", async (context) => {
  const scene = new Scene(context);
  const warnings = (said: readonly string[]): string[] => said.filter((line) => line.includes("password of"));
  const [kim, both] = [
    'warn auth.json5:3:3: the password of "kim"',
    'warn auth.json5:3:3: the password of "kim" and "lee"',
  ];
  scene.write(rules("a", `,\n  ${KIM}`));
  await scene.file.start();
  assert.equal(warnings(scene.said()).length, 1);
  scene.write(rules("b", `,\n  ${KIM}`));
  assert.deepEqual(await scene.saw(), ["info auth.json5 read again: rule 1 now allows b to @any"]);
  scene.write(rules("b", `,\n  ${KIM}, ${KIM.replace("kim", "lee")}`));
  const [told] = warnings(await scene.saw());
  assert.ok(told?.startsWith(both), told);
  await scene.file.reload();
  assert.ok(warnings(scene.said())[0]?.startsWith(kim));
});

test("what is changed holds, and is told in words", async (context) => {
  const scene = new Scene(context);
  scene.write(rules("a"));
  await scene.file.start();
  scene.said();
  scene.swaps();
  scene.write(rules("b"));
  assert.deepEqual(await scene.saw(), ["info auth.json5 read again: rule 1 now allows b to @any"]);
  assert.deepEqual([await scene.may("a"), await scene.may("b"), scene.swaps()], [false, true, 1]);
  // The same text again is nothing.
  scene.write(rules("b"));
  assert.deepEqual([await scene.saw(), scene.swaps()], [[], 0]);
});

test("a file with mistakes changes nothing, each is told once with its line and a caret, and no secret", async (context) => {
  const scene = new Scene(context);
  scene.write(rules("a"));
  await scene.file.start();
  scene.said();
  scene.swaps();
  scene.write(rules("b", ', { name: "kim", method: "plain_password", pasword: "secret" }'));
  const lines = await scene.saw();
  assert.ok(lines.length >= 4);
  assert.ok(lines.every((line) => line.startsWith("error ")));
  assert.match(lines.join("\n"), /^error auth\.json5:2:\d+: .*"pasword".*\nerror {5}.*\nerror +\^\n/m);
  assert.match(
    lines.at(-1)!,
    /^error auth\.json5 is not used, it has \d errors?: the rules that were in force stay in force\. Correct it /,
  );
  assert.doesNotMatch(lines.join("\n"), /secret/);
  assert.deepEqual([await scene.may("a"), await scene.may("b"), scene.swaps()], [true, false, 0]);
  assert.deepEqual(await scene.saw(), []);
  scene.write(rules("b"));
  assert.deepEqual(await scene.saw(), ["info auth.json5 read again: rule 1 now allows b to @any"]);
  assert.equal(await scene.may("b"), true);
});

test("whatever comes into its place, the rules stand, until there is a file that is right", async (context) => {
  const scene = new Scene(context);
  const path = scene.at("auth.json5");
  scene.write(rules("a"));
  await scene.file.start();
  scene.said();
  scene.swaps();
  const trouble: [action: () => void, said: RegExp][] = [
    [() => scene.write(rules("b").slice(0, 80)), /has \d error/],
    [() => scene.write(""), /has 1 error/],
    [() => rmSync(path), /^error auth\.json5 is gone: its rules stay in force until there is one again/],
    [() => mkdirSync(path), /has 1 error/],
    [() => symlinkSync("nowhere", path), /has 1 error/],
    [() => symlinkSync("auth.json5", path), /has 1 error/],
    [() => scene.write("\0\0"), /has 1 error/],
  ];
  for (const [index, [action, said]] of trouble.entries()) {
    if (index > 3) rmSync(path, { recursive: true, force: true });
    action();
    assert.match((await scene.saw()).at(-1)!, said);
    assert.deepEqual(
      [await scene.may("a"), await scene.may("b"), await scene.may("a", "there")],
      [true, false, undefined],
    );
  }
  assert.equal(scene.swaps(), 0);
  // As editors save: beside it, then over it.
  scene.write(rules("b"), "new");
  renameSync(scene.at("new"), path);
  assert.deepEqual(await scene.saw(), ["info auth.json5 read again: rule 1 now allows b to @any"]);
  assert.equal(await scene.may("b"), true);
});

for (const [title, text] of [
  ["with a mistake", rules("a").replace("authorization", "autorization")],
  ["half written", rules("a").slice(0, 100)],
  ["empty", ""],
] as const) {
  test(`a file that is ${title} at the start lets in nobody but a Unix socket, until it is right`, async (context) => {
    const scene = new Scene(context);
    scene.write(text);
    await scene.file.start();
    assert.match(
      scene.said().at(-1)!,
      /^error auth\.json5 is not used, it has \d errors?: until then only clients on a Unix socket are let in\. Correct it and save it: /,
    );
    const state = async () => [await scene.may("x"), await scene.may("x", "there"), await scene.may("x", "socket")];
    assert.deepEqual(await state(), [undefined, undefined, true]);
    rmSync(scene.at("auth.json5"));
    assert.match(
      (await scene.saw()).join(),
      /^error auth\.json5 is gone: only clients on a Unix socket are let in until /,
    );
    assert.deepEqual(await state(), [undefined, undefined, true]);
    scene.write(rules("a"));
    assert.match((await scene.saw()).join(), /^info Users and rules read from auth\.json5 /);
    assert.deepEqual([await scene.may("a"), await scene.may("a", "there")], [true, undefined]);
  });
}

test("without a file this machine may do everything, and one that comes later holds", async (context) => {
  const scene = new Scene(context);
  await scene.file.start();
  assert.deepEqual(scene.said(), [
    "info No auth.json5: clients on this machine may do everything, all others are refused. mqtt-broker passwd add NAME makes one",
  ]);
  assert.deepEqual([await scene.may("x"), await scene.may("x", "there")], [true, undefined]);
  scene.write("{ broken");
  assert.match((await scene.saw()).at(-1)!, /: who was let in without it is still let in, nobody else\. /);
  assert.deepEqual([await scene.may("x"), await scene.may("x", "there")], [true, undefined]);
  scene.write(rules("a"));
  assert.match(
    (await scene.saw()).join(),
    /^info Users and rules read from auth\.json5: from now on they decide who may connect /,
  );
  assert.deepEqual([await scene.may("a"), await scene.may("x")], [true, false]);
});

test("of several places the first counts, and one that holds is not left because it is missing for a moment", async (context) => {
  const scene = new Scene(context, ["first.json5", "second.json5", "third.json5"]);
  scene.write(rules("second"), "second.json5");
  scene.write(rules("third"), "third.json5");
  await scene.file.start();
  assert.equal(await scene.may("second"), true);
  rmSync(scene.at("second.json5"));
  await scene.file.reload();
  assert.deepEqual([await scene.may("second"), await scene.may("third")], [true, false]);
  scene.said();
  scene.write(rules("first"), "first.json5");
  await scene.file.reload();
  assert.match(scene.said().join(), /^info Users and rules read from first\.json5, in place of second\.json5 /);
  assert.equal(await scene.may("first"), true);
});

test("a file that is wrong at the start is not passed over for another one either", async (context) => {
  const scene = new Scene(context, ["first.json5", "second.json5"]);
  scene.write("{", "first.json5");
  scene.write(rules("second"), "second.json5");
  await scene.file.start();
  rmSync(scene.at("first.json5"));
  await scene.file.reload();
  assert.equal(await scene.may("second"), undefined);
});

test("asked to read again it says what came of it, also when nothing has changed", async (context) => {
  const scene = new Scene(context);
  scene.write(rules("a"));
  await scene.file.start();
  scene.said();
  await scene.file.reload();
  assert.deepEqual(scene.said(), ["info auth.json5 read again: it says what was in force already"]);
  scene.write("{");
  await scene.file.reload();
  const lines = scene.said();
  assert.equal(lines.length, 5);
  await scene.file.reload();
  assert.deepEqual(scene.said(), lines);
});

test("what the configuration says of anonymous clients holds at once", async (context) => {
  const scene = new Scene(context);
  scene.write(rules("a"));
  await scene.file.start();
  for (const [setting, here, there] of [
    ["all", true, true],
    ["local", true, undefined],
    ["none", undefined, undefined],
    [undefined, true, undefined],
  ] as const) {
    await scene.file.configure(scene.source(["auth.json5"], setting));
    assert.deepEqual([await scene.may("a"), await scene.may("a", "there")], [here, there], String(setting));
  }
});

test("when the configuration names another file, that one holds, unless it is wrong", async (context) => {
  const scene = new Scene(context);
  scene.write(rules("a"));
  await scene.file.start();
  scene.write("{", "other.json5");
  await scene.file.configure(scene.source(["other.json5"]));
  assert.equal(await scene.may("a"), true);
  scene.write(rules("b"), "other.json5");
  await scene.file.configure(scene.source(["other.json5"]));
  assert.deepEqual([await scene.may("a"), await scene.may("b")], [false, true]);
  assert.deepEqual(scene.watched, [scene.at("other.json5")]);
  scene.said();
  await scene.file.configure(scene.source(["third.json5"]));
  assert.match(
    scene.said().join(),
    /^warn The configuration names another file of users and rules, which does not exist: /,
  );
  assert.deepEqual([await scene.may("x"), await scene.may("x", "there")], [true, undefined]);
});

test("key files are followed too", async (context) => {
  const scene = new Scene(context);
  scene.write(rules("a", ', { name: "*", method: "jwt", keyFile: "key" }'));
  scene.write("a secret of thirty-two bytes or more than that", "key");
  await scene.file.start();
  assert.deepEqual(scene.watched, [scene.at("auth.json5"), scene.at("key")]);
  assert.equal(scene.watching, 1);
  scene.said();
  scene.write("another secret of thirty-two bytes or even more", "key");
  assert.deepEqual(
    await scene.saw(),
    ["info auth.json5 read again: * (jwt) now has other terms for tokens"].map((line) =>
      line.replace("* (jwt)", '"*"'),
    ),
  );
});

test("more mistakes than the log should hold are counted", async (context) => {
  const scene = new Scene(context);
  scene.write(rules("a", Array.from({ length: 50 }, (_, index) => `,\n{ name: "u${index}", method: "x" }`).join("")));
  await scene.file.start();
  const lines = scene.said();
  assert.match(lines.at(-2)!, /^warn … and 30 errors more: mqtt-broker check shows all$/);
  assert.ok(lines.length < 90);
});

test("it follows nothing any more when it was stopped, and serves one broker", async (context) => {
  const scene = new Scene(context);
  scene.write(rules("a"));
  await scene.file.start();
  await assert.rejects(scene.file.start(), /for one broker/);
  scene.file.stop();
  scene.file.stop();
  assert.equal(scene.watching, 0);
  scene.write(rules("b"));
  await scene.file.reload();
  assert.equal(await scene.may("a"), true);
});
