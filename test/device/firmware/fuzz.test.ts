import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { compile, FIRMWARE, FRAMING_NAMES, framingFlag, own, run, SANITIZED, STRICT, scratch } from "./build.ts";

const EACH_MS = 250;

test("random and mutated octets, calls at any time and a clock that wraps around break nothing", async (context) => {
  const folder = scratch();
  const object = (source: string, name: string, ...flags: string[]) =>
    compile(join(folder, `${name}.o`), [...STRICT, ...SANITIZED, ...flags, "-c", source]);
  const library = (name: string) => join(FIRMWARE, "src", `${name}.c`);
  const objects = await Promise.all([
    ...["client", "packet"].map((name) => object(library(name), name)),
    object(own("fuzz.c"), "fuzz"),
  ]);
  const seed = (Date.now() & 0x7fff_ffff) | 1;
  context.diagnostic(`firmware fuzz seed ${seed}`);
  await Promise.all(
    FRAMING_NAMES.map(async (framing) => {
      const framed = await object(library("framing"), framing, framingFlag(framing));
      const program = await compile(join(folder, framing), [...SANITIZED, ...objects, framed]);
      const { status, stdout, stderr } = await run(program, [`${seed}`, `${EACH_MS}`]);
      assert.deepEqual({ framing, seed, status, stderr }, { framing, seed, status: 0, stderr: "" }, stdout);
      const [, rounds, messages, connections] = /^(\d+) rounds, (\d+) messages, (\d+) connections$/m.exec(stdout)!;
      // It does not only knock at the door.
      assert.ok(Number(messages) > 10 && Number(connections) > 10, `${framing}: ${rounds} rounds: ${stdout}`);
    }),
  );
});
