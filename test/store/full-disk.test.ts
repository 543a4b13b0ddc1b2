import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

/** Runs a program with a file system of `size` at a folder that only it sees, as any user may. */
function runOnDisk(size: string, program: string): Record<string, unknown>[] {
  const mount = mkdtempSync(join(tmpdir(), "mqtt-broker-disk-"));
  try {
    const script = 'mount -t tmpfs -o size="$1" none "$2" && exec "$3" "$4" "$2"';
    const path = join(import.meta.dirname, program);
    const words = ["-rm", "sh", "-c", script, "sh", size, mount, process.execPath, path];
    const { status, stdout, stderr } = spawnSync("unshare", words, { encoding: "utf8", timeout: 30_000 });
    assert.equal(status, 0, stderr);
    const lines = stdout.trim().split("\n");
    return lines.map((line) => JSON.parse(line.replaceAll(mount, "DISK")));
  } finally {
    rmSync(mount, { recursive: true });
  }
}

test("on a full disk deletions and small changes go through, the rest waits in order and is seen, and all follows when there is room", () => {
  assert.deepEqual(runOnDisk("16m", "full-disk-run.ts"), [
    { step: "with room", durable: 1, keys: 500, troubles: [], ballast: true },
    { step: "full, on the ballast's room", durable: 3, keys: 900, troubles: ["full"], ballast: false },
    { step: "full, more than the ballast's room", durable: 3, keys: 5_900, troubles: ["full"], ballast: false },
    { step: "with room again", durable: 13, keys: 5_900, troubles: ["full", "recovered"], ballast: true },
    { step: "opened again", keys: 5_900 },
    {
      step: "end",
      reasons: ["Cannot write DISK/data/mqtt-broker.db: database or disk is full; make room there"],
      notes: [],
      losses: [],
      failure: "",
    },
  ]);
});

const NO_ROOM = "Cannot write DISK/new/mqtt-broker.lock: database or disk is full";

test("a disk that is full at the start is started on, and nothing is lost when it ends full", () => {
  assert.deepEqual(runOnDisk("8m", "full-start-run.ts"), [
    { step: "started full", records: { 1: "kept=value" }, troubles: [] },
    { step: "changed", durable: 1, records: { 1: "kept=other", 2: "small=change" }, hasEnded: true },
    { step: "opened again", records: { 1: "kept=other", 2: "small=change" } },
    { step: "nothing there yet, refused", message: `${NO_ROOM}; make room there` },
    { step: "with room", records: {} },
  ]);
});
