import { type FSWatcher, lstatSync, readdirSync, readlinkSync, statfsSync, statSync, watch } from "node:fs";
import { basename, join, resolve, sep } from "node:path";

/** An editor saves in several steps; what is read between them is half a file. */
const QUIET_MS = 100;
/** Something that is written all the time is looked at all the same. */
const DELAY_MS_MAX = 500;
const POLL_MS = 1000;
/** Links that lead to links: as many as Linux follows. */
const LINKS_MAX = 40;

/** File systems that others write without our kernel being told: NFS, SMB, FUSE, 9p. */
const REMOTE = new Set([0x6969, 0xff534d42, 0xfe534d42, 0x517b, 0x65735546, 0x01021997]);

export interface WatchTools {
  /** Hears, once, that files are looked at each second because the system does not tell of changes. */
  warn?: ((message: string, fields: { reason: string }) => void) | undefined;
  /** What stands for fs.watch in tests. */
  watch?: typeof watch;
}

export interface FileWatch {
  /** Nothing is called any more. Idempotent. */
  close(): void;
}

/**
 * Calls `changed` a tenth of a second after something has happened to one of the paths, which may be missing: written,
 * replaced, removed, made, given other rights; also when that happens to a folder or link that leads there. A path that
 * ends with "/" stands for everything that is directly in that folder. It is called too often rather than too seldom, so
 * look whether there is anything new. Paths are absolute. Never throws, and keeps no process alive.
 */
export function watchFiles(paths: readonly string[], changed: () => void, tools: WatchTools = {}): FileWatch {
  return new PathWatch(paths, changed, tools);
}

interface WatchedFolder {
  readonly watcher: FSWatcher;
  /** Which folder it is: another one may come to stand at its path. */
  readonly identity: string;
}

/** What is to be watched, by path, and the names in it that matter; undefined: all. */
type Folders = Map<string, Set<string> | undefined>;

/**
 * Watches folders, since a file that is replaced takes its watcher along: each one on the way, for the one name that leads
 * on, so that nothing happens unseen when a folder is exchanged for another one. And the file too, because it may be
 * written through another name, as when a container has it mounted.
 */
class PathWatch implements FileWatch {
  private readonly paths: readonly string[];
  private readonly changed: () => void;
  private readonly tools: WatchTools;
  private readonly watched = new Map<string, WatchedFolder>();
  private folders: Folders = new Map();
  private timeout: NodeJS.Timeout | undefined;
  private firstMs = 0;
  private poll: NodeJS.Timeout | undefined;
  private seen = "";
  private closed = false;

