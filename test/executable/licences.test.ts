/** What the copyright file says, against what is in the executables: of another version, or another part, it has to say so. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { bundle } from "../../packaging/bundle.ts";
import { copyrightFile } from "../../packaging/deb/copyright.ts";
import { CRATES, CRATES_ARE_IN } from "../../packaging/deb/crates.ts";
import { emptyFolder } from "../smoke/program.ts";

const ROOT = join(import.meta.dirname, "../..");
const COPYRIGHT = copyrightFile(ROOT);

/** Where a crate's sources were when it was compiled: of the registry's, or of those that come with the compiler. */
const SOURCE = /(?:registry\/src\/[^/\0]+|\/rust\/deps)\/([\w-]+?)-(\d+\.\d+\.\d+[\w.+-]*)/g;

/** A crate in a symbol as rustc writes it: its length, then the name. One symbol may have several. */
const SYMBOL = /Cs[0-9A-Za-z]+_(\d+)_?(?=(\w{1,64}))/g;

/** Parts of the standard library, and the add-on itself. */
const OF_OTHERS = new Set(["alloc", "core", "panic_unwind", "std", "std_detect", "__rustc", "http3"]);

const LISTED = CRATES.flatMap(({ names }) => names);

interface Found {
  /** NAME VERSION. */
  versions: Set<string>;
  /** With underscores, as in Rust's sources. */
  names: Set<string>;
}

function cratesIn(file: string): Found {
  const text = readFileSync(join(ROOT, "node_modules", file), "latin1");
  const [, compiler] = /rustc version (\S+) \(/.exec(text) ?? [];
  const versions = new Set([`Rust's standard library ${compiler}`]);
  for (const [, name, version] of text.matchAll(SOURCE)) versions.add(`${name} ${version}`);
  const names = new Set<string>();
  for (const [, length, rest] of text.matchAll(SYMBOL)) {
    if (rest!.length >= Number(length)) names.add(rest!.slice(0, Number(length)));
  }
  for (const name of OF_OTHERS) names.delete(name);
  return { versions, names };
}

/** As it is listed, without what it brings along. */
function plain(listed: string): string {
  return listed.replace(/, with .*$/, "");
}

/** The name alone, as symbols have it. */
function underscored(listed: string): string {
  return listed.replace(/ .*$/, "").replaceAll("-", "_");
}

/** The folders under node_modules of which esbuild says in a comment that the file has something. */
function packagesIn(file: string): string[] {
  const comments = readFileSync(file, "utf8").matchAll(/^\s*\/\/ .*?(node_modules\/\S+)$/gm);
  const folders = [...comments].map(([, path]) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path!)![0]);
  return [...new Set(folders)];
}

function unnamed(folders: readonly string[]): string[] {
  return folders
    .map((folder) => JSON.parse(readFileSync(join(ROOT, folder, "package.json"), "utf8")) as Record<string, string>)
    .map(({ name, version }) => `${name} ${version}`)
    .filter((title) => !COPYRIGHT.includes(`\n${title}\n====`));
}

const CRATES_FOUND = CRATES_ARE_IN.map((file) => [file, cratesIn(file)] as const);

for (const [file, { versions, names }] of CRATES_FOUND) {
  test(`each crate in ${file} is in the copyright file, with a licence`, () => {
    assert.ok(
      versions.size > 40 && names.size > 40,
      `${versions.size} crates by their sources, ${names.size} by symbols`,
    );
    const known = new Set(LISTED.map(plain));
    const knownNames = new Set(LISTED.map(underscored));
    const missing = [
      ...[...versions].filter((version) => !known.has(version)),
      ...[...names].filter((name) => !knownNames.has(name)),
    ];
    assert.deepEqual(missing, [], "put them into packaging/deb/crates.ts, with the licences in their own sources");
    for (const { names, licences } of CRATES) {
      assert.notEqual(licences.length, 0, names.join());
      for (const name of names) assert.ok(COPYRIGHT.includes(`\n${name}\n`), name);
    }
  });
}

test("each crate in the copyright file is in an add-on", () => {
  const versions = new Set(CRATES_FOUND.flatMap(([, found]) => [...found.versions]));
  const names = new Set(CRATES_FOUND.flatMap(([, found]) => [...found.names]));
  const gone = LISTED.filter(
    (listed) => !versions.has(plain(listed)) && !names.has(plain(listed).replaceAll("-", "_")),
  );
  assert.deepEqual(gone, [], "take them out of packaging/deb/crates.ts");
});

test("each npm package that is bundled is in the copyright file, with its version", async (context) => {
  const folder = emptyFolder(context);
  await bundle(folder, { commit: "", time: "" });
  const folders = new Set(globSync(join(folder, "**/*.cjs")).flatMap(packagesIn));
  assert.ok(folders.has("node_modules/mqtt") && folders.has("node_modules/tslib"), [...folders].join());
  assert.deepEqual(unnamed([...folders]), [], "packaging/deb/copyright.ts leaves them out");
});

test("what pkg, esbuild, and the headers of the add-ons leave in the executable is in the copyright file", () => {
  const start = "node_modules/@yao-pkg/pkg/prelude/sea-bootstrap.bundle.js";
  const folders = packagesIn(join(ROOT, start));
  assert.ok(folders.length > 0, `${start} says of no package that it has something of it`);
  const tools = ["@yao-pkg/pkg", "esbuild", "node-addon-api"].map((name) => `node_modules/${name}`);
  assert.deepEqual(unnamed([...folders, ...tools]), [], "packaging/deb/copyright.ts leaves them out");
});

test("each text that several have in common is in the copyright file once", () => {
  const words = (text: string) => text.replaceAll(/\s+/g, " ").trim();
  // Behind it is the licence of Node.js, in which each part has its own.
  const [own = ""] = COPYRIGHT.split(/\nNode\.js \d+\.\d+\.\d+\n/);
  const texts = globSync(join(ROOT, "packaging/deb/licences/*.txt"));
  assert.equal(texts.length, 9);
  for (const file of texts) {
    // BoringSSL's has the MIT licence at its end, which is written elsewhere: its beginning stands for it.
    const [text = ""] = words(readFileSync(file, "utf8")).split(" The code in third_party/fiat carries");
    assert.equal(words(own).split(text).length - 1, 1, file);
  }
  const titles = own.matchAll(/the text under "(.*)" in this file/g);
  for (const title of new Set([...titles].map(([, name]) => name))) {
    assert.ok(own.includes(`\n${title}\n====`), `${title} is named, and not there`);
  }
});
