import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { COMMANDS, dashed } from "../../src/cli/arguments.ts";
import { renderHelp, renderOptionsMarkdown, withOptions } from "../../src/cli/help.ts";
import { namesOf, OPTION_GROUPS, OPTIONS } from "../../src/cli/options.ts";
import { PUBLIC_LIMITS } from "../../src/config/limit-names.ts";

const HELP = renderHelp();
const MARKDOWN = renderOptionsMarkdown();

test("the help fits 100 columns and ends its last line", () => {
  assert.deepEqual(
    HELP.split("\n").filter((line) => line.length > 100 || line !== line.trimEnd()),
    [],
  );
  assert.ok(HELP.endsWith("\n") && !HELP.endsWith("\n\n"));
});

test("the help and the README's list name every option, alias and limit", () => {
  for (const text of [HELP, MARKDOWN]) {
    const names = new Set(text.match(/(?<![\w-])--?[A-Za-z][\w-]*/g));
    assert.deepEqual(
      OPTIONS.flatMap(namesOf)
        .map(dashed)
        .filter((name) => !names.has(name)),
      [],
    );
    assert.deepEqual(
      [...PUBLIC_LIMITS.keys()].filter((name) => !text.includes(name)),
      [],
    );
  }
});

test("the help names every command and group", () => {
  for (const name of Object.keys(COMMANDS)) assert.match(HELP, new RegExp(`^  ${name} `, "m"));
  for (const group of OPTION_GROUPS) assert.ok(HELP.includes(`\n\n${group}:\n  -`), group);
});

test("the help shows defaults and ranges", () => {
  assert.match(HELP.replace(/\s+/g, " "), /--mqtt-receive-maximum NUMBER [^[]*\[default: 1,024; 1 to 65,535\]/);
  assert.match(HELP.replace(/\s+/g, " "), /--mqtt-session-expiry-max DURATION [^[]*\[default: 30d; /);
  assert.match(HELP.replace(/\s+/g, " "), / linkStall [^[]*\[default: 1m; 100ms to 1h\]/);
});

test("the help says what is not built yet", () => {
  for (const { name } of OPTIONS.filter(({ notYet }) => notYet !== undefined)) {
    const at = HELP.indexOf(`  --${name} `);
    const entry = HELP.slice(at, HELP.indexOf("]\n", at)).replace(/\s+/g, " ");
    assert.match(entry, /not built yet/, name);
  }
});

test("the README's list gives every configuration key and no broken row", () => {
  for (const { key } of OPTIONS) if (key !== undefined) assert.ok(MARKDOWN.includes(`| \`${key}\` |`), key);
  for (const row of MARKDOWN.split("\n").filter((line) => line.startsWith("|"))) {
    const cells = row.replaceAll("\\|", "").split("|").length - 2;
    assert.ok(cells === 3 || cells === 4, row);
  }
});

test("the list of options is put between its markers", () => {
  const readme = "# A\n<!-- options -->\nold\n<!-- /options -->\nB\n";
  const made = `# A\n<!-- options -->\n${MARKDOWN}<!-- /options -->\nB\n`;
  assert.equal(withOptions(readme), made);
  assert.equal(withOptions(made), made);
});

test("a README without the markers is not touched", () => {
  assert.equal(withOptions("# A\n"), undefined);
  assert.equal(withOptions("<!-- /options --><!-- options -->"), undefined);
});

test("the README lists the options as the table has them", () => {
  const file = new URL("../../README.md", import.meta.url);
  if (!existsSync(file)) return;
  const readme = readFileSync(file, "utf8");
  assert.equal(withOptions(readme), readme);
});
