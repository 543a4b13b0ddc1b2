/** The manual pages, against the tables and against groff. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { renderConfigurationPage } from "../../packaging/man-configuration.ts";
import { renderManPage } from "../../packaging/man-page.ts";
import { entry, escapeRoff, helpToRoff } from "../../packaging/roff.ts";
import { COMMANDS, dashed } from "../../src/cli/arguments.ts";
import { CERTS_OPTIONS } from "../../src/cli/certs-options.ts";
import { CLIENT_OPTIONS } from "../../src/cli/client-option-table.ts";
import { namesOf, OPTIONS } from "../../src/cli/options.ts";
import { PASSWD_OPTIONS } from "../../src/cli/passwd-options.ts";
import { STORE_COMMANDS } from "../../src/cli/store-options.ts";
import { PUBLIC_LIMITS } from "../../src/config/limit-names.ts";

const BUILT = new Date("2026-11-22T02:55:00Z");
const PAGES = { program: renderManPage("1.2.3", BUILT), configuration: renderConfigurationPage("1.2.3", BUILT) };

/** As `man` shows it, without overstriking, in lines that are long enough for no word to be broken. */
function shown(page: string): string {
  const { error, status, stdout, stderr } = spawnSync("groff", ["-man", "-Tutf8", "-ww", "-rLL=2000n", "-P-cbou"], {
    input: page,
    encoding: "utf8",
  });
  assert.equal(error, undefined, "groff cannot be run: apt-get install groff");
  assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
  return stdout;
}

const SHOWN = { program: shown(PAGES.program), configuration: shown(PAGES.configuration) };

test("man renders the pages without a warning, on lines of 80 columns too", () => {
  for (const page of Object.values(PAGES)) {
    const env = { ...process.env, MANWIDTH: "80", LC_ALL: "C.UTF-8" };
    const words = ["--warnings", "--local-file", "-"];
    const { error, status, stderr } = spawnSync("man", words, { input: page, encoding: "utf8", env });
    assert.equal(error, undefined, "man cannot be run: apt-get install man-db");
    assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
  }
});

test("the heading has version and date, and the sections are in their order", () => {
  const lines = SHOWN.program.split("\n");
  assert.match(lines.filter((line) => line !== "").at(-1)!, /^mqtt-broker 1\.2\.3 +2026-11-22 +MQTT-BROKER\(1\)$/);
  const sections = lines.filter((line) => /^[A-Z]/.test(line) && !line.includes("MQTT-BROKER"));
  const fixed = ["NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "OPTIONS"];
  const last = ["ENVIRONMENT", "FILES", "SIGNALS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"];
  assert.deepEqual(sections, [...fixed, ...last]);
});

test("mqtt-broker(1) has every option, alias and limit of the table, each as the name of an entry", () => {
  const names = entriesOf(section(SHOWN.program, "OPTIONS", "MQTT-BROKER PUB"));
  const expected = [...OPTIONS.flatMap((option) => namesOf(option).map(dashed)), ...PUBLIC_LIMITS.keys()];
  assert.deepEqual(
    expected.filter((name) => !names.has(name)),
    [],
  );
});

test("mqtt-broker(1) has every command, with every option that it has of its own", () => {
  const names = entriesOf(section(SHOWN.program, "COMMANDS", "OPTIONS"));
  assert.deepEqual(
    Object.keys(COMMANDS).filter((name) => !names.has(name)),
    [],
  );
  for (const command of ["pub", "sub", "rr"] as const) {
    const found = entriesOf(ownSection(command));
    const known = CLIENT_OPTIONS.filter(({ commands }) => commands.includes(command)).flatMap(({ names }) => names);
    assert.deepEqual(
      known.filter((name) => !found.has(name)),
      [],
      command,
    );
  }
  const owned = {
    passwd: Object.keys(PASSWD_OPTIONS).map(dashed),
    certs: Object.keys(CERTS_OPTIONS).map(dashed),
    store: Object.keys(STORE_COMMANDS),
    discover: ["--timeout", "--type", "--test", "--json", "--interface"],
    explain: ["--user", "--anonymous", "--auth-file"],
    banned: ["--json", "--data-dir"],
    auth: ["import", "learn", "--ledger", "--whole-subscriptions"],
    client: ["-broker", "-pass"],
  };
  for (const [command, expected] of Object.entries(owned)) {
    const found = entriesOf(ownSection(command));
    assert.deepEqual(
      expected.filter((name) => !found.has(name)),
      [],
      command,
    );
  }
});

test("mqtt-broker.json5(5) has every key and limit", () => {
  const names = entriesOf(SHOWN.configuration);
  const keys = OPTIONS.flatMap(({ key }) => (key === undefined ? [] : [key]));
  assert.deepEqual(
    [...keys, ...[...PUBLIC_LIMITS.keys()].map((name) => `limits.${name}`)].filter((name) => !names.has(name)),
    [],
  );
});

test("an option is shown with its value, meaning and default", () => {
  assert.match(
    SHOWN.program,
    /\n +--mqtt-receive-maximum NUMBER\n +PUBLISH packets [^\n]* \[default: 1,024; 1 to 65,535\]\n/,
  );
  assert.match(SHOWN.configuration, /\n +mqtt\.maximumQos\n? +Highest QoS [^\n]* As option: --mqtt-maximum-qos\.\n/);
});

test("what roff would take for its own is shown as it is", () => {
  const text = "a\\nb -- 'c' `d` ^~ … ∞\n.SH no\n'br no";
  const page = [".TH X 1", ".SH NAME", "x", ".PP", ".nf", escapeRoff(text), ".fi"].join("\n");
  const lines = shown(page)
    .split("\n")
    .map((line) => line.trim());
  for (const line of text.split("\n")) assert.ok(lines.includes(line), `${line} in\n${lines.join("\n")}`);
  assert.deepEqual(entry("--a-b", "c"), [".TP", "\\fB\\-\\-a\\-b\\fR", "c"]);
});

test("a help's lines become usage, entries over several lines, tables and paragraphs", () => {
  const help =
    "Usage: x A\n       x B\n\nSays\nmore.\n\nOptions:\n  --a FILE   first\n             second\n  --long\n    below\n\n  %t topic\n";
  assert.deepEqual(helpToRoff(help).join("\n").split("\n"), [
    ...[".PP", ".in +4n", ".EX", "x A", "x B", ".EE", ".in"],
    ...[".PP", "Says more."],
    ...[".PP", "Options:"],
    ...[".TP", "\\fB\\-\\-a FILE\\fR", "first second", ".TP", "\\fB\\-\\-long\\fR", "below"],
    ...[".TP", "\\fB%t topic\\fR", ""],
  ]);
});

function ownSection(command: string): string {
  return section(SHOWN.program, `MQTT-BROKER ${command.toUpperCase()}`, "[A-Z]");
}

/** From one heading to the next that begins as `end` says. */
function section(text: string, heading: string, end: string): string {
  const found = new RegExp(`^${heading}\\n([^]*?)^${end}`, "m").exec(text)?.[1];
  assert.ok(found !== undefined, `There is no section ${heading}`);
  return found;
}

/** The names of all entries; those of "-t, --topic TOPIC" are two. */
function entriesOf(text: string): Set<string> {
  const names = [...text.matchAll(/^ {7}(\S[^\n]*)/gm)].flatMap(([, line]) =>
    line!
      .split(/ {2,}/)[0]!
      .split(", ")
      .map((name) => name.split(" ")[0]!),
  );
  return new Set(names);
}
