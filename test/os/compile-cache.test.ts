import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, suite, test } from "node:test";
import { compileCacheFolder } from "../../src/os/compile-cache.ts";

const USER = process.getuid!();

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mqtt-broker-compiled-"));
});

afterEach(() => rmSync(folder, { recursive: true }));

suite("where compiled code is kept", () => {
  test("the service's folder comes first, of several the first one", () => {
    const env = { CACHE_DIRECTORY: `${folder}:/elsewhere`, HOME: folder };
    assert.equal(compileCacheFolder(env, USER), folder);
    assert.equal(existsSync(join(folder, ".cache")), false);
  });

  test("the user's caches get one that only the user can look into", () => {
    const own = join(folder, ".cache/mqtt-broker");
    assert.equal(compileCacheFolder({ HOME: folder }, USER), own);
    assert.equal(statSync(own).mode & 0o777, 0o700);
    const elsewhere = join(folder, "caches");
    assert.equal(compileCacheFolder({ HOME: folder, XDG_CACHE_HOME: elsewhere }, USER), join(elsewhere, "mqtt-broker"));
  });

  test("a folder that others can write to is not used, nor one below such a folder", () => {
    const below = join(folder, "cache");
    mkdirSync(below, { mode: 0o700 });
    for (const mode of [0o770, 0o777, 0o702]) {
      chmodSync(folder, mode);
      assert.equal(compileCacheFolder({ CACHE_DIRECTORY: folder }, USER), undefined, mode.toString(8));
      assert.equal(compileCacheFolder({ CACHE_DIRECTORY: below }, USER), undefined, mode.toString(8));
    }
    chmodSync(folder, 0o755);
    assert.equal(compileCacheFolder({ CACHE_DIRECTORY: below }, USER), below);
  });

  test("a folder of somebody else is not used, whoever may write there, nor through a link", () => {
    const link = join(folder, "link");
    mkdirSync(join(folder, "cache"));
    symlinkSync(join(folder, "cache"), link);
    assert.equal(compileCacheFolder({ CACHE_DIRECTORY: link }, USER), link);
    chmodSync(join(folder, "cache"), 0o777);
    assert.equal(compileCacheFolder({ CACHE_DIRECTORY: link }, USER), undefined);
    assert.equal(compileCacheFolder({ CACHE_DIRECTORY: folder, HOME: folder }, USER + 1), undefined);
  });

  test("where nothing can be made, or would never be, nothing is used", () => {
    symlinkSync("/proc", join(folder, ".cache"));
    for (const HOME of ["/proc", "/proc/self", folder, "relative", ""]) {
      assert.equal(compileCacheFolder({ HOME }, USER), undefined, HOME);
    }
    assert.equal(compileCacheFolder({}, USER), undefined);
  });
});
