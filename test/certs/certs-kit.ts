import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Machine } from "../../src/certs/machine.ts";

/** A machine that is always the same, but for its clock, which openssl and TLS go by too. */
export const BOX: Machine = {
  nowMs: Date.now(),
  hostName: "Box",
  addresses: ["127.0.0.1", "::1", "192.0.2.7", "fe80::1:2%eth0", "2001:db8::7"],
};

/** The other implementation: what it says on both its outputs, and whether it was content. */
export function openssl(folder: string, ...words: readonly string[]): { ok: boolean; text: string } {
  const { status, stdout, stderr } = spawnSync("openssl", words, { cwd: folder, encoding: "utf8" });
  return { ok: status === 0, text: `${stdout}${stderr}` };
}

/** A folder with these files, removed after the test. */
export function folderWith(
  context: { after(action: () => void): void },
  files: Readonly<Record<string, string | Uint8Array>>,
): string {
  const folder = mkdtempSync(join(tmpdir(), "mqtt-broker-certs-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  return folder;
}
