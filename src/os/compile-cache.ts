import { lstatSync, mkdirSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";

const WRITABLE_BY_OTHERS = 0o022;
/** In such a folder everybody may make files, and nobody change those of others. */
const STICKY = 0o1000;

/**
 * Where V8 may keep what it has compiled, which halves the time of a start. What lies there is run unseen, so it has to be
 * a folder of `user` (its number) that nobody else but root can change or exchange: systemd's CACHE_DIRECTORY, or one in
 * the user's own caches, which is made. Undefined where there is none.
 */
export function compileCacheFolder(env: NodeJS.ProcessEnv, user: number): string | undefined {
  const { CACHE_DIRECTORY, XDG_CACHE_HOME, HOME } = env;
  const caches = XDG_CACHE_HOME || (HOME && join(HOME, ".cache"));
  // Relative paths would depend on where it is started.
  const given = CACHE_DIRECTORY?.split(":")[0] ?? "";
  if (given.startsWith("/") && isPrivate(given, user)) return given;
  if (!caches?.startsWith("/")) return undefined;
  const own = join(caches, "mqtt-broker");
  return makePrivate(own, user) ? own : undefined;
}

function makePrivate(folder: string, user: number): boolean {
  try {
    // Below it mkdir never returns.
    if (realpathSync(nearest(folder)).startsWith("/proc")) return false;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch {
    return false;
  }
  return isPrivate(folder, user);
}

/** It, or what is there of the folders above it. */
function nearest(folder: string): string {
  return lstatSync(folder, { throwIfNoEntry: false }) === undefined ? nearest(dirname(folder)) : folder;
}

function isPrivate(folder: string, user: number): boolean {
  try {
    const real = realpathSync(folder);
    const { uid, mode } = lstatSync(real);
    return uid === user && (mode & WRITABLE_BY_OTHERS) === 0 && isKept(dirname(real), user);
  } catch {
    return false;
  }
}

/** Whether nobody else can put another folder in the place of one below this one. */
function isKept(folder: string, user: number): boolean {
  const { uid, mode } = lstatSync(folder);
  if (uid !== user && uid !== 0) return false;
  if ((mode & WRITABLE_BY_OTHERS) !== 0 && (mode & STICKY) === 0) return false;
  return folder === "/" || isKept(dirname(folder), user);
}
