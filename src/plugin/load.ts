import { pathToFileURL } from "node:url";
import { ReasonCode } from "../codec/reason.ts";
import { type Hook, IGNORE, MOMENTS, refuse } from "../core/hooks.ts";

/**
 * What a plugin's function is given. A plugin that imported the package instead could get another copy than the one
 * that runs, and in the executable none, and its refusals would not be known for what they are.
 */
export interface PluginTools {
  IGNORE: typeof IGNORE;
  refuse: typeof refuse;
  ReasonCode: typeof ReasonCode;
}

const TOOLS: PluginTools = { IGNORE, refuse, ReasonCode };

/**
 * Loads a plugin: an ES module on disk whose `hook` export is a Hook, or a function that makes one, perhaps later.
 * Rejects with a message that names the file and what is wrong with it.
 */
export async function loadPlugin(path: string): Promise<Hook> {
  let exported: unknown;
  try {
    const module = (await import(pathToFileURL(path).href)) as { hook?: unknown };
    exported =
      typeof module.hook === "function" ? await (module.hook as (tools: PluginTools) => unknown)(TOOLS) : module.hook;
  } catch (error) {
    throw new Error(`Cannot load the plugin ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof exported !== "object" || exported === null || Array.isArray(exported)) {
    throw new Error(`Cannot use the plugin ${path}: it must export "hook", an object or a function that returns one`);
  }
  const moments = namesOf(exported).filter((name) => /^(on|stored)[A-Z]/.test(name));
  const unknown = moments.filter((name) => !(MOMENTS as readonly string[]).includes(name));
  if (unknown.length > 0) {
    throw new Error(`Cannot use the plugin ${path}: there is no hook called ${unknown.join(", ")}`);
  }
  const values = moments.filter((name) => typeof (exported as Record<string, unknown>)[name] !== "function");
  if (values.length > 0) throw new Error(`Cannot use the plugin ${path}: ${values.join(", ")} must be a function`);
  // Set on the object itself: through a wrapper a class could not reach its private fields.
  if ((exported as Partial<Hook>).name === undefined && !Reflect.set(exported, "name", path)) {
    throw new Error(`Cannot use the plugin ${path}: its hook needs a "name"`);
  }
  return exported as Hook;
}

/** With what it inherits: a hook may be an object of a class. */
function namesOf(object: object): string[] {
  const names = new Set<string>();
  for (let at = object; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const name of Object.getOwnPropertyNames(at)) names.add(name);
  }
  return [...names];
}
