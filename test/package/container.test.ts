/** The Dockerfile. No Docker is needed: it is read, and what it runs is run here. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ARCHITECTURES } from "../../packaging/architecture.ts";
import { copyrightFile } from "../../packaging/deb/copyright.ts";
import { emptyFolder, runCommand, startCommand } from "../smoke/program.ts";

const ROOT = join(import.meta.dirname, "../..");
const FOLDER = join(ROOT, "packaging/container");
const README = readFileSync(join(ROOT, "README.md"), "utf8");

interface Instruction {
  name: string;
  text: string;
}

const INSTRUCTIONS = readDockerfile(readFileSync(join(FOLDER, "Dockerfile"), "utf8"));

/** Lines that end with a backslash go on; between them comments may stand. */
function readDockerfile(text: string): Instruction[] {
  const lines = text.replace(/^\s*#.*\n/gm, "").replace(/\\\n/g, " ");
  return lines
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .map((line) => {
      const [, name = "", rest = ""] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
      assert.notEqual(name, "", `not an instruction: ${line}`);
      return { name, text: rest.replace(/\s+/g, " ") };
    });
}

function only(name: string): string {
  const found = INSTRUCTIONS.filter((instruction) => instruction.name === name);
  assert.equal(found.length, 1, `${name} stands there ${found.length} times`);
  return found[0]!.text;
}

/** The words of an instruction in the form that needs no shell. */
function words(text: string): string[] {
  const read: unknown = JSON.parse(text);
  assert.ok(Array.isArray(read) && read.every((word) => typeof word === "string"), text);
  return read;
}

test("the base image is a slim Debian of one release, with glibc", () => {
  assert.match(only("FROM"), /^debian:\d+\.\d+-slim$/);
  assert.equal(INSTRUCTIONS[0]!.name, "FROM");
});

test("nothing is fetched while it is built", () => {
  const names = new Set(INSTRUCTIONS.map(({ name }) => name));
  assert.equal(names.has("ADD"), false);
  assert.doesNotMatch(only("RUN"), /apt|curl|wget|npm/);
});

test("what is copied is what npm run package makes, for each architecture", () => {
  assert.match(only("ARG"), /^ARCHITECTURE=x64$/);
  // No option: Debian 12's Docker knows none that sets a mode, unless BuildKit is asked for.
  const copies = INSTRUCTIONS.filter(({ name }) => name === "COPY").map(({ text }) => text);
  assert.deepEqual(copies, [
    "mqtt-broker-linux-$" + "{ARCHITECTURE} /usr/bin/mqtt-broker",
    "copyright /usr/share/doc/mqtt-broker/copyright",
  ]);
  assert.equal(readFileSync(join(ROOT, "build/copyright"), "utf8"), copyrightFile(ROOT), "npm run package makes it");
  for (const architecture of ARCHITECTURES) {
    const path = `build/mqtt-broker-linux-${architecture}`;
    assert.ok(existsSync(join(ROOT, path)), `${path} is missing: npm run package -- all makes it`);
    assert.equal((statSync(join(ROOT, path)).mode & 0o777).toString(8), "755", path);
  }
  // All else in the folder that is sent to Docker is left out.
  const sent = readFileSync(join(FOLDER, "Dockerfile.dockerignore"), "utf8").replace(/^#.*\n/gm, "");
  assert.equal(sent, "*\n!mqtt-broker-linux-*\n!copyright\n");
});

test("the broker is no root, the first process, and ended by SIGTERM", () => {
  assert.match(only("RUN"), /^useradd --system --uid 1883 .* mqtt-broker$/);
  assert.equal(only("USER"), "mqtt-broker");
  assert.deepEqual(words(only("ENTRYPOINT")), ["mqtt-broker"]);
  assert.deepEqual(words(only("CMD")), ["run"]);
  assert.equal(only("STOPSIGNAL"), "SIGTERM");
  const order = INSTRUCTIONS.map(({ name }) => name);
  assert.ok(order.indexOf("RUN") < order.indexOf("USER") && order.indexOf("USER") < order.indexOf("ENTRYPOINT"));
});

test("the port and the folder are those of the README's line", () => {
  const line = /^docker run (?:.*\\\n)*.*/m.exec(README)?.[0] ?? "";
  assert.ok(line.includes(`-p 1883:${only("EXPOSE")}`), line);
  assert.ok(line.includes(`:${only("VOLUME")}`), line);
  assert.ok(line.includes(`:${only("WORKDIR")}`), line);
  assert.match(README, /^docker build -f packaging\/container\/Dockerfile -t mqtt-broker build$/m);
});

test("in its environment and folder the executable starts, and is found healthy until it has gone", async (context) => {
  const executable = join(ROOT, "build", `mqtt-broker-linux-${process.arch}`);
  assert.ok(existsSync(executable), `${executable} is missing: npm run package makes it`);
  const cwd = emptyFolder(context);
  const given = Object.fromEntries(
    only("ENV")
      .split(" ")
      .map((pair) => pair.split("=") as [string, string]),
  );
  assert.equal(given.MQTT_BROKER_DATA_DIR, only("VOLUME"));
  const env = { ...given, MQTT_BROKER_DATA_DIR: join(cwd, "data") };
  const [command = "", ...check] = words(only("HEALTHCHECK").replace(/^.* CMD /, ""));
  assert.equal(command, "mqtt-broker");
  const start = [...words(only("CMD")), "--tcp-port", "0", "--log-format", "json"];
  const broker = startCommand(context, executable, start, { cwd, env });
  await broker.saw(/Listening on tcp:[^"]*:\d+/);
  const [, port = ""] = /Listening on tcp:[^"]*:(\d+)/.exec(broker.stdout)!;
  const health = () => runCommand(context, executable, [...check, "-p", port], { cwd, env });
  const well = await health();
  assert.equal(well.result.code, 0, well.stderr);
  assert.match(well.stdout, /^\d+ seconds\n$/);
  assert.equal((await broker.stop()).code, 0);
  assert.notEqual((await health()).result.code, 0);
});
