/** The rules of the house, checked on the text of the sources: what a reviewer should never have to say. */
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";

const ROOT = join(import.meta.dirname, "..");

const PURE = ["src/codec", "src/topic", "src/text"];
/** Pure parts of folders that are not, and for these alone. */
const PURE_WITHIN = ["src/gateway/mqttsn/codec", "device/serial/framing"];
/** What every edge may know of the broker: the contracts, not the broker. */
const CONTRACTS = [
  "ports",
  "store",
  "batch",
  "records",
  "message-record",
  "queue-record",
  "limits",
  "options",
  "counters",
  "hooks",
  "access",
  "client",
  "entrance",
].map((name) => `src/core/${name}.ts`);
const EDGE = [...CONTRACTS, ...PURE, "node:", "npm:"];

/**
 * Who may import whom, beside files of the same folder and of those in it. A name on the right stands for all below it;
 * what is not on the right may not be imported. A file goes by the longest name on the left that it is below.
 */
const MAY_IMPORT: Record<string, readonly string[]> = {
  "src/codec": [],
  "src/topic": [],
  "src/text": ["npm:"],
  "src/core": ["src/codec", "src/topic"],
  "src/auth": EDGE,
  "src/store": EDGE,
  "src/transport": EDGE,
  "src/gateway": [...EDGE, "src/core/deadlines.ts", "src/core/core-link.ts"],
  "src/gateway/mqttsn/codec": ["src/codec"],
  "src/bridge": [...EDGE, "src/core/core-link.ts"],
  "src/admin": EDGE,
  "src/cluster": EDGE,
  "src/plugin": EDGE,
  "src/certs": ["src/text", "node:", "npm:"],
  // The table of options is data that both read.
  "src/config": [...EDGE, "src/cli/options.ts", "device/serial/line-spec.ts", "src/bridge/settings.ts"],
  "src/os": EDGE,
  "src/cli": [
    ...EDGE,
    "src/core/records.ts",
    "src/admin",
    "src/auth",
    "src/certs",
    "src/config",
    "src/os",
    "src/compose.ts",
    "src/listeners.ts",
    "src/running-broker.ts",
    "device/mdns",
  ],
  "src/version.ts": [],
  "src/executable.ts": ["src/os", "node:"],
  "device/serial": [...EDGE, "src/gateway"],
  "device/serial/framing": ["src/gateway/mqttsn/codec"],
  "device/mdns": EDGE,
  "device/gpio": EDGE,
  "device/image": ["src/version.ts", "packaging/run-tool.ts", "node:"],
};

/** Where the parts meet. */
const MAY_IMPORT_ALL = [
  "src/compose.ts",
  "src/listeners.ts",
  "src/gateways.ts",
  "src/discovery.ts",
  "src/listener-worker.ts",
  "src/running-broker.ts",
  "src/main.ts",
  "src/library.ts",
];

