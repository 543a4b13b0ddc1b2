import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  watch,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { watchFiles } from "../../src/os/file-watch.ts";

/** Longer than the quiet time, so that what was to be told has been told. */
const TOLD_MS = 250;
const WAIT_MS_MAX = 5_000;

/** A folder whose paths are watched, and a count of what was told. */
class Scene {
  readonly folder: string;
  readonly warnings: string[] = [];
  calls = 0;
  private wake: () => void = () => {};

  constructor(context: TestContext, paths: readonly string[], tools: { watch?: typeof watch } = {}) {
    this.folder = mkdtempSync(join(tmpdir(), "mqtt-broker-watch-"));
    this.prepare();
    const changed = (): void => {
      this.calls++;
      this.wake();
    };
    const warn = (message: string): void => void this.warnings.push(message);
    const watching = watchFiles(
      paths.map((path) => `${this.folder}/${path}`),
      changed,
      { warn, ...tools },
    );
    context.after(() => {
      watching.close();
      rmSync(this.folder, { recursive: true, force: true });
    });
  }

  at(path: string): string {
    return join(this.folder, path);
  }

  write(path: string, text = "x"): void {
    writeFileSync(this.at(path), text);
  }

  /** Does something, and waits until it was told. */
  async tells(action: () => void): Promise<void> {
    this.calls = 0;
    action();
    const deadlineMs = performance.now() + WAIT_MS_MAX;
    while (this.calls === 0) {
      assert.ok(performance.now() < deadlineMs, "it was not told");
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** After a rest, since the system may still tell of what happened before the watching began. */
  async isSilent(action: () => void): Promise<void> {
    await sleep(TOLD_MS);
    this.calls = 0;
    action();
    await sleep(TOLD_MS);
    assert.equal(this.calls, 0);
  }

  private prepare(): void {
    mkdirSync(this.at("etc"));
    this.write("etc/auth.json5");
  }
}

suite("files are watched", { concurrency: 4 }, () => {
  test("writing, replacing, removing and making a file is told, each once", async (context) => {
    const scene = new Scene(context, ["etc/auth.json5"]);
    const replace = (): void => {
      scene.write("etc/new");
      renameSync(scene.at("etc/new"), scene.at("etc/auth.json5"));
    };
    for (const action of [
      () => scene.write("etc/auth.json5", "1"),
      replace,
      // The one that replaced it is watched as well.
      () => scene.write("etc/auth.json5", "2"),
      replace,
      () => chmodSync(scene.at("etc/auth.json5"), 0o600),
      () => unlinkSync(scene.at("etc/auth.json5")),
      () => scene.write("etc/auth.json5", "3"),
    ]) {
      await scene.tells(action);
      await sleep(TOLD_MS);
      assert.equal(scene.calls, 1);
    }
  });

  test("what else happens in the folder is not told", async (context) => {
    const scene = new Scene(context, ["etc/auth.json5"]);
    await scene.isSilent(() => {
      scene.write("etc/.auth.json5.swp");
      scene.write("etc/auth.json5~");
      scene.write("etc/4913");
      unlinkSync(scene.at("etc/4913"));
    });
  });

  test("many steps of one saving are told once, and steps without an end after half a second", async (context) => {
    const scene = new Scene(context, ["etc/auth.json5"]);
    for (let step = 0; step < 5; step++) {
      scene.write("etc/auth.json5", String(step));
      await sleep(20);
    }
    await sleep(TOLD_MS);
    assert.equal(scene.calls, 1);
    const writing = setInterval(() => scene.write("etc/auth.json5"), 30);
    const startedMs = performance.now();
    await scene.tells(() => {});
    clearInterval(writing);
    assert.ok(performance.now() - startedMs < 2_000);
  });

  test("folders that come, go and are exchanged are followed", async (context) => {
    const scene = new Scene(context, ["a/b/auth.json5"]);
    await scene.tells(() => mkdirSync(scene.at("a/b"), { recursive: true }));
    await scene.tells(() => scene.write("a/b/auth.json5"));
    mkdirSync(scene.at("new/b"), { recursive: true });
    scene.write("new/b/auth.json5");
    await scene.tells(() => {
      renameSync(scene.at("a"), scene.at("old"));
      renameSync(scene.at("new"), scene.at("a"));
    });
    await scene.isSilent(() => scene.write("old/b/auth.json5"));
    await scene.tells(() => unlinkSync(scene.at("a/b/auth.json5")));
    await scene.tells(() => scene.write("a/b/auth.json5", "other"));
    await scene.tells(() => rmSync(scene.at("a"), { recursive: true }));
  });

  test("links are followed, also when one in the middle is exchanged, as Kubernetes does", async (context) => {
    const scene = new Scene(context, ["k/auth.json5"]);
    mkdirSync(scene.at("k"));
    for (const version of ["..1", "..2"]) {
      mkdirSync(scene.at(`k/${version}`));
      scene.write(`k/${version}/auth.json5`);
    }
    symlinkSync("..1", scene.at("k/..data"));
    await scene.tells(() => symlinkSync("..data/auth.json5", scene.at("k/auth.json5")));
    await scene.tells(() => scene.write("k/..1/auth.json5", "1"));
    symlinkSync("..2", scene.at("k/..tmp"));
    await scene.tells(() => renameSync(scene.at("k/..tmp"), scene.at("k/..data")));
    await scene.tells(() => scene.write("k/..2/auth.json5", "2"));
    await scene.isSilent(() => scene.write("k/..1/auth.json5", "3"));
    await scene.tells(() => unlinkSync(scene.at("k/..data")));
  });

  test("a path that ends with a slash stands for what is in the folder", async (context) => {
    const scene = new Scene(context, ["conf.d/"]);
    await scene.tells(() => mkdirSync(scene.at("conf.d")));
    await scene.tells(() => scene.write("conf.d/10.json5"));
    await scene.tells(() => scene.write("conf.d/10.json5", "other"));
    await scene.tells(() => symlinkSync("../etc/auth.json5", scene.at("conf.d/20.json5")));
    await scene.tells(() => scene.write("etc/auth.json5", "other"));
  });

  test("a folder in the file's place, and a link that leads back to itself, do no harm", async (context) => {
    const scene = new Scene(context, ["etc/auth.json5"]);
    await scene.tells(() => {
      unlinkSync(scene.at("etc/auth.json5"));
      mkdirSync(scene.at("etc/auth.json5"));
    });
    await scene.tells(() => {
      rmSync(scene.at("etc"), { recursive: true });
      symlinkSync("etc", scene.at("etc"));
    });
    await scene.tells(() => {
      unlinkSync(scene.at("etc"));
      mkdirSync(scene.at("etc"));
      scene.write("etc/auth.json5");
    });
    assert.deepEqual(scene.warnings, []);
  });

  test("where the system does not tell, files are looked at each second, and that is said once", async (context) => {
    const refuse = (() => {
      throw Object.assign(new Error("ENOSPC: System limit for number of file watchers reached"), { code: "ENOSPC" });
    }) as unknown as typeof watch;
    const scene = new Scene(context, ["etc/auth.json5", "conf.d/"], { watch: refuse });
    assert.deepEqual(scene.warnings, ["The system does not tell of all changed files: they are looked at each second"]);
    await scene.tells(() => scene.write("etc/auth.json5", "other text"));
    mkdirSync(scene.at("conf.d"));
    await scene.tells(() => scene.write("conf.d/10.json5"));
    assert.equal(scene.warnings.length, 1);
  });

  test("a watcher that fails is replaced, and files are looked at each second", async (context) => {
    const made: ReturnType<typeof watch>[] = [];
    const keep = ((...words: Parameters<typeof watch>) => {
      const watcher = watch(...words);
      made.push(watcher);
      return watcher;
    }) as typeof watch;
    const scene = new Scene(context, ["etc/auth.json5"], { watch: keep });
    await scene.tells(() => {
      for (const watcher of made.splice(0)) watcher.emit("error", new Error("gone"));
    });
    assert.equal(scene.warnings.length, 1);
    assert.ok(made.length > 0);
    await scene.tells(() => scene.write("etc/auth.json5", "other text"));
  });

  test("it keeps no process alive", async () => {
    const module = new URL("../../src/os/file-watch.ts", import.meta.url).href;
    const script = `import(${JSON.stringify(module)}).then(({ watchFiles }) => watchFiles([process.argv[1]], () => {}))`;
    const child = spawn(process.execPath, ["-e", script, "--", join(tmpdir(), "nothing")], { stdio: "inherit" });
    const code = await new Promise((resolve) => child.once("close", resolve));
    assert.equal(code, 0);
  });
});

test("what is closed tells nothing", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-watch-"));
  context.after(() => rmSync(folder, { recursive: true }));
  let calls = 0;
  const watching = watchFiles([join(folder, "a")], () => calls++);
  writeFileSync(join(folder, "a"), "");
  watching.close();
  watching.close();
  await sleep(TOLD_MS);
  assert.equal(calls, 0);
});
