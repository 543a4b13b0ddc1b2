import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Architecture, DEBIAN_NAMES } from "../../packaging/architecture.ts";
import { buildDeb } from "../../packaging/deb.ts";
import { VERSION } from "../../src/version.ts";

const BUILD = join(import.meta.dirname, "../../build");

/** The executable that `npm run package` has made. Throws Error when it is not there. */
export function builtExecutable(architecture: Architecture): string {
  return demand(join(BUILD, `mqtt-broker-linux-${architecture}`));
}

/** The Debian package that `npm run package` has made. Throws Error when it is not there. */
export function builtPackage(architecture: Architecture): string {
  return demand(join(BUILD, `mqtt-broker_${VERSION}_${DEBIAN_NAMES[architecture]}.deb`));
}

/** A package of it that is made in `folder` within seconds, since nothing is compressed. Returns its path. */
export function quickPackage(architecture: Architecture, folder: string): string {
  return buildDeb({
    architecture,
    executable: builtExecutable(architecture),
    folder,
    version: VERSION,
    compression: "none",
  });
}

function demand(path: string): string {
  if (existsSync(path)) return path;
  throw new Error(`${path} is missing: npm run package -- all makes it`);
}