  constructor(paths: readonly string[], changed: () => void, tools: WatchTools) {
    this.paths = paths;
    this.changed = changed;
    this.tools = tools;
    this.follow();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timeout);
    clearInterval(this.poll);
    for (const folder of [...this.watched.keys()]) this.leave(folder);
  }

  /** Watches what leads to the paths now. What appears meanwhile may lead to more, so it looks until nothing is new. */
  private follow(): void {
    const hopeless = new Set<string>();
    for (let round = 0; round < LINKS_MAX; round++) {
      this.folders = foldersOf(this.paths);
      for (const [folder, { identity }] of [...this.watched]) {
        if (!this.folders.has(folder) || identityOf(folder) !== identity) this.leave(folder);
      }
      const added = [...this.folders.keys()].filter((folder) => !this.watched.has(folder) && !hopeless.has(folder));
      if (added.length === 0) return;
      for (const folder of added) if (!this.add(folder)) hopeless.add(folder);
    }
  }

  private add(folder: string): boolean {
    const identity = identityOf(folder);
    if (identity === undefined) return false;
    try {
      const watcher = (this.tools.watch ?? watch)(folder, { persistent: false }, (_, name) => this.heard(folder, name));
      watcher.on("error", (error) => this.lost(folder, watcher, error));
      this.watched.set(folder, { watcher, identity });
      if (isRemote(folder)) this.beginPolling(`${folder} is on a network or shared file system`);
      return true;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      // Gone already, or a folder that leads on though we may not look into it.
      const isNobodysFault = code === "ENOENT" || code === "ENOTDIR" || code === "EACCES";
      if (!isNobodysFault || this.isLast(folder)) this.beginPolling(message);
      return false;
    }
  }

  private leave(folder: string): void {
    this.watched.get(folder)?.watcher.close();
    this.watched.delete(folder);
  }

  private lost(folder: string, watcher: FSWatcher, error: Error): void {
    if (this.watched.get(folder)?.watcher !== watcher) return;
    this.leave(folder);
    if (this.isLast(folder)) this.beginPolling(error.message);
    this.soon();
  }

  /** `name` is null where the system does not say, and the folder's own when something happened to the folder itself. */
  private heard(folder: string, name: string | null): void {
    const names = this.folders.get(folder);
    if (name === null || names === undefined || names.has(name) || name === basename(folder)) this.soon();
  }

  private soon(): void {
    if (this.closed) return;
    const nowMs = performance.now();
    if (this.timeout === undefined) this.firstMs = nowMs;
    clearTimeout(this.timeout);
    const delayMs = Math.min(QUIET_MS, this.firstMs + DELAY_MS_MAX - nowMs);
    this.timeout = setTimeout(this.onQuiet, Math.max(0, delayMs)).unref();
  }

  private readonly onQuiet = (): void => {
    this.timeout = undefined;
    this.follow();
    this.changed();
  };

  private beginPolling(reason: string): void {
    if (this.poll !== undefined || this.closed) return;
    this.tools.warn?.("The system does not tell of all changed files: they are looked at each second", { reason });
    this.seen = this.look();
    this.poll = setInterval(this.onPoll, POLL_MS).unref();
  }

  private readonly onPoll = (): void => {
    const seen = this.look();
    if (seen === this.seen) return;
    this.seen = seen;
    this.soon();
  };

  private look(): string {
    return this.paths.flatMap((path) => [path, ...entriesOf(path)].map(stateOf)).join();
  }

  /** Whether one of the paths is directly in the folder. */
  private isLast(folder: string): boolean {
    return this.paths.some((path) => (path.endsWith(sep) ? resolve(path) : resolve(path, "..")) === folder);
  }
}

function foldersOf(paths: readonly string[]): Folders {
  const folders: Folders = new Map();
  for (const path of paths) {
    const end = trace(path, folders, LINKS_MAX);
    if (end === undefined) continue;
    folders.set(end, undefined);
    for (const entry of entriesOf(path)) trace(entry, folders, LINKS_MAX);
  }
  return folders;
}

/** Adds each folder on the way to `path`, through links; returns where the way ends, undefined when it breaks off. */
function trace(path: string, folders: Folders, linksMax: number): string | undefined {
  let folder: string = sep;
  const names = path.split(sep).filter((name) => name !== "");
  for (const [index, name] of names.entries()) {
    const known = folders.get(folder);
    if (known !== undefined) known.add(name);
    else if (!folders.has(folder)) folders.set(folder, new Set([name]));
    const target = targetOf(folder, name);
    if (target === undefined) return undefined;
    const full = join(folder, name);
    if (target !== full) {
      return linksMax === 0 ? undefined : trace(join(target, ...names.slice(index + 1)), folders, linksMax - 1);
    }
    folder = full;
  }
  return folder;
}

/** Where a name leads: its own path, or a link's target; undefined when there is nothing. */
function targetOf(folder: string, name: string): string | undefined {
  const path = join(folder, name);
  try {
    return lstatSync(path).isSymbolicLink() ? resolve(folder, readlinkSync(path)) : path;
  } catch {
    return undefined;
  }
}

/** What is in a folder whose path ends with "/"; nothing for other paths, and where it cannot be read. */
function entriesOf(path: string): string[] {
  if (!path.endsWith(sep)) return [];
  try {
    return readdirSync(path).map((name) => join(path, name));
  } catch {
    return [];
  }
}

function identityOf(folder: string): string | undefined {
  try {
    const stat = statSync(folder);
    return stat.isDirectory() || stat.isFile() ? `${stat.dev}:${stat.ino}` : undefined;
  } catch {
    return undefined;
  }
}

function stateOf(path: string): string {
  try {
    const { dev, ino, size, mtimeMs, ctimeMs } = statSync(path);
    return `${dev}:${ino}:${size}:${mtimeMs}:${ctimeMs}`;
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

function isRemote(folder: string): boolean {
  try {
    return REMOTE.has(statfsSync(folder).type);
  } catch {
    return false;
  }
}
