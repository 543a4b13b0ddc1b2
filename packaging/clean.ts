import { rmSync } from "node:fs";
import { join } from "node:path";

/** Removes what building and testing made, and the data of a broker that ran here. */
for (const name of ["build", "dist", "coverage", "data"]) {
  rmSync(join(import.meta.dirname, "..", name), { recursive: true, force: true });
}
