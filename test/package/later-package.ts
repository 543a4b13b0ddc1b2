import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runTool } from "../../packaging/run-tool.ts";
import { VERSION } from "../../src/version.ts";
import { emptyFolder, type Lifetime } from "../smoke/program.ts";

const CONFFILES = ["etc/mqtt-broker/auth.json5", "etc/mqtt-broker/mqtt-broker.json5"];

/** The package `file` as a later version, with other conffiles: `change` gets the text of each. Returns its path. */
export function laterPackage(
  context: Lifetime,
  file: string,
  version: string,
  change: (text: string) => string,
): string {
  const folder = emptyFolder(context);
  const raw = join(folder, "raw");
  runTool("dpkg-deb", ["--raw-extract", file, raw]);
  const control = join(raw, "DEBIAN/control");
  writeFileSync(control, readFileSync(control, "utf8").replace(`Version: ${VERSION}\n`, `Version: ${version}\n`));
  for (const path of CONFFILES) {
    writeFileSync(join(raw, path), change(readFileSync(join(raw, path), "utf8")));
  }
  const made = join(folder, `mqtt-broker_${version}.deb`);
  runTool("dpkg-deb", ["--root-owner-group", "-Znone", "--build", raw, made]);
  return made;
}
