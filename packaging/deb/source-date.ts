import { spawnSync } from "node:child_process";

/** When the sources were made, in seconds since 1970: as SOURCE_DATE_EPOCH says, else their last commit, else now. */
export function buildTime(): number {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given !== undefined && /^\d+$/.test(given)) return Number(given);
  const { status, stdout } = spawnSync("git", ["log", "-1", "--format=%ct"], {
    cwd: import.meta.dirname,
    encoding: "utf8",
  });
  return status === 0 ? Number(stdout) : Math.floor(Date.now() / 1000);
}
