/** The README's way to TLS: its own lines, as they stand there, on the ports that they name, in a network of their own. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { emptyFolder, runCommand, startCommand } from "./program.ts";

const README = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const MINUTE_MS = 60_000;

/** The lines with a "$ " of a chapter. */
function linesOf(title: string): string[] {
  const chapter = README.split(/^#+ /m).find((text) => text.startsWith(`${title}\n`));
  assert.ok(chapter !== undefined, `README.md has no chapter ${title}`);
  return [...chapter.matchAll(/^\$ (.+)$/gm)].map(([, line]) => line!);
}

test("who follows the README alone has mosquitto_sub over TLS in less than a minute", async (context) => {
  const [init, broker, sub, ...others] = linesOf("TLS in a minute") as [string, string, string];
  assert.deepEqual(others, []);
  const cwd = emptyFolder(context);
  mkdirSync(join(cwd, "bin"));
  const script = `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`;
  writeFileSync(join(cwd, "bin/mqtt-broker"), script, { mode: 0o755 });
  const options = { cwd, env: { PATH: `${join(cwd, "bin")}:${process.env.PATH}` } };
  const startedMs = performance.now();
  const made = await runCommand(context, "sh", ["-ec", init], options);
  assert.deepEqual([made.result.code, made.stderr], [0, ""]);
  for (const line of [broker, sub]) assert.ok(made.stdout.includes(`  ${line}\n`), `certs init prints "${line}"`);
  const ownNetwork = ["-rn", "sh", "-ec", `ip link set lo up; exec ${broker}`];
  const running = startCommand(context, "unshare", ownNetwork, options);
  await running.saw(/Listening on tls:.*:8883/);
  const inNetwork = (line: string): string[] => [
    "-t",
    String(running.pid),
    "-U",
    "-n",
    "--preserve-credentials",
    "sh",
    "-ec",
    `exec ${line}`,
  ];
  const subscriber = startCommand(context, "nsenter", inNetwork(sub), options);
  await running.saw(/"message":"Client connected"/);
  const pub = sub.replace("mosquitto_sub", "mosquitto_pub").replace("-t '#' -v", "-t kitchen/light -m on -q 1 -r");
  const published = await runCommand(context, "nsenter", inNetwork(pub), options);
  assert.deepEqual([published.result.code, published.stderr], [0, ""]);
  await subscriber.saw("kitchen/light on\n");
  assert.ok(performance.now() - startedMs < MINUTE_MS);
});
