/** The completion, in a real bash, against the tables and the texts of --help. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { renderCompletion } from "../../packaging/completion.ts";
import { COMMANDS, dashed } from "../../src/cli/arguments.ts";
import { AUTH_IMPORT_HELP } from "../../src/cli/auth-import.ts";
import { AUTH_LEARN_HELP } from "../../src/cli/auth-learn.ts";
import { BANNED_HELP } from "../../src/cli/banned.ts";
import { CERTS_COMMANDS } from "../../src/cli/certs-options.ts";
import { CLIENT_OPTIONS } from "../../src/cli/client-option-table.ts";
import { DISCOVER_HELP } from "../../src/cli/discover-options.ts";
import { EXPLAIN_HELP } from "../../src/cli/explain-options.ts";
import { INTERACTIVE_HELP } from "../../src/cli/interactive-options.ts";
import { namesOf, OPTIONS } from "../../src/cli/options.ts";
import { PASSWD_COMMANDS } from "../../src/cli/passwd-options.ts";
import { REHEARSAL_HELP } from "../../src/cli/rehearse.ts";
import { STORE_COMMANDS } from "../../src/cli/store-options.ts";
import { PUBLIC_LIMITS } from "../../src/config/limit-names.ts";
import { emptyFolder, startCommand } from "../smoke/program.ts";

/** As readline cuts a line, "=" being a word of its own; completes the last of `words`. */
function completed(context: TestContext, words: readonly string[], folder = emptyFolder(context)): string[] {
  const script = join(folder, ".completion");
  writeFileSync(script, renderCompletion());
  const run = `. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mqtt_broker; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const all = ["--norc", "-uc", run, "bash", script, "mqtt-broker", ...words];
  const { status, stdout, stderr } = spawnSync("bash", all, { encoding: "utf8", cwd: folder });
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .sort();
}

test("commands come first, and commands of commands after them", (context) => {
  assert.deepEqual(completed(context, [""]), [...Object.keys(COMMANDS), "help", "version"].sort());
  assert.deepEqual(completed(context, ["p"]), ["passwd", "pub"]);
  assert.deepEqual(completed(context, ["store", ""]), Object.keys(STORE_COMMANDS).sort());
  assert.deepEqual(completed(context, ["passwd", ""]), Object.keys(PASSWD_COMMANDS).sort());
  assert.deepEqual(completed(context, ["certs", "re"]), ["renew", "revoke"]);
  assert.deepEqual(completed(context, ["certs", ""]), Object.keys(CERTS_COMMANDS).sort());
  assert.deepEqual(completed(context, ["banned", "l"]), ["lift", "list"]);
  assert.deepEqual(completed(context, ["explain", ""]), ["publish", "receive", "subscribe"]);
  assert.deepEqual(completed(context, ["auth", ""]), ["import", "learn"]);
});

test("every option of the table that has an effect is offered, and no other", (context) => {
  const options = OPTIONS.filter(({ ignored }) => ignored === undefined);
  const names = options.flatMap(namesOf).map(dashed).sort();
  assert.deepEqual(completed(context, ["-"]), names);
  assert.deepEqual(completed(context, ["run", "-"]), names);
  const rehearsal = optionsIn(REHEARSAL_HELP);
  assert.deepEqual(completed(context, ["check", "-"]), [...new Set([...names, ...rehearsal])].sort());
});

test("every option of the clients is offered, but those that are refused", (context) => {
  for (const command of ["pub", "sub", "rr"] as const) {
    const known = CLIENT_OPTIONS.filter(
      ({ commands, help }) => commands.includes(command) && !help.startsWith("Not supported"),
    );
    assert.deepEqual(completed(context, [command, "-"]), known.flatMap(({ names }) => names).sort());
  }
});

test("of other commands every option of their --help is offered", (context) => {
  const helps = {
    explain: EXPLAIN_HELP,
    banned: BANNED_HELP,
    discover: DISCOVER_HELP,
    client: INTERACTIVE_HELP,
    "auth import": AUTH_IMPORT_HELP,
    "auth learn": AUTH_LEARN_HELP,
  };
  for (const [command, help] of Object.entries(helps)) {
    const offered = completed(context, [...command.split(" "), "-"]);
    assert.deepEqual(
      optionsIn(help).filter((name) => !offered.includes(name) && name !== "-help"),
      [],
      command,
    );
  }
});

test("a command of a command is offered its own options only", (context) => {
  assert.deepEqual(completed(context, ["passwd", "list", "--"]), ["--auth-file", "--config", "--help", "--json"]);
  assert.deepEqual(completed(context, ["certs", "revoke", "--"]), ["--config", "--dir", "--force", "--help"]);
  assert.deepEqual(completed(context, ["certs", "show", "--"]), ["--config", "--dir", "--help"]);
});

test("values are words, behind a blank or an equals sign", (context) => {
  const levels = ["debug", "error", "info", "trace", "warn"];
  assert.deepEqual(completed(context, ["--log-level", ""]), levels);
  assert.deepEqual(completed(context, ["run", "--log", "w"]), ["warn"]);
  assert.deepEqual(completed(context, ["check", "--log-level", "="]), levels);
  assert.deepEqual(completed(context, ["check", "--log-level", "=", "e"]), ["error"]);
  assert.deepEqual(completed(context, ["--allow-anonymous", "="]), ["false", "local", "true"]);
  assert.deepEqual(completed(context, ["pub", "-q", ""]), ["0", "1", "2"]);
  assert.deepEqual(completed(context, ["passwd", "add", "kim", "--method", ""]), ["argon2id", "scrypt"]);
  assert.deepEqual(completed(context, ["explain", "--qos", ""]), ["0", "1", "2"]);
  assert.deepEqual(completed(context, ["--limit", "retainedM"]), ["retainedMessageBytes="]);
  assert.deepEqual(completed(context, ["--limit", ""]), [...PUBLIC_LIMITS.keys()].map((name) => `${name}=`).sort());
});

test("where nobody can guess the value nothing is offered", (context) => {
  assert.deepEqual(completed(context, ["--tcp-port", ""]), []);
  assert.deepEqual(completed(context, ["pub", "-t", ""]), []);
  assert.deepEqual(completed(context, ["--limit", "clients", "=", "1"]), []);
  assert.deepEqual(completed(context, ["certs", "renew", "--if-needed", ""]), []);
});

test("a switch can be put off, and is followed by further options", (context) => {
  assert.deepEqual(completed(context, ["--no-sys"]), ["--no-sys", "--no-sys-restore"]);
  assert.ok(completed(context, ["--sys", "--log-f"]).includes("--log-format"));
});

test("paths are offered where files are needed, with blanks in their names, and folders where those are", (context) => {
  const folder = emptyFolder(context);
  writeFileSync(join(folder, "my file.json5"), "");
  writeFileSync(join(folder, "my.txt"), "");
  mkdirSync(join(folder, "mydata"));
  const all = ["my file.json5", "my.txt", "mydata"];
  for (const words of [
    ["--config"],
    ["run", "--auth-file"],
    ["run", "--config", "="],
    ["store", "export"],
    ["store", "import"],
    ["passwd", "import"],
    ["certs", "show"],
    ["certs", "show", "my.txt"],
    ["pub", "-f"],
    ["check", "--against-traffic"],
    ["auth", "import", "--ledger"],
    ["auth", "learn", "--traffic"],
  ]) {
    assert.deepEqual(completed(context, [...words, "my"], folder), all, words.join(" "));
  }
  for (const words of [["--data-dir"], ["store", "inspect", "--data-dir"], ["certs", "init", "--dir"]]) {
    assert.deepEqual(completed(context, [...words, "my"], folder), ["mydata"], words.join(" "));
  }
  assert.deepEqual(completed(context, ["store", "verify", "my"], folder), []);
});

test("at a prompt the key Tab completes", { timeout: 60_000 }, async (context) => {
  const folder = emptyFolder(context);
  writeFileSync(
    join(folder, "rc"),
    `PS1='ready> '\n${renderCompletion()}mqtt-broker() { printf 'got<%s>\\n' "$@"; }\n`,
  );
  const words = ["-qefc", `bash --noprofile --rcfile ${folder}/rc -i`, "/dev/null"];
  const shell = startCommand(context, "script", words, { cwd: folder, env: { TERM: "dumb", INPUTRC: "/dev/null" } });
  await shell.saw("ready> ");
  shell.child.stdin!.write("mqtt-broker pas\tver\tkim --passw\t\n");
  await shell.saw(/got<passwd>\s+got<verify>\s+got<kim>\s+got<--password-stdin>/);
  // A limit goes on behind its equals sign.
  shell.child.stdin!.write("mqtt-broker --limit queuedMess\t5 --log-format=js\t\n");
  await shell.saw(/got<--limit>\s+got<queuedMessages=5>\s+got<--log-format=json>/);
});

/** Those that begin a line of a help. */
function optionsIn(help: string): string[] {
  return [...help.matchAll(/^ {2}(--?[a-z][\w-]*)/gm)].map(([, name]) => name!);
}
