import { spawnSync } from "node:child_process";
import { chmodSync, rmSync } from "node:fs";
import { join } from "node:path";

/**
 * Makes `dist/`: the JavaScript and declarations that the npm package holds, because Node.js does not strip types of
 * files under node_modules; with them the contract suite for stores, which comes from the tests. Runs before every
 * `npm pack` and `npm publish`, and as `npm run build`.
 */
const ROOT = join(import.meta.dirname, "..");
const DIST = join(ROOT, "dist");

// Removed first, or files whose sources are gone would be published for ever.
rmSync(DIST, { recursive: true, force: true });
const compiler = join(ROOT, "node_modules", "typescript", "bin", "tsc");
const project = join(ROOT, "tsconfig.build.json");
const { status } = spawnSync(process.execPath, [compiler, "-p", project], { stdio: "inherit" });
// npm sets this for commands when it installs, but not for those who run the file from the repository.
if (status === 0) chmodSync(join(DIST, "src/main.js"), 0o755);
else process.exitCode = status ?? 1;
