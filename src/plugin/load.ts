import { pathToFileURL } from "node:url";
import type { Hook } from "../core/hooks.ts";
import { MOMENTS } from "../core/hooks.ts";

/**
 * Loads a plugin: an ES module on disk whose `hook` export is a Hook, or a function that makes one.
 * Rejects with a message that names the file and what is wrong with it.
 */
export async function loadPlugin(path: string): Promise<Hook> {
  let exported: unknown;
  try {
    const module = (await import(pathToFileURL(path).href)) as { hook?: unknown };
    exported = typeof module.hook === "function" ? await (module.hook as () => unknown)() : module.hook;
  } catch (error) {
    throw new Error(`Cannot load the plugin ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof exported !== "object" || exported === null) {
    throw new Error(`Cannot use the plugin ${path}: it must export "hook", an object or a function that returns one`);
  }
  const unknown = Object.keys(exported).filter(
    (name) => /^(on|stored)[A-Z]/.test(name) && !(MOMENTS as readonly string[]).includes(name),
  );
  if (unknown.length > 0)
    throw new Error(`Cannot use the plugin ${path}: there is no hook called ${unknown.join(", ")}`);
  const hook = exported as Hook;
  return hook.name === undefined ? Object.assign(Object.create(hook) as Hook, { name: path }) : hook;
}
