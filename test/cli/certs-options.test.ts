import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { CERTS_COMMANDS, CERTS_OPTIONS } from "../../src/cli/certs-options.ts";
import { certs } from "./certs-kit.ts";

test("what cannot be is refused with exit 2, before anything is made", async () => {
  const table: [words: string[], message: RegExp][] = [
    [["inti"], /^Unknown command certs "inti": did you mean init\?\n$/],
    [["init", "x"], /^Unexpected argument "x"\n$/],
    [["init", "--dys", "3"], /^Unknown option --dys: did you mean --days\?\n$/],
    [["init", "--days", "0"], /^--days needs a number of days from 1 to 36500, not "0"\n$/],
    [["init", "--ca-days", "36501"], /^--ca-days needs a number of days from 1 to 36500, not "36501"\n$/],
    [["init", "--days", "1e3"], /^--days needs a number of days/],
    [["init", "--name", "a b"], /^--name needs a host name such as box\.example\.org, or an address, not "a b"\n$/],
    [["init", "--new-key"], /^--new-key is no option of certs init\n$/],
    [["client"], /^certs client needs a NAME, that of the client\n$/],
    [["client", "a", "b"], /^Unexpected argument "b"\n$/],
    [["client", "../a"], /^"\.\.\/a" cannot be a client's name: /],
    [["client", "a/b"], /^"a\/b" cannot be a client's name: /],
    [["client", "@family"], /^"@family" cannot be a client's name: /],
    [["client", "a\nb"], /^"a\\nb" cannot be a client's name: /],
    [["client", "CA"], /^CA is the name of other files in that folder: /],
    [["client", "server"], /^server is the name of other files in that folder: /],
    [["client", "ü".repeat(65)], /^The name has more than the 64 characters that a certificate takes\n$/],
    [["client", "a", "--password-stdin=x"], /^--password-stdin takes no value\n$/],
    [["revoke"], /^certs revoke needs a NAME/],
  ];
  for (const [words, message] of table) {
    const { code, stdout, stderr } = await certs("/nowhere", words);
    assert.deepEqual([code, stdout], [2, ""], words.join(" "));
    assert.match(stderr, message);
  }
});

test("the help has every command and option, in 120 columns", async () => {
  for (const words of [[], ["help"], ["init", "--help"]]) {
    const { code, stdout } = await certs("/nowhere", words);
    assert.equal(code, 0);
    for (const name of Object.keys(CERTS_COMMANDS)) assert.match(stdout, new RegExp(`^  ${name} `, "m"));
    for (const name of Object.keys(CERTS_OPTIONS)) assert.match(stdout, new RegExp(`^  --${name} `, "m"));
    assert.equal(
      stdout.split("\n").some((line) => line.length > 120),
      false,
    );
  }
});

test("the program has the command", () => {
  const main = join(import.meta.dirname, "..", "..", "src", "main.ts");
  const { status, stdout } = spawnSync(process.execPath, [main, "certs", "--help"], { encoding: "utf8" });
  assert.equal(status, 0);
  assert.match(stdout, /^Usage: mqtt-broker certs COMMAND/);
});
