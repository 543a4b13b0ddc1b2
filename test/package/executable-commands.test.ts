/** All that users do with the program, done with the executable: the suites that try the sources, on it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { hostArchitecture } from "../../packaging/architecture.ts";
import { executablePath } from "../executable/executable.ts";

const ROOT = join(import.meta.dirname, "../..");
/** These are about Node.js's own options, about `--version` without a commit, or about a browser alone. */
const OF_SOURCES = ["without the library check refuses it", "prints the version of package.json"];
const WITHOUT = /\/(?:browser|tls-readme)\.test\.ts$/;
const SECONDS_MAX = 900;

const SUITES: readonly { title: string; files: string }[] = [
  {
    title: "pub, sub, rr, client, check, store, workers, TLS, QUIC, Unix sockets and the rest",
    files: "test/smoke/*.test.ts",
  },
  { title: "what a running broker is asked: banned, and reloads", files: "test/admin/running-broker.test.ts" },
  { title: "mDNS and discover, in networks of their own", files: "test/cli/discover-{lan,probes}.test.ts" },
  { title: "plugins from disk in JavaScript and TypeScript", files: "test/plugin/load.test.ts" },
  { title: "kill -9 on damaged disks", files: "test/crash/damage.test.ts" },
];

suite("the executable as the program", { concurrency: 1 }, () => {
  for (const { title, files } of SUITES) {
    test(title, () => {
      const found = globSync(files, { cwd: ROOT }).filter((file) => !WITHOUT.test(`/${file}`));
      assert.notEqual(found.length, 0, `no file fits ${files}`);
      const left = OF_SOURCES.flatMap((name) => ["--test-skip-pattern", name]);
      const words = ["--test", "--test-reporter=tap", "--test-concurrency=2", ...left, ...found.sort()];
      const EXECUTABLE_UNDER_TEST = executablePath(hostArchitecture());
      // Or it would take itself for one of the files that this process runs, and tell nothing.
      const { NODE_TEST_CONTEXT: _, ...rest } = process.env;
      const env = { ...rest, EXECUTABLE_UNDER_TEST, MQTT_BROKER_MDNS: "off" };
      const timeout = SECONDS_MAX * 1000;
      const { status, stdout } = spawnSync(process.execPath, words, { cwd: ROOT, env, encoding: "utf8", timeout });
      const failed = stdout.split("\n").filter((line) => /^\s*not ok /.test(line));
      assert.equal(status, 0, failed.join("\n"));
      assert.match(stdout, /^# fail 0$/m);
      assert.doesNotMatch(stdout, /^# pass 0$/m);
    });
  }
});
