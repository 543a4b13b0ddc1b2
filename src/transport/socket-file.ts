import { chmod, chown, link, lstat, mkdtemp, readFile, rename, rm, unlink } from "node:fs/promises";
import { connect } from "node:net";
import { dirname, join } from "node:path";

/** Who may connect; Linux asks for the right to write. */
export interface FileRights {
  /** Permission bits, 0 to 0o777; default 0o660. */
  mode?: number | undefined;
  /** Name or number; default: the user and group of this process. */
  owner?: string | undefined;
  group?: string | undefined;
}

const DEFAULT_MODE = 0o660;
/** `sun_path` of sockaddr_un, without the zero at its end. */
const PATH_BYTES_MAX = process.platform === "linux" ? 107 : 103;
/** What the folder in which the socket is made adds to the path of its own folder: "/.XXXXXX/s". */
const STAGE_BYTES = 10;

const IN_USE = "another program listens there: stop it, or give another path";

/** "@name": a name that Linux keeps beside the file system. */
export function isAbstract(path: string): boolean {
  return path.startsWith("@");
}

/**
 * The file of a Unix socket that a server of ours is bound to.
 *
 * The server is bound in a closed folder beside the place, and the file linked there when its rights are set: so nobody
 * connects too early, another program's new socket is never overwritten, and libuv, which removes the path that it was
 * given without looking, finds nothing to remove.
 */
export class SocketFile {
  private readonly path: string;
  private readonly identity: string;

  private constructor(path: string, identity: string) {
    this.path = path;
    this.identity = identity;
  }

  /**
   * Has `bind` called with the path to bind the server to. A socket to which nobody listens any more is replaced; any
   * other file is left alone. Undefined for abstract names. Rejects with the reason in words.
   */
  static async make(
    path: string,
    rights: FileRights,
    bind: (path: string) => Promise<void>,
  ): Promise<SocketFile | undefined> {
    checkPath(path);
    if (isAbstract(path)) {
      await bind(`\0${path.slice(1)}`).catch((error) => refuse(error, path));
      return undefined;
    }
    const uid = await idOf(rights.owner, "/etc/passwd", "user");
    const gid = await idOf(rights.group, "/etc/group", "group");
    let stage: string | undefined;
    try {
      stage = await mkdtemp(`${dirname(path)}/.`);
      await removeStale(path, join(stage, "old"));
      const made = join(stage, "s");
      await bind(made);
      await chmod(made, rights.mode ?? DEFAULT_MODE);
      if (uid !== -1 || gid !== -1) await chown(made, uid, gid);
      const identity = identify(await lstat(made, { bigint: true }));
      await link(made, path);
      return new SocketFile(path, identity);
    } catch (error) {
      return refuse(error as NodeJS.ErrnoException, path);
    } finally {
      if (stage !== undefined) await rm(stage, { recursive: true, force: true });
    }
  }

  /** Removes the file if it is still the one that was made. Never rejects: at the next start it is a stale one. */
  async remove(): Promise<void> {
    try {
      if (identify(await lstat(this.path, { bigint: true })) === this.identity) await unlink(this.path);
    } catch {}
  }
}

function checkPath(path: string): void {
  if (path === "@") throw new Error("a name must follow the @");
  const bytes = Buffer.byteLength(path);
  if (bytes > PATH_BYTES_MAX) {
    throw new Error(`its path has ${bytes} bytes, and that of a Unix socket has ${PATH_BYTES_MAX} at most`);
  }
  const folderBytes = Buffer.byteLength(dirname(path));
  if (!isAbstract(path) && folderBytes + STAGE_BYTES > PATH_BYTES_MAX) {
    const atMost = PATH_BYTES_MAX - STAGE_BYTES;
    throw new Error(`the path of its folder has ${folderBytes} bytes, and that of a Unix socket has ${atMost} at most`);
  }
}

/** Takes a socket that nobody listens to away from `path`, by way of `aside`. */
async function removeStale(path: string, aside: string): Promise<void> {
  const found = await lstat(path, { bigint: true }).catch(unlessMissing);
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new Error("there is a file already, and it is no socket: move it away, or give another path");
  }
  if (await answers(path)) throw new Error(IN_USE);
  await rename(path, aside).catch(unlessMissing);
  const taken = await lstat(aside, { bigint: true }).catch(unlessMissing);
  // Another program that starts now may have removed the stale one, or replaced it: then it has its own back.
  if (taken === undefined || identify(taken) === identify(found)) return;
  await rename(aside, path);
  throw new Error(IN_USE);
}

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== "ENOENT") throw error;
}

/** Whether anybody accepts connections at the socket file. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") resolve(false);
      // Its queue is full, or it is a socket of another kind.
      else if (error.code === "EAGAIN" || error.code === "EPROTOTYPE") resolve(true);
      else reject(error);
    });
  });
}

/** An inode number alone is given again soon; links, rights and owners leave the time of the last change of content. */
function identify({ dev, ino, mtimeNs }: { dev: bigint; ino: bigint; mtimeNs: bigint }): string {
  return `${dev}:${ino}:${mtimeNs}`;
}

/** The number of a user or group; -1, which changes nothing, when none was given. */
async function idOf(name: string | undefined, file: string, kind: string): Promise<number> {
  if (name === undefined) return -1;
  if (/^\d+$/.test(name)) return Number(name);
  const lines = (await readFile(file, "utf8").catch(() => "")).split("\n");
  const id = lines.map((line) => line.split(":")).find(([first]) => first === name)?.[2];
  if (id !== undefined && /^\d+$/.test(id)) return Number(id);
  throw new Error(`there is no ${kind} ${JSON.stringify(name)} in ${file}: add it, or give its number`);
}

function refuse(error: NodeJS.ErrnoException, path: string): never {
  throw new Error(reasonOf(error, path) ?? error.message, { cause: error });
}

function reasonOf({ code, syscall }: NodeJS.ErrnoException, path: string): string | undefined {
  const folder = dirname(path);
  switch (code) {
    case "EADDRINUSE":
    case "EEXIST":
      return IN_USE;
    case "ENOENT":
      return isAbstract(path) ? undefined : `there is no folder ${folder}: make it, or give another path`;
    case "ENOTDIR":
      return `${folder} is no folder: give another path`;
    case "EINVAL":
      return isAbstract(path) ? "names with @ are known to Linux only: give the path of a file" : undefined;
    case "EROFS":
      return `${folder} is read-only: give another path`;
    case "EACCES":
    case "EPERM":
      if (syscall === "chown")
        return "no permission to change its owner or group: that takes root, or a member of the group";
      if (syscall === "connect") return "there is a socket already, and no permission to see whether it is in use";
      return `no permission to make files in ${folder}`;
    default:
      return undefined;
  }
}