/** The world, which is handed in to the pure folders and the core. */
const WORLD =
  /(?<![.\w$#])(?:Buffer|Date|setTimeout|setInterval|setImmediate|console|process|performance|globalThis|Math\.random)\b(?!\s*\??:)/g;
const WITHOUT_WORLD = [...PURE, ...PURE_WITHIN, "src/core"];

const REPORTED_LINES = 400;
const LINES_MAX = 700;

/** Written in two halves so that this file does not contain them. */
const REMINDERS = new RegExp(`\\b(?:TO${"DO"}|FIX${"ME"}|X${"XX"}|HA${"CK"})\\b`, "g");

/** A path of somebody's machine, behind a quote, space, bracket or equals sign. */
const MACHINE_PATH = /(?<=["'`\s(=])\/(?:home|root|work|mnt|Users)\/[\w.-]+|\b[A-Z]:\\\\?[\w.-]+/g;

const SOURCES = find("{src,device}/**/*.ts");
const CODE = [...SOURCES, ...find("{test,examples,packaging}/**/*.ts")];
const TEXTS = [...CODE, ...find("*.{md,json,json5}"), ...find("{.ci,.github,device,examples,packaging,systemd}/**/*")];

test("imports point one way", () => {
  const found: string[] = [];
  for (const file of SOURCES) {
    if (MAY_IMPORT_ALL.includes(file)) continue;
    const folder = folderOf(file);
    const allowed = MAY_IMPORT[folder];
    if (allowed === undefined)
      found.push(`${file}: no rule for ${folder}; move the file, or add the folder to MAY_IMPORT`);
    for (const { line, target } of imports(file)) {
      if (allowed === undefined || [folder, ...allowed].some((name) => isIn(name, target))) continue;
      found.push(
        `${file}:${line} imports ${target}; from ${folder} go only [${allowed.join(", ")}]: hand it in instead`,
      );
    }
  }
  assertNone(found);
});

test("relative imports name a file that exists, Node's modules are written with node:", () => {
  const found: string[] = [];
  for (const file of CODE) {
    for (const { line, specifier, target } of imports(file)) {
      if (specifier.startsWith(".") && !existsSync(join(ROOT, target))) {
        found.push(
          `${file}:${line} imports ${specifier}, which is not there; write the file's own name with its ending`,
        );
      }
      if (isBuiltin(specifier) && !specifier.startsWith("node:")) found.push(`${file}:${line} write node:${specifier}`);
    }
  }
  assertNone(found);
});

test("each npm package is imported by one file, so that it can be replaced there", () => {
  const importers = new Map<string, Set<string>>();
  for (const file of SOURCES) {
    for (const { target } of imports(file)) {
      if (!target.startsWith("npm:")) continue;
      importers.set(target, (importers.get(target) ?? new Set()).add(file));
    }
  }
  const found = [...importers].filter(([, files]) => files.size > 1);
  assertNone(found.map(([name, files]) => `${name} is imported by ${[...files].join(", ")}; wrap it in one of them`));
});

test("pure folders and the core use no clock, timer, randomness, log or Buffer of their own", () => {
  const files = SOURCES.filter((file) => WITHOUT_WORLD.some((folder) => isIn(folder, file)));
  // A folder that has moved would be held to nothing.
  for (const folder of WITHOUT_WORLD)
    assert.equal(
      files.some((file) => isIn(folder, file)),
      true,
      `${folder} is empty`,
    );
  assertNone(matches(files, codeOf, WORLD, "take it from core/ports.ts, or do without"));
});

test("no enum, any or default export, and no test that is left out", () => {
  assertNone([
    ...matches(CODE, codeOf, /\benum\s+\w+/g, "write an `as const` object"),
    ...matches(CODE, codeOf, /(?:[:<|&,]\s*|\b(?:as|extends|is)\s+)any\b(?!\s*[(:=.?])/g, "write the type, or unknown"),
    ...matches(CODE, codeOf, /\bexport\s+default\b/g, "give it a name"),
    ...matches(CODE, codeOf, /\b(?:test|suite|describe|it)\.(?:only|skip|todo)\b/g, "run it, or remove it"),
  ]);
});

test("no reminders are left over", () => {
  assertNone(matches(TEXTS, textOf, REMINDERS, "do it now, or write an issue"));
});

test("no path of a single machine is written down", () => {
  assertNone(matches(TEXTS, textOf, MACHINE_PATH, "make it relative, or an option"));
});

test(`files have ${LINES_MAX} lines at most`, (context) => {
  const found: string[] = [];
  for (const file of CODE) {
    const lines = textOf(file).trimEnd().split("\n").length;
    if (lines > REPORTED_LINES) context.diagnostic(`${file} has ${lines} lines: is there a second noun in it?`);
    if (lines > LINES_MAX) found.push(`${file} has ${lines} lines; move its second noun to a file of its own`);
  }
  assertNone(found);
});

test("file names are in kebab-case", () => {
  const found = CODE.filter((file) => !/^[a-z0-9]+(?:[.-][a-z0-9]+)*\.ts$/.test(file.slice(file.lastIndexOf("/") + 1)));
  assertNone(found.map((file) => `${file}: rename it to lower case with hyphens`));
});

test("every statement that is cited exists in its version", () => {
  const known = { "5.0": statementIds("5.0"), "3.1.1": statementIds("3.1.1") };
  const found: string[] = [];
  for (const file of CODE) {
    for (const { line, version, id } of citations(textOf(file))) {
      if (version === undefined) found.push(`${file}:${line} cites ${id}; write 5.0 or 3.1.1 before it`);
      else if (!known[version].has(id))
        found.push(`${file}:${line} cites ${version} ${id}, which does not exist there`);
    }
  }
  assertNone(found);
});

test("the rules see through comments, strings, templates and regular expressions", () => {
  const code = [
    "const a = 'Date'; // Date",
    'const b = "\\"Date"; /* Date',
    "Date */ const c = `Date @{`@{Date.now()}`} Date`;",
    "const d = /[/'\"`]Date/.test(b) ? 6 / 3 / Date.length : {};",
  ]
    .join("\n")
    .replaceAll("@", "$");
  const seen = withoutComments(code, false);
  assert.equal(seen.length, code.length);
  assert.deepEqual(
    [...seen.matchAll(WORLD)].map(({ index }) => lineAt(code, index)),
    [3, 4],
  );
});

test("the rules read lists of statements", () => {
  // Put together here, or the citations would be taken for this file's own.
  const open = "[MQTT-";
  const text = `5.0 ${open}1.0.0-1], ${open}1.0.0-2] [-3];\n * 3.1.1 ${open}2.0.0-1] then ${open}2.0.0-2].\nBut ${open}3.0.0-1]`;
  assert.deepEqual(
    citations(text).map(({ line, version, id }) => `${line} ${version} ${id.replace("MQTT-", "")}`),
    ["1 5.0 1.0.0-1", "1 5.0 1.0.0-2", "1 5.0 1.0.0-3", "2 3.1.1 2.0.0-1", "2 3.1.1 2.0.0-2", "3 undefined 3.0.0-1"],
  );
});

interface Import {
  line: number;
  specifier: string;
  /** A file from the root of the repository, `node:`, or `npm:` and the package. */
  target: string;
}

function imports(file: string): Import[] {
  const pattern = /(?:\bfrom|^\s*import|\bimport\()\s*"([^"\n]+)"/gm;
  const text = withoutComments(textOf(file), true);
  return [...text.matchAll(pattern)].map((match) => {
    const specifier = match[1]!;
    return { line: lineAt(text, match.index), specifier, target: targetOf(file, specifier) };
  });
}

function targetOf(file: string, specifier: string): string {
  if (specifier.startsWith(".")) return normalize(join(dirname(file), specifier));
  if (isBuiltin(specifier)) return "node:";
  return `npm:${specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/")}`;
}

/** Of "src/core/ports.ts" the longest name in MAY_IMPORT, "src/core"; a file at the top of src stands for itself. */
function folderOf(file: string): string {
  const names = Object.keys(MAY_IMPORT).filter((name) => isIn(name, file));
  return names.reduce((one, other) => (other.length > one.length ? other : one), file.split("/", 2).join("/"));
}

/** A folder and what is below it, whatever its depth; a file or "node:" and itself; "npm:" and every package. */
function isIn(name: string, target: string): boolean {
  return target === name || target.startsWith(name.endsWith(":") ? name : `${name}/`);
}

interface Citation {
  line: number;
  version: "5.0" | "3.1.1" | undefined;
  id: string;
}

/** A version stands for all citations on its line, and in a list; `[-6]` repeats the section before it. */
function citations(text: string): Citation[] {
  const pattern = /(?:(5\.0|3\.1\.1) )?\[(?:(MQTT-\d[^\]\n$]*)|(-\d+))\]/g;
  const separators = /^(?:[\s,;*/]|and|or)*$/;
  const found: Citation[] = [];
  let version: Citation["version"];
  let end = -1;
  for (const match of text.matchAll(pattern)) {
    const between = end === -1 ? "\n-" : text.slice(end, match.index);
    const isListed = separators.test(between);
    // `[-1]` alone is an index, not a citation.
    if (match[3] !== undefined && !isListed) continue;
    if (match[1] !== undefined) version = match[1] as "5.0" | "3.1.1";
    else if (!isListed && between.includes("\n")) version = undefined;
    const id = match[2] ?? found.at(-1)!.id.replace(/-\d+$/, match[3]!);
    found.push({ line: lineAt(text, match.index), version, id });
    end = match.index + match[0].length;
  }
  // The codec cites in the version of the connection: `statement(version, number in 5.0, number in 3.1.1)`.
  for (const match of text.matchAll(/\bstatement\([\w.]+,\s*"([^"]+)"(?:,\s*"([^"]+)")?/g)) {
    const line = lineAt(text, match.index);
    found.push({ line, version: "5.0", id: `MQTT-${match[1]}` });
    found.push({ line, version: "3.1.1", id: `MQTT-${match[2] ?? match[1]}` });
  }
  return found;
}

function statementIds(version: string): Set<string> {
  const file = `test/conformance/statements-${version}.json`;
  assert.equal(existsSync(join(ROOT, file)), true, `${file} is missing: it lists the statements of ${version}`);
  const statements: { id: string }[] = JSON.parse(textOf(file));
  return new Set(statements.map(({ id }) => id));
}

/**
 * The source with comments, and unless `keepStrings` the insides of strings, as blanks, so that every place stays.
 * A slash begins a regular expression where no value can stand before it.
 */
function withoutComments(source: string, keepStrings: boolean): string {
  const token =
    /\/\/.*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|(?<=(?:^|[(,=:[!&|?{};\n]|=>|\breturn)\s*)\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*|[`{}]/y;
  // Innermost last: the text of a template, or the braces that are open in code.
  const nesting: { isTemplate: boolean }[] = [];
  let code = "";
  const blank = (text: string) => text.replace(/[^\n]/g, " ");
  for (let at = 0; at < source.length; ) {
    if (nesting.at(-1)?.isTemplate) {
      const text = /(?:\\[\s\S]|(?!\$\{)[^`\\])*(?:`|\$\{)/y;
      text.lastIndex = at;
      const found = text.exec(source)?.[0] ?? source.slice(at);
      if (found.endsWith("`")) nesting.pop();
      else nesting.push({ isTemplate: false });
      code += keepStrings ? found : blank(found);
      at += found.length;
      continue;
    }
    token.lastIndex = at;
    const found = token.exec(source)?.[0] ?? source[at]!;
    if (found === "`") nesting.push({ isTemplate: true });
    else if (found === "{") nesting.push({ isTemplate: false });
    else if (found === "}") nesting.pop();
    const isComment = /^\/[/*]/.test(found);
    const isString = !isComment && found.length > 1;
    code += isComment || (isString && !keepStrings) ? blank(found) : found;
    at += found.length;
  }
  return code;
}

function codeOf(file: string): string {
  return withoutComments(textOf(file), false);
}

function textOf(file: string): string {
  return readFileSync(join(ROOT, file), "utf8");
}

function matches(files: readonly string[], read: (file: string) => string, pattern: RegExp, advice: string): string[] {
  return files.flatMap((file) => {
    const text = read(file);
    return [...text.matchAll(pattern)].map(
      (match) => `${file}:${lineAt(text, match.index)} has ${JSON.stringify(match[0].trim())}: ${advice}`,
    );
  });
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}

function find(pattern: string): string[] {
  const exclude = ["**/node_modules", "**/dist", "**/data", "package-lock.json"];
  return globSync(pattern, { cwd: ROOT, exclude, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => normalize(join(entry.parentPath, entry.name)).slice(ROOT.length + 1))
    .sort();
}

function assertNone(found: readonly string[]): void {
  assert.equal(found.length, 0, `\n${found.join("\n")}`);
}
