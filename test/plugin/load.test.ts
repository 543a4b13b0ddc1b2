import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { type Program, startProgram } from "../examples/program.ts";
import { programWords } from "../smoke/program.ts";
import { connect } from "../support/raw-client.ts";

/** A folder with these files. Removed after the test. */
function folderWith(context: TestContext, files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-plugin-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

function start(context: TestContext, folder: string, ...words: string[]): Program {
  const [command, ...before] = programWords();
  const all = [...before, "--tcp-port", "0", "--log-format", "text", ...words];
  return startProgram(context, command, all, { cwd: folder });
}

/** What a plugin does can be seen by the reason code of a PUBACK: 0x97 refused by it, 0x10 let through. */
async function reasonCode(context: TestContext, program: Program, topic = "t"): Promise<number> {
  const client = await connect(await program.port());
  context.after(() => client.socket.destroy());
  return client.publish(topic, "x", { qos: 1 });
}

const REFUSES = "({ refuse, ReasonCode }) => ({ name: 'n', onPublish: () => refuse(ReasonCode.QuotaExceeded) })";

suite("a plugin that works", () => {
  const good: [name: string, file: string, text: string, expected: number][] = [
    ["is an object", "p.mjs", "export const hook = { name: 'n', onConnect() {} };", 0x10],
    ["is an object without a name", "p.mjs", "export const hook = { onConnect() {} };", 0x10],
    ["is a function that makes one", "p.mjs", `export const hook = ${REFUSES};`, 0x97],
    ["is a function that makes one later", "p.mjs", `export const hook = async (t) => (${REFUSES})(t);`, 0x97],
    ["may ignore messages", "p.mjs", "export const hook = ({ IGNORE }) => ({ onPublish: () => IGNORE });", 0],
    [
      "is an object of a class",
      "p.mjs",
      "class H { #t; constructor(t) { this.#t = t; } onPublish() { return this.#t.refuse(0x97); } }\n" +
        "export const hook = (tools) => new H(tools);",
      0x97,
    ],
    [
      "is written in TypeScript",
      "p.ts",
      "interface Tools { refuse(code: number): unknown }\n" +
        "export const hook = (tools: Tools) => ({ onPublish: () => tools.refuse(0x97) });",
      0x97,
    ],
  ];
  for (const [name, file, text, expected] of good) {
    test(name, async (context) => {
      const program = start(context, folderWith(context, { [file]: text }), "--plugin", file);
      assert.equal(await reasonCode(context, program), expected);
      assert.equal(await program.end(), 0);
    });
  }

  test("several are asked in the order in which they are given", async (context) => {
    const noting = (mark: string) =>
      `export const hook = { onPublish(_client, p) { p.topicName += "${mark}"; return p; } };`;
    const folder = folderWith(context, { "a.mjs": noting("a"), "b.mjs": noting("b") });
    const program = start(context, folder, "--plugin", "b.mjs", "--plugin", "a.mjs");
    const client = await connect(await program.port());
    context.after(() => client.socket.destroy());
    await client.subscribe("#");
    await client.publish("t", "x");
    await client.expect("publish", { topic: "tba" });
  });

  test("is found beside the configuration that names it, not in the working directory", async (context) => {
    const folder = folderWith(context, {
      "etc/mqtt-broker.json5": "{ plugins: ['plugins/p.mjs'] }",
      "etc/plugins/p.mjs": `export const hook = ${REFUSES};`,
      "plugins/p.mjs": "throw new Error('the wrong one');",
    });
    const program = start(context, folder, "--config", "etc/mqtt-broker.json5");
    assert.equal(await reasonCode(context, program), 0x97);
  });

  test("that throws at work is named in the log by its file when it has no name", async (context) => {
    const text = "export const hook = { onPublish() { throw new Error('mine'); } };";
    const folder = folderWith(context, { "p.mjs": text });
    const program = start(context, folder, "--plugin", "p.mjs");
    assert.equal(await reasonCode(context, program), 0x83);
    await program.shows(/A hook threw.*p\.mjs/);
  });
});

suite("a plugin that does not work keeps the broker from starting", () => {
  /** The exit code is 1 when the file was there and its content is at fault. */
  const bad: [name: string, text: string, message: RegExp][] = [
    ["without the export", "export const hooks = {};", /Cannot use the plugin \S*p\.mjs: it must export "hook", an/],
    ["whose export is a text", "export const hook = 'x';", /Cannot use the plugin \S*p\.mjs: it must export "hook"/],
    ["whose export is a list", "export const hook = [];", /Cannot use the plugin \S*p\.mjs: it must export "hook"/],
    ["whose function returns nothing", "export const hook = () => {};", /it must export "hook"/],
    [
      "with a hook that does not exist",
      "export const hook = { name: 'n', onPublsh() {}, onConect() {} };",
      /Cannot use the plugin \S*p\.mjs: there is no hook called onPublsh, onConect/,
    ],
    [
      "of a class with a hook that does not exist",
      "class H { onPublsh() {} }\nexport const hook = new H();",
      /there is no hook called onPublsh/,
    ],
    ["with a hook that is no function", "export const hook = { onPublish: 5 };", /onPublish must be a function/],
    ["that is frozen and has no name", "export const hook = Object.freeze({});", /its hook needs a "name"/],
    [
      "whose function throws",
      "export const hook = () => { throw new Error('no licence'); };",
      /Cannot load the plugin \S*p\.mjs: no licence/,
    ],
    [
      "whose function rejects",
      "export const hook = async () => { throw new Error('no licence'); };",
      /Cannot load the plugin \S*p\.mjs: no licence/,
    ],
    ["that throws while it is loaded", "throw new Error('broken');", /Cannot load the plugin \S*p\.mjs: broken/],
    ["that is no JavaScript", "export const = 1;", /Cannot load the plugin \S*p\.mjs: Unexpected token/],
    [
      "that imports what is not there",
      "import 'nowhere-to-be-found';",
      /Cannot load the plugin \S*p\.mjs: Cannot find package 'nowhere-to-be-found'/,
    ],
  ];
  for (const [name, text, message] of bad) {
    test(name, async (context) => {
      const program = start(context, folderWith(context, { "p.mjs": text }), "--plugin", "p.mjs");
      assert.equal(await program.exit(), 1);
      assert.match(program.output(), message);
      assert.doesNotMatch(program.output(), /Listening/);
    });
  }

  test("whose file is missing, which is an error of configuration", async (context) => {
    const folder = folderWith(context, { "b.json5": "{\n  plugins: ['p.mjs'],\n}" });
    const byOption = start(context, folder, "--plugin", "p.mjs");
    assert.equal(await byOption.exit(), 2);
    assert.match(byOption.output(), /^--plugin: \S*p\.mjs does not exist$/m);
    const byFile = start(context, folder, "--config", "b.json5");
    assert.equal(await byFile.exit(), 2);
    assert.match(byFile.output(), /^b\.json5:2:13: \S*p\.mjs does not exist$/m);
  });
});
