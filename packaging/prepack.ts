import { spawnSync } from "node:child_process";
import { chmodSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Makes `dist/`: the JavaScript and declarations that the npm package holds, because Node.js does not strip types of
 * files under node_modules. Runs before every `npm pack` and `npm publish`, and as `npm run build`.
 */
const ROOT = join(import.meta.dirname, "..");
const DIST = join(ROOT, "dist");
/** The contract suite for stores comes from the tests, and is compiled beside what it imports. */
const SUITE = join(DIST, "suite");

// Removed first, or files whose sources are gone would be published for ever.
rmSync(DIST, { recursive: true, force: true });
const status = compile(join(ROOT, "tsconfig.build.json")) || compile(join(ROOT, "packaging/tsconfig.suite.json"));
if (status === 0) {
  for (const ending of ["js", "d.ts"]) {
    const text = readFileSync(join(SUITE, `test/store/suite.${ending}`), "utf8");
    writeFileSync(join(DIST, `store-suite.${ending}`), text.replaceAll('"../../src/', '"./'));
  }
  rmSync(SUITE, { recursive: true });
  // npm sets this for commands when it installs, but not for those who run the file from the repository.
  chmodSync(join(DIST, "main.js"), 0o755);
} else process.exitCode = status;

function compile(project: string): number {
  const compiler = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  return spawnSync(process.execPath, [compiler, "-p", project], { stdio: "inherit" }).status ?? 1;
}
