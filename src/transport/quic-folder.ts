import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

let last: Promise<unknown> = Promise.resolve();

/**
 * Does something of the library that makes temporary files. It writes the private key into one, under a name that can be
 * guessed, for everybody to read: so it gets a folder where nobody else looks, which is removed afterwards. One after the
 * other, since it is told by the process's environment.
 */
export function inPrivateFolder<T>(action: () => Promise<T>): Promise<T> {
  const done = last.then(() => inFolder(action));
  last = done.catch(() => {});
  return done;
}

async function inFolder<T>(action: () => Promise<T>): Promise<T> {
  const before = process.env.TMPDIR;
  // For its owner alone, as mkdtemp has it.
  const folder = await mkdtemp(join(tmpdir(), "mqtt-broker-quic-"));
  process.env.TMPDIR = folder;
  try {
    return await action();
  } finally {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
    await rm(folder, { recursive: true, force: true });
  }
}
