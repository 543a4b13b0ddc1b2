import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { sectorsWritten } from "./disk.ts";
import { stallingDisk } from "./stall.ts";

describe("the disk of the bench", () => {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-bench-stall-"));
  after(() => rmSync(folder, { recursive: true, force: true }));

  it("stalls while it is told to, in fsync as in fdatasync, and rests between", () => {
    const disk = stallingDisk(folder, 100, 60_000);
    const file = join(folder, "file");
    /** Milliseconds that two calls took in a process of their own. */
    const callsTake = (name: string): number[] => {
      const program = `const fs = require("node:fs"); const fd = fs.openSync(${JSON.stringify(file)}, "w");
        const take = () => { const from = performance.now(); fs.${name}(fd); return performance.now() - from; };
        console.log(JSON.stringify([take(), take()]));`;
      const env = { ...process.env, ...disk.env };
      return JSON.parse(spawnSync(process.execPath, ["-e", program], { env, encoding: "utf8" }).stdout) as number[];
    };
    for (const name of ["fsyncSync", "fdatasyncSync"]) {
      disk.begin();
      const [first] = callsTake(name);
      assert.ok(first! >= 100, `${name} took ${first} ms`);
      assert.equal(disk.end(), 1);
    }
    disk.begin();
    assert.equal(disk.end(), 0);
    assert.equal(callsTake("fsyncSync").length, 2);
  });

  it("counts the sectors that a device was given to write", () => {
    assert.equal(sectorsWritten("    54        0     2100        6        6        0        4        1        0\n"), 4);
    assert.throws(() => sectorsWritten(""), { message: "A block device's stat has no sectors written: " });
  });
});
