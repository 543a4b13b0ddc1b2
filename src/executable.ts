import { enableCompileCache, flushCompileCache } from "node:module";
import { compileCacheFolder } from "./os/compile-cache.ts";

/** When all that a start needs has been compiled. A broker whose power is cut never comes to its end, and keeps it so. */
const COMPILED_MS = 5_000;

// What the executable runs first: the rest of it is read with the cache.
const folder = compileCacheFolder(process.env, process.getuid?.() ?? -1);
if (folder !== undefined) {
  enableCompileCache(folder);
  setTimeout(flushCompileCache, COMPILED_MS).unref();
}
require("./app.cjs");
